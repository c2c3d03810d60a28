"""``inngest_check``: what it says of live runs, and that the engine then does it.

The first release of a function runs on the engine until it stands somewhere; then another
release is registered in its place, as a deploy does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group

from inngest_django import Event, Inngest
from inngest_django.clock import now
from inngest_django.functions.function import Function
from inngest_django.models import Function as FunctionRow
from inngest_django.models import Run, Step
from inngest_django.testing import Durable
from tests.commands.releases import (
    TRIGGER,
    another_kind,
    client,
    effects,
    expects_more,
    note,
    old,
    old_async,
    only_charge,
    ran,
    release,
    renamed,
    renamed_async,
    reordered,
    with_a_step_before,
    with_more_behind,
    without_charge,
    without_pause,
)

Manage = Callable[..., Any]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty() -> None:
    ran.clear()


@pytest.mark.parametrize(
    ("handler", "effect", "step"),
    [
        (old, "unaffected", None),
        (with_more_behind, "unaffected", None),
        (with_a_step_before, "unaffected", None),
        (reordered, "unaffected", None),
        (without_charge, "unaffected", None),
        (renamed, "reruns", "charge"),
        (without_pause, "parked", "pause"),
        (only_charge, "parked", "pause"),
        (expects_more, "fails", "pause"),
        (another_kind, "other_kind", "charge"),
    ],
)
@pytest.mark.usefixtures("asleep")
def test_what_becomes_of_sleeping_runs(
    durable: Durable, manage: Manage, handler: Any, effect: str, step: str | None
) -> None:
    durable.only(release(handler))

    result = manage("inngest_check", "--json")

    assert effects(result) == {effect: (step, 3)}
    assert result.code == (0 if effect == "unaffected" else 1)
    assert result.json["ok"] is (effect == "unaffected")
    assert result.json["run_count"] == 3
    assert result.json["stranded"] == ({} if effect == "unaffected" else {effect: 3})
    assert ran == []


@pytest.mark.parametrize(
    ("handler", "bodies"),
    [
        (old, ["mail"]),
        (with_a_step_before, ["look", "mail"]),
        (without_charge, ["mail"]),
        (renamed, ["charge card", "mail"]),
        (without_pause, ["mail"]),
    ],
)
def test_the_engine_does_what_was_said(
    durable: Durable, asleep: list[Any], handler: Any, bodies: list[str]
) -> None:
    durable.only(release(handler))

    durable.advance("3d")

    assert sorted(ran) == sorted(bodies * 3)
    for run in asleep:
        run.assert_completed()


@pytest.mark.parametrize(
    ("handler", "effect", "step"),
    [
        (old, "unaffected", None),
        (with_a_step_before, "unaffected", None),
        (renamed, "reruns", "charge"),
        (without_pause, "parked", "pause"),
    ],
)
@pytest.mark.usefixtures("asleep")
def test_static_reads_the_source_and_calls_nothing(
    durable: Durable, manage: Manage, handler: Any, effect: str, step: str | None
) -> None:
    def called(ctx: Any) -> Any:
        raise AssertionError

    function = release(handler)
    called.__wrapped__ = handler  # type: ignore[attr-defined]
    function.handler = called
    durable.only(function)

    result = manage("inngest_check", "--static", "--json")

    assert effects(result) == {effect: (step, 3)}


@pytest.mark.parametrize("is_known", [True, False])
def test_a_removed_step_is_not_taken_for_a_renamed_one(
    durable: Durable, manage: Manage, is_known: bool
) -> None:
    """What begins instead was a step of the function before: nothing was renamed into it."""
    first = release(old)
    if is_known:
        durable.run(first).finish().assert_completed()
    durable.run(first).assert_sleeping("pause")

    def mails_first(ctx: Any) -> Any:
        ctx.step.run("mail", note("mail"))
        ctx.step.sleep("pause", "1d")

    durable.only(release(mails_first))

    effect = ("unaffected", None) if is_known else ("reruns", "charge")
    assert effects(manage("inngest_check", "--json")) == {effect[0]: (effect[1], 1)}


def test_static_says_when_it_cannot_tell(durable: Durable, manage: Manage) -> None:
    def handler(ctx: Any) -> Any:
        for name in ctx.event.data["names"]:
            ctx.step.sleep(name, "1d")

    durable.run(release(handler), {"names": ["a"]}).assert_sleeping("a")

    result = manage("inngest_check", "--static", "--json")

    assert (result.code, effects(result)) == (0, {"unknown": (None, 1)})


def test_async_functions(durable: Durable, manage: Manage) -> None:
    durable.run(release(old_async)).assert_sleeping("pause")
    durable.only(release(old_async))
    same = manage("inngest_check", "--json")
    durable.only(release(renamed_async))
    changed = manage("inngest_check", "--json")

    assert effects(same) == {"unaffected": (None, 1)}
    assert effects(changed) == {"reruns": ("charge", 1)}


def test_a_step_that_waits_for_its_next_try(durable: Durable, manage: Manage) -> None:
    def fails(ctx: Any) -> Any:
        return ctx.step.run("flaky", _fail)

    def repaired(ctx: Any) -> Any:
        return ctx.step.run("solid", note("solid"))

    run = durable.run(release(fails))
    assert run.row.attempts.count() == 1
    durable.only(release(repaired))

    result = manage("inngest_check", "--json")

    assert effects(result) == {"parked": ("flaky", 1)}
    run.finish().assert_completed("solid")


def _fail() -> None:
    raise RuntimeError


def test_a_wait_whose_id_changed(durable: Durable, manage: Manage) -> None:
    def waits(name: str) -> Any:
        def handler(ctx: Any) -> Any:
            return ctx.step.wait_for_event(name, event="deploy/paid", timeout="1d")

        return release(handler)

    durable.run(waits("payment")).assert_waiting_for("deploy/paid")
    durable.only(waits("paid"))

    result = manage("inngest_check", "--json")

    assert effects(result) == {"parked": ("payment", 1)}
    assert '"paid"' in result.json["functions"][0]["effects"][0]["message"]


def test_a_branch_of_a_group_that_is_gone(durable: Durable, manage: Manage) -> None:
    def group(*names: str) -> Function:
        def handler(ctx: Any) -> Any:
            return ctx.group.parallel(
                tuple(lambda name=name: ctx.step.sleep(name, "1d") for name in names)
            )

        return release(handler)

    durable.run(group("left", "right"))
    durable.only(group("left", "right"))
    same = manage("inngest_check", "--json")
    durable.only(group("left"))
    changed = manage("inngest_check", "--json")

    assert effects(same) == {"unaffected": (None, 1)}
    assert effects(changed) == {"parked": ("right", 1)}


def test_ids_that_differ_by_run_are_read_as_patterns(durable: Durable, manage: Manage) -> None:
    def copies(ctx: Any) -> Any:
        for name in ctx.event.data["names"]:
            ctx.step.run(f"copy {name}", note(name))
        ctx.step.sleep("pause", "1d")

    def copies_after_a_look(ctx: Any) -> Any:
        ctx.step.run("look", note("look"))
        copies(ctx)

    first = release(copies)
    durable.run(first, {"names": ["a"]})
    durable.run(first, {"names": ["a", "b"]})
    durable.only(release(copies_after_a_look))

    assert manage("inngest_check", "--json").json["functions"][0]["effects"] == [
        {
            "effect": "unaffected",
            "is_stranding": False,
            "run_count": 2,
            "step": None,
            "message": None,
            "examples": [row.pk for row in Run.objects.order_by("-pk")],
        }
    ]


# Functions that are gone ------------------------------------------------------------------


@pytest.mark.usefixtures("asleep")
def test_a_function_that_vanished(durable: Durable, manage: Manage) -> None:
    durable.only(release(old, fn_id="other"))

    result = manage("inngest_check", "--json")

    assert effects(result) == {"vanished": (None, 3)}
    assert result.code == 1


@pytest.mark.usefixtures("asleep")
def test_a_function_of_another_app_that_lives(durable: Durable, manage: Manage) -> None:
    elsewhere = Inngest(app_id="billing").create_function(fn_id="fn", trigger=TRIGGER)(old)
    durable.only(elsewhere)

    alive = manage("inngest_check", "--json")
    FunctionRow.objects.update(registered_at=now().replace(year=2020))
    dead = manage("inngest_check", "--json")

    assert (alive.code, effects(alive)) == (0, {"elsewhere": (None, 3)})
    assert (dead.code, effects(dead)) == (1, {"vanished": (None, 3)})


@pytest.mark.usefixtures("asleep")
@pytest.mark.parametrize("has_child", [True, False])
def test_an_invoke_of_a_function_that_vanished(
    durable: Durable, manage: Manage, has_child: bool
) -> None:
    def calls(ctx: Any) -> Any:
        ctx.step.run("charge", note("charge"))
        ctx.step.invoke_by_id("call", function_id="child")
        ctx.step.sleep("pause", "1d")

    durable.only(release(calls), *([release(only_charge, fn_id="child")] if has_child else []))

    expected: dict[str, Any] = {"unaffected": (None, 3)}
    if not has_child:
        expected = {"invokes_vanished": ("call", 3)}
    assert effects(manage("inngest_check", "--json")) == expected


# Side effects -----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_what_code_between_steps_writes_is_undone(durable: Durable, manage: Manage) -> None:
    durable.run(release(old)).assert_sleeping("pause")

    def writes(ctx: Any) -> Any:
        Group.objects.create(name="written")
        client.send_sync(Event(name="deploy/sent"))
        ctx.step.run("charge", note("charge"))
        ran.append("came here")
        ctx.step.sleep("pause", "1d")

    durable.only(release(writes))
    before = list(Step.objects.values())

    result = manage("inngest_check", "--json")

    assert effects(result) == {"unaffected": (None, 1)}
    assert ran == ["charge", "came here"]
    assert not Group.objects.filter(name="written").exists()
    assert durable.events("deploy/sent") == []
    assert list(Step.objects.values()) == before
