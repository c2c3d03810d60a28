"""The simulation's database: SQLite in memory, on one connection that all workers share.

Only one worker runs at a time and none is left standing inside a transaction, so that one
connection serves all. It tells a listener about every statement and every commit, and
triggers tell it about every row that the engine writes.
"""

from __future__ import annotations

import copy
from typing import Any, Protocol

from django.apps import apps
from django.db import connections
from django.db.backends.sqlite3.base import DatabaseWrapper

ALIAS = "default"

_TABLES = (
    "inngest_wait_key",
    "inngest_wait",
    "inngest_wait_shape",
    "inngest_attempt",
    "inngest_job",
    "inngest_step",
    "inngest_run",
    "inngest_event",
    "inngest_idempotency_key",
    "inngest_counter",
    "inngest_pulse",
    "sim_effect",
)
_TRIGGERS = """
CREATE TABLE sim_effect (run_id text, step text);
CREATE TRIGGER sim_event AFTER INSERT ON inngest_event BEGIN
  SELECT sim_saw('event', NEW.id, NEW.name, NEW.external_id, NEW.routed_at); END;
CREATE TRIGGER sim_routed AFTER UPDATE OF routed_at, seq ON inngest_event BEGIN
  SELECT sim_saw('routed', NEW.id, OLD.routed_at, OLD.seq, NEW.seq); END;
CREATE TRIGGER sim_run_new AFTER INSERT ON inngest_run BEGIN
  SELECT sim_saw('run', NEW.id, NULL, NEW.status, 0, NEW.revision); END;
CREATE TRIGGER sim_run AFTER UPDATE ON inngest_run BEGIN
  SELECT sim_saw('run', NEW.id, OLD.status, NEW.status, OLD.revision, NEW.revision); END;
CREATE TRIGGER sim_step_new AFTER INSERT ON inngest_step BEGIN
  SELECT sim_saw('step', NEW.id, NEW.run_id, NEW.name, NULL, NEW.status, NULL, NEW.revision,
    NULL, NEW.output, NEW.op, NEW.input); END;
CREATE TRIGGER sim_step AFTER UPDATE ON inngest_step BEGIN
  SELECT sim_saw('step', NEW.id, NEW.run_id, NEW.name, OLD.status, NEW.status, OLD.revision,
    NEW.revision, coalesce(OLD.output, OLD.error), coalesce(NEW.output, NEW.error), NEW.op,
    NEW.input); END;
CREATE TRIGGER sim_step_gone AFTER DELETE ON inngest_step BEGIN
  SELECT sim_saw('step gone', OLD.id, OLD.run_id, OLD.name); END;
CREATE TRIGGER sim_job_new AFTER INSERT ON inngest_job BEGIN
  SELECT sim_saw('job', NEW.id, NEW.run_id, NEW.kind, NULL, NEW.lease_token, NULL,
    NEW.available_at, NEW.next_hint_at); END;
CREATE TRIGGER sim_job AFTER UPDATE ON inngest_job BEGIN
  SELECT sim_saw('job', NEW.id, NEW.run_id, NEW.kind, OLD.lease_token, NEW.lease_token,
    OLD.leased_until, NEW.available_at, NEW.next_hint_at); END;
CREATE TRIGGER sim_wait AFTER INSERT ON inngest_wait BEGIN
  SELECT sim_saw('wait', NEW.id, NEW.run_id, NEW.kind, NEW.floor_seq); END;
CREATE TRIGGER sim_wait_moved AFTER UPDATE OF status ON inngest_wait BEGIN
  SELECT sim_saw('wait moved', NEW.id, NEW.event_name, OLD.status, NEW.status); END;
"""


class Listener(Protocol):
    """Who is told what the connection does."""

    def statement(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        """Stand around a statement."""

    def saw(self, *row: Any) -> None:
        """Take note of a row written, not committed yet."""

    def before_commit(self) -> None:
        """Stand before a commit; may raise."""

    def after_commit(self) -> None:
        """Stand behind it; may raise."""

    def rolled_back(self) -> None:
        """Know that what was seen did not happen."""


class Database(DatabaseWrapper):
    """A connection that a listener watches."""

    def __init__(self) -> None:
        settings = copy.deepcopy(connections.settings[ALIAS])
        settings.update(
            ENGINE="django.db.backends.sqlite3",
            NAME=":memory:",
            OPTIONS={"transaction_mode": "IMMEDIATE"},
            ATOMIC_REQUESTS=False,
        )
        super().__init__(settings, ALIAS)
        self.listener: Listener | None = None
        self.inc_thread_sharing()
        self.ensure_connection()
        self._create()

    @property
    def raw(self) -> Any:
        """The driver's own connection, which nobody watches."""
        return self.connection

    def rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        """Return what a statement that nobody watches finds."""
        found: list[tuple[Any, ...]] = self.raw.execute(sql, params).fetchall()
        return found

    def clear(self) -> None:
        """Empty all tables and begin with their first ids again."""
        if self.in_atomic_block:
            raise AssertionError("a transaction was left open")
        self.raw.execute("PRAGMA foreign_keys = OFF")
        for table in _TABLES:
            self.raw.execute(f"DELETE FROM {table}")
        self.raw.execute("DELETE FROM sqlite_sequence")
        self.raw.execute("INSERT INTO inngest_counter (id, last_seq) VALUES (1, 0)")
        self.raw.execute(
            "INSERT INTO inngest_pulse (id, ticked_at, ticked_by) VALUES (1, NULL, '')"
        )
        self.raw.execute("PRAGMA foreign_keys = ON")
        self.run_on_commit = []
        self.needs_rollback = False

    def close(self) -> None:
        """Stay open: the database is gone with its connection."""

    def _create(self) -> None:
        with self.schema_editor() as editor:
            for model in apps.get_app_config("inngest_django").get_models():
                editor.create_model(model)
        self.raw.create_function("sim_saw", -1, self._saw)
        self.raw.executescript(_TRIGGERS)
        self.execute_wrappers.append(self._around)

    def _around(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if self.listener is None:
            return execute(sql, params, many, context)
        return self.listener.statement(execute, sql, params, many, context)

    def _saw(self, *row: Any) -> None:
        if self.listener is not None:
            self.listener.saw(*row)

    def _commit(self) -> None:
        if self.listener is not None:
            try:
                self.listener.before_commit()
            except BaseException:
                # Who dies here leaves nothing behind. Django knows of no such end, and would
                # switch autocommit on again, which commits.
                self._rollback()
                raise
        super()._commit()
        if self.listener is not None:
            self.listener.after_commit()

    def _rollback(self) -> None:
        super()._rollback()
        if self.listener is not None:
            self.listener.rolled_back()
