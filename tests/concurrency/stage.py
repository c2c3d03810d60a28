"""Threads on connections of their own that stop exactly where a test wants them.

An actor stops before or after a statement, or at a named point of the engine, and goes on
when told. That it waits for a lock is read from the server. Nothing here depends on luck:
each wait is for a state, and ends in an error if the state does not come.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from django.db import DatabaseError, connections

from inngest_django.engine import crash_points

_PATIENCE = 20.0

# The engine sends its hot statements one by one, or several in one message where it can.
ONE_BY_ONE, TOGETHER = "one by one", "together"
BOTH_WAYS = pytest.mark.parametrize("way", [ONE_BY_ONE, TOGETHER], indirect=True)


class StageError(AssertionError):
    """The play did not go as written."""


class Actor:
    """One thread with one connection."""

    def __init__(self, stage: Stage, work: Callable[[], Any], name: str) -> None:
        self.name = name
        self.errors: list[str] = []
        self._stage = stage
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._before: list[re.Pattern[str]] = []
        self._after: list[re.Pattern[str]] = []
        self._points: list[str] = []
        self._rewrites: list[tuple[re.Pattern[str], str]] = []
        self._rewritten = 0
        self._pid = 0
        self._lost_pid = 0
        self._is_paused = threading.Event()
        self._may_go = threading.Event()
        self._has_ended = threading.Event()
        self._result: Any = None
        self._error: BaseException | None = None

    # Script: each stop is used once ------------------------------------------------------

    def stop_before(self, statement: str) -> Actor:
        """Stop before the first statement that this pattern is found in."""
        self._before.append(re.compile(statement))
        return self

    def stop_after(self, statement: str) -> Actor:
        """Stop after it, inside its transaction."""
        self._after.append(re.compile(statement))
        return self

    def stop_at(self, point: str) -> Actor:
        """Stop at a named point of the engine."""
        if point not in crash_points.NAMES:
            raise StageError(f"no point is named {point!r}")
        self._points.append(point)
        return self

    def rewrite(self, pattern: str, replacement: str) -> Actor:
        """Change this actor's statements: how a rule that is a word of SQL is taken out."""
        self._rewrites.append((re.compile(pattern), replacement))
        return self

    # Cues --------------------------------------------------------------------------------

    def start(self) -> Actor:
        """Begin; the test goes on meanwhile."""
        self._thread.start()
        return self

    def paused(self) -> Actor:
        """Wait until it stands at its next stop."""
        self._await(self._is_paused.is_set, "stop")
        return self

    def go(self) -> Actor:
        """Let it go on from its stop."""
        if not self._is_paused.is_set():
            raise StageError(f"{self.name} does not stand at a stop")
        self._is_paused.clear()
        self._may_go.set()
        return self

    def blocked(self) -> Actor:
        """Wait until the server says that it waits for somebody's lock."""
        self._await(self._waits_for_lock, "wait for a lock")
        return self

    def lost(self) -> Actor:
        """Wait until it has let go of a connection on which the server still works."""
        self._await(lambda: self._lost_pid != 0, "loss")
        return self

    def done(self) -> Any:
        """Wait for its end and return what it returned, or raise what it raised."""
        if not self._has_ended.wait(_PATIENCE):
            raise StageError(f"{self.name} does not end; blocked: {self._waits_for_lock()}")
        self._thread.join()
        if self._rewrites and not self._rewritten:
            raise StageError(f"{self.name} sent no statement that was to be rewritten")
        if self._error is not None:
            raise self._error
        return self._result

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self._has_ended.is_set()

    def dismiss(self) -> None:
        """End it, wherever it stands."""
        self._before.clear()
        self._after.clear()
        self._points.clear()
        self._may_go.set()
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE)

    # Inside ------------------------------------------------------------------------------

    def reach(self, point: str) -> None:
        if point in self._points:
            self._points.remove(point)
            self._pause()

    def stand_until_blocked(self) -> None:
        """In the actor: wait until the server is blocked for it, then forget that session."""
        watch = connections["default"].copy()
        deadline = time.monotonic() + _PATIENCE
        try:
            while not _is_blocked(watch, self._pid):
                if time.monotonic() > deadline:
                    raise StageError(f"the server is not blocked for {self.name}")
                time.sleep(0.005)
        finally:
            watch.close()
        self._lost_pid, self._pid = self._pid, 0

    def _run(self) -> None:
        self._stage.cast.actor = self
        connection = connections["default"]
        try:
            with connection.execute_wrapper(self._execute):
                self._result = self._work()
        except BaseException as error:
            self._error = error
        finally:
            connection.close()
            self._has_ended.set()

    def _execute(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        inner = context["connection"].connection
        if inner is not None and not inner.closed:
            self._pid = inner.info.backend_pid
        for pattern, replacement in self._rewrites:
            sql, count = pattern.subn(replacement, sql)
            self._rewritten += count
        self._pause_if(self._before, sql)
        try:
            result = execute(sql, params, many, context)
        except DatabaseError as error:
            self.errors.append(str(error))
            raise
        self._pause_if(self._after, sql)
        return result

    def _pause_if(self, patterns: list[re.Pattern[str]], sql: str) -> None:
        for pattern in patterns:
            if pattern.search(sql):
                patterns.remove(pattern)
                self._pause()
                return

    def _pause(self) -> None:
        self._may_go.clear()
        self._is_paused.set()
        if not self._may_go.wait(_PATIENCE * 2):
            raise StageError(f"{self.name} was left standing")

    def _waits_for_lock(self) -> bool:
        return _is_blocked(connections["default"], self._pid)

    def _await(self, is_so: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not is_so():
            if self._has_ended.is_set():
                raise StageError(f"{self.name} ended without a {what}: {self._error!r}")
            if time.monotonic() > deadline:
                raise StageError(f"{self.name} came to no {what}")
            time.sleep(0.005)


def _is_blocked(connection: Any, pid: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted)", (pid,)
        )
        return bool(cursor.fetchone()[0])


class Stage:
    """Makes actors and tells them which points they reach."""

    def __init__(self) -> None:
        self.cast = threading.local()
        self._actors: list[Actor] = []

    def actor(self, work: Callable[[], Any], name: str = "") -> Actor:
        """Return an actor that does ``work`` once started."""
        found = Actor(self, work, name or f"actor {len(self._actors)}")
        self._actors.append(found)
        return found

    def go_at_once(self, point: str, works: Iterable[Callable[[], Any]]) -> None:
        """Have actors do these; none goes on from a point before all stand there."""
        actors = [self.actor(work).stop_at(point).start() for work in works]
        for actor in actors:
            actor.paused()
        for actor in actors:
            actor.go()
        for actor in actors:
            actor.done()

    def reach(self, point: str) -> None:
        actor: Actor | None = getattr(self.cast, "actor", None)
        if actor is not None:
            actor.reach(point)

    def clear(self) -> None:
        for actor in self._actors:
            actor.dismiss()


@contextlib.contextmanager
def opened() -> Iterator[Stage]:
    """Give a stage; at the end nobody is left on it."""
    stage = Stage()
    crash_points.install(stage.reach)
    try:
        yield stage
    finally:
        stage.clear()
        crash_points.install(None)
