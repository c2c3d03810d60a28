"""Prepared statements spoken over libpq: everything of an exchange in one packet.

psycopg's cursors and pipelines do the same for any statement, at half a millisecond of Python
for each outcome, and send each statement of a pipeline by itself, which wakes the server up as
often. These few statements are known, their parameters are text, numbers and moments, and
nothing is read before all is sent.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import select
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

Statement = tuple[str, Sequence[Any]]
Rows = list[tuple[Any, ...]]

# The server forgot the statement (DISCARD, DEALLOCATE), or a migration changed what it returns.
_FORGOTTEN = frozenset((b"26000", b"0A000"))

# What is prepared on each connection: statement to name.
_names: weakref.WeakKeyDictionary[Any, dict[str, bytes]] = weakref.WeakKeyDictionary()


class _ForgottenError(Exception):
    """Nothing was done, because a name means nothing to the server any more."""


def run(raw: Any, statements: Sequence[Statement], psycopg: Any) -> tuple[Rows, int]:
    """Run statements as one transaction in one round trip.

    Args:
        raw: A psycopg connection in autocommit mode, outside transactions and pipelines.

    Returns:
        The rows of the last statement, and how many it touched.
    """
    names = _names.setdefault(raw, {})
    with raw.lock:
        try:
            result = _exchange(raw, names, statements, psycopg)
        except _ForgottenError:
            names.clear()
            result = _exchange(raw, names, statements, psycopg)
    if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
        return [], result.command_tuples or 0
    transformer = psycopg.adapt.Transformer(raw)
    transformer.set_pgresult(result)
    return transformer.load_rows(0, result.ntuples, tuple), result.command_tuples or 0


def _exchange(
    raw: Any, names: dict[str, bytes], statements: Sequence[Statement], psycopg: Any
) -> Any:
    pgconn = raw.pgconn
    fresh: list[str] = []
    # Outside a transaction a pipeline is one, up to its sync.
    pgconn.enter_pipeline_mode()
    for text, params in statements:
        name = names.get(text)
        if name is None:
            name = names[text] = b"inngest_%d" % next(_numbers)
            fresh.append(text)
            pgconn.send_prepare(name, _numbered(text))
        pgconn.send_query_prepared(name, [_dumped(value) for value in params])
    pgconn.pipeline_sync()
    last, fault = None, None
    status = psycopg.pq.ExecStatus
    for result in _results(pgconn, psycopg):
        if result.status == status.FATAL_ERROR:
            fault = fault or result
        last = result
    pgconn.exit_pipeline_mode()
    if fault is None:
        return last
    for text in fresh:
        names.pop(text, None)
    if fault.error_field(psycopg.pq.DiagnosticField.SQLSTATE) in _FORGOTTEN and not fresh:
        raise _ForgottenError
    raise psycopg.errors.error_from_result(fault, raw.info.encoding)


def _results(pgconn: Any, psycopg: Any) -> Iterator[Any]:
    """Send what is buffered, and yield the results up to the sync."""
    pq = psycopg.pq
    poller = select.poll()
    poller.register(pgconn.socket, select.POLLIN)
    if pgconn.flush():
        # More than the socket takes at once: read meanwhile, or both sides could wait.
        poller.modify(pgconn.socket, select.POLLIN | select.POLLOUT)
        while pgconn.flush():
            poller.poll()
            pgconn.consume_input()
        poller.modify(pgconn.socket, select.POLLIN)
    while True:
        while pgconn.is_busy():
            poller.poll()
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:  # Between two statements, or at the end of everything.
            if pgconn.status == pq.ConnStatus.BAD:
                raise psycopg.OperationalError("the server closed the connection")
            continue
        if result.status == pq.ExecStatus.PIPELINE_SYNC:
            return
        yield result


@functools.lru_cache(maxsize=64)
def _numbered(text: str) -> bytes:
    """Return a statement with the server's own placeholders."""
    first, *rest = text.replace("%%", "%").split("%s")
    return "".join([first, *(f"${n}{part}" for n, part in enumerate(rest, 1))]).encode()


def _dumped(value: Any) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.isoformat().encode()
    if isinstance(value, list):
        return ("{" + ",".join(map(_element, value)) + "}").encode()
    raise TypeError(f"no parameter of a prepared statement: {type(value).__name__}")


def _element(value: Any) -> str:
    """Return an element of an array as PostgreSQL writes it: text or a number."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise TypeError(f"no element of a prepared statement's array: {type(value).__name__}")


_numbers = itertools.count()
