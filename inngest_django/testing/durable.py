"""The kit: durable functions on the real engine, driven by the test."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inngest_django.drivers.recordings import Recording
from inngest_django.durations import parse_duration
from inngest_django.engine import executor, ingest, transactions
from inngest_django.events import Event as IncomingEvent
from inngest_django.functions import registry
from inngest_django.functions.function import Function
from inngest_django.models import Event, Run
from inngest_django.testing import bodies, starts, survival
from inngest_django.testing.choices import Choices, KitDriver
from inngest_django.testing.embedding import embedded, write_functions
from inngest_django.testing.faults import Faults
from inngest_django.testing.handles import RunHandle
from inngest_django.testing.replays import Replay, replay
from inngest_django.testing.virtual_time import VirtualClock
from inngest_django.testing.worker import Worker, committing

_MOST_PASSES = 20_000
_active: Durable | None = None


class Durable:
    """The engine in this process: no broker, no worker, no beat, and a clock that stands still.

    A context manager, for ``unittest``: ``self.durable = self.enterContext(Durable())``.
    The functions of the installed apps are registered; others by ``register`` or ``run``.
    Nothing happens by itself: ``run``, ``deliver``, ``run_until_idle`` and ``advance`` work.
    """

    def __init__(self) -> None:
        self._faults = Faults()
        self._clock = VirtualClock()
        self._worker = Worker(self._clock, self._faults)
        self._driver = KitDriver(executor.driver, self._faults)
        self._undo = contextlib.ExitStack()
        self._registered = -1

    def __enter__(self) -> Durable:
        global _active  # noqa: PLW0603 - the engine is one a process
        if _active is not None:
            raise RuntimeError(
                "Durable() is entered already in this process. Use the one that there is:"
                " the fixture durable, or what setUp entered."
            )
        _active = self
        self._undo.callback(_leave)
        self._undo.enter_context(embedded(self._driver, self._clock))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._undo.close()
        if kind is None and self._faults.unreached:
            raise AssertionError(
                "These crashes were asked for and never came, so that the test shows nothing"
                f" about them: {', '.join(self._faults.unreached)}. Look at the names of steps."
            )

    # Functions -------------------------------------------------------------------------

    def register(self, *functions: Function) -> None:
        """Register functions for this test, as if an app's ``functions.py`` held them."""
        for function in functions:
            registry.register(function)
            self._undo.callback(registry.unregister, function)

    def only(self, *functions: Function) -> None:
        """Register these functions and no others for the rest of this test."""
        self._undo.enter_context(registry.only(functions))

    # Events and runs -------------------------------------------------------------------

    def send(
        self,
        event: IncomingEvent | str,
        data: Mapping[str, Any] | None = None,
        *,
        id: str = "",  # noqa: A002 - as the event calls it
    ) -> str:
        """Store an event, as ``client.send_sync`` does, and return its id. Nothing runs yet.

        Data is not compared with its declared type: other programs send as well.
        """
        self._begin()
        if isinstance(event, str):
            event = IncomingEvent(name=event, data=dict(data or {}), id=id)
        elif data is not None or id:
            raise TypeError("send: data and id belong to a name; put them into the Event.")
        with committing():
            return ingest.accept([event])[0]

    def deliver(
        self,
        event: IncomingEvent | str,
        data: Mapping[str, Any] | None = None,
        *,
        id: str = "",  # noqa: A002 - as the event calls it
    ) -> str:
        """Send an event and work until idle: it starts functions, resumes waits and cancels."""
        event_id = self.send(event, data, id=id)
        self.run_until_idle()
        return event_id

    def run(
        self,
        function: Function,
        event: IncomingEvent | str | Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        *,
        steps: Mapping[str, Any] | None = None,
        fail: Mapping[str, Any] | None = None,
    ) -> RunHandle:
        """Start one function with an event, and work until idle.

        The event starts no other function; the events that this one sends do.

        Args:
            event: An ``Event``, a name, or the data of the function's own event. Without
                any, the function's own event with no data; a cron function starts as on time.
            steps: Chosen results by step id, in the place of the steps: a value, an
                ``Event`` or ``TIMEOUT`` for a wait, an exception, or a callable that takes
                the place of the body. ``"check:1"`` is the second use of ``"check"``.
            fail: By step id, how many tries fail before the step goes on as it is, or the
                exceptions of those tries.

        Raises:
            AssertionError: The event does not start the function.
        """
        self._begin()
        if registry.get(function.id) is not function:
            self.register(function)
        self.run_until_idle()
        run_id = starts.start(function, starts.event_for(function, event, data))
        self._driver.choices[run_id] = Choices.of(steps, fail)
        self.run_until_idle()
        return RunHandle(self, run_id)

    def runs(self, function: Function | None = None) -> list[RunHandle]:
        """Return the runs that there are, of one function or of all, oldest first."""
        found = Run.objects.order_by("id")
        if function is not None:
            found = found.filter(function_id=function.id)
        return [RunHandle(self, run_id) for run_id in found.values_list("id", flat=True)]

    def only_run(self, function: Function) -> RunHandle:
        """Return the one run of a function.

        Raises:
            AssertionError: There is none, or there are several.
        """
        found = self.runs(function)
        if len(found) != 1:
            raise AssertionError(
                f"expected one run of {function.id}, found {len(found)}\n\n{self.describe()}"
            )
        return found[0]

    def events(self, name: str) -> list[Event]:
        """Return the rows of the events of that name, oldest first."""
        return list(Event.objects.filter(name=name).order_by("id"))

    def step(
        self,
        function: Function,
        step: str,
        event: IncomingEvent | Mapping[str, Any] | None = None,
        *,
        steps: Mapping[str, Any] | None = None,
        attempt: int = 0,
    ) -> Any:
        """Call the body of one step, and return what the function would get from it.

        The function's code before it runs; its steps are answered from ``steps``, sleeps by
        themselves. Nothing is stored, and what the body raises is raised.

        Args:
            step: Its id; ``"check:1"`` for the second use of ``"check"``.
            steps: Results of the steps before it.
            attempt: What ``ctx.attempt`` is.

        Raises:
            UnstubbedStepError: A step before it has no result.
            AssertionError: The function ended without calling it.
        """
        self._begin()
        return bodies.call(
            function,
            step,
            starts.event_for(function, event, None),
            steps=steps or {},
            attempt=attempt,
        )

    def replay(self, path: str | Path | Recording, function: Function | None = None) -> Replay:
        """Replay an exported run against today's code; see ``inngest_django.testing.replay``."""
        return replay(path, function)

    # Time ------------------------------------------------------------------------------

    @property
    def now(self) -> dt.datetime:
        """The moment at which the clock stands; in UTC."""
        return self._clock.now

    def run_until_idle(self) -> None:
        """Work until nothing is due at this moment."""
        self._begin()
        self._worker.work()

    def advance(self, duration: object) -> None:
        """Let time pass, stopping wherever something is due, and work each time until idle.

        Args:
            duration: ``"3 days"``, ``"1h30m"``, a timedelta, or milliseconds.
        """
        self.advance_to(self._begin() + parse_duration(duration, what="The duration to advance by"))

    def advance_to(self, moment: dt.datetime) -> None:
        """Let time pass until a moment; nothing happens for one that has been.

        Raises:
            ValueError: The moment has no time zone.
        """
        if moment.tzinfo is None:
            raise ValueError(f"advance_to: {moment!r} has no time zone. Give it one, such as UTC.")
        self._begin()
        self._worker.work()
        self._worker.pass_time(moment)
        self._worker.work()

    def finish(self, run: RunHandle) -> RunHandle:
        """Let time pass until a run ends.

        Raises:
            AssertionError: Nothing that time brings would end it.
        """
        self._begin()
        self._worker.work()
        for _ in range(_MOST_PASSES):
            if not run.is_live:
                return run
            self.pass_to_next(run)
        raise AssertionError(
            f"the run goes on and on; it is {self.now.isoformat()} by now\n\n{run.timeline}"
        )

    # Faults ----------------------------------------------------------------------------

    def crash_at(
        self, *, point: str = "after_commit", step: str | None = None, times: int = 1
    ) -> None:
        """Let the worker die when it next reaches a point; another one takes over.

        What was not committed is gone, and the successor begins when the dead worker's
        lease has ended, so that the clock moves on by ``INNGEST["LEASE_TTL"]``.

        Args:
            point: ``before_body``, ``after_body`` (its result is lost), ``after_commit``
                (what should follow is not announced), or a name of
                ``engine.crash_points.NAMES``.
            step: Only at this step.
            times: How many workers die there.

        Raises:
            ValueError: No point has that name.
        """
        self._faults.crash_at(point=point, step=step, times=times)

    def lose_worker(self, times: int = 1) -> None:
        """Let the next worker die as soon as it has taken a job, before it calls anything."""
        self._faults.crash_at(point="lease.taken", times=times)

    def duplicate_messages(self, copies: int = 3) -> None:
        """Deliver each message so many times from now on, once while its body could run."""
        if copies < 1:
            raise ValueError(f"duplicate_messages: copies must be at least 1, got {copies}.")
        self._worker.copies = copies
        self._driver.during = executor.execute if copies > 1 else None

    @property
    def crashes(self) -> int:
        """How many workers have died."""
        return self._faults.crash_count

    def assert_survives_crashes(
        self, function: Function, event: Any = None, **options: Any
    ) -> survival.Report:
        """Run a function with a crash at every point in turn; each run must end the same.

        See ``inngest_django.testing.assert_survives_crashes``.
        """
        return survival.assert_survives_crashes(self, function, event, **options)

    # For other parts of the kit --------------------------------------------------------

    @property
    def faults(self) -> Faults:
        """What is to go wrong."""
        return self._faults

    def pass_to_next(self, run: RunHandle) -> None:
        """Let time pass until something is due, and work.

        Raises:
            AssertionError: Nothing will ever be, and the run goes on.
        """
        due = self._worker.next_due()
        # Schedules go on for ever, and end no run.
        if due is None or self._worker.next_job() is None:
            raise AssertionError(f"nothing would end the run\n\n{run.timeline}")
        self._worker.pass_time(due)
        self._worker.work()

    def choices_of(self, run_id: str) -> Choices:
        """Return what the test chose for a run."""
        return self._driver.choices.get(run_id) or Choices()

    def describe(self) -> str:
        """Return the timelines of all runs, as text."""
        try:
            found = [run.timeline for run in self.runs()]
        except Exception as error:  # noqa: BLE001 - a broken transaction must not hide a failure
            return f"The runs cannot be read: {error!r}"
        return "\n\n".join(found) or "No function was started."

    @contextlib.contextmanager
    def rolled_back(self) -> Iterator[None]:
        """Undo what happens to database, clock and planned faults in the block."""
        self._begin()
        began = self._clock.now
        with transactions.write():
            try:
                yield
            finally:
                transactions.connection().set_rollback(True)
                self._faults.forget()
                self._clock.move(began)

    def _begin(self) -> dt.datetime:
        if _active is not self:
            raise RuntimeError("This Durable is not entered. Use it in a with block.")
        now = self._clock.begin()
        self._write_functions()
        ahead = self._clock.ahead()
        if ahead is not None:
            self._worker.pass_time(ahead)
        return now if ahead is None else ahead

    def _write_functions(self) -> None:
        if self._registered == registry.version():
            return
        self._registered = registry.version()
        write_functions()


def _leave() -> None:
    global _active  # noqa: PLW0603 - the engine is one a process
    _active = None
