from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from inngest_django import ids
from inngest_django.models import Job, Run
from inngest_django.models.fields import JSONText
from inngest_django.states import StepStatus
from tests import factories

pytestmark = pytest.mark.django_db

Manage = Callable[..., Any]
RUN_KEYS = [
    "id", "function_id", "status", "event_id", "event_name", "queued_at", "started_at",
    "ended_at", "output", "error",
]  # fmt: skip
STEP_KEYS = [
    "name", "index", "op", "status", "output", "error", "attempt_count", "started_at", "ended_at"
]  # fmt: skip


def test_list_has_the_documented_keys_newest_first(manage: Manage) -> None:
    older, newer = factories.failed_run(), factories.completed_run()

    result = manage("inngest_runs", "--json")

    assert result.code == 0
    assert [list(run) for run in result.json] == [RUN_KEYS, RUN_KEYS]
    assert [run["id"] for run in result.json] == [newer.pk, older.pk]
    assert result.json[0]["output"] == {"total": 3}
    assert result.json[1]["error"] == factories.ERROR
    assert result.json[0]["event_name"] == "shop/order.paid"


def test_list_filters(manage: Manage) -> None:
    wanted = factories.failed_run(
        function_id="shop-refund", event=factories.event("shop/refunded", external_id="ord-7")
    )
    factories.completed_run()

    def found(*words: str) -> list[str]:
        return [run["id"] for run in manage("inngest_runs", "--json", *words).json]

    assert found("--function", "shop-refund") == [wanted.pk]
    assert found("--status", "failed") == [wanted.pk]
    assert found("--event", wanted.event_id) == [wanted.pk]
    assert found("--event", "shop/refunded") == [wanted.pk]
    assert found("--event", "ord-7") == [wanted.pk]
    assert found("--status", "failed", "--status", "completed", "--limit", "1") != [wanted.pk]
    assert found("--function", "nobody") == []


def test_list_prints_a_table(manage: Manage) -> None:
    factories.failed_run(function_id="shop-refund")

    lines = manage("inngest_runs").out.splitlines()

    assert lines[0].split() == ["ID", "FUNCTION", "STATUS", "EVENT", "QUEUED", "TOOK", "RESULT"]
    assert "shop-refund" in lines[1]
    assert "ValueError: card declined" in lines[1]
    assert manage("inngest_runs", "--function", "x").out == "No runs.\n"


@pytest.mark.parametrize("words", [["--status", "sleeping"], ["--limit", "0"], ["--watch", "0"]])
def test_list_refuses_bad_values(manage: Manage, words: list[str]) -> None:
    assert manage("inngest_runs", *words).code == 2


def test_show_has_the_documented_keys(manage: Manage) -> None:
    run = factories.failed_run()
    factories.step(run, "charge", index=1, output=[1])

    result = manage("inngest_show", run.pk, "--json")

    assert result.code == 0
    assert list(result.json) == [*RUN_KEYS, "steps", "why"]
    assert [list(step) for step in result.json["steps"]] == [STEP_KEYS, STEP_KEYS]
    assert [(s["name"], s["index"], s["status"]) for s in result.json["steps"]] == [
        ("charge", 0, "failed"),
        ("charge", 1, "completed"),
    ]
    assert result.json["steps"][0]["attempt_count"] == 2


def test_show_says_why_and_draws_each_step_with_its_retries(manage: Manage) -> None:
    run = factories.waiting_run()
    flaky = factories.step(run, "flaky", output={"n": 5}, attempt_count=2)
    factories.attempt(run, flaky)
    factories.step(run, "next", StepStatus.PLANNED)

    text = manage("inngest_show", run.pk.lower()).out

    assert "waits for event shop/order.shipped" in text
    assert "attempt 1 failed: ValueError: card declined" in text
    assert '= {"n":5}' in text
    flaky_line = next(line for line in text.splitlines() if " flaky " in line)
    assert "completed" in flaky_line
    assert "10s" in flaky_line
    assert "█" in flaky_line


def test_show_says_what_to_do_about_an_error_of_this_package(manage: Manage) -> None:
    nested = factories.failed_run(error={**factories.ERROR, "code": "step_nested"})
    own = factories.failed_run()

    assert "step_nested: Call the inner step before" in manage("inngest_show", nested.pk).out
    assert "unknown:" not in manage("inngest_show", own.pk).out


