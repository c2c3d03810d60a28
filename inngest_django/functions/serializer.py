"""Turning typed values into JSON and back."""

from __future__ import annotations

import functools
from typing import Any, Protocol, runtime_checkable

import pydantic

_CACHED_TYPES = 512


@runtime_checkable
class Serializer(Protocol):
    """Used for outputs whose ``output_type`` was given."""

    def serialize(self, obj: object, typ: Any) -> object:
        """Return ``obj``, which is of type ``typ``, as JSON-able values."""

    def deserialize(self, obj: object, typ: Any) -> object:
        """Return JSON-able values as an object of type ``typ``."""


class PydanticSerializer:
    """A serializer for every type that pydantic knows: models, lists, unions, dataclasses."""

    def serialize(self, obj: object, typ: Any) -> object:
        """Return ``obj`` as JSON-able values."""
        return _adapter(typ).dump_python(obj, mode="json")

    def deserialize(self, obj: object, typ: Any) -> object:
        """Return JSON-able values as an object of type ``typ``."""
        return _adapter(typ).validate_python(obj)


# functools guards the cache itself; two threads at worst build one adapter twice.
@functools.lru_cache(maxsize=_CACHED_TYPES)
def _hashable_adapter(typ: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(typ)


def _adapter(typ: Any) -> pydantic.TypeAdapter[Any]:
    try:
        return _hashable_adapter(typ)
    except TypeError:
        return pydantic.TypeAdapter(typ)
