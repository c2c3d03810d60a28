"""The plan of faults."""

from __future__ import annotations

import itertools

from inngest_django.testing.chaos.faults import Faults
from inngest_django.testing.chaos.planning import KINDS, Fault, kinds_for, plan

LEASE = 3.0


def first(count: int, seed: int) -> list[Fault]:
    return list(itertools.islice(plan(seed, KINDS, lease=LEASE), count))


def test_a_seed_makes_the_same_plan_again_and_another_another() -> None:
    assert first(60, seed=7) == first(60, seed=7)
    assert first(60, seed=7) != first(60, seed=8)


def test_each_kind_comes_once_before_one_comes_again() -> None:
    faults = first(2 * len(KINDS), seed=1)

    for half in (faults[: len(KINDS)], faults[len(KINDS) :]):
        assert {fault.kind for fault in half} == set(KINDS)
    assert [fault.number for fault in faults] == list(range(1, 2 * len(KINDS) + 1))


def test_faults_last_as_their_kind_says() -> None:
    for fault in first(200, seed=3):
        least, most = fault.kind.seconds
        lease = LEASE if fault.kind.past_lease else 0
        assert least + lease <= fault.seconds <= most + lease
        assert 0 <= fault.choice <= 1


def test_sqlite_has_no_database_faults_and_keeps_the_others() -> None:
    kinds = kinds_for(has_database_proxy=False)

    assert {kind.target for kind in kinds} == {"process", "message", "broker"}
    assert kinds_for(has_database_proxy=True) == KINDS


def test_each_kind_can_be_made() -> None:
    for kind in KINDS:
        target, _, how = kind.name.partition("_")
        is_connection = target in ("database", "broker") and how in (
            "cut",
            "refuse",
            "hang",
            "delay",
        )
        assert is_connection or hasattr(Faults, f"_{kind.name}"), kind.name
