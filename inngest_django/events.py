"""The event: a named JSON fact."""

from __future__ import annotations

import decimal
from collections.abc import Mapping, Sequence
from typing import Any

import pydantic

from inngest_django.serialization import loads

JSON = bool | int | float | str | Mapping[str, object] | Sequence[object] | None


class Event(pydantic.BaseModel):
    """A named JSON fact that starts runs, resolves waits and cancels.

    Attributes:
        name: Such as ``"shop/order.paid"``.
        data: A JSON object. Anything falsy becomes ``{}``.
        id: The sender's idempotency key: one run per function and id within 24 hours.
            Inside a function it is never empty.
        ts: Milliseconds since 1970; 0 is filled in when the event is sent.
        user: Optional second object, kept apart from ``data``.
        v: Optional version of the event's schema.
    """

    model_config = pydantic.ConfigDict(strict=True)

    data: Mapping[str, JSON] = pydantic.Field(default_factory=dict)
    id: str = ""
    name: str
    ts: int = 0
    user: Mapping[str, JSON] | None = None
    v: str | None = None

    @pydantic.field_validator("data", mode="before")
    @classmethod
    def _empty_data(cls, value: object) -> object:
        return value or {}

    @pydantic.field_validator("data", "user", mode="before")
    @classmethod
    def _no_decimals(cls, value: object) -> object:
        # Made a float of, it would come back as another number than was sent.
        for key, one in value.items() if isinstance(value, Mapping) else ():
            if isinstance(one, decimal.Decimal):
                raise ValueError(  # noqa: TRY004 - the only one that pydantic reports
                    f"{key!r} is {one!r}, which is not JSON; send str() of it"
                )
        return value

    @pydantic.model_serializer(mode="wrap")
    def _without_unset(self, dump: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        # The two fields that the Inngest SDK does not have appear only when they are used.
        fields: dict[str, Any] = dump(self)
        for name in ("user", "v"):
            if fields.get(name) is None:
                fields.pop(name, None)
        return fields

    @classmethod
    def from_raw(cls, raw: object) -> Event | Exception:
        """Return the event in a dict, or in JSON text or bytes; a failure is returned too."""
        try:
            return cls.model_validate(loads(raw) if isinstance(raw, str | bytes) else raw)
        except (ValueError, RecursionError) as error:
            return error

    def to_dict(self) -> dict[str, Any] | Exception:
        """Return the event as JSON-able values; a failure is returned, not raised."""
        try:
            return self.model_dump(mode="json")
        except (ValueError, RecursionError) as error:
            return error

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> Event:
        """Return the event of a stored dict, which was checked when it was accepted."""
        return cls.model_construct(
            data=stored.get("data") or {},
            id=stored.get("id") or "",
            name=stored["name"],
            ts=int(stored.get("ts") or 0),
            user=stored.get("user"),
            v=stored.get("v"),
        )
