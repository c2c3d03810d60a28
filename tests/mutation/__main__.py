"""Change the pure modules in small ways and see whether their unit tests notice.

    pip install -r tests/mutation/requirements.txt
    python -m tests.mutation --mutants 400

Works on a clone of the last commit below ``var/mutation``, named by the commit, and keeps every
verdict there at once: a run that was interrupted goes on where it was. At a later commit the
tests that killed a mutant before are tried first, so only the survivors take long. Ends with 1
when fewer than 80 % of the sampled mutants are killed. ``--write`` writes the page about it; a
sentence that the page already has about a survivor stays.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.mutation import page, sampling

WANTED_PERCENT = 80.0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--mutants", type=_positive, default=400, help="how many (400)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (1)")
    parser.add_argument("--jobs", type=_positive, default=1, help="mutants tested at once (1)")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="docs/reference/mutation.md")
    options = parser.parse_args()
    try:
        sample = sampling.run(options.mutants, seed=options.seed, jobs=options.jobs)
    except sampling.MutationError as error:
        print(error, file=sys.stderr)
        return 2
    print(page.table(sample))
    for survivor in sample.survivors:
        print(f"\n{survivor.name}\n{survivor.diff}")
    if options.write:
        page.write(options.write, sample)
    return 0 if sample.percent >= WANTED_PERCENT else 1


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
