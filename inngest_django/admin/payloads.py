"""Stored values as people read them: indented, bounded, with their size."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from django.db.models import F, Func, IntegerField, TextField
from django.db.models.functions import Length, Substr
from django.template.defaultfilters import filesizeformat

from inngest_django import remedies
from inngest_django.serialization import loads

LIMIT = 4_000
STACK_LIMIT = 20_000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Payload:
    """A stored value, or its beginning.

    Attributes:
        text: Indented JSON, or the first characters of the stored text.
        size: Of the whole stored text, in bytes.
        is_cut: Whether ``text`` is only the beginning.
        url: Where the whole value is, as JSON.
    """

    text: str
    size: int
    is_cut: bool = False
    url: str = ""

    @property
    def size_text(self) -> str:
        """The size in words."""
        return str(filesizeformat(self.size))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ErrorText:
    """A stored error: ``{code, name, message, stack}``."""

    name: str
    message: str
    code: str = ""
    stack: str = ""

    @property
    def remedy(self) -> str:
        """What to do about it; empty for an error of the author's own."""
        return remedies.action(self.code).replace("`", "")


def columns(*fields: str, limit: int = LIMIT) -> dict[str, Any]:
    """Return annotations ``<field>_head`` and ``<field>_size``.

    The database cuts the text, so that a page over many large values reads little of them.
    """
    annotations: dict[str, Func] = {}
    for field in fields:
        annotations[f"{field}_head"] = Substr(F(field), 1, limit, output_field=TextField())
        annotations[f"{field}_size"] = Length(F(field), output_field=IntegerField())
    return annotations


def from_row(row: Any, field: str, *, url: str = "") -> Payload | None:
    """Return the payload of an annotated row; None when the column is NULL."""
    head, size = getattr(row, f"{field}_head"), getattr(row, f"{field}_size")
    if head is None:
        return None
    if len(head) < size:
        return Payload(text=head, size=size, is_cut=True, url=url)
    return Payload(text=pretty(head), size=size)


def pretty(text: str) -> str:
    """Return stored JSON text indented, with its letters as they are."""
    shown = json.dumps(loads(text), ensure_ascii=False, indent=2)  # noqa: TID251 - for people
    # A lone surrogate is valid in JSON and in no encoding that a page could be sent in.
    return shown.encode("utf-8", "backslashreplace").decode("utf-8")


def error_text(value: object) -> ErrorText | None:
    """Return a stored error for display; None when there is none."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        return ErrorText(name="", message=_plain(value))
    stack = _plain(value.get("stack"))
    if len(stack) > STACK_LIMIT:
        # The end of a traceback names the error.
        stack = "…" + stack[-STACK_LIMIT:]
    return ErrorText(
        name=_plain(value.get("name")),
        message=_plain(value.get("message"))[:LIMIT],
        code=_plain(value.get("code")),
        stack=stack,
    )


def _plain(value: object) -> str:
    text = "" if value is None else str(value)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
