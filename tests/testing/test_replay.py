"""A recorded run against code that has changed since."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inngest_django import Context, ContextSync, Event, Function, Inngest, TriggerEvent
from inngest_django.drivers.recordings import Recording, RecordingError
from inngest_django.management import exports
from inngest_django.models import Event as EventRow
from inngest_django.models import Run, Step
from inngest_django.testing import Durable, RunHandle, assert_same_path, replay
from project.shop.models import Customer
from tests.repo.readme import ROOT

client = Inngest(app_id="replay", is_production=False)
bodies: list[str] = []


def body(name: str) -> str:
    bodies.append(name)
    return name


def release(handler: Callable[[ContextSync], Any]) -> Function:
    return client.create_function(fn_id="f", trigger=TriggerEvent(event="replay/go"), retries=0)(
        handler
    )


@release
def old(ctx: ContextSync) -> str:
    ctx.step.run("charge", body, "charge")
    ctx.step.sleep("nap", "1d")
    for _ in range(2):
        ctx.step.run("mail", body, "mail")
    if ctx.event.data.get("bad"):
        raise ValueError("bad")
    return "done"


@pytest.fixture
def recorded(durable: Durable, tmp_path: Path) -> Callable[..., Path]:
    """Runs ``old`` and exports the run."""

    def record(data: dict[str, Any] | None = None, *, is_live: bool = False) -> Path:
        run = durable.run(old, data or {})
        return write(run if is_live else run.finish(), tmp_path)

    return record


def write(run: RunHandle, folder: Path) -> Path:
    path = folder / "run.json"
    path.write_text(json.dumps(exports.scrub(exports.read(run.row))[0].as_dict()))
    bodies.clear()
    return path


def verdicts(path: Path, function: Function) -> dict[str, str]:
    return {str(step): step.verdict for step in replay(path, function).steps}


MET = {"charge": "met", "nap": "met", "mail": "met", "mail:1": "met"}


def test_the_same_code_takes_the_same_path(recorded: Any) -> None:
    path = recorded()

    replayed = assert_same_path(path, old)

    assert {str(step): step.verdict for step in replayed.steps} == MET
    assert replayed.differences == []
    assert (replayed.ended_then, replayed.ended_now) == ("completed", "completed")
    assert bodies == []


def test_a_registered_function_is_found_by_the_recorded_id(durable: Durable, recorded: Any) -> None:
    path = recorded()

    durable.replay(path).assert_same_path()


def test_a_function_that_is_gone_is_named(db: None) -> None:
    recording = Recording(
        run_id="r", function_id="gone-f", status=Run(status="completed").status, events=(), steps=()
    )

    with pytest.raises(AssertionError, match="No function gone-f is registered"):
        replay(recording)


def test_a_step_that_is_gone(recorded: Any) -> None:
    @release
    def new(ctx: ContextSync) -> str:
        ctx.step.run("charge", body, "charge")
        ctx.step.run("mail", body, "mail")
        return "done"

    path = recorded()

    with pytest.raises(AssertionError) as caught:
        assert_same_path(path, new)

    assert replay(path, new).differences == [
        'Step "nap" (Sleep) is not met any more.',
        'Step "mail:1" (StepRun) is not met any more.',
    ]
    assert str(caught.value).endswith(
        textwrap.dedent("""\
          step    then       now
          charge  StepRun    StepRun    met
          mail    StepRun    StepRun    met
        ! nap     Sleep      -          not met
        ! mail:1  StepRun    -          not met
          (end)   completed  completed""")
    )
    assert bodies == []


def test_a_step_that_was_renamed(recorded: Any) -> None:
    @release
    def new(ctx: ContextSync) -> str:
        ctx.step.run("charge the card", body, "charge")
        ctx.step.sleep("nap", "1d")
        return "done"

    path = recorded()

    assert verdicts(path, new) == {
        "charge the card": "new",
        "charge": "not reached",
        "nap": "not reached",
        "mail": "not reached",
        "mail:1": "not reached",
    }
    assert replay(path, new).differences == [
        'Step "charge the card" (StepRun) is new: the run did not have it.'
    ]
    assert bodies == []


def test_a_step_of_another_kind(recorded: Any) -> None:
    @release
    def new(ctx: ContextSync) -> str:
        ctx.step.run("charge", body, "charge")
        ctx.step.run("nap", body, "nap")
        ctx.step.run("mail", body, "mail")
        ctx.step.run("mail", body, "mail")
        return "done"

    assert replay(recorded(), new).differences == [
        'Step "nap" was a Sleep, and is a StepRun in the code.'
    ]


def test_another_end(recorded: Any) -> None:
    @release
    def new(ctx: ContextSync) -> str:
        old.handler(ctx)
        raise KeyError("new")

    assert replay(recorded(), new).differences == [
        "It ended completed; today's code: failed: KeyError."
    ]
    assert replay(recorded({"bad": True}), old).differences == []


def test_a_run_that_failed_and_would_not_now(recorded: Any) -> None:
    @release
    def new(ctx: ContextSync) -> str:
        return str(old.handler(Quiet(ctx)))

    class Quiet:
        def __init__(self, ctx: ContextSync) -> None:
            self.step = ctx.step
            self.event = Event(name="replay/go")

    assert replay(recorded({"bad": True}), new).differences == [
        "It ended failed: ValueError; today's code: completed."
    ]


def test_a_live_run_goes_on_where_it_stands(recorded: Any) -> None:
    path = recorded(is_live=True)

    assert verdicts(path, old) == {"charge": "met", "nap": "met"}
    assert replay(path, old).differences == []

    @release
    def new(ctx: ContextSync) -> str:
        ctx.step.run("charge", body, "charge")
        return "done"

    assert replay(path, new).differences == ['Step "nap" (Sleep) is not met any more.']


def test_what_comes_next_in_a_cancelled_run_is_no_difference(
    durable: Durable, tmp_path: Path
) -> None:
    run = durable.run(old)
    recording = exports.read(run.row)
    path = tmp_path / "run.json"
    given = recording.as_dict()
    given["run"]["status"] = "cancelled"
    given["steps"] = given["steps"][:1]
    path.write_text(json.dumps(given))

    assert verdicts(path, old) == {"charge": "met", "nap": "next"}
    assert replay(path, old).differences == []


def test_code_between_steps_leaves_nothing_behind(recorded: Any, durable: Durable) -> None:
    called: list[int] = []

    @release
    def new(ctx: ContextSync) -> str:
        Customer.objects.create(name="Eve", email="eve@example.com")
        client.send_sync(Event(name="replay/stray"))
        called.append(Customer.objects.count())
        return str(old.handler(ctx))

    path = recorded()
    before = (EventRow.objects.count(), Run.objects.count(), Step.objects.count())

    replayed = replay(path, new)

    assert called == [1]
    assert replayed.sent == ("replay/stray",)
    assert not Customer.objects.exists()
    assert (EventRow.objects.count(), Run.objects.count(), Step.objects.count()) == before


def test_an_async_function_sends_nothing_either(durable: Durable, tmp_path: Path) -> None:
    trigger = TriggerEvent(event="replay/async")

    @client.create_function(fn_id="async", trigger=trigger)
    async def function(ctx: Context) -> str:
        return await ctx.step.run("one", body, "one")

    @client.create_function(fn_id="async", trigger=trigger)
    async def changed(ctx: Context) -> str:
        await client.send(Event(name="replay/stray"))
        client.send_sync(Event(name="replay/stray"))
        await asyncio.sleep(0)
        return await ctx.step.run("two", body, "two")

    path = write(durable.run(function).finish(), tmp_path)

    replayed = replay(path, changed)

    assert replayed.sent == ("replay/stray", "replay/stray")
    assert replayed.differences == ['Step "two" (StepRun) is new: the run did not have it.']
    assert durable.events("replay/stray") == []
    assert bodies == []


def test_parallel_steps_that_ended_in_another_order_are_the_same_path(
    durable: Durable, tmp_path: Path
) -> None:
    @client.create_function(fn_id="group", trigger=TriggerEvent(event="replay/group"))
    def group(ctx: ContextSync) -> list[str]:
        def branch(name: str) -> str:
            ctx.step.run(f"{name} 1", body, name)
            return ctx.step.run(f"{name} 2", body, name)

        return list(ctx.group.parallel([lambda: branch("a"), lambda: branch("b")]))

    run = durable.run(group, fail={"a 1": 2}).finish()

    assert_same_path(write(run, tmp_path), group)


# Without a database, and bad files ---------------------------------------------------------


def test_it_needs_no_database(tmp_path: Path) -> None:
    """In a test without the mark, where any use of a database is an error."""
    recording = Recording(
        run_id="r",
        function_id="replay-f",
        status=Run(status="completed").status,
        events=({"id": "e", "name": "replay/go", "data": {}, "ts": 1},),
        steps=(),
    )

    assert replay(recording, release(lambda ctx: "done")).differences == []


@pytest.mark.sqlite  # No database is used.
def test_it_works_in_a_simple_test_case_of_django(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent("""
            from django.test import SimpleTestCase
            from inngest_django import Inngest
            from inngest_django.drivers.recordings import Recording
            from inngest_django.testing import replay
            from inngest_django.states import RunStatus

            f = Inngest(app_id="a").create_function(fn_id="f", trigger=[])(lambda ctx: "done")

            class It(SimpleTestCase):
                def test_it(self):
                    event = {"id": "e", "name": "x", "data": {}, "ts": 1}
                    run = Recording(run_id="r", function_id="a-f", status=RunStatus.COMPLETED,
                                    events=(event,), steps=())
                    self.assertEqual(replay(run, f).differences, [])
            """)
    )

    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "manage.py"),
            "test",
            str(tmp_path),
            "--settings=tests.settings",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    assert "Ran 1 test" in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "is no exported run"),
        ('{"format": "inngest-django-run/9"}', "its format is 'inngest-django-run/9'"),
        ('{"format": "inngest-django-run/1"}', "is damaged: KeyError: 'run'"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)

    with pytest.raises(RecordingError, match=message):
        replay(path, old)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"run\.json cannot be read"):
        replay(tmp_path / "run.json", old)
