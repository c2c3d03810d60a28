"""Checkpointing: one task goes on to the following steps, each result committed first."""

from __future__ import annotations

import datetime as dt
import time
import types
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from inngest_django import checkpointing, conf
from inngest_django.client import Inngest
from inngest_django.engine import checkpoints
from inngest_django.errors import ConfigError, StepError
from inngest_django.models import Job, Step
from tests.engine.support import Engine, assert_sound, steps_of
from tests.engine.test_protocol import LEASE, TRIGGER, declare


def test_ten_steps_need_one_entry_and_each_is_committed_before_the_next(
    engine: Engine, client: Inngest
) -> None:
    entries, seen = [], []

    @declare(client, checkpointing=True)
    def ten(ctx):
        entries.append(1)
        for n in range(10):
            ctx.step.run(f"s{n}", lambda: seen.append(Step.objects.count()))
        return "done"

    run = engine.start("test/started")

    assert run.output == "done"
    assert len(entries) == 1
    assert seen == list(range(10))
    assert [s.revision for s in Step.objects.order_by("id")] == list(range(1, 11))
    assert_sound(run)


def test_values_are_what_json_makes_of_them_on_the_first_pass_too(
    engine: Engine, client: Inngest
) -> None:
    @declare(client, checkpointing=True)
    def values(ctx):
        first = ctx.step.run("a", lambda: {1: (2, 3)})
        return [first, isinstance(first["1"], list)]

    assert engine.start("test/started").output == [{"1": [2, 3]}, True]


def test_the_budget_of_steps_ends_the_task_not_the_run(engine: Engine, client: Inngest) -> None:
    entries = []

    @declare(client, checkpointing={"max_steps": 2})
    def five(ctx):
        entries.append(1)
        return [ctx.step.run(f"s{n}", lambda n=n: n) for n in range(5)]

    run = engine.start("test/started")

    assert run.output == [0, 1, 2, 3, 4]
    assert len(entries) == 3


def test_the_budget_of_time_ends_the_task_not_the_run(
    engine: Engine, client: Inngest, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries: list[list[int]] = []
    passed = [0.0]
    began = time.monotonic()
    clock = types.SimpleNamespace(monotonic=lambda: began + passed[0])
    monkeypatch.setattr(checkpoints, "time", clock)

    @declare(client, checkpointing={"max_runtime": "10s"})
    def slow(ctx):
        def body(n: int) -> int:
            entries[-1].append(n)
            passed[0] += 4
            return n

        entries.append([])
        return [ctx.step.run(f"s{n}", body, n) for n in range(7)]

    run = engine.start("test/started")

    assert run.output == list(range(7))
    # The first that ends after ten seconds is the last of its task.
    assert entries == [[0, 1, 2], [3, 4, 5], [6]]


ON, OFF, BY_TWO = True, False, {"max_steps": 2}
ONE_ENTRY, THREE, ONE_EACH = 1, 3, 5  # Of four steps; the last entry returns.


@pytest.mark.parametrize(
    ("of_function", "of_client", "of_setting", "wanted"),
    [
        (None, None, None, ONE_EACH),
        (None, None, ON, ONE_ENTRY),
        (None, None, OFF, ONE_EACH),
        (None, None, BY_TWO, THREE),
        (None, ON, None, ONE_ENTRY),
        (None, ON, OFF, ONE_ENTRY),
        (None, OFF, ON, ONE_EACH),
        (None, BY_TWO, ON, THREE),
        (ON, None, None, ONE_ENTRY),
        (ON, OFF, OFF, ONE_ENTRY),
        (OFF, ON, ON, ONE_EACH),
        (BY_TWO, ON, ON, THREE),
        (ON, BY_TWO, BY_TWO, ONE_ENTRY),
    ],
)
def test_a_function_says_it_before_its_client_and_that_one_before_the_setting(
    engine: Engine, of_function: Any, of_client: Any, of_setting: Any, wanted: int
) -> None:
    entries = []
    options = {} if of_function is None else {"checkpointing": of_function}
    setting = {} if of_setting is None else {"CHECKPOINTING": of_setting}

    @declare(Inngest(app_id="test", checkpointing=of_client), **options)
    def four(ctx):
        entries.append(1)
        return [ctx.step.run(f"s{n}", lambda n=n: n) for n in range(4)]

    with override_settings(INNGEST={**settings.INNGEST, **setting}):
        run = engine.start("test/started")

    assert run.output == [0, 1, 2, 3]
    assert len(entries) == wanted


def test_a_sleep_a_group_and_a_retry_leave_the_task(engine: Engine, client: Inngest) -> None:
    tries = []

    @declare(client, checkpointing=True)
    def mixed(ctx):
        def flaky() -> int:
            tries.append(ctx.attempt)
            if len(tries) == 1:
                raise ValueError("once")
            return 7

        a = ctx.step.run("a", lambda: 1)
        ctx.step.sleep("nap", "1h")
        b = ctx.step.run("flaky", flaky)
        c = ctx.group.parallel(
            (lambda: ctx.step.run("p", lambda: 2), lambda: ctx.step.run("q", lambda: 3))
        )
        return [a, b, *c]

    run = engine.start("test/started")
    engine.advance(dt.timedelta(hours=1, seconds=1))
    engine.advance(dt.timedelta(minutes=2))

    run.refresh_from_db()
    assert run.output == [1, 7, 2, 3]
    assert tries == [0, 1]
    assert steps_of(run)["flaky"].attempt_count == 2


def test_a_lease_lost_in_the_middle_starts_no_further_body(engine: Engine, client: Inngest) -> None:
    bodies = []

    @declare(client, checkpointing=True)
    def three(ctx):
        def body(n: int) -> int:
            bodies.append(n)
            if bodies == [0, 1]:
                Job.objects.filter(run_id=ctx.run_id).update(lease_token=4711)
            return n

        return [ctx.step.run(f"s{n}", body, n) for n in range(3)]

    run = engine.start("test/started")
    assert bodies == [0, 1]
    assert list(steps_of(run)) == ["s0"]
    engine.advance(LEASE)

    run.refresh_from_db()
    assert run.output == [0, 1, 2]
    assert bodies == [0, 1, 1, 2]


def test_a_step_that_fails_for_good_after_others_keeps_them(
    engine: Engine, client: Inngest
) -> None:
    @declare(client, checkpointing=True, retries=0)
    def failing(ctx):
        a = ctx.step.run("a", lambda: 1)
        try:
            ctx.step.run("b", lambda: 1 / 0)
        except StepError as error:
            return [a, error.name]

    assert engine.start("test/started").output == [1, "ZeroDivisionError"]


@pytest.mark.parametrize(
    "value",
    ["yes", {"max_runtime": "rubbish"}, {"max_steps": 0}, {"max_step": 3}, 1],
)
def test_a_bad_option_is_refused_where_it_is_declared(value: Any) -> None:
    client = Inngest(app_id="test", is_production=False)

    with pytest.raises(ConfigError, match="checkpointing"):
        client.create_function(fn_id="f", trigger=TRIGGER, checkpointing=value)(lambda ctx: None)
    with pytest.raises(ConfigError, match="checkpointing"):
        Inngest(app_id="test", checkpointing=value)
    with override_settings(INNGEST={"CHECKPOINTING": value}):
        assert "CHECKPOINTING" in conf.problems()[0]
    with pytest.raises(ValueError, match=r"True|max_"):
        checkpointing.parse(value)
