"""A pytest plugin: test each mutant in a fork of one process that has collected the tests.

Importing and collecting cost more than most tests do, so they happen once. A first pass without
a mutant learns which tests reach which function and how long they take. Then every mutant gets a
fork, which runs the tests that reach its function until one fails: those that killed a mutant of
the same function first, else the fast ones before the slow ones.

``--mutants`` names a folder: ``wanted.json`` says which mutants, ``verdicts.jsonl`` gets a line
for each as soon as it is known.
"""

from __future__ import annotations

import collections
import gc
import itertools
import json
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

import hypothesis
import pytest

# What a test may take more than it took without a mutant. Processor time, so that a busy machine
# makes no mutant look endless; the time of day only ends what waits for something.
PROCESSOR_SECONDS, TIMES_LONGER = 3, 10
WAITING_SECONDS = 60
MEMORY_BYTES = 4 << 30
PROGRESS_SECONDS = 10.0
_TIME_LIMIT = frozenset([-signal.SIGXCPU, -signal.SIGALRM])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mutants", type=Path)
    parser.addoption("--mutants-at-once", type=int, default=1)


def pytest_configure(config: pytest.Config) -> None:
    # The same examples each time, and none kept: a verdict must not depend on earlier runs. The
    # first failing example is enough, so no time is spent on finding the simplest one.
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile(
        "mutation",
        derandomize=True,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=list(hypothesis.HealthCheck),  # a slow machine is no failed test
    )
    hypothesis.settings.load_profile("mutation")
    config.pluginmanager.register(Loop(config), "mutation-loop")


def function_of(mutant: str) -> str:
    """Return the name of a mutant's function, as mutmut's records have it."""
    return re.sub(r"__mutmut_\d+$", "", mutant)


def verdict_of(status: int) -> str:
    """Return the word for how a mutant's process ended."""
    code = os.waitstatus_to_exitcode(status)
    if code in _TIME_LIMIT:
        return "timeout"
    return {0: "survived", 1: "killed"}.get(code, "unclear")


class Loop:
    """Instead of pytest's loop over the tests, one over the mutants."""

    def __init__(self, config: pytest.Config) -> None:
        self._folder: Path = config.getoption("--mutants")
        self._at_once: int = config.getoption("--mutants-at-once")
        self._reached_by: dict[str, set[pytest.Item]] = collections.defaultdict(set)
        self._seconds: dict[str, float] = collections.defaultdict(float)
        self._killers: dict[str, collections.Counter[str]] = collections.defaultdict(
            collections.Counter
        )
        self._running: dict[int, tuple[str, int, float]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        wanted = json.loads((self._folder / "wanted.json").read_text())
        for mutant, test in wanted["killers"].items():
            self._killers[mutant][test] += 1
            self._killers[function_of(mutant)][test] += 1
        self._learn(session)
        if session.testsfailed:
            pytest.exit("the tests fail without a mutant", 1)
        if test := self._failed_without_mutant(session):
            pytest.exit(f"{test} fails in a fork without a mutant", 1)
        with (self._folder / "verdicts.jsonl").open("a") as verdicts:
            self._test(session, wanted["names"], verdicts)
        return True

    def _learn(self, session: pytest.Session) -> None:
        from mutmut.mutation import trampoline

        reached: set[str] = set()
        trampoline.record_trampoline_hit = lambda name, **_: reached.add(name)
        os.environ["MUTANT_UNDER_TEST"] = "stats"
        for item, following in _with_next(session.items):
            reached.clear()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            for function in reached:
                self._reached_by[function].add(item)
        os.environ["MUTANT_UNDER_TEST"] = ""

    def _failed_without_mutant(self, session: pytest.Session) -> str | None:
        """Return what failed in the order and with the limits that the mutants get, if anything."""
        pid, pipe = self._fork(session, "")
        _, status = os.waitpid(pid, 0)
        with os.fdopen(pipe) as failed:
            return None if status == 0 else failed.read() or "a test"

    def _test(self, session: pytest.Session, mutants: list[str], verdicts: TextIO) -> None:
        gc.collect()
        gc.freeze()  # so that collecting does not copy every page into every fork
        left = collections.deque(mutants)
        progress = Progress(len(mutants))
        while left or self._running:
            if left and len(self._running) < self._at_once:
                mutant = left.popleft()
                if function_of(mutant) in self._reached_by:
                    pid, pipe = self._fork(session, mutant)
                    self._running[pid] = mutant, pipe, time.monotonic()
                    continue
                verdict: dict[str, Any] = {"name": mutant, "verdict": "no tests"}
            else:
                verdict = self._next_verdict()
            verdicts.write(json.dumps(verdict) + "\n")
            verdicts.flush()
            progress.count(verdict["verdict"])

    def _next_verdict(self) -> dict[str, Any]:
        pid, status = os.wait()
        mutant, pipe, since = self._running.pop(pid)
        with os.fdopen(pipe) as failed:
            test = failed.read()
        verdict: dict[str, Any] = {"name": mutant, "verdict": verdict_of(status)}
        verdict["seconds"] = round(time.monotonic() - since, 2)
        if test:
            verdict["test"] = test
            self._killers[function_of(mutant)][test] += 1
        return verdict

    def _fork(self, session: pytest.Session, mutant: str) -> tuple[int, int]:
        sys.stdout.flush()  # or the fork would write it once more
        sys.stderr.flush()
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._be(session, mutant, writing)
        os.close(writing)
        return pid, reading

    def _be(self, session: pytest.Session, mutant: str, writing: int) -> NoReturn:
        """Run the tests of a mutant in the fork; tell the pipe which one failed."""
        code = 1
        try:
            quiet = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(quiet, stream)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            os.environ["MUTANT_UNDER_TEST"] = mutant
            for item, following in _with_next(self._tests_of(mutant)):
                self._limit(item)
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if session.testsfailed:
                    os.write(writing, item.nodeid.encode())
                    break
            else:
                code = 0
        finally:  # whatever a mutant raises, the fork goes no further
            os._exit(code)

    def _tests_of(self, mutant: str) -> list[pytest.Item]:
        own, same = self._killers[mutant], self._killers[function_of(mutant)]

        def order(item: pytest.Item) -> tuple[int, int, float]:
            return -own[item.nodeid], -same[item.nodeid], self._seconds[item.nodeid]

        reaching = set.union(*self._reached_by.values()) if mutant == "" else None
        return sorted(reaching or self._reached_by[function_of(mutant)], key=order)

    def _limit(self, item: pytest.Item) -> None:
        longer = PROCESSOR_SECONDS + TIMES_LONGER * self._seconds[item.nodeid]
        limit = int(time.process_time() + longer) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        signal.alarm(int(WAITING_SECONDS + TIMES_LONGER * longer))


def _with_next(items: list[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    return itertools.zip_longest(items, items[1:])


class Progress:
    """Says now and then how many mutants have which verdict."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._counts: collections.Counter[str] = collections.Counter()
        self._said = time.monotonic()

    def count(self, verdict: str) -> None:
        self._counts[verdict] += 1
        done = self._counts.total()
        if done == self._wanted or time.monotonic() - self._said > PROGRESS_SECONDS:
            self._said = time.monotonic()
            counts = ", ".join(f"{count} {word}" for word, count in sorted(self._counts.items()))
            print(f"  {done} of {self._wanted}: {counts}", file=sys.__stderr__, flush=True)
