"""What starts a function."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pydantic

from inngest_django import crons
from inngest_django.durations import parse_duration
from inngest_django.errors import DurationError
from inngest_django.functions.configuration import Configuration
from inngest_django.functions.event_types import EventType

MAX_EVENT_NAME = 255
MAX_CRON = 255
INVOKED_EVENT = "inngest/function.invoked"


class TriggerEvent(Configuration):
    """Starts the function for each event of a name.

    Attributes:
        event: The name; ``a/*`` and ``a/b.*`` match every name with that beginning. Given an
            ``EventType``, its name; the data of such events is checked.
        expression: A filter over ``event``.
    """

    event: str
    expression: str | None = None
    _event_type: EventType[Any] | None = pydantic.PrivateAttr(default=None)

    if TYPE_CHECKING:

        def __init__(
            self, *, event: str | EventType[Any], expression: str | None = None
        ) -> None: ...

    else:

        def __init__(self, **fields: Any) -> None:
            given = fields.get("event")
            if not isinstance(given, EventType):
                super().__init__(**fields)
                return
            super().__init__(**{**fields, "event": given.name})
            self._event_type = given

    @property
    def event_type(self) -> EventType[Any] | None:
        """The type that was given for the event, or None."""
        return self._event_type

    @pydantic.field_validator("event")
    @classmethod
    def _check_event(cls, value: str) -> str:
        if not 0 < len(value) <= MAX_EVENT_NAME:
            raise ValueError(
                f"an event name has 1 to {MAX_EVENT_NAME} characters, got {len(value)}"
            )
        return value


class TriggerCron(Configuration):
    """Starts the function by the clock.

    Attributes:
        cron: Five fields, optionally after ``TZ=Area/City``; UTC without.
        jitter: Spreads the starts over this time, such as ``"30s"``; at most 5 minutes.
    """

    cron: str
    jitter: str | None = None

    @pydantic.field_validator("cron")
    @classmethod
    def _check_cron(cls, value: str) -> str:
        if len(value) > MAX_CRON:
            raise ValueError(f"a schedule has at most {MAX_CRON} characters, got {len(value)}")
        crons.check(value)
        return value

    @pydantic.field_validator("jitter")
    @classmethod
    def _check_jitter(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            jitter = parse_duration(value, what="jitter")
        except DurationError as error:
            raise ValueError(str(error)) from None
        if jitter and not dt.timedelta(seconds=1) <= jitter <= dt.timedelta(minutes=5):
            raise ValueError(f"jitter must be between 1 second and 5 minutes, got {value!r}")
        return value

    @property
    def zone(self) -> dt.tzinfo:
        """The time zone in which the schedule is read."""
        return crons.split(self.cron)[0]

    @property
    def fields(self) -> str:
        """The five fields without the zone."""
        return crons.split(self.cron)[1]


def patterns(event_name: str) -> Iterator[str]:
    """Yield the trigger texts that match a name: itself, and each prefix with a ``*``."""
    yield event_name
    for position, char in enumerate(event_name):
        if char in "/.":
            yield event_name[: position + 1] + "*"


def event_types(
    triggers: Iterable[TriggerEvent | TriggerCron], event_name: str
) -> list[EventType[Any]]:
    """Return the types that triggers declare for events of a name.

    None are declared where a trigger without a type asks for the event too. What another
    function invoked has no name of its own and may be of any trigger's type.
    """
    names = set(patterns(event_name))
    asking = [
        trigger
        for trigger in triggers
        if event_name == INVOKED_EVENT
        or (isinstance(trigger, TriggerEvent) and trigger.event in names)
    ]
    types = [trigger.event_type for trigger in asking if isinstance(trigger, TriggerEvent)]
    declared = [event_type for event_type in types if event_type is not None]
    return declared if len(declared) == len(asking) else []


def wire(trigger: TriggerEvent | TriggerCron) -> dict[str, Any]:
    """Return the trigger with the wire's names."""
    return trigger.wire()
