"""Run many schedules: ``python -m tests.simulation --schedules 50000 --seed 1``."""

from __future__ import annotations

import argparse
import collections
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import django


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the seeds")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at a failure")
    parser.add_argument("--trace", action="store_true", help="print the schedule in any case")
    parser.add_argument("--report", type=Path, help="write what was met as JSON")
    options = parser.parse_args()
    return _share(options) if options.jobs > 1 else _run(options)


def _share(options: argparse.Namespace) -> int:
    """Give each process a part of the seeds."""
    size = -(-options.schedules // options.jobs)
    children = []
    for number in range(options.jobs):
        first = options.seed + number * size
        count = min(size, options.seed + options.schedules - first)
        command = [sys.executable, "-m", "tests.simulation", "--schedules", str(count)]
        command += ["--seed", str(first), *(["--keep-going"] if options.keep_going else [])]
        if options.report:
            command += ["--report", f"{options.report}.{number}"]
        children.append(subprocess.Popen(command))
    code = max(child.wait() for child in children)
    if options.report:
        parts = [Path(f"{options.report}.{number}") for number in range(options.jobs)]
        options.report.write_text(json.dumps(_merged([json.loads(p.read_text()) for p in parts])))
        for part in parts:
            part.unlink()
    return code


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    counts: collections.Counter[str] = collections.Counter()
    for part in parts:
        counts.update(part["counts"])
    return {
        "schedules": sum(part["schedules"] for part in parts),
        "failed": sorted(seed for part in parts for seed in part["failed"]),
        "points": sorted({point for part in parts for point in part["points"]}),
        "transitions": sorted({tuple(t) for part in parts for t in part["transitions"]}, key=str),
        "counts": dict(counts),
        "seconds": max(part["seconds"] for part in parts),
    }


def _run(options: argparse.Namespace) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django.conf import settings

    settings.DEBUG = False  # It would keep every statement.
    from tests.simulation import runs, stage

    began = time.monotonic()
    failed: list[int] = []
    points: set[str] = set()
    transitions: set[tuple[Any, ...]] = set()
    counts: collections.Counter[str] = collections.Counter()
    number = 0
    with stage.opened() as opened:
        for number, seed in enumerate(range(options.seed, options.seed + options.schedules), 1):
            verdict = runs.one(opened, seed)
            points |= verdict.points
            transitions |= set(verdict.transitions)
            counts += verdict.counts
            if options.trace or verdict.problems:
                print(runs.report(verdict), flush=True)
            if verdict.problems:
                failed.append(seed)
                if not options.keep_going:
                    break
            if number % 250 == 0 or number == options.schedules:
                rate = number / (time.monotonic() - began)
                print(
                    f"{number} schedules from seed {options.seed}, {len(failed)} failed,"
                    f" {rate:.1f}/s, {dict(sorted(counts.items()))}",
                    file=sys.stderr,
                    flush=True,
                )
    if options.report:
        found = {
            "schedules": number,
            "failed": failed,
            "points": sorted(points),
            "transitions": sorted(transitions, key=str),
            "counts": counts,
            "seconds": time.monotonic() - began,
        }
        options.report.write_text(json.dumps(found))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
