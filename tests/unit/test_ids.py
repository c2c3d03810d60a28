"""Identifiers sort by time, hash as Inngest's do, and fit their columns."""

from __future__ import annotations

import datetime as dt
import hashlib

import hypothesis
import pytest
from hypothesis import strategies as st
from ulid import ULID

from inngest_django import ids

MILLIS = st.integers(0, 2**48 - 1)
ENTROPY = st.binary(min_size=10, max_size=10)


def test_fresh_ulids_are_distinct_and_carry_the_time() -> None:
    before = ids.first_ulid_of(dt.datetime.now(dt.UTC))
    fresh = [ids.new_ulid() for _ in range(100)]
    after = ids.first_ulid_of(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1))

    assert len(set(fresh)) == 100
    assert all(len(ulid) == 26 and before <= ulid < after for ulid in fresh)


@hypothesis.given(MILLIS, ENTROPY)
def test_a_seed_gives_time_and_entropy(millis: int, entropy: bytes) -> None:
    ulid = ids.ulid_from_seed(millis, entropy)

    assert len(ulid) == 26
    assert ULID.from_str(ulid).bytes == millis.to_bytes(6, "big") + entropy


@hypothesis.given(MILLIS, ENTROPY, MILLIS, ENTROPY)
def test_ulids_sort_as_their_seeds(a: int, x: bytes, b: int, y: bytes) -> None:
    ordered = ids.ulid_from_seed(a, x) < ids.ulid_from_seed(b, y)

    assert ordered == ((a, x) < (b, y))


@pytest.mark.parametrize(
    ("moment", "millis"),
    [
        (dt.datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=dt.UTC), 1_500),
        (dt.datetime(1970, 1, 1, tzinfo=dt.UTC), 0),
        (dt.datetime(1969, 12, 31, tzinfo=dt.UTC), 0),  # none is older
        (dt.datetime(2026, 1, 31, 9, tzinfo=dt.UTC), 1_769_850_000_000),
    ],
)
def test_the_first_of_a_moment(moment: dt.datetime, millis: int) -> None:
    assert ids.first_ulid_of(moment) == ids.ulid_from_seed(millis, bytes(10))


def test_tokens_are_positive_fit_a_bigint_and_differ() -> None:
    tokens = [ids.new_token() for _ in range(500)]

    assert len(set(tokens)) == 500
    assert all(0 < token < 2**62 and token % 2 == 1 for token in tokens)
    assert max(tokens) > 2**60  # all 62 bits are drawn: 500 smaller ones are no accident


def test_step_ids_are_hashed_as_inngest_does() -> None:
    assert ids.hash_step_id("my-step-id", 0) == "e7d8a2f140845095749d60246ff1110c9d01d76a"


@pytest.mark.parametrize("index", [1, 2, 17])
def test_repeated_steps_are_hashed_with_their_index(index: int) -> None:
    expected = hashlib.sha1(f"charge:{index}".encode()).hexdigest()

    assert ids.hash_step_id("charge", index) == expected


def test_half_a_surrogate_pair_can_be_hashed() -> None:
    assert ids.hash_step_id("\ud800", 0) == hashlib.sha1(b"\xed\xa0\x80").hexdigest()
    assert ids.hash_step_id("é", 0) == hashlib.sha1(b"\xc3\xa9").hexdigest()
