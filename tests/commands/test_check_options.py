"""``inngest_check``: how much it looks at, and how it says what it found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from inngest_django.testing import Durable
from tests.commands.releases import effects, old, only_charge, release, renamed, without_pause

Manage = Callable[..., Any]

pytestmark = pytest.mark.django_db


@pytest.mark.usefixtures("asleep")
def test_work_is_bounded_by_groups(
    durable: Durable, manage: Manage, django_assert_max_num_queries: Any
) -> None:
    seen: list[str] = []

    def counts(ctx: Any) -> Any:
        seen.append(ctx.run_id)
        return old(ctx)

    durable.only(release(counts))

    with django_assert_max_num_queries(12):
        result = manage("inngest_check", "--sample", "1", "--json")

    assert len(seen) == 1
    assert effects(result) == {"unaffected": (None, 3)}


@pytest.mark.usefixtures("asleep")
def test_runs_alike_with_different_futures(durable: Durable, manage: Manage) -> None:
    def by_data(ctx: Any) -> Any:
        return old(ctx) if ctx.event.data["n"] == 2 else without_pause(ctx)

    durable.only(release(by_data))

    some = manage("inngest_check", "--sample", "2", "--json")
    all_ = manage("inngest_check", "--json")

    assert effects(some) == {"unaffected": (None, 1), "parked": ("pause", 1)}
    assert some.json["functions"][0]["unseen"] == 1
    assert effects(all_) == {"unaffected": (None, 1), "parked": ("pause", 2)}
    assert all_.json["functions"][0]["unseen"] == 0


@pytest.mark.usefixtures("asleep")
def test_limit_says_what_was_left_out(durable: Durable, manage: Manage) -> None:
    durable.only(release(old))

    some = manage("inngest_check", "--limit", "2")
    all_ = manage("inngest_check", "--limit", "3", "--json")

    assert "Only the newest 2 live runs were read" in some.out
    assert all_.json["is_complete"] is True


@pytest.mark.usefixtures("asleep")
def test_what_is_meant_can_be_allowed(durable: Durable, manage: Manage) -> None:
    durable.only(release(without_pause))

    assert manage("inngest_check").code == 1
    assert manage("inngest_check", "--allow", "parked").code == 0
    assert manage("inngest_check", "--allow", "reruns").code == 1


def test_text_for_people(durable: Durable, manage: Manage, asleep: list[Any]) -> None:
    durable.only(release(renamed))

    result = manage("inngest_check")

    assert result.code == 1
    assert "deploy-fn: 3 live runs" in result.out
    assert '! reruns                 3  step "charge"' in result.out
    assert 'it begins "charge card" instead' in result.out
    assert asleep[-1].row.pk in result.out
    assert result.out.splitlines()[-1] == "3 live runs, of which would be stranded: 3 reruns."


def test_without_live_runs_all_is_well(durable: Durable, manage: Manage) -> None:
    durable.run(release(only_charge)).assert_completed()

    result = manage("inngest_check")

    assert (result.code, result.out) == (0, "0 live runs, none would be stranded.\n")


def test_only_one_function(durable: Durable, manage: Manage, asleep: list[Any]) -> None:
    durable.only(release(renamed), release(old, fn_id="other"))

    assert manage("inngest_check", "--function", "deploy-other").code == 0
    assert manage("inngest_check", "--function", "deploy-fn").code == 1
    assert manage("inngest_check", "--function", "deploy-nothing").code == 2


@pytest.mark.parametrize("words", [["--sample", "0"], ["--limit", "0"], ["--allow", "elsewhere"]])
def test_bad_usage(manage: Manage, words: list[str]) -> None:
    assert manage("inngest_check", *words).code == 2


def test_help_says_what_the_words_mean(manage: Manage) -> None:
    result = manage("inngest_check", "--help")

    assert result.code == 0
    for effect in ("vanished", "parked", "reruns", "fails", "other_kind"):
        assert effect in result.out
    assert "--static" in result.out
