"""Cancelling runs."""

from __future__ import annotations

from inngest_django.engine import hot_path, runs, transactions
from inngest_django.engine.hints import JobHint, execute_after_commit
from inngest_django.engine.hot_path import LockedRun
from inngest_django.serialization import storable
from inngest_django.states import RUN_LIVE, RunStatus


def cancel(run_id: str, *, reason: str = "") -> bool:
    """Cancel a live run; False when it had ended or does not exist.

    A body that is being run is not interrupted: its result is refused. Invoked runs go on.
    """

    def work() -> bool:
        with transactions.write() as cursor:
            run = hot_path.lock_run(cursor, run_id)
            if run is None or run.status not in RUN_LIVE:
                return False
            execute_after_commit(close(run, reason=storable(reason)))
            return True

    return transactions.retrying(work)


def close(run: LockedRun, *, reason: str) -> list[JobHint]:
    """Cancel a run whose lock is held; returns hints to publish after commit."""
    return runs.end(run, status=RunStatus.CANCELLED, reason=reason or "cancelled on request")
