"""Workers that run one at a time.

Each task has a thread, and a baton goes round: whoever holds it runs, all others stand at a
point between two transactions. Which thread the system would prefer never matters.
"""

from __future__ import annotations

import collections
import contextvars
import threading
from collections.abc import Callable
from typing import Any

from inngest_django.engine import leases, memo_cache

_PATIENCE = 60.0


class Died(BaseException):
    """Stands for the end of a worker: nothing after it runs."""


class Process:
    """What one worker process knows: its leases, its memory of results, its orders."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_draining = False
        self.is_dead = False
        self.renewer = _Renewer()
        self.runs: Any = collections.OrderedDict()
        self.characters = 0

    def enter(self) -> None:
        """Put this process's memory in place."""
        memo_cache._runs = self.runs
        memo_cache._characters = self.characters

    def leave(self) -> None:
        """Take it away again."""
        self.characters = memo_cache._characters


class _Renewer(leases._Renewer):
    """Renews when the scheduler says so, not when a thread wakes up."""

    def add(self, lease: leases.Lease) -> None:
        self.held[lease.token] = lease


class Task:
    """One piece of work on a thread of its own."""

    def __init__(self, name: str, work: Callable[[], Any], process: Process) -> None:
        self.name = name
        self.work = work
        self.process = process
        self.at = "start"
        self.pace = 1
        self.pauses = 0
        self.hold_at = 0
        self.is_held = False
        self.fuse = 0
        self.aim = ""
        self.fuse_kind = ""
        self.fault_fired = False
        self.is_cut_off = False  # Its connection is gone, and it does not know.
        self.is_killed = False
        self.is_over = False
        self.has_begun = False
        self.tokens: set[int] = set()
        self.is_stale = False  # Its lease was taken over, and it does not know.
        self.bodies_begun = 0
        self.error: BaseException | None = None
        self.result: Any = None
        self.thread: _Thread | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.process.name}"


class _Thread(threading.Thread):
    def __init__(self, crew: Crew) -> None:
        super().__init__(name="simulated", daemon=True)
        self.crew = crew
        self.go = threading.Lock()
        self.go.acquire()
        self.task: Task | None = None

    def run(self) -> None:
        self.crew.on_thread()
        while True:
            self.go.acquire()
            task = self.task
            if task is None:
                return
            try:
                task.result = contextvars.Context().run(task.work)
            except BaseException as error:
                task.error = error
            task.is_over = True
            self.task = None
            task.process.leave()
            self.crew.current = None
            self.crew.back.release()


class Crew:
    """The threads, and who holds the baton."""

    def __init__(self, on_thread: Callable[[], None]) -> None:
        self.on_thread = on_thread
        self.current: Task | None = None
        self.back = threading.Lock()
        self.back.acquire()
        self._idle: list[_Thread] = []

    def resume(self, task: Task) -> None:
        """Let a task run until it stops again or ends."""
        if not task.has_begun:
            task.has_begun = True
            if self._idle:
                task.thread = self._idle.pop()
            else:
                task.thread = _Thread(self)
                task.thread.start()
            task.thread.task = task
        thread = task.thread
        assert thread is not None
        task.process.enter()
        self.current = task
        thread.go.release()
        if not self.back.acquire(timeout=_PATIENCE):
            raise AssertionError(f"{task} neither stops nor ends; it stood at {task.at}")
        if task.is_over:
            self._idle.append(thread)

    def stand(self, task: Task, at: str) -> None:
        """Called by the task that runs: give the baton back and wait for it."""
        task.at = at
        thread = task.thread
        assert thread is not None
        task.process.leave()
        self.current = None
        self.back.release()
        thread.go.acquire()
        if task.is_killed:
            raise Died

    def dismiss(self) -> None:
        """End the threads that have nothing to do."""
        for thread in self._idle:
            thread.go.release()
            thread.join(_PATIENCE)
        self._idle.clear()
