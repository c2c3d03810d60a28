from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from inngest_django.errors import ConfigError, InngestError
from inngest_django.functions.configuration import wire_duration
from inngest_django.functions.flow_control import (
    Batch,
    Cancel,
    Concurrency,
    Debounce,
    Priority,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
)
from inngest_django.functions.triggers import TriggerCron, TriggerEvent, patterns
from tests.unit.drivers.support import function


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TriggerEvent(event=""), "event: an event name has 1 to 255"),
        (lambda: TriggerEvent(event="x" * 256), "event: "),
        (lambda: TriggerEvent(event=5), "event: "),
        (TriggerEvent, "event: Field required"),
        (lambda: TriggerCron(cron="* * * *"), "cron: '* * * *' must have five fields, has 4"),
        (lambda: TriggerCron(cron="* * * * * *"), "cron: "),
        (lambda: TriggerCron(cron="61 * * * *"), "cron: '61 * * * *' is no schedule"),
        (lambda: TriggerCron(cron="TZ=Mars/Base * * * * *"), "cron: 'Mars/Base' is no time zone"),
        (lambda: TriggerCron(cron="@daily"), "cron: "),
        (lambda: TriggerCron(cron="* * * * *", jitter="6m"), "jitter: "),
        (lambda: TriggerCron(cron="* * * * *", jitter="0.5s"), "jitter: "),
        (lambda: TriggerCron(cron="* * * * *", jitter=30), "jitter: "),
        (lambda: Batch(max_size=1), "max_size: "),
        (lambda: Batch(max_size="10"), "max_size: "),
        (lambda: Batch(max_size=True), "max_size: "),
        (lambda: Cancel(event=""), "event: "),
        (lambda: Concurrency(limit=-1), "limit: "),
        (lambda: Concurrency(limit=1, scope="env"), "scope: 'env' needs a key"),
        (lambda: Concurrency(limit=1, scope="app"), "scope: "),
        (lambda: Debounce(period="8d"), "period: duration must be at most 7 days"),
        (lambda: Debounce(period=999), "period: duration must be at least 1 second"),
        (lambda: Debounce(period=1500), "period: duration must be a whole number of seconds"),
        (lambda: Debounce(period="soon"), "period: "),
        (lambda: Debounce(period=1.5), "period: "),
        (lambda: Priority(run=5), "run: "),
        (lambda: RateLimit(limit=0, period=1000), "limit: "),
        (lambda: RateLimit(limit=1, period="25h"), "period: duration must be at most 24 hours"),
        (lambda: Singleton(mode="queue"), "mode: "),
        (lambda: Throttle(limit=-1, period=1000), "limit: "),
        (lambda: Timeouts(start=-5), "start: "),
    ],
)
def test_invalid_object_names_field_and_reason(make: Any, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        make()

    assert str(raised.value).startswith(message)


def test_unknown_keywords_are_ignored() -> None:
    assert Throttle(limit=1, period=1000, other=5).burst == 1  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (90_000, "90s"),
        (dt.timedelta(hours=36), "36h"),
        (dt.timedelta(days=14), "2w"),
        (dt.timedelta(days=1), "1d"),
        ("1h30m", "90m"),
        (dt.timedelta(seconds=1, microseconds=999), "1s"),
    ],
)
def test_duration_is_written_in_the_largest_unit_that_divides_it(value: Any, expected: str) -> None:
    assert wire_duration(Timeouts(start=value).start) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("prefix", ["TZ=", "CRON_TZ="])
def test_schedule_may_name_a_zone(prefix: str) -> None:
    trigger = TriggerCron(cron=f"{prefix}Europe/Oslo 15 2 * * *", jitter="5m")

    assert str(trigger.zone) == "Europe/Oslo"
    assert trigger.fields == "15 2 * * *"


def test_patterns_of_a_name() -> None:
    assert list(patterns("a/b.c.d")) == ["a/b.c.d", "a/*", "a/b.*", "a/b.c.*"]
    assert list(patterns("a/b/c")) == ["a/b/c", "a/*", "a/b/*"]


# Functions -------------------------------------------------------------------------------


def handler(ctx: Any) -> None: ...


async def async_handler(ctx: Any) -> None: ...


