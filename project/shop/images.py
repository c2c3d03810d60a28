"""A supplier's picture files, and what the shop makes of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TypedDict

from django.core.files.base import ContentFile
from PIL import Image

from project.shop.models import Product, ProductImage

SUPPLIER = Path(__file__).resolve().parent / "sample_images"
THUMBNAIL = (96, 96)


class Stored(TypedDict):
    """What a stored picture is called, and its size in pixels."""

    image: str
    thumbnail: str
    width: int
    height: int


class SupplierError(Exception):
    """The supplier's server did not answer."""


def fetch(name: str, *, hang_ups: int, attempt: int) -> bytes:
    """Return a file of the supplier, whose server hangs up on the first tries."""
    if attempt < hang_ups:
        raise SupplierError(f"the server hung up while sending {name}")
    return (SUPPLIER / Path(name).name).read_bytes()


def store(sku: str, name: str, content: bytes) -> Stored:
    """Copy a picture into storage with a thumbnail beside it. Done twice, it is there once."""
    product = Product.objects.get(sku=sku)
    row = ProductImage.objects.filter(product=product, source=name).first()
    if row is None:
        row = ProductImage(product=product, source=name)
    else:
        row.image.delete(save=False)
        row.thumbnail.delete(save=False)
    row.image.save(name, ContentFile(content), save=False)
    row.thumbnail.save(f"{Path(name).stem}.png", ContentFile(_thumbnail(content)), save=False)
    row.save()
    return Stored(
        image=str(row.image.name),
        thumbnail=str(row.thumbnail.name),
        width=row.image.width,
        height=row.image.height,
    )


def _thumbnail(content: bytes) -> bytes:
    with Image.open(io.BytesIO(content)) as picture:
        picture.thumbnail(THUMBNAIL)
        output = io.BytesIO()
        picture.save(output, "PNG", optimize=True)
    return output.getvalue()
