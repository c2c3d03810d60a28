"""Runs the benchmarks: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import machine, pages
from benchmarks.comparison import Comparison, say
from benchmarks.places import AMQP, REDIS, Place, Server, check_broker, databases_of
from benchmarks.profile import WORKLOADS as PROFILED
from benchmarks.profile import Profile, head
from benchmarks.report import TITLES, Report
from benchmarks.rows import DURABLE, FAST, PLAIN
from benchmarks.stacks import DurableStack, PlainStack, Stack

WORKLOADS = ("W1", "W2", "W3", "W4", "W5", "W6", "T", "L", "M")
DEFAULT = WORKLOADS[:6]
MEASURED = "measured"
DESCRIPTION = """\
Measures this project and plain Celery side by side on PostgreSQL with Redis and RabbitMQ.

W1  runs of one step, and the latency of one at a time
W2  runs of ten sequential steps, one task per step and checkpointed; the no-op chain
W3  one run of parallel steps and their join, against a chord and no-op tasks
W4  one run of many steps in sequence
W5  event to resumed run while many other runs wait
W6  sleeps that fall due evenly over five seconds
T   a tick over a million sleeping runs, none due (only when named)
L   ten results of 1 MiB (only when named)
M   what a load leaves in a worker's memory (only when named)

The page of this project is one run of everything:

  python -m benchmarks all --broker both --big --write docs/reference/benchmarks.md

Which process spends how much of the processors on a run or a step, and its children on what:

  python -m benchmarks --profile --pairs 5 --write docs/explanation/where-the-time-goes.md

Servers are found by PGHOST, PGPORT, PGUSER, PGPASSWORD, AMQP_URL and REDIS_URL. Databases and
queues of its own are made and removed; of Redis an empty database is needed. No server is
stopped or flushed, and no process ended but those that this command started.
"""
EPILOG = "Seven pairs of everything take about 25 minutes a broker on two quiet cores."


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "work",
        nargs="*",
        metavar="WORK",
        help=f"which to run: {', '.join(WORKLOADS)} or all (W1 to W6)",
    )
    add("--broker", choices=("redis", "rabbitmq", "both"), default="both")
    add("--pairs", type=int, default=7, help="interleaved repetitions (7)")
    add("--scale", type=float, default=1.0, help="times the sizes of DESIGN's workloads (1.0)")
    add("--big", type=int, nargs="?", const=1_000_000, default=0, metavar="WAITS",
        help="W5 with that many open waits too (1,000,000); takes minutes to fill")  # fmt: skip
    add("--no-ack-emulation", action="store_true",
        help="Redis without kombu's list of unacknowledged messages, on both sides")  # fmt: skip
    add("--write", type=Path, metavar="FILE",
        help=f"write it there as well, between the comments <!-- {MEASURED} --> and"
        f" <!-- end of {MEASURED} -->, or <!-- profile -->; what stands around them is kept")  # fmt: skip
    add("--profile", action="store_true",
        help=f"of {' and '.join(PROFILED)}: what each process costs, instead of rates")  # fmt: skip
    parsed = parser.parse_args(arguments)
    known = PROFILED if parsed.profile else WORKLOADS
    parsed.work = [name.upper() for name in parsed.work]
    if not parsed.work or parsed.work == ["ALL"]:
        parsed.work = list(known if parsed.work or parsed.profile else DEFAULT)
    parsed.comments = "profile" if parsed.profile else MEASURED
    if parsed.write:
        try:
            pages.check(parsed.write, parsed.comments)
        except ValueError as error:
            parser.error(str(error))
    unknown = sorted(set(parsed.work) - set(known))
    if unknown:
        parser.error(f"unknown work {', '.join(unknown)}; choose from {', '.join(known)}")
    if parsed.pairs < 1:
        parser.error(f"--pairs must be at least 1, got {parsed.pairs}")
    if parsed.scale <= 0:
        parser.error(f"--scale must be above 0, got {parsed.scale:g}")
    return parsed


@contextlib.contextmanager
def _stacks(
    broker: str, url: str, server: Server, folder: Path, options: Any
) -> Iterator[list[Stack]]:
    session = f"{os.getpid()}_{broker}"
    sides = ((PLAIN, PlainStack, "plain"), (DURABLE, DurableStack, "durable"),
             (FAST, DurableStack, "fast"))  # fmt: skip
    stacks: list[Stack] = []
    with contextlib.ExitStack() as stopping:
        for name, kind, short in sides:
            place = Place(
                name=name,
                database=f"{databases_of(os.getpid())}{broker}_{short}",
                broker_url=url,
                queue=f"inngest-benchmarks-{session}-{short}",
                is_fast=name == FAST,
                has_ack_emulation=not options.no_ack_emulation,
            )
            stack = kind(place, server, folder)
            if options.profile:
                stack.samples = folder / f"samples-{broker}-{short}"
                stack.samples.mkdir()
            stopping.callback(stack.stop)
            say(f"{TITLES[broker]} starting {name}")
            stack.start()
            stacks.append(stack)
        yield stacks


Opened = Callable[[str], contextlib.AbstractContextManager[list[Stack]]]
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
    # A time-out or a closing terminal must not leave workers behind.
    for number in _ENDING:
        signal.signal(number, _end)
    folder = Path(tempfile.mkdtemp(prefix="inngest-benchmarks-"))
    command = shlex.join(["python", "-m", "benchmarks", *(arguments or sys.argv[1:])])
    say("; ".join(f"{name} {value}" for name, value in database.items()))

    def opened(broker: str) -> contextlib.AbstractContextManager[list[Stack]]:
        return _stacks(broker, urls[broker], server, folder, options)

    try:
        if options.profile:
            text, faults = _profile(
                command, {name: urls[name] for name in brokers}, opened, options
            )
        else:
            report = Report(
                command=command,
                date=machine.now(),
                commit=machine.commit(),
                machine=machine.processor(),
                packages=machine.packages(),
                database=database,
                load_before=machine.load(),
                brokers={name: machine.broker(urls[name]) for name in brokers},
                has_ack_emulation=not options.no_ack_emulation,
            )
            text, faults = _compare(report, opened, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(text)
    if options.write:
        title = "Profile" if options.profile else "Benchmarks"
        pages.write(options.write, text, name=options.comments, title=title)
        say(f"wrote {options.write}")
    return 1 if faults else 0


def _compare(report: Report, opened: Opened, options: argparse.Namespace) -> tuple[str, list[str]]:
    try:
        for broker in report.brokers:
            with opened(broker) as stacks:
                Comparison(broker, stacks, report, options).run()
    except KeyboardInterrupt:
        say("interrupted; what was measured follows")
        report.faults.append("interrupted")
    report.load_after = machine.load()
    return report.text(), report.faults


def _profile(
    command: str, urls: dict[str, str], opened: Opened, options: argparse.Namespace
) -> tuple[str, list[str]]:
    texts, faults = [head(command, options)], []
    try:
        for broker, url in urls.items():
            with opened(broker) as stacks:
                profile = Profile(broker, url, stacks, options)
                profile.run()
            texts.append(profile.text())
    except (KeyboardInterrupt, RuntimeError) as error:
        faults.append(str(error) or "interrupted")
        say(f"ended early: {faults[0]}")
    return "\n".join(texts), faults


if __name__ == "__main__":
    sys.exit(main())
