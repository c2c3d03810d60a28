"""What the configuration objects have in common: strict fields, durations, wire form."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, TypeVar

import pydantic

from inngest_django.durations import parse_duration
from inngest_django.errors import ConfigError, DurationError

_SECOND = dt.timedelta(seconds=1)
_MILLISECOND = dt.timedelta(milliseconds=1)
# Largest first; a duration is written in the first that divides it.
_UNITS = ((604_800, "w"), (86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))

_Model = TypeVar("_Model", bound="Configuration")


def checked_duration(value: int | dt.timedelta | str) -> int | dt.timedelta | str:
    """Return the value when it is a whole number of seconds, at least one."""
    try:
        duration = parse_duration(value)
    except DurationError as error:
        raise ValueError(str(error)) from None
    duration -= duration % _MILLISECOND
    if duration < _SECOND:
        raise ValueError("duration must be at least 1 second")
    if duration % _SECOND:
        raise ValueError("duration must be a whole number of seconds")
    return value


ConfigDuration = Annotated[int | dt.timedelta | str, pydantic.AfterValidator(checked_duration)]


def wire_duration(value: int | dt.timedelta | str) -> str:
    """Return a checked duration in the largest unit that divides it, such as ``"36h"``."""
    seconds = int(parse_duration(value).total_seconds())
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"


class Configuration(pydantic.BaseModel):
    """A strict value; a mistake is a ``FunctionConfigInvalidError`` that names the field."""

    model_config = pydantic.ConfigDict(strict=True, frozen=True)

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except pydantic.ValidationError as error:
            raise ConfigError(first_problem(error)) from None

    def wire(self) -> dict[str, Any]:
        """Return the value with the wire's names, without unset fields."""
        wire = {
            _WIRE_NAMES.get(name, name): wire_duration(value)
            if name in _DURATIONS and value is not None
            else value
            for name, value in self
        }
        return {name: value for name, value in wire.items() if value is not None}


_WIRE_NAMES = {"max_size": "maxSize", "if_exp": "if"}
_DURATIONS = frozenset({"timeout", "period", "start", "finish"})


def first_problem(error: pydantic.ValidationError) -> str:
    """Return ``<field>: <reason>`` of the first fault."""
    fault = error.errors()[0]
    # The location of a union's fault goes on with its members; the field says enough.
    field = str(fault["loc"][0]) if fault["loc"] else ""
    reason = fault["msg"].removeprefix("Value error, ")
    return f"{field}: {reason}" if field else reason
