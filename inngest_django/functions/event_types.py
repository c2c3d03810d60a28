"""Event types: the name of an event together with the model of its data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

import pydantic

from inngest_django.errors import ConfigError, EventDataError
from inngest_django.events import Event
from inngest_django.serialization import dumps

_Data = TypeVar("_Data", bound=pydantic.BaseModel)

# What the engine adds to the data of an invoked run.
_RESERVED = "_inngest"
_MAX_VALUE = 80


class EventType(Generic[_Data]):
    """What the data of events of one name must look like.

    Given to ``TriggerEvent`` it is declared: such data is checked when it is sent and when it
    reaches the function.

    Attributes:
        name: Of the events, exactly.
        model: A pydantic model. Data is read as JSON, so that text may become a date or a
            ``Decimal``.
    """

    def __init__(self, name: str, model: type[_Data]) -> None:
        if not isinstance(name, str) or not name or "*" in name:
            raise ConfigError(
                f"name: an event type needs the exact name of its events, got {name!r}"
            )
        if not (isinstance(model, type) and issubclass(model, pydantic.BaseModel)):
            raise ConfigError(
                f'model: event type "{name}" needs a subclass of pydantic.BaseModel, got {model!r}'
            )
        self.name = name
        self.model = model

    def __repr__(self) -> str:
        return f"<EventType {self.name} {self.model.__name__}>"

    def event(
        self,
        data: _Data | Mapping[str, Any],
        *,
        id: str = "",  # noqa: A002 - as Event calls it
        ts: int = 0,
    ) -> Event:
        """Return an event to send.

        Args:
            data: A model, or what to make one of.
            id: The sender's idempotency key.
            ts: Milliseconds since 1970; 0 is filled in when the event is sent.

        Raises:
            EventDataError: Names event, field and value.
        """
        try:
            made = data if isinstance(data, self.model) else self.model.model_validate(data)
        except pydantic.ValidationError as error:
            raise EventDataError(self._text(error, with_value=True)) from None
        return Event(name=self.name, data=made.model_dump(mode="json", by_alias=True), id=id, ts=ts)

    def data(self, event: Event) -> _Data:
        """Return the data of an event as a model.

        Raises:
            EventDataError: Names event and field; the value stays out of logs.
        """
        try:
            return self._read(event.data)
        except pydantic.ValidationError as error:
            raise EventDataError(self._text(error, with_value=False)) from None

    def problem(self, data: Mapping[str, Any], *, with_value: bool) -> str | None:
        """Return what is wrong with data, or None."""
        try:
            self._read(data)
        except pydantic.ValidationError as error:
            return self._text(error, with_value=with_value)
        return None

    def _read(self, data: Mapping[str, Any]) -> _Data:
        own = {key: value for key, value in data.items() if key != _RESERVED}
        return self.model.model_validate_json(dumps(own))

    def _text(self, error: pydantic.ValidationError, *, with_value: bool) -> str:
        faults = error.errors(include_url=False, include_context=False)
        first = faults[0]
        field = _path(first["loc"])
        text = f'Event "{self.name}" does not fit {self.model.__name__}: '
        text += f'field "{field}": ' if field else ""
        text += first["msg"].removeprefix("Value error, ")
        if with_value and first["type"] != "missing":
            text += f", got {_shortened(first['input'])}"
        others = ", ".join(f'"{_path(fault["loc"])}"' for fault in faults[1:4])
        if others:
            more = f" and {len(faults) - 4} more" if len(faults) > 4 else ""
            text += f"; also wrong: {others}{more}"
        return f"{text}."


def problem(
    types: Iterable[EventType[Any]], data: Mapping[str, Any], *, with_value: bool
) -> str | None:
    """Return what is wrong with data that must fit one of several types, or None."""
    found = None
    for event_type in types:
        fault = event_type.problem(data, with_value=with_value)
        if fault is None:
            return None
        found = found or fault
    return found


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}…"
