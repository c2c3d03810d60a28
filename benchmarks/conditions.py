"""Under which conditions both sides were measured, as the page says it before any figure."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks import clients

_MS = {
    name: f"{1000 * seconds:g} ms"
    for name, seconds in (
        ("many", clients.MANY),
        ("group", clients.GROUP),
        ("single", clients.SINGLE),
    )
}

HOW = (
    "Sides take turns inside each pair, each time in another order.",
    "The next one begins when the last one is at rest: no event is left to route, no job is due,"
    " no message waits.",
    "Figures are medians with the extremes; a ratio is taken inside each pair, and its median is"
    " shown with the extremes of the pairs.",
    "Differences under 1.5 x are noise on a machine that others use too.",
)

_COMMITS = (
    "**Who waits for the disk.**",
    "Each result of a step waits for it, as does the sending of an event, its routing and the end"
    " of a run; so does each result of plain Celery.",
    "This project turns `synchronous_commit` off for single transactions that need not survive the"
    " server: the lease of a job, which also marks a queued run or a planned step as begun, and the"
    " stamp that gives an event its place in the order.",
    "What is lost with them is done again: no result is among it.",
    "Plain Celery has no such transactions.",
)

_DEAD_ROWS = (
    "**Dead rows.**",
    "Plain Celery's table of results is emptied before each of its measurements, because results"
    " are counted in it.",
    "The tables of this project are not: what was updated and deleted stays in them, and makes"
    " them slower, until W5 and T fill them.",
    "After a fill they are vacuumed and analyzed once, as autovacuum would; after the workload"
    " they are emptied.",
)

_LISTS = (
    "**What Redis lists.**",
    "kombu keeps a list of unacknowledged messages in Redis, two exchanges for each message.",
    "Workers of this project leave their own messages out of it, because the tick sends a lost one"
    " again; those of plain Celery keep it.",
)

_CLIENTS = (
    "**How the end is seen.**",
    f"Both clients ask PostgreSQL, every {_MS['many']} in W1, W2 and W4, every {_MS['group']} in W3"
    f" and every {_MS['single']} where one thing at a time is waited for; tasks without results are"
    " counted in a file, as often.",
    "Plain Celery's client counts its results; this project's asks for the last run, and when that"
    " has ended for all of them.",
    "In W6 each side tells by the clock of the machine when it woke up.",
)

_STORES = (
    "**What plain Celery does without.**",
    "It has no Django, so nothing closes its connections, and stores every result with SQLAlchemy"
    " in the same PostgreSQL: an insert and an update in one transaction.",
)


def sentences(
    database: Mapping[str, str],
    dead_rows: Mapping[str, Mapping[str, int]],
    *,
    brokers: Mapping[str, str],
    has_ack_emulation: bool,
) -> list[str]:
    """Return the page's lines on what a reader should know before comparing.

    Args:
        database: PostgreSQL's settings, by name.
        dead_rows: How many rows were dead at most, by broker and side.
        brokers: What the page calls each broker that was measured.
        has_ack_emulation: Whether kombu kept its list in Redis.
    """
    parts = [HOW, _COMMITS, _dead_rows(database, dead_rows, brokers), _STORES, _CLIENTS]
    if "redis" in brokers:
        parts.insert(3, _lists(has_ack_emulation=has_ack_emulation))
    return [line for part in parts for line in ("", *part)]


def _dead_rows(
    database: Mapping[str, str],
    dead_rows: Mapping[str, Mapping[str, int]],
    brokers: Mapping[str, str],
) -> tuple[str, ...]:
    found = "; ".join(
        f"{brokers[broker]}: " + ", ".join(f"{name} {count:,}" for name, count in sides.items())
        for broker, sides in dead_rows.items()
    )
    autovacuum = f"`autovacuum` is {database.get('autovacuum', 'not known')}."
    most = (f"The most that were seen after a workload: {found}.",) if found else ()
    return (_DEAD_ROWS[0], autovacuum, *_DEAD_ROWS[1:], *most)


def _lists(*, has_ack_emulation: bool) -> tuple[str, ...]:
    if has_ack_emulation:
        return (*_LISTS, "With `--no-ack-emulation` neither side keeps it.")
    return (*_LISTS[:2], "Here neither side kept it: `--no-ack-emulation`.")