EVENT = TriggerEvent(event="a")
BATCH = Batch(max_size=5, timeout=5000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fn_id": ""}, "fn_id: "),
        ({"fn_id": 5}, "fn_id: "),
        ({"trigger": "a"}, "trigger: "),
        ({"trigger": [EVENT, "a"]}, "trigger: "),
        ({"trigger": [TriggerEvent(event=f"e{n}") for n in range(11)]}, "trigger: at most 10"),
        ({"trigger": [EVENT, EVENT]}, "trigger: "),
        (
            {
                "trigger": [
                    TriggerCron(cron="* * * * *"),
                    TriggerCron(cron="* * * * *", jitter="5s"),
                ]
            },
            "trigger: '* * * * *' is given twice",
        ),
        ({"retries": -1}, "retries: must be between 0 and 20, got -1"),
        ({"retries": 21}, "retries: "),
        ({"retries": "3"}, "retries: "),
        ({"retries": True}, "retries: "),
        ({"concurrency": Concurrency(limit=1)}, "concurrency: must be a list of Concurrency"),
        ({"concurrency": [Concurrency(limit=1)] * 3}, "concurrency: at most 2"),
        ({"cancel": [Cancel(event="x")] * 6}, "cancel: at most 5"),
        ({"throttle": {"limit": 1}}, "throttle: must be a Throttle"),
        ({"idempotency": 5}, "idempotency: "),
        ({"middleware": [5]}, "middleware: "),
        ({"on_failure": 5}, "on_failure: "),
        ({"checkpointing": 5}, "checkpointing: "),
        ({"batch_events": Batch(max_size=5)}, "batch_events: needs a timeout"),
        (
            {"batch_events": BATCH, "cancel": [Cancel(event="x")]},
            "batch_events: cannot be combined with cancel",
        ),
        ({"batch_events": BATCH, "debounce": Debounce(period=1000)}, "batch_events: "),
        ({"batch_events": BATCH, "singleton": Singleton(mode="skip")}, "batch_events: "),
        ({"batch_events": BATCH, "priority": Priority(run="1")}, "batch_events: "),
        ({"trigger": TriggerEvent(event="a", expression="event.data.")}, "trigger: "),
        ({"trigger": TriggerEvent(event="a", expression="async.data.x == 1")}, "trigger: "),
        ({"cancel": [Cancel(event="x", if_exp="a b")]}, "cancel: "),
        ({"idempotency": "event.data.("}, "idempotency: "),
        ({"priority": Priority(run="1 +")}, "priority: "),
        ({"concurrency": [Concurrency(limit=1, key="(")]}, "concurrency: "),
        ({"batch_events": Batch(max_size=5, timeout=5000, if_exp="(")}, "batch_events: "),
    ],
)
def test_invalid_function_names_field_and_reason(options: Any, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        function(handler, **options)

    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("main", "failure", "message"),
    [
        (
            async_handler,
            handler,
            "an async function cannot have a non-async on_failure handler (function fn)",
        ),
        (
            handler,
            async_handler,
            "a non-async function cannot have an async on_failure handler (function fn)",
        ),
    ],
)
def test_failure_handler_must_be_as_async_as_the_function(
    main: Any, failure: Any, message: str
) -> None:
    with pytest.raises(InngestError) as raised:
        function(main, on_failure=failure)

    assert str(raised.value) == message


def test_function_is_described_and_not_callable() -> None:
    fn = function(async_handler, fn_id="a/b ü", retries=None, on_failure=async_handler)

    assert (fn.id, fn.local_id, fn.name, fn.get_id()) == ("app-a/b ü", "a/b ü", "a/b ü", fn.id)
    assert fn.is_handler_async
    assert fn.is_on_failure_handler_async
    assert fn.on_failure_fn_id == "app-a/b ü-failure"
    assert (fn.retries, fn.max_attempts) == (4, 5)
    assert not callable(fn)


def test_function_without_triggers_is_accepted() -> None:
    assert function(handler, trigger=[]).config()["triggers"] == []


@pytest.mark.parametrize("fn_id", ["plain", "it's", "a\"b'c", "back\\slash", "two\nlines", "ü/€ x"])
def test_failure_function_starts_for_exactly_its_function(fn_id: str) -> None:
    from inngest_django import expressions

    failure = function(handler, fn_id=fn_id, on_failure=handler).failure_function
    assert failure is not None
    (trigger,) = failure.triggers
    assert isinstance(trigger, TriggerEvent)
    assert trigger.expression is not None
    program = expressions.compile(trigger.expression, kind="filter")

    def event(function_id: str) -> dict[str, Any]:
        return {"name": trigger.event, "data": {"function_id": function_id}}  # type: ignore[union-attr]

    assert failure.name == f"{fn_id} (failure)"
    assert failure.retries == 0
    assert program.matches(event=event(f"app-{fn_id}"))
    assert not program.matches(event=event(f"app-{fn_id}x"))


def test_config_has_the_wire_names_and_no_unset_keys() -> None:
    fn = function(
        handler,
        name="Sync",
        retries=2,
        trigger=[
            TriggerEvent(event="tenant/sync", expression="event.data.live == true"),
            TriggerCron(cron="0 * * * *", jitter="30s"),
        ],
        cancel=[Cancel(event="gone", if_exp="event.data.t == async.data.t", timeout="6h")],
        concurrency=[Concurrency(limit=2, key="event.data.tenant")],
        idempotency="event.data.id",
        priority=Priority(run="event.data.paid ? 120 : 0"),
        rate_limit=RateLimit(limit=1, period="1d"),
        throttle=Throttle(limit=10, period=60_000, burst=3),
        timeouts=Timeouts(start=300_000, finish=dt.timedelta(hours=1)),
    )

    assert fn.config() == {
        "id": "app-fn",
        "name": "Sync",
        "triggers": [
            {"event": "tenant/sync", "expression": "event.data.live == true"},
            {"cron": "0 * * * *", "jitter": "30s"},
        ],
        "steps": {
            "step": {
                "id": "step",
                "name": "step",
                "runtime": {"type": "in_process"},
                "retries": {"attempts": 2},
            }
        },
        "cancel": [{"event": "gone", "if": "event.data.t == async.data.t", "timeout": "6h"}],
        "concurrency": [{"limit": 2, "key": "event.data.tenant"}],
        "idempotency": "event.data.id",
        "priority": {"run": "event.data.paid ? 120 : 0"},
        "rateLimit": {"limit": 1, "period": "1d"},
        "throttle": {"limit": 10, "period": "1m", "burst": 3},
        "timeouts": {"start": "5m", "finish": "1h"},
    }


def test_config_of_a_batch() -> None:
    config = function(
        handler, batch_events=Batch(max_size=50, timeout=5000, key="event.data.k", if_exp="true")
    ).config()

    assert config["batchEvents"] == {
        "maxSize": 50,
        "timeout": "5s",
        "key": "event.data.k",
        "if": "true",
    }
