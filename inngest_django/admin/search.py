"""What a search term means, decided with a few index lookups instead of a scan."""

from __future__ import annotations

import re

from django.db.models import Q

from inngest_django.models import Event, Function, Run

# Letters that ULIDs leave out (I, L, O, U) never occur.
ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
KNOWN_LIMIT = 200


def as_ulid(term: str) -> str | None:
    """Return the term as a ULID, or None when it is none."""
    upper = term.strip().upper()
    return upper if ULID.fullmatch(upper) else None


def runs(term: str) -> Q:
    """Return the condition for runs: run id, event id, function id or event name.

    Function ids and event names match from their beginning; the functions are few, so that
    the large table is asked only for exact values. A term that nothing known begins with is
    compared with the names of events, the slowest way, last.
    """
    ulid = as_ulid(term)
    if ulid is not None:
        return Q(pk=ulid) | Q(event_id=ulid)
    functions = _function_ids(term)
    names = _event_names(term)
    if functions or names:
        return Q(function_id__in=functions) | Q(event__name__in=names)
    if Event.objects.filter(external_id=term).exists():
        return Q(event__external_id=term)
    if Run.objects.filter(function_id=term).exists():
        return Q(function_id=term)
    return Q(event__name__startswith=term)


def events(term: str) -> Q:
    """Return the condition for events: id, the sender's id, or name from its beginning."""
    ulid = as_ulid(term)
    if ulid is not None:
        return Q(pk=ulid) | Q(external_id=ulid)
    if Event.objects.filter(external_id=term).exists():
        return Q(external_id=term)
    if Event.objects.filter(name=term).exists():
        return Q(name=term)
    return Q(name__startswith=term)


def by_run_or_name(term: str) -> Q:
    """Return the condition for waits: run id or event name."""
    ulid = as_ulid(term)
    return Q(event_name=term) if ulid is None else Q(run_id=ulid)


def by_run_or_function(term: str) -> Q:
    """Return the condition for jobs: run id or function id from its beginning."""
    ulid = as_ulid(term)
    return Q(function_id__startswith=term) if ulid is None else Q(run_id=ulid)


def _function_ids(term: str) -> list[str]:
    found = Function.objects.filter(id__startswith=term).values_list("id", flat=True)
    return list(found.order_by("id")[:KNOWN_LIMIT])


def _event_names(term: str) -> list[str]:
    """Return names that functions name in their triggers, and the term when it is a name."""
    names: set[str] = set()
    for function in Function.objects.only("config"):
        for trigger in (function.config or {}).get("triggers") or ():
            name = trigger.get("event") or ""
            if name.startswith(term) and not name.endswith("*"):
                names.add(name)
    if term not in names and Event.objects.filter(name=term).exists():
        names.add(term)
    return sorted(names)[:KNOWN_LIMIT]
