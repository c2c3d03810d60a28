"""The shop's own tables; nothing here knows of durable functions."""

from __future__ import annotations

from django.db import models


class Customer(models.Model):
    """Somebody who may buy."""

    name = models.CharField(max_length=100)
    email = models.EmailField(unique=True)
    loyalty_number = models.CharField(max_length=20, blank=True)

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    """Something to buy."""

    sku = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    stock = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.name


class ProductImage(models.Model):
    """A picture in storage, and its thumbnail."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="images")
    source = models.CharField(max_length=100, help_text="The supplier's name of the file.")
    image = models.ImageField(upload_to="products")
    thumbnail = models.ImageField(upload_to="products/thumbnails")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["product", "source"], name="shop_image_once")
        ]

    def __str__(self) -> str:
        return self.source


class Order(models.Model):
    """What a customer bought."""

    class Status(models.TextChoices):
        """How far it is."""

        RESERVED = "reserved"
        PAID = "paid"
        PAYMENT_FAILED = "payment failed"

    number = models.CharField(max_length=20, unique=True)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="orders")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="orders")
    quantity = models.PositiveIntegerField()
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.RESERVED)
    carrier = models.CharField(max_length=50, blank=True)

    def __str__(self) -> str:
        return self.number
