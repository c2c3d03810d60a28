"""Columns that hold JSON as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.utils import timezone

from inngest_django.serialization import dumps, loads


class JSONText(str):
    """JSON that is already encoded; stored as it is."""

    __slots__ = ()


if TYPE_CHECKING:
    _TextField = models.TextField[Any, Any]
    _DateTimeField = models.DateTimeField[Any, Any]
else:
    # Not subscriptable when it runs.
    _TextField = models.TextField
    _DateTimeField = models.DateTimeField


class JSONTextField(_TextField):
    """Stores any JSON value as text and gives the decoded value back.

    Not jsonb: it reorders keys, so that a function that loops over a stored result would
    pair its steps differently on replay, and it refuses values such as NUL.
    NULL and the JSON text ``null`` both read as None.
    """

    if TYPE_CHECKING:  # What django-stubs reads: any JSON value, in and out.
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any

    def get_prep_value(self, value: Any) -> Any:
        """Return the text to store; ``JSONText`` passes through."""
        if value is None or isinstance(value, JSONText):
            return value
        return dumps(value)

    def from_db_value(self, value: Any, *_: Any) -> Any:
        """Return the decoded value."""
        return None if value is None else loads(value)

    def to_python(self, value: Any) -> Any:
        """Return the value as it is: forms never edit these columns."""
        return value

    def value_to_string(self, obj: models.Model) -> str:
        """Return the JSON text for serializers."""
        return dumps(self.value_from_object(obj))


class MomentField(_DateTimeField):
    """An aware moment, also in a project with ``USE_TZ = False``.

    PostgreSQL stores moments either way; what such a project reads is naive, in its zone.
    """

    def from_db_value(self, value: Any, *_: Any) -> Any:
        """Return the aware moment."""
        if value is None or value.tzinfo is not None:
            return value
        return timezone.make_aware(value, timezone.get_default_timezone())
