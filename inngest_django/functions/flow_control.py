"""The objects that say when runs start, wait, are merged, dropped or cancelled."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

import pydantic

from inngest_django.durations import parse_duration
from inngest_django.functions.configuration import ConfigDuration, Configuration

_AtLeast0 = Annotated[int, pydantic.Field(ge=0)]
_AtLeast1 = Annotated[int, pydantic.Field(ge=1)]
_AtLeast2 = Annotated[int, pydantic.Field(ge=2)]
_Text = Annotated[str, pydantic.Field(min_length=1)]

Scope = Literal["account", "env", "fn"]


def _at_most(value: int | dt.timedelta | str, longest: dt.timedelta, words: str) -> None:
    if parse_duration(value) > longest:
        raise ValueError(f"duration must be at most {words}")


class Batch(Configuration):
    """Collects events into one run.

    Attributes:
        max_size: Events in a full batch, at least 2.
        timeout: How long the first event of a batch waits for others.
        key: An expression; each value has its own batches.
        if_exp: A filter; other events start runs of their own.
    """

    max_size: _AtLeast2
    timeout: ConfigDuration | None = None
    key: _Text | None = None
    if_exp: _Text | None = None


class Cancel(Configuration):
    """Cancels a run when an event arrives.

    Attributes:
        event: The exact name.
        if_exp: ``event`` is the run's own event, ``async`` the arriving one.
        timeout: How long after the run's start the rule holds.
    """

    event: _Text
    if_exp: str | None = None
    timeout: ConfigDuration | None = None


class Concurrency(Configuration):
    """Limits how many steps execute at once; 0 is no limit."""

    limit: _AtLeast0
    key: _Text | None = None
    scope: Scope | None = None

    @pydantic.model_validator(mode="after")
    def _check_scope(self) -> Concurrency:
        if self.scope in ("account", "env") and self.key is None:
            raise ValueError(f"scope: {self.scope!r} needs a key")
        return self


class Debounce(Configuration):
    """Starts one run for a burst of events, with the last of them.

    Attributes:
        period: The silence that ends a burst, 1 second to 7 days.
        timeout: The longest total delay.
    """

    period: ConfigDuration
    key: _Text | None = None
    timeout: ConfigDuration | None = None

    @pydantic.field_validator("period")
    @classmethod
    def _check_period(cls, value: ConfigDuration) -> ConfigDuration:
        _at_most(value, dt.timedelta(days=7), "7 days")
        return value


class Priority(Configuration):
    """Moves runs forward in the queue: an expression that gives seconds."""

    run: _Text


class RateLimit(Configuration):
    """Drops runs over ``limit`` in ``period`` (at most 24 hours)."""

    limit: _AtLeast1
    period: ConfigDuration
    key: _Text | None = None

    @pydantic.field_validator("period")
    @classmethod
    def _check_period(cls, value: ConfigDuration) -> ConfigDuration:
        _at_most(value, dt.timedelta(hours=24), "24 hours")
        return value


class Singleton(Configuration):
    """Allows one live run: a new one is skipped, or cancels the live one."""

    mode: Literal["skip", "cancel"]
    key: _Text | None = None


class Throttle(Configuration):
    """Delays runs over ``limit`` in ``period``; ``burst`` more may start together."""

    limit: _AtLeast0
    period: ConfigDuration
    key: _Text | None = None
    burst: _AtLeast0 | None = 1


class Timeouts(Configuration):
    """Cancels a run that did not start, or did not finish, in time."""

    start: ConfigDuration | None = None
    finish: ConfigDuration | None = None
