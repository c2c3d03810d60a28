"""All workloads on one broker: who is measured when, and where the figures go."""

from __future__ import annotations

import datetime as dt
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from benchmarks.report import TITLES, Report
from benchmarks.rows import PLAIN, median, shown
from benchmarks.stacks import Stack

MEMORY_POINTS = 20


def say(text: str) -> None:
    """Print a line of progress."""
    sys.stderr.write(f"{dt.datetime.now(dt.UTC):%H:%M:%S} {text}\n")
    sys.stderr.flush()


_Side = TypeVar("_Side")


def in_turn(sides: Sequence[_Side], pair: int) -> list[_Side]:
    """Return the order of a pair: each side begins and follows each other one as often."""
    turn = pair // 2 % len(sides)
    order = [*sides[turn:], *sides[:turn]]
    return order[::-1] if pair % 2 else order


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
            for stack in self.stacks:
                self._asked(name, stack, "rest")
            self._look_at_dead_rows()
        self.report.memory[self.broker] = {stack.name: stack.memory() for stack in self.stacks}

    def _look_at_dead_rows(self) -> None:
        dead = self.report.dead_rows.setdefault(self.broker, {})
        for stack in self.stacks:
            dead[stack.name] = max(dead.get(stack.name, 0), stack.dead_rows())

    def pairs(
        self, work: str, measure: str, *, stacks: list[Stack] | None = None, **sizes: Any
    ) -> None:
        """Measure on each side in turn, in another order each time."""
        for pair in range(self.options.pairs):
            for stack in in_turn(stacks or self.stacks, pair):
                self._one(work, measure, stack, pair=pair, **sizes)
                # What it has left to do would be done in the time of the next one.
                self._asked(work, stack, "rest")

    def _one(self, work: str, measure: str, stack: Stack, *, pair: int, **sizes: Any) -> None:
        started, used = time.monotonic(), stack.processor_time()
        figures = self._asked(work, stack, measure, **sizes)
        if not figures:
            return
        for figure, value in figures.items():
            self._note(work, stack, figure, value, pair=pair)
        say(
            f"{TITLES[self.broker]} {work} pair {pair + 1}/{self.options.pairs}"
            f" {stack.name:12} {time.monotonic() - started:6.1f} s,"
            f" worker's CPU {stack.processor_time() - used:.1f} s  "
            + "  ".join(f"{figure} {shown(value)}" for figure, value in figures.items())
        )

    def _asked(self, work: str, stack: Stack, measure: str, **sizes: Any) -> dict[str, float]:
        """Return what a side measured; nothing if it failed."""
        try:
            return stack.measure(measure, **sizes)
        except RuntimeError as error:
            self._failed(work, stack, str(error))
            return {}

    def _note(self, work: str, stack: Stack, figure: str, value: float, *, pair: int = 0) -> None:
        column = self.values.setdefault((stack.name, work, figure), [])
        # The pairs before it that have no figure failed.
        column += [math.nan] * (pair - len(column))
        column[pair:] = [value]

    def _failed(self, work: str, stack: Stack, fault: str) -> None:
        say(f"{TITLES[self.broker]} {work} {stack.name} failed: {fault}")
        self.report.faults.append(f"{TITLES[self.broker]}, {work}, {fault.splitlines()[0]}")

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
        # A chain carries what is left of it in each message: a thousand take plain Celery 10 s.
        self.pairs("W4", "w4", steps=steps)
        for figure, count in (("short", steps // 4), ("long", steps)):
            read = self._figures("W4", self.durable[0], "w4_reads", steps=count)
            for value in read.values():
                self._note("W4", self.durable[0], f"reads_{figure}", value)

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
        few = self.values.get((stack.name, "W5", "p50"), [])
        for pair in range(self.options.pairs):
            found = self._figures("W5", stack, "w5", prefix="big_", samples=samples)
            found |= self._figures("W5", stack, "tick", prefix="tick_", samples=100)
            if few and "big_p50" in found:
                found["big_over_few"] = found["big_p50"] / median(few)
            for figure, value in found.items():
                self._note("W5", stack, figure, value, pair=pair)
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
        for pair in range(self.options.pairs):
            found = self._figures("T", stack, "tick", samples=100)
            for figure, value in found.items():
                self._note("T", stack, figure, value, pair=pair)
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
            f" warm-up of {runs // 5:,}; measured once, the slope of {MEMORY_POINTS} points"
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
            self._note("M", stack, figure, slope)
            mebibytes = " ".join(f"{size / 2**20:.2f}" for size in of)
            say(f"{TITLES[self.broker]} M {stack.name} {figure} {slope:.0f} bytes: {mebibytes} MiB")

    def _figures(
        self, work: str, stack: Stack, measure: str, *, prefix: str = "", **sizes: Any
    ) -> dict[str, float]:
        found = self._asked(work, stack, measure, **sizes)
        shown_figures = "  ".join(f"{name} {shown(value)}" for name, value in found.items())
        say(f"{TITLES[self.broker]} {work} {measure} {stack.name} {shown_figures}")
        return {f"{prefix}{name}": value for name, value in found.items()}
