"""Run many schedules: ``python -m tests.simulation --schedules 50000 --seed 1``."""

from __future__ import annotations

import argparse
import os
import sys
import time

import django


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at a failure")
    parser.add_argument("--trace", action="store_true", help="print the schedule in any case")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()

    from tests.simulation import runs, stage

    began = time.monotonic()
    failed = 0
    with stage.opened() as opened:
        for number, seed in enumerate(range(options.seed, options.seed + options.schedules), 1):
            verdict = runs.one(opened, seed)
            if options.trace or verdict.problems:
                print(runs.report(verdict))
            if verdict.problems:
                failed += 1
                if not options.keep_going:
                    return 1
            if number % 100 == 0 or number == options.schedules:
                rate = number / (time.monotonic() - began)
                print(f"{number} schedules, {failed} failed, {rate:.1f}/s", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
