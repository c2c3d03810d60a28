"""Runs the benchmarks: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import machine, pages
from benchmarks.comparison import Comparison, say
from benchmarks.places import AMQP, REDIS, Place, Server, check_broker
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
        f" <!-- end of {MEASURED} -->; what stands around them is kept")  # fmt: skip
    parsed = parser.parse_args(arguments)
    parsed.work = [name.upper() for name in parsed.work] or list(DEFAULT)
    if parsed.work == ["ALL"]:
        parsed.work = list(WORKLOADS)
    if parsed.write:
        try:
            pages.check(parsed.write, MEASURED)
        except ValueError as error:
            parser.error(str(error))
    unknown = sorted(set(parsed.work) - set(WORKLOADS))
    if unknown:
        parser.error(f"unknown work {', '.join(unknown)}; choose from {', '.join(WORKLOADS)}")
    if parsed.pairs < 1:
        parser.error(f"--pairs must be at least 1, got {parsed.pairs}")
    if parsed.scale <= 0:
        parser.error(f"--scale must be above 0, got {parsed.scale:g}")
    return parsed


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
        has_ack_emulation=not options.no_ack_emulation,
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
        pages.write(options.write, text, name=MEASURED, title="Benchmarks")
        say(f"wrote {options.write}")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
