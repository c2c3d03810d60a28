"""The ``INNGEST`` setting: typed, lazy, every key optional.

``problems()`` lists what is wrong in words; the system checks report it. Reading a broken
setting gives its default, so that a process that skipped the checks still starts.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import difflib
import fnmatch
import functools
from collections.abc import Callable, Mapping, Sequence

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from inngest_django import checkpointing
from inngest_django.durations import parse_duration
from inngest_django.errors import DurationError

DEFAULT_BACKOFF = ("15s", "30s", "1m", "2m", "5m", "10m", "20m", "40m", "1h", "2h")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The settings after parsing. Durations are timedeltas, sizes are bytes.

    The documentation's table of settings is made from what stands here.

    Attributes:
        APP_ID: Accepted and checked, and not acted on yet: the ``app_id`` of each client counts.
        DATABASE: The database that holds the tables of this app, all of them. Name another one
            only together with a router that sends the app label ``inngest_django`` there; the
            rows of celery-beat stay where its own tables are.
        QUEUE: Where jobs that call functions go.
        CONTROL_QUEUE: Where routing, the tick and pruning go, so that no backlog of functions
            delays a wake-up.
        QUEUES: Other queues for some functions: a qualified id, or a shell pattern such as
            ``"shop-import-*"``, to a queue name. The first pattern that matches counts.
        RETRY_BACKOFF: The pause before each retry; the last one is used for all further retries.
        RETRY_JITTER: A random time up to this is added to each pause.
        LEASE_TTL: How long a worker's claim holds without renewal. It is renewed four times in
            this span. A shorter one finds dead workers sooner and costs more writes.
        TICK: How often beat sends the tick, and how far each tick looks ahead. For beat it is
            read when ``migrate`` creates the entry; afterwards the entry counts.
        WORKER_TICK: Whether a worker runs the tick itself when none ran for three ticks.
        CHECKPOINTING: Whether one task goes on from a finished step to the next one. A mapping
            may hold ``max_runtime`` (duration, 10 s unless given) and ``max_steps`` (count). A
            client or a function may say otherwise.
        MAX_STEPS: How many steps a run may have; the next one fails the run.
        MAX_EVENT_BYTES: The largest ``data`` and ``user`` of one event, as JSON. A request to
            ``/e/<key>`` may be four times as long.
        RETENTION: How old ended runs, and events, become before they are pruned. ``None`` keeps
            them.
        FAST_PUBLISH: Build the messages of this app by hand instead of calling ``apply_async``,
            for about half the cost of a message. Where your project routes, annotates,
            compresses or traces tasks, ``apply_async`` is used all the same.
        EVENT_KEYS: Keys that may send events over HTTP. While it is empty nobody can.
        API_KEYS: Keys that may read runs and events over HTTP. While it is empty nobody can.
    """

    APP_ID: str = "django"
    DATABASE: str = "default"
    QUEUE: str = "inngest"
    CONTROL_QUEUE: str = "inngest-control"
    QUEUES: Mapping[str, str] = dataclasses.field(default_factory=dict)
    RETRY_BACKOFF: tuple[dt.timedelta, ...] = tuple(parse_duration(d) for d in DEFAULT_BACKOFF)
    RETRY_JITTER: dt.timedelta = dt.timedelta(seconds=30)
    LEASE_TTL: dt.timedelta = dt.timedelta(seconds=20)
    TICK: dt.timedelta = dt.timedelta(seconds=1)
    WORKER_TICK: bool = True
    CHECKPOINTING: object = False
    MAX_STEPS: int = 1000
    MAX_EVENT_BYTES: int = 3 * 1024 * 1024
    RETENTION: dt.timedelta | None = dt.timedelta(days=30)
    FAST_PUBLISH: bool = False
    EVENT_KEYS: tuple[str, ...] = ()
    API_KEYS: tuple[str, ...] = ()

    def queue_for(self, function_id: str) -> str:
        """Return the Celery queue of a function's jobs."""
        for pattern, queue in self.QUEUES.items():
            if fnmatch.fnmatchcase(function_id, pattern):
                return queue
        return self.QUEUE


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a non-empty string")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be True or False")
    return value


def _positive_int(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("must be a whole number of at least 1")
    return value


def _duration(value: object) -> dt.timedelta:
    return parse_duration(value)


def _positive_duration(value: object) -> dt.timedelta:
    duration = parse_duration(value)
    if not duration:
        raise ValueError("must be longer than zero")
    return duration


def _optional_duration(value: object) -> dt.timedelta | None:
    return None if value is None else _positive_duration(value)


def _durations(value: object) -> tuple[dt.timedelta, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise ValueError("must be a non-empty list of durations")
    return tuple(parse_duration(item) for item in value)


def _keys(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError("must be a list of strings")
    return tuple(_text(item) for item in value)


def _mapping(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError("must map function id patterns to queue names")
    return {_text(pattern): _text(queue) for pattern, queue in value.items()}


def _checkpointing(value: object) -> object:
    checkpointing.parse(value)
    return value


_PARSERS: Mapping[str, Callable[[object], object]] = {
    "APP_ID": _text,
    "DATABASE": _text,
    "QUEUE": _text,
    "CONTROL_QUEUE": _text,
    "QUEUES": _mapping,
    "RETRY_BACKOFF": _durations,
    "RETRY_JITTER": _duration,
    "LEASE_TTL": _positive_duration,
    "TICK": _positive_duration,
    "WORKER_TICK": _flag,
    "CHECKPOINTING": _checkpointing,
    "MAX_STEPS": _positive_int,
    "MAX_EVENT_BYTES": _positive_int,
    "RETENTION": _optional_duration,
    "FAST_PUBLISH": _flag,
    "EVENT_KEYS": _keys,
    "API_KEYS": _keys,
}


@functools.cache
def _read() -> tuple[Settings, tuple[str, ...]]:
    raw = getattr(django_settings, "INNGEST", {})
    if not isinstance(raw, Mapping):
        return Settings(), (f"INNGEST must be a dictionary, got {raw!r}.",)
    values: dict[str, object] = {}
    problems: list[str] = []
    for key, value in raw.items():
        parser = _PARSERS.get(key)
        if parser is None:
            near = difflib.get_close_matches(str(key), _PARSERS, n=1)
            remedy = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(_PARSERS)}."
            problems.append(f"INNGEST has an unknown key {key!r}. {remedy}")
            continue
        try:
            values[key] = parser(value)
        except (ValueError, DurationError) as error:
            shown = "the value" if key.endswith("_KEYS") else repr(value)
            problems.append(f"INNGEST[{key!r}] {error} (got {shown}).")
    return Settings(**values), tuple(problems)  # type: ignore[arg-type]


def get() -> Settings:
    """Return the parsed settings; cached until a test changes ``INNGEST``."""
    return _read()[0]


def problems() -> tuple[str, ...]:
    """Return one sentence for each thing that is wrong with ``INNGEST``."""
    return _read()[1]


def _forget(*, setting: str, **_: object) -> None:
    if setting == "INNGEST":
        _read.cache_clear()


setting_changed.connect(_forget, dispatch_uid="inngest_django.conf")
