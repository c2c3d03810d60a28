"""How long work stood still after a fault had cleared, on a machine that may be busy.

**What is measured.** When a fault clears, every job that is due or leased and every event that
is not routed is *held*: it must move again by itself. A trigger writes down each time a job is
leased anew, deferred or done, so that the rows say when each of them moved, whoever did it.
The recovery is that of the last of them.

**By which clock.** DESIGN promises a bound in seconds. A test that compares seconds fails on a
machine with something else to do, and counting ticks alone would call it quick when no tick
came at all. So a *metronome* runs beside the load: a process of its own that does a tenth of a
second's work each second, in strokes of 0.2 s, and has no part in what is tested. When the machine is starved of
processor time, its strokes are late as the worker's are; when the engine is what sleeps, they
are not. The bound is counted in strokes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import connections

from tests import processes
from tests.processes import wait_until

STROKE = 0.2
_SCRIPT = """
import os, struct, sys, time
parent, stroke = os.getppid(), float(sys.argv[2])
with open(sys.argv[1], "ab", buffering=0) as output:
    while os.getppid() == parent:
        time.sleep(stroke * 0.9)
        until = time.thread_time() + stroke * 0.1
        while time.thread_time() < until:
            pass
        output.write(struct.pack("d", time.time()))
"""


class Metronome:
    """Strokes by the host's clock, from the probe described above."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def strokes(self, since: float, until: float) -> int:
        """Return how many strokes fell between two moments."""
        return sum(1 for (at,) in self._read() if since <= at <= until)

    def wait(self, seconds: float) -> None:
        """Return after so many strokes as make these seconds on an idle machine."""
        began = time.time()
        wait_until(
            lambda: self.strokes(began, time.time()) >= seconds / STROKE,
            seconds * 20 + 20,
            what="strokes of the metronome",
        )

    def _read(self) -> Iterator[tuple[float]]:
        content = self._path.read_bytes()
        return struct.iter_unpack("d", content[: len(content) // 8 * 8])


@contextlib.contextmanager
def metronome() -> Iterator[Metronome]:
    """Have it run for the length of the block."""
    path = Path(settings.VAR_DIR) / f"metronome-{time.time_ns()}"
    path.touch()
    probe = subprocess.Popen([sys.executable, "-c", _SCRIPT, str(path), str(STROKE)])
    try:
        yield Metronome(path)
    finally:
        probe.kill()
        probe.wait()


INSTALL = """
CREATE TABLE fault_moved (job_id bigint, at timestamptz);
CREATE TABLE fault_tick (at timestamptz);
CREATE FUNCTION fault_note_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' OR (OLD.lease_token, OLD.available_at) IS DISTINCT FROM
     (NEW.lease_token, NEW.available_at) THEN
    INSERT INTO fault_moved VALUES (OLD.id, clock_timestamp());
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION fault_note_tick() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO fault_tick VALUES (clock_timestamp());
  RETURN NULL;
END $$;
CREATE TRIGGER fault_job AFTER UPDATE OR DELETE ON inngest_job
  FOR EACH ROW EXECUTE FUNCTION fault_note_job();
CREATE TRIGGER fault_pulse AFTER UPDATE ON inngest_pulse
  FOR EACH ROW EXECUTE FUNCTION fault_note_tick();
"""
REMOVE = """
DROP TRIGGER IF EXISTS fault_job ON inngest_job;
DROP TRIGGER IF EXISTS fault_pulse ON inngest_pulse;
DROP FUNCTION IF EXISTS fault_note_job; DROP FUNCTION IF EXISTS fault_note_tick;
DROP TABLE IF EXISTS fault_moved; DROP TABLE IF EXISTS fault_tick;
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Held:
    """What had to move when a fault cleared."""

    at: float
    jobs: tuple[int, ...]
    events: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.jobs) + len(self.events)


def cleared(since: float | None = None) -> Held:
    """Note what is held now, when a fault has just cleared.

    Args:
        since: When it cleared, by the host's clock; now unless given.
    """
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        at = float(cursor.fetchone()[0])
        cursor.execute(
            "SELECT id FROM inngest_job"
            " WHERE available_at <= clock_timestamp() OR lease_token IS NOT NULL"
        )
        jobs = tuple(row[0] for row in cursor.fetchall())
        cursor.execute("SELECT id FROM inngest_event WHERE routed_at IS NULL")
        events = tuple(row[0] for row in cursor.fetchall())
    return Held(at if since is None else since, jobs, events)


@dataclasses.dataclass(frozen=True, slots=True)
class Recovery:
    """How the last of what was held moved.

    Attributes:
        seconds: By the clock; for people.
        strokes: By the metronome; for the verdict.
        ticks: That the engine ran meanwhile.
    """

    held: int
    seconds: float
    strokes: int
    ticks: int

    def problems(self, bound: float) -> list[str]:
        """Return what is wrong if it took longer than the bound, in seconds of strokes."""
        if self.strokes <= bound * processes.PATIENCE / STROKE:
            return []
        return [
            f"work moved {self.seconds:.1f} s ({self.strokes} strokes, {self.ticks} ticks) after"
            f" the fault had cleared, the bound is {bound:g} s ({bound / STROKE:.0f} strokes)"
        ]


def recovery(held: Held, probe: Metronome) -> Recovery:
    """Return when the last of it moved; all of it has, when every run has ended."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM max(first)) FROM ("
            " SELECT min(at) AS first FROM fault_moved"
            " WHERE job_id = ANY(%s) AND extract(epoch FROM at) > %s GROUP BY job_id"
            " UNION ALL SELECT routed_at FROM inngest_event WHERE id = ANY(%s)) AS each",
            (list(held.jobs), held.at, list(held.events)),
        )
        moved = max(held.at, float(cursor.fetchone()[0] or held.at))
        cursor.execute(
            "SELECT count(*) FROM fault_tick WHERE extract(epoch FROM at) BETWEEN %s AND %s",
            (held.at, moved),
        )
        ticks = cursor.fetchone()[0]
    return Recovery(len(held), moved - held.at, probe.strokes(held.at, moved), ticks)
