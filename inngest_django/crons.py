"""Cron expressions: five fields in a time zone, and the times that they name.

In the zone's hour that daylight saving leaves out, a time comes when the hour is over; in the
hour that it repeats, once, unless the expression names each hour or minute.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import zoneinfo

import cronsim

_ZONE_PREFIXES = ("TZ=", "CRON_TZ=")
# Any moment will do where a schedule is only checked.
_SOME_MOMENT = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
_MINUTE = dt.timedelta(minutes=1)
_LEAST_DELAY = dt.timedelta(seconds=1)


def split(cron: str) -> tuple[dt.tzinfo, str]:
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


def check(cron: str) -> None:
    """Check a schedule.

    Raises:
        ValueError: Says what is wrong, and what to write.
    """
    zone, fields = split(cron)
    try:
        cronsim.CronSim(fields, _SOME_MOMENT.astimezone(zone))
    except cronsim.CronSimError as error:
        raise ValueError(
            f"{fields!r} is no schedule: {error}. Write five fields: minute, hour,"
            ' day, month, weekday, such as "15 2 * * 1".'
        ) from None


def after(cron: str, moment: dt.datetime) -> dt.datetime:
    """Return the first time of a schedule after a moment, in UTC.

    Raises:
        ValueError: It is no schedule, or its zone is not known here.
    """
    zone, fields = split(cron)
    return next(cronsim.CronSim(fields, moment.astimezone(zone))).astimezone(dt.UTC)


def upcoming(cron: str, moment: dt.datetime, count: int) -> list[dt.datetime]:
    """Return the first times of a schedule after a moment, in UTC."""
    zone, fields = split(cron)
    times = cronsim.CronSim(fields, moment.astimezone(zone))
    return [time.astimezone(dt.UTC) for time in itertools.islice(times, count)]


def newest(cron: str, until: dt.datetime, count: int) -> list[dt.datetime]:
    """Return the latest times of a schedule up to a moment, oldest first, in UTC."""
    zone, fields = split(cron)
    # Backwards from the next minute: a time that is the moment itself counts.
    begin = (until + _MINUTE).astimezone(zone)
    times = (time.astimezone(dt.UTC) for time in cronsim.CronSim(fields, begin, reverse=True))
    return list(itertools.islice((time for time in times if time <= until), count))[::-1]


def delay(jitter: dt.timedelta, seed: str) -> dt.timedelta:
    """Return how much later than its time a start comes, the same for the same seed.

    Args:
        jitter: What it stays under; nothing is added to without any.
    """
    if not jitter:
        return dt.timedelta()
    part = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") / 2**32
    span = (jitter - _LEAST_DELAY).total_seconds()
    return _LEAST_DELAY + dt.timedelta(milliseconds=int(part * span * 1000))
