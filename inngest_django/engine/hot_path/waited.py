"""Whether anybody waits for events of a name at all."""

from __future__ import annotations


def is_waited_for(name: str) -> str:
    """Return the SQL of whether an open wait has a name, itself an SQL expression.

    ORM form: ``Wait.objects.filter(event_name=name, status="open").exists()``. As the least
    name from there on, which only the index of open names can answer: where a million waits
    have one name, PostgreSQL expects to meet any name soon, and ``EXISTS`` reads them all.
    """
    return (
        "coalesce((SELECT min(w.event_name) FROM inngest_wait w WHERE w.status = 'open'"
        f" AND w.event_name >= {name}) = {name}, false)"
    )
