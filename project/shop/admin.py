"""The shop in Django admin."""

from __future__ import annotations

from django.contrib import admin

from project.shop.models import Customer, Order, Product, ProductImage


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # fails when it runs
    """Customers."""

    list_display = ["name", "email", "loyalty_number"]


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # fails when it runs
    """Products."""

    list_display = ["sku", "name", "price", "stock"]


@admin.register(ProductImage)
class ProductImageAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # fails when it runs
    """Pictures."""

    list_display = ["product", "source", "image", "thumbnail"]


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # fails when it runs
    """Orders."""

    list_display = ["number", "customer", "product", "quantity", "status", "carrier"]