def test_show_prints_values_that_no_encoding_has(manage: Manage) -> None:
    run = factories.run(output=JSONText('"\\ud800"'), function_id="fn-\u2713")

    assert '"\\ud800"' in manage("inngest_show", run.pk).out
    assert manage("inngest_show", run.pk, "--json").json["output"] == "\ud800"


@pytest.mark.parametrize("command", ["inngest_show", "inngest_rerun", "inngest_cancel"])
def test_unknown_run_ends_with_one_and_a_bad_id_with_two(manage: Manage, command: str) -> None:
    assert manage(command, ids.new_ulid()).code == 1
    bad = manage(command, "nonsense")
    assert bad.code == 2
    assert "'nonsense' is not a run id" in bad.err


@pytest.mark.django_db(transaction=True)
def test_cancel_tells_which_were_cancelled(manage: Manage) -> None:
    live, ended = factories.sleeping_run(), factories.completed_run()

    both = manage("inngest_cancel", live.pk, ended.pk, "--reason", "wrong order", "--json")

    live.refresh_from_db()
    assert both.code == 1
    assert both.json == {"cancelled": [live.pk], "not_cancelled": [ended.pk]}
    assert (live.status, live.reason) == ("cancelled", "wrong order")


@pytest.mark.django_db(transaction=True)
def test_cancel_of_live_runs_ends_with_zero(manage: Manage) -> None:
    runs = [factories.sleeping_run(), factories.queued_run()]

    result = manage("inngest_cancel", *[run.pk for run in runs])

    assert result.code == 0
    assert result.out.count("cancelled") == 2
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_misspelt_id_cancels_nothing(manage: Manage) -> None:
    run = factories.sleeping_run()

    assert manage("inngest_cancel", run.pk, "nonsense").code == 2
    run.refresh_from_db()
    assert run.status == "running"


@pytest.mark.django_db(transaction=True)
def test_rerun_starts_a_new_run(manage: Manage) -> None:
    factories.function()
    run = factories.failed_run()

    result = manage("inngest_rerun", run.pk, "--json")

    new = Run.objects.get(original_run=run)
    assert result.code == 0
    assert result.json == {"run_id": new.pk, "original_run_id": run.pk}


@pytest.mark.django_db(transaction=True)
def test_rerun_of_a_function_that_is_gone_ends_with_one(manage: Manage) -> None:
    run = factories.failed_run(function_id="gone")

    result = manage("inngest_rerun", run.pk)

    assert result.code == 1
    assert "not registered" in result.err


@pytest.mark.django_db(transaction=True)
def test_prune_deletes_what_is_old(manage: Manage) -> None:
    long_ago = factories.ago(90_000)
    old = factories.completed_run(
        id=ids.first_ulid_of(long_ago), queued_at=long_ago, ended_at=long_ago
    )
    new, live = factories.completed_run(), factories.sleeping_run(queued_at=factories.ago(90_000))

    result = manage("inngest_prune", "--older-than", "1d", "--json")

    assert result.code == 0
    assert result.json["runs"] == 1
    assert set(Run.objects.values_list("pk", flat=True)) == {new.pk, live.pk}
    assert old.pk not in Run.objects.values_list("pk", flat=True)


def test_prune_refuses_what_is_no_age(manage: Manage, settings: Any) -> None:
    assert manage("inngest_prune", "--older-than", "-3d").code == 2
    settings.INNGEST = {**settings.INNGEST, "RETENTION": None}
    assert manage("inngest_prune").code == 2


@pytest.mark.parametrize(
    "name", ["send", "runs", "show", "cancel", "rerun", "functions", "doctor", "prune"]
)
def test_every_command_explains_itself(manage: Manage, name: str) -> None:
    result = manage(f"inngest_{name}", "--help")

    assert result.code == 0
    assert "--json" in result.out


def test_watch_prints_the_list_again_until_interrupted(
    manage: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = factories.run()
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", pause)

    result = manage("inngest_runs", "--watch", "5")

    assert (result.code, result.out.count(run.pk)) == (0, 2)
    assert pauses == [5.0, 5.0]
