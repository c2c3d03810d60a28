"""What starts a function."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Iterator
from typing import Any

import cronsim
import pydantic

from inngest_django.durations import parse_duration
from inngest_django.errors import DurationError
from inngest_django.functions.configuration import Configuration

MAX_EVENT_NAME = 255
MAX_CRON = 255
_ZONE_PREFIXES = ("TZ=", "CRON_TZ=")
# Any moment will do: the schedule is only checked.
_SOME_MOMENT = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


class TriggerEvent(Configuration):
    """Starts the function for each event of a name.

    Attributes:
        event: The name; ``a/*`` and ``a/b.*`` match every name with that beginning.
        expression: A filter over ``event``.
    """

    event: str
    expression: str | None = None

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
        zone, fields = split_cron(value)
        try:
            cronsim.CronSim(fields, _SOME_MOMENT.astimezone(zone))
        except cronsim.CronSimError as error:
            raise ValueError(
                f"{fields!r} is no schedule: {error}. Write five fields: minute, hour,"
                ' day, month, weekday, such as "15 2 * * 1".'
            ) from None
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
        return split_cron(self.cron)[0]

    @property
    def fields(self) -> str:
        """The five fields without the zone."""
        return split_cron(self.cron)[1]


def split_cron(cron: str) -> tuple[dt.tzinfo, str]:
    """Return zone and fields of a schedule.

    Raises:
        ValueError: The zone is unknown, or there are not five fields.
    """
    zone: dt.tzinfo = dt.UTC
    fields = cron.strip()
    for prefix in _ZONE_PREFIXES:
        if fields.startswith(prefix):
            name, _, fields = fields.removeprefix(prefix).partition(" ")
            try:
                zone = zoneinfo.ZoneInfo(name)
            except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(
                    f'{name!r} is no time zone. Write one such as "Europe/Oslo".'
                ) from None
            break
    fields = fields.strip()
    # cronsim reads a sixth field as seconds, which this dialect does not have.
    if len(fields.split()) != 5:
        raise ValueError(f"{cron!r} must have five fields, has {len(fields.split())}")
    return zone, fields


def patterns(event_name: str) -> Iterator[str]:
    """Yield the trigger texts that match a name: itself, and each prefix with a ``*``."""
    yield event_name
    for position, char in enumerate(event_name):
        if char in "/.":
            yield event_name[: position + 1] + "*"


def wire(trigger: TriggerEvent | TriggerCron) -> dict[str, Any]:
    """Return the trigger with the wire's names."""
    return trigger.wire()
