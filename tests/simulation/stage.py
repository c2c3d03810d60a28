"""What the simulation puts in the place of clocks, identifiers and the broker."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import logging
import random
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.db import connections
from django.test import override_settings

from inngest_django import clock, ids
from inngest_django.client import Inngest
from inngest_django.engine import crash_points, hints, leases, memo_cache, sync
from inngest_django.engine.hints import JobHint
from inngest_django.functions import registry
from inngest_django.functions.flow_control import Cancel
from inngest_django.functions.triggers import TriggerEvent
from tests.simulation.database import ALIAS, Database
from tests.simulation.programs import ECHO
from tests.simulation.workers import Crew

START = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
RETRIES = 6
STOP = "sim/stop"


@dataclasses.dataclass(order=True)
class Message:
    """A hint on its way; ``job_id`` 0 asks for routing."""

    due: float
    number: int
    job_id: int = dataclasses.field(compare=False)


class VirtualTime:
    """Stands for the module ``time``."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def monotonic(self) -> float:
        return self._stage.elapsed + 1000.0

    def sleep(self, seconds: float) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the engine reads time.{name}, which the simulation does not have")


class Stage:
    """One for a session: the database, the threads, the functions."""

    def __init__(self) -> None:
        self.database = Database()
        self.crew = Crew(self._on_thread)
        self.elapsed = 0.0
        self.rng = random.Random(0)
        self.simulation: Any = None
        self.client = Inngest(app_id="sim", is_production=False, logger=_silent())
        self.child: Any = None
        self.functions = self._functions()

    @property
    def now(self) -> dt.datetime:
        return START + dt.timedelta(seconds=self.elapsed)

    def move(self, elapsed: float) -> None:
        self.elapsed = elapsed
        clock.move(self.now)

    def new_ulid(self) -> str:
        """Ids of one moment have no order; those of later milliseconds come later."""
        millis = int(self.now.timestamp() * 1000)
        return ids.ulid_from_seed(millis, self.rng.randbytes(10))

    def new_token(self) -> int:
        return self.rng.getrandbits(62) | 1

    # The publisher's side.
    def execute(self, found: Sequence[JobHint]) -> bool:
        return bool(self.simulation.broker.publish([(hint.job_id, hint.delay) for hint in found]))

    def route(self) -> bool:
        return bool(self.simulation.broker.publish([(0, 0.0)]))

    def prune(self, number: int) -> bool:
        raise NotImplementedError("no schedule prunes")

    def waiting(self, queue: str) -> int:
        return len(self.simulation.broker.messages)

    def _on_thread(self) -> None:
        connections[ALIAS] = self.database

    def _functions(self) -> list[Any]:
        def handler(ctx: Any) -> Any:
            return self.simulation.player.handle(ctx, self.child)

        def echo(ctx: Any) -> Any:
            return ctx.step.run("echo", lambda: self.simulation.note(ctx.run_id, "echo"))

        def make(fn_id: str, handler: Any, **options: Any) -> Any:
            return self.client.create_function(fn_id=fn_id, retries=RETRIES, **options)(handler)

        self.child = make("child", handler, trigger=[])
        rule = Cancel(event=STOP, if_exp="event.data.key == async.data.key")
        return [
            self.child,
            make("plain", handler, trigger=TriggerEvent(event="sim/plain")),
            make("quick", handler, trigger=TriggerEvent(event="sim/quick"), checkpointing=True),
            make("stoppable", handler, trigger=TriggerEvent(event="sim/stoppable"), cancel=[rule]),
            make("echo", echo, trigger=TriggerEvent(event=ECHO)),
        ]


def _silent() -> logging.Logger:
    logger = logging.getLogger("tests.simulation.author")
    logger.setLevel(logging.CRITICAL + 1)
    return logger


@contextlib.contextmanager
def opened() -> Iterator[Stage]:
    """Put everything in place; afterwards all is as it was."""
    settings = {"RETRY_BACKOFF": ["200ms"], "RETRY_JITTER": "0s", "LEASE_TTL": "20s", "TICK": "1s"}
    patch = pytest.MonkeyPatch()
    before = connections[ALIAS]
    engine_log = logging.getLogger("inngest_django")
    was_level = engine_log.level
    with override_settings(INNGEST=settings):
        stage = Stage()
        connections[ALIAS] = stage.database
        publisher = hints.install(stage)
        engine_log.setLevel(logging.CRITICAL + 1)
        try:
            for name, module in list(sys.modules.items()):
                if name.startswith("inngest_django.engine") and getattr(module, "time", 0) is time:
                    patch.setattr(module, "time", VirtualTime(stage))
            patch.setattr(ids, "new_ulid", stage.new_ulid)
            patch.setattr(ids, "new_token", stage.new_token)
            patch.setattr(leases, "_current", lambda: stage.simulation.process.renewer)
            patch.setattr(leases, "owner", lambda: stage.simulation.process.name)
            patch.setattr(leases, "is_draining", lambda: stage.simulation.process.is_draining)
            crash_points.install(lambda name: stage.simulation.ground.reach(name))  # noqa: PLW0108 - it changes
            stage.move(0.0)
            with registry.only(stage.functions):
                sync.forget()
                sync.register()
                yield stage
        finally:
            patch.undo()
            crash_points.install(None)
            hints.install(publisher)
            engine_log.setLevel(was_level)
            stage.crew.dismiss()
            clock.move(None)
            sync.forget()
            memo_cache._runs.clear()
            memo_cache._characters = 0
            connections[ALIAS] = before
            stage.database.raw.close()
