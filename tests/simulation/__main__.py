"""Run many schedules: ``python -m tests.simulation --schedules 50000 --jobs 2``.

A line says how far it is, about every ten seconds; at the end a table says what happened how
often. A schedule that breaks a promise is printed whole, with the command that repeats it.
``--mistakes`` takes each of the engine's rules out and says what finds that.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import django

PROGRESS_SECONDS = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--schedules", type=_positive, default=2000, help="how many (2000)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=_positive, default=1, help="processes that share the seeds")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at a failure")
    parser.add_argument("--trace", action="store_true", help="print the schedule in any case")
    parser.add_argument("--report", type=Path, help="write what was met as JSON")
    parser.add_argument(
        "--mistakes",
        nargs="?",
        const="",
        metavar="TEXT",
        help="take out each rule, or those whose names hold the text, and say what finds it",
    )
    parser.add_argument("--is-part", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.mistakes is not None:
        return _mistakes(options.mistakes)
    found = _share(options) if options.jobs > 1 else _run(options)
    if options.report:
        options.report.write_text(json.dumps(found))
    if not options.is_part:
        print(_summary(found), file=sys.stderr)
    return 1 if found["failed"] else 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _share(options: argparse.Namespace) -> dict[str, Any]:
    """Give each process a part of the seeds."""
    size = -(-options.schedules // options.jobs)
    with tempfile.TemporaryDirectory() as folder:
        children = {}
        for first in range(options.seed, options.seed + options.schedules, size):
            count = min(size, options.seed + options.schedules - first)
            path = Path(folder) / f"{first}.json"
            command = [sys.executable, "-m", "tests.simulation", "--is-part", "--report", str(path)]
            command += ["--schedules", str(count), "--seed", str(first)]
            command += ["--keep-going"] * options.keep_going + ["--trace"] * options.trace
            children[path] = subprocess.Popen(command)
        for child in children.values():
            child.wait()
        if missing := [path.stem for path in children if not path.exists()]:
            raise SystemExit(f"The parts from seeds {', '.join(missing)} ended without a report.")
        return _merged([json.loads(path.read_text()) for path in children])


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    counts: collections.Counter[str] = collections.Counter()
    for part in parts:
        counts.update(part["counts"])
    return {
        "schedules": sum(part["schedules"] for part in parts),
        "failed": sorted(seed for part in parts for seed in part["failed"]),
        "points": sorted({point for part in parts for point in part["points"]}),
        "shapes": sorted({tuple(edge) for part in parts for edge in part["shapes"]}),
        "transitions": sorted({tuple(t) for part in parts for t in part["transitions"]}, key=str),
        "counts": dict(counts),
        "seconds": max(part["seconds"] for part in parts),
        "cpu_seconds": sum(part["cpu_seconds"] for part in parts),
    }


def _prepare() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django.conf import settings

    settings.DEBUG = False  # It would keep every statement.


def _run(options: argparse.Namespace) -> dict[str, Any]:
    _prepare()
    from tests.simulation import runs, shapes, stage

    began, said, cpu_began = time.monotonic(), time.monotonic(), time.process_time()
    failed: list[int] = []
    points: set[str] = set()
    seen: set[shapes.Edge] = set()
    transitions: set[tuple[Any, ...]] = set()
    counts: collections.Counter[str] = collections.Counter()
    number = 0
    with stage.opened() as opened:
        for number, seed in enumerate(range(options.seed, options.seed + options.schedules), 1):
            verdict = runs.one(opened, seed)
            points |= verdict.points
            seen |= shapes.shapes(verdict.seen)
            transitions |= set(verdict.transitions)
            counts += verdict.counts
            if options.trace or verdict.problems:
                print(runs.report(verdict), flush=True)
            if verdict.problems:
                failed.append(seed)
                if not options.keep_going:
                    break
            if time.monotonic() > said + PROGRESS_SECONDS:
                said = time.monotonic()
                _say_progress(options, number, len(failed), said - began)
    return {
        "schedules": number,
        "failed": failed,
        "points": sorted(points),
        "shapes": sorted(seen),
        "transitions": sorted(transitions, key=str),
        "counts": counts,
        "seconds": time.monotonic() - began,
        "cpu_seconds": time.process_time() - cpu_began,
    }


def _say_progress(options: argparse.Namespace, number: int, failed: int, seconds: float) -> None:
    left = (options.schedules - number) * seconds / number
    print(
        f"from seed {options.seed}: {number:,} of {options.schedules:,} schedules,"
        f" {failed} failed, {number / seconds:.1f}/s, about {left / 60:.0f} min left",
        file=sys.stderr,
        flush=True,
    )


def _summary(found: dict[str, Any]) -> str:
    from tests.simulation import kinds

    rate = found["schedules"] / max(found["cpu_seconds"], 0.001)
    return "\n".join(
        [
            f"{found['schedules']:,} schedules in {found['seconds']:.0f} s,"
            f" {rate:.1f} for each second of a processor; what happened in them:",
            kinds.table(found["counts"]),
            f"FAILED, by seed: {found['failed']}" if found["failed"] else "No promise was broken.",
        ]
    )


def _mistakes(text: str) -> int:
    """Make each mistake, and print the table of what finds it."""
    _prepare()
    from tests.simulation import mistakes, runs, stage

    missed = []
    with stage.opened() as opened:
        for mistake in mistakes.ALL:
            if text not in mistake.name:
                continue
            caught = runs.hunt(opened, mistake) if mistake.within else None
            if mistake.within and caught is None:
                missed.append(mistake.name)
            print(mistakes.line(mistake, caught), flush=True)
    if missed:
        print(f"NOT FOUND: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
