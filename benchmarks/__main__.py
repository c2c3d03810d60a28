"""Runs the benchmarks: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import math
import os
import shlex
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.places import AMQP, REDIS, Place, Server, check_broker
from benchmarks.report import TITLES, Report
from benchmarks.rows import DURABLE, FAST, PLAIN, shown
from benchmarks.stacks import DurableStack, PlainStack, Stack, settle

WORKLOADS = ("W1", "W2", "W3", "W4", "W5", "W6", "T", "L", "M")
DEFAULT = WORKLOADS[:6]
MEMORY_POINTS = 20
DESCRIPTION = """\
Measures this project and plain Celery side by side on PostgreSQL with Redis and RabbitMQ.

W1  runs of one step, and the latency of one at a time
W2  runs of ten sequential steps, one task per step and checkpointed; the no-op chain
W3  one run of parallel steps and their join, against a chord and no-op tasks
W4  one run of many steps in sequence
W5  event to resumed run while many other runs wait
W6  sleeps that fall due evenly over five seconds
T   a tick over a million sleeping runs, none due
L   ten results of 1 MiB (only when named)
M   what a load leaves in a worker's memory (only when named)

Servers are found by PGHOST, PGPORT, PGUSER, PGPASSWORD, AMQP_URL and REDIS_URL. Databases and
queues of its own are made and removed; of Redis an empty database is needed. No server is
stopped or flushed, and no process ended but those that this command started.
"""
EPILOG = "Seven pairs of everything take about 15 minutes a broker on two cores."


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("work", nargs="*", metavar="WORK", help=f"which to run: {', '.join(WORKLOADS)} (W1 to W6)")
    add("--broker", choices=("redis", "rabbitmq", "both"), default="both")
    add("--pairs", type=int, default=7, help="interleaved repetitions (7)")
    add("--scale", type=float, default=1.0, help="times the sizes of DESIGN's workloads (1.0)")
    add("--big", type=int, nargs="?", const=1_000_000, default=0, metavar="WAITS",
        help="W5 with that many open waits too (1,000,000); takes minutes to fill")  # fmt: skip
    add("--no-ack-emulation", action="store_true",
        help="Redis without kombu's list of unacknowledged messages, on both sides")  # fmt: skip
    add("--write", type=Path, metavar="FILE", help="write the table there as well")
    parsed = parser.parse_args(arguments)
    parsed.work = [name.upper() for name in parsed.work] or list(DEFAULT)
    unknown = sorted(set(parsed.work) - set(WORKLOADS))
    if unknown:
        parser.error(f"unknown work {', '.join(unknown)}; choose from {', '.join(WORKLOADS)}")
    if parsed.pairs < 1:
        parser.error(f"--pairs must be at least 1, got {parsed.pairs}")
    if parsed.scale <= 0:
        parser.error(f"--scale must be above 0, got {parsed.scale:g}")
    return parsed


class Comparison:
    """All workloads on one broker."""

    def __init__(self, broker: str, stacks: list[Stack], report: Report, options: Any) -> None:
        self.broker = broker
        self.stacks = stacks
        self.report = report
        self.options = options
        self.values = report.values.setdefault(broker, {})

    def size(self, full: int, *, least: int = 2) -> int:
        """Return the size of a workload, scaled."""
        return max(least, round(full * self.options.scale))

    def run(self) -> None:
        """Measure what was asked for."""
        for name in self.options.work:
            method: Callable[[], None] = getattr(self, name.lower())
            method()
        self.report.memory[self.broker] = {stack.name: stack.memory() for stack in self.stacks}

    def pairs(
        self, work: str, measure: str, *, stacks: list[Stack] | None = None, **sizes: Any
    ) -> None:
        """Measure on each side in turn, the first one changing."""
        taking_part = stacks or self.stacks
        for pair in range(self.options.pairs):
            turn = pair % len(taking_part)
            for stack in taking_part[turn:] + taking_part[:turn]:
                settle(0.3)
                self._one(work, measure, stack, pair=pair, **sizes)

    def _one(self, work: str, measure: str, stack: Stack, *, pair: int, **sizes: Any) -> None:
        started, used = time.monotonic(), stack.processor_time()
        try:
            figures = stack.measure(measure, **sizes)
        except RuntimeError as error:
            self._failed(work, stack, str(error))
            return
        for figure, value in figures.items():
            self._column(work, stack, figure)[pair:] = [value]
        say(
            f"{TITLES[self.broker]} {work} pair {pair + 1}/{self.options.pairs}"
            f" {stack.name:12} {time.monotonic() - started:6.1f} s,"
            f" worker's CPU {stack.processor_time() - used:.1f} s  "
            + "  ".join(f"{figure} {shown(value)}" for figure, value in figures.items())
        )

    def _column(self, work: str, stack: Stack, figure: str) -> list[float]:
        return self.values.setdefault((stack.name, work, figure), [])

    def _failed(self, work: str, stack: Stack, fault: str) -> None:
        say(f"{TITLES[self.broker]} {work} {stack.name} failed: {fault}")
        self.report.faults.append(f"{TITLES[self.broker]}, {work}, {fault.splitlines()[0]}")
        for (name, of, _), column in self.values.items():
            if name == stack.name and of == work:
                column.append(math.nan)

    @property
    def durable(self) -> list[Stack]:
        """Our sides."""
        return [stack for stack in self.stacks if stack.name != PLAIN]

    def w1(self) -> None:
        """Runs of one step."""
        runs, latencies = self.size(1000), self.size(50)
        self.report.sizes["W1"] = f"{runs} runs; latency of {latencies}, one at a time"
        self.pairs("W1", "w1", runs=runs, latencies=latencies)

    def w2(self) -> None:
        """Sequences."""
        runs = self.size(100)
        self.report.sizes["W2"] = f"{runs} runs of 10 steps; chains of 10 tasks"
        self.pairs("W2", "w2", runs=runs, steps=10)

    def w3(self) -> None:
        """A group."""
        steps = self.size(100)
        self.report.sizes["W3"] = f"{steps} parallel steps"
        self.pairs("W3", "w3", steps=steps)

    def w4(self) -> None:
        """One long run."""
        steps = self.size(1000, least=12)
        self.report.sizes["W4"] = f"{steps} steps"
        # A chain carries what is left of it in each message: a thousand take 20 s.
        plain = [stack for stack in self.stacks if stack.name == PLAIN]
        self.pairs("W4", "w4", stacks=self.durable, steps=steps)
        self._one("W4", "w4", plain[0], pair=0, steps=steps)
        column = self._column("W4", plain[0], "seconds")
        column[:] = column[:1] * self.options.pairs
        for figure, count in (("short", steps // 4), ("long", steps)):
            read = self._figures("W4", self.durable[0], "w4_reads", steps=count)
            for value in read.values():
                self._column("W4", self.durable[0], f"reads_{figure}").append(value)

    def w5(self) -> None:
        """Waits."""
        few, samples = self.size(10_000), self.size(30)
        self.report.sizes["W5"] = f"{samples} runs resumed, {few:,} other open waits"
        for stack in self.durable:
            self._figures("W5", stack, "w5_fill", waits=few)
        self.pairs("W5", "w5", stacks=self.durable, samples=samples)
        for stack in self.durable:
            self._figures("W5", stack, "w5_empty")
        if self.options.big:
            self._big(samples)

    def _big(self, samples: int) -> None:
        stack = self.durable[0]
        self.report.sizes["W5 many"] = f"{self.options.big:,} other open waits, each with its job"
        say(f"{TITLES[self.broker]} W5 filling {self.options.big:,} waits")
        self._figures("W5", stack, "w5_fill", waits=self.options.big)
        for _ in range(self.options.pairs):
            found = self._figures("W5", stack, "w5", samples=samples)
            found |= self._figures("W5", stack, "tick", samples=100, prefix="tick_")
            for figure, value in found.items():
                name = figure if figure.startswith("tick_") else f"big_{figure}"
                self._column("W5", stack, name).append(value)
        self._figures("W5", stack, "w5_empty")

    def w6(self) -> None:
        """Sleeps."""
        sleeps = self.size(1000)
        ahead = max(6.0, 20.0 * self.options.scale)
        self.report.sizes["W6"] = f"{sleeps} sleeps that end evenly over 5 s"
        self.pairs("W6", "w6", sleeps=sleeps, ahead=ahead)

    def t(self) -> None:
        """The tick over sleeping runs, none of which is due."""
        sleeps = self.size(1_000_000)
        self.report.sizes["T"] = f"a tick over {sleeps:,} sleeping runs, none due"
        stack = self.durable[0]
        self._figures("T", stack, "t_fill", sleeps=sleeps)
        for _ in range(self.options.pairs):
            for figure, value in self._figures("T", stack, "tick", samples=100).items():
                self._column("T", stack, figure).append(value)
        self._figures("T", stack, "w5_empty")

    def l(self) -> None:  # noqa: E743 - named as the work is
        """Large results."""
        self.report.sizes["L"] = "10 steps with results of 1 MiB"
        self.pairs("L", "large", stacks=self.durable, steps=10)

    def m(self) -> None:
        """Memory: the slope over many points, since it grows in steps of whole arenas."""
        runs = self.size(20_000)
        self.report.sizes["M"] = (
            f"{runs:,} checkpointed runs of one step, or as many tasks of plain Celery, after a"
            f" warm-up of a fifth of them; the slope of {MEMORY_POINTS} points"
        )
        for stack in (self.stacks[0], self.stacks[-1]):
            self._memory(stack, runs)

    def _memory(self, stack: Stack, runs: int) -> None:
        part = max(1, runs // MEMORY_POINTS)
        for _ in range(MEMORY_POINTS // 5):
            self._figures("M", stack, "many", runs=part)
        done, points = [0], [stack.worker.memories()]
        for number in range(1, MEMORY_POINTS + 1):
            self._figures("M", stack, "many", runs=part)
            done.append(number * part)
            points.append(stack.worker.memories())
        if len({frozenset(point) for point in points}) > 1:
            raise RuntimeError(f"{stack.name}: a process of the worker was replaced")
        main = stack.worker.pid
        sizes = {
            "growth": [sum(point.values()) for point in points],
            "growth_main": [point[main] for point in points],
            "growth_child": [sum(point.values()) - point[main] for point in points],
        }
        for figure, of in sizes.items():
            slope = statistics.linear_regression(done, of).slope
            self._column("M", stack, figure).append(slope)
            mebibytes = " ".join(f"{size / 2**20:.2f}" for size in of)
            say(f"{TITLES[self.broker]} M {stack.name} {figure} {slope:.0f} bytes: {mebibytes} MiB")

    def _figures(
        self, work: str, stack: Stack, measure: str, *, prefix: str = "", **sizes: Any
    ) -> dict[str, float]:
        try:
            found = stack.measure(measure, **sizes)
        except RuntimeError as error:
            self._failed(work, stack, str(error))
            return {}
        shown_figures = "  ".join(f"{name} {shown(value)}" for name, value in found.items())
        say(f"{TITLES[self.broker]} {work} {measure} {stack.name} {shown_figures}")
        return {f"{prefix}{name}": value for name, value in found.items()}


def say(text: str) -> None:
    """Print a line of progress."""
    sys.stderr.write(f"{dt.datetime.now(dt.UTC):%H:%M:%S} {text}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def _stacks(broker: str, url: str, server: Server, folder: Path, options: Any) -> Iterator[Any]:
    session = f"{os.getpid()}_{broker}"
    sides = ((PLAIN, PlainStack, "plain"), (DURABLE, DurableStack, "durable"),
             (FAST, DurableStack, "fast"))  # fmt: skip
    stacks: list[Stack] = []
    with contextlib.ExitStack() as stopping:
        for name, kind, short in sides:
            place = Place(
                name=name,
                database=f"inngest_benchmarks_{session}_{short}",
                broker_url=url,
                queue=f"inngest-benchmarks-{session}-{short}",
                is_fast=name == FAST,
                has_ack_emulation=not options.no_ack_emulation,
            )
            stack = kind(place, server, folder)
            stopping.callback(stack.stop)
            say(f"{TITLES[broker]} starting {name}")
            stack.start()
            stacks.append(stack)
        yield stacks


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _end(number: int, frame: Any) -> None:
    for other in _ENDING:  # A second one would interrupt the cleaning up.
        signal.signal(other, signal.SIG_IGN)
    signal.default_int_handler(number, frame)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 when everything was measured, else 1."""
    options = _parse(arguments)
    server = Server.from_environment()
    urls = {
        "redis": os.environ.get("REDIS_URL") or REDIS,
        "rabbitmq": os.environ.get("AMQP_URL") or AMQP,
    }
    brokers = list(urls) if options.broker == "both" else [options.broker]
    try:
        database = machine.database(server)
        for broker in brokers:
            check_broker(urls[broker])
    except Exception as error:
        sys.stderr.write(f"{error}\n")
        return 2
    report = Report(
        command=shlex.join(["python", "-m", "benchmarks", *(arguments or sys.argv[1:])]),
        date=f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        commit=machine.commit(),
        machine=machine.processor(),
        packages=machine.packages(),
        database=database,
        load_before=machine.load(),
    )
    # A time-out or a closing terminal must not leave workers behind.
    for number in _ENDING:
        signal.signal(number, _end)
    folder = Path(tempfile.mkdtemp(prefix="inngest-benchmarks-"))
    say("; ".join(f"{name} {value}" for name, value in database.items()))
    try:
        for broker in brokers:
            report.brokers[broker] = machine.broker(urls[broker])
            with _stacks(broker, urls[broker], server, folder, options) as stacks:
                Comparison(broker, stacks, report, options).run()
    except KeyboardInterrupt:
        say("interrupted; what was measured follows")
        report.faults.append("interrupted")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report.load_after = machine.load()
    text = report.text()
    sys.stdout.write(text)
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(text)
        say(f"wrote {options.write}")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
