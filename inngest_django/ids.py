"""Identifiers: ULIDs for events and runs, hashes for steps, tokens for leases."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import secrets

from ulid import ULID


def new_ulid() -> str:
    """Return a fresh ULID: 26 characters that sort by creation time (ms)."""
    return str(ULID())


def ulid_from_seed(millis: int, entropy: bytes) -> str:
    """Return the ULID made of a time (ms since epoch) and ten bytes."""
    return str(ULID(millis.to_bytes(6, "big") + entropy))


def first_ulid_of(moment: dt.datetime) -> str:
    """Return the smallest ULID of a moment's millisecond, to look up by time."""
    return ulid_from_seed(max(0, int(moment.timestamp() * 1000)), bytes(10))


def new_token() -> int:
    """Return a lease token, unique over all jobs and leases (62 random bits, positive)."""
    return secrets.randbits(62) | 1


@functools.lru_cache(maxsize=4096)
def hash_step_id(step_id: str, index: int) -> str:
    """Return the stored id of a step: SHA-1 hex of ``id``, or of ``id:index`` when repeated.

    Source: Inngest's step identity; ``my-step-id`` gives e7d8a2f140845095749d60246ff1110c9d01d76a.
    """
    text = step_id if index == 0 else f"{step_id}:{index}"
    return hashlib.sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
