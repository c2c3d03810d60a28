"""Where the processor time goes: of each process, and of a child's parts."""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks import machine, sampling
from benchmarks.comparison import in_turn, say
from benchmarks.report import TITLES
from benchmarks.rows import DURABLE, FAST, PLAIN, shown
from benchmarks.stacks import Stack

IDLE = "processors idle, %"
TOTAL = "together"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What is done, and what its time is divided by.

    Attributes:
        function: Which durable function, or which tasks of plain Celery.
        one: What one of them is, of which there are ``runs`` times ``steps``.
    """

    work: str
    function: str
    steps: int
    one: str
    is_plain: bool = False

    @property
    def title(self) -> str:
        """What the table calls it."""
        checkpointed = " checkpointed" if self.function == "checkpointed" else ""
        return f"{self.work}{checkpointed}, {self.one}"

    def is_of(self, side: str) -> bool:
        """Whether that side does it."""
        return (side == PLAIN) == self.is_plain


SHAPES = (
    Shape(work="W1", function="sequence", steps=1, one="a run"),
    Shape(work="W1", function="checkpointed", steps=1, one="a run"),
    Shape(work="W1", function="step", steps=1, one="a task of plain Celery", is_plain=True),
    Shape(work="W2", function="sequence", steps=10, one="a step"),
    Shape(work="W2", function="checkpointed", steps=10, one="a step"),
    Shape(
        work="W2", function="step", steps=10, one="a task of a chain of plain Celery", is_plain=True
    ),
    Shape(work="W3", function="parallel", steps=100, one="a step"),
    Shape(work="W3", function="noop", steps=1, one="a task that does nothing", is_plain=True),
)
WORKLOADS = tuple(dict.fromkeys(shape.work for shape in SHAPES))


class Profile:
    """The costs of all shapes on one broker."""

    def __init__(
        self, broker: str, url: str, stacks: list[Stack], options: argparse.Namespace
    ) -> None:
        self.broker = broker
        self.stacks = stacks
        self.options = options
        self._url = url
        # (side, shape, what) -> milliseconds for one, in each pair.
        self.values: dict[tuple[str, Shape, str], list[float]] = {}

    def run(self) -> None:
        """Measure what was asked for."""
        for shape in self._shapes():
            for pair in range(self.options.pairs):
                for stack in in_turn(self.stacks, pair):
                    if shape.is_of(stack.name):
                        self._one(shape, stack)

    def _shapes(self) -> list[Shape]:
        return [shape for shape in SHAPES if shape.work in self.options.work]

    def _one(self, shape: Shape, stack: Stack) -> None:
        runs = max(2, round(1000 * self.options.scale / shape.steps))
        folder = stack.samples or Path()
        before, samples, idle = self._spent(stack), sampling.read(folder), machine.idle_time()
        stack.measure("load", function=shape.function, runs=runs, steps=shape.steps)
        after, share = self._spent(stack), machine.idle_share(since=idle)
        stack.measure("rest")
        # Looking for its rest is the client's work, and nobody else's.
        rested = {key: value for key, value in self._spent(stack).items() if key[0] != "client"}
        one = 1000 / (runs * shape.steps)
        costs: dict[str, float] = {}
        for (process, pid), seconds in (after | rested).items():
            costs[process] = costs.get(process, 0) + one * (
                seconds - before.get((process, pid), 0.0)
            )
        costs[TOTAL] = sum(costs.values())
        costs[IDLE] = share
        counted = sampling.read(folder) - samples
        for part, count in counted.items():
            costs[f"child: {part}"] = costs["children"] * count / counted.total()
        for what, value in costs.items():
            self.values.setdefault((stack.name, shape, what), []).append(value)
        say(
            f"{TITLES[self.broker]} {shape.title} {stack.name}  "
            + "  ".join(f"{what} {shown(value)}" for what, value in costs.items())
        )

    def _spent(self, stack: Stack) -> dict[tuple[str, int], float]:
        found: dict[tuple[str, int], float] = {}
        for process in stack.processes:
            kind = process.name.rpartition(" ")[2]
            for pid, seconds in process.processor_times().items():
                is_child = kind == "worker" and pid != process.pid
                name = "children" if is_child else "main process" if kind == "worker" else kind
                found[name, pid] = seconds
        for pid, seconds in machine.processor_times(stack.sessions()).items():
            found["PostgreSQL", pid] = seconds
        found[TITLES[self.broker], 0] = machine.broker_time(self._url)
        return found

    def text(self) -> str:
        """Return its tables in Markdown."""
        processes = ("children", "main process", "PostgreSQL", TITLES[self.broker], "client",
                     "beat", TOTAL, IDLE)  # fmt: skip
        parts = (*sampling.PARTS, sampling.REST)
        lines = [
            f"### {TITLES[self.broker]}",
            "",
            *self._table("Process", {name: name for name in processes}),
            "",
            *self._table("Part of a child", {name: f"child: {name}" for name in parts}),
        ]
        return "\n".join(lines) + "\n"

    def _table(self, heading: str, rows: Mapping[str, str]) -> Iterator[str]:
        shapes = self._shapes()
        yield f"| {heading} | {' | '.join(shape.title for shape in shapes)} |"
        yield "| --- |" + " --- |" * len(shapes)
        for name, what in rows.items():
            cells = [self._cell(shape, what) for shape in shapes]
            if any(cells):
                yield f"| {name} | {' | '.join(cells)} |"

    def _cell(self, shape: Shape, what: str) -> str:
        sides = (PLAIN,) if shape.is_plain else (DURABLE, FAST)
        found = [self.values.get((side, shape, what), []) for side in sides]
        if not any(found):
            return ""
        return " / ".join(
            f"{statistics.median(column):.{0 if what == IDLE else 2}f}" if column else "0"
            for column in found
        )


def head(command: str, options: argparse.Namespace) -> str:
    """Return what the tables say of themselves."""
    return "\n".join(
        (
            f"Written by `{command}` at {machine.commit()}, {machine.now()},"
            f" load averages {machine.load()}, on {machine.processor()}.",
            "Milliseconds of processor time for each run, step or task, with `apply_async` /"
            f" with `FAST_PUBLISH`; medians of {options.pairs} measurements of {round(1000 * options.scale):,} each.",
            "On a machine that others use each of them takes more: compare columns, not days.",
            "PostgreSQL is the sessions of a side and what the server does for all, such as the"
            " writer of its log; the client sends, and looks for the end.",
            "The parts of a child are samples of its stack, every few milliseconds of its"
            " processor time; statements wait and cost the server elsewhere.",
            "",
        )
    )
