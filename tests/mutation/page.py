"""The page about the survivors, and the table of a sample."""

from __future__ import annotations

import collections
import datetime as dt
import re
from pathlib import Path

from tests.mutation.sampling import KILLED, Sample

_WORDS = ("killed", "timeout", "survived", "no tests", "unclear")
UNEXPLAINED = "Not explained yet."
_HEAD = """\
# Mutation tests

A mutant is the package with one small mistake put in: a `<` that became `<=`, an argument that became `None`.
A good unit test notices; a mutant that no test notices is a survivor, and shows either a hole in the tests or a change that makes no difference.

`python -m tests.mutation --write docs/reference/mutation.md` tests a random sample of the mutants of the modules that need no database, and writes this page: cron expressions, durations, identifiers, serialization, statuses, retries and expressions.
[mutmut](https://mutmut.readthedocs.io/), which `tests/mutation/requirements.txt` names, makes the mutants: of the bodies of functions and methods, but not of constants, nor of functions with a decorator.
Each gets the unit tests that reach its function, until one fails.
The first run of seed 1 killed 81.2 %; the holes that it showed have tests now, so other mutants say more about what is left: of 136 from seed 2, 95.6 % were killed.
"""
_SECTION = re.compile(
    r"^### `([^`]+)`\n\n```diff\n(.*?)\n```\n\n([^\n]+)$", re.DOTALL | re.MULTILINE
)


def table(sample: Sample) -> str:
    """Return what became of each module's mutants, as a Markdown table."""
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for name, verdict in sample.verdicts.items():
        for row in (module_of(name), "all"):
            counts[row].update([verdict, "mutants"])
    rows = ["| Module | Mutants | Killed | Time limit | Survived | No test | Unclear | % killed |"]
    rows.append("| --- " + "| ---: " * 7 + "|")
    for row in [*sorted(counts.keys() - {"all"}), "all"]:
        seen = counts[row]
        figures = [seen[word] for word in ("mutants", *_WORDS)]
        share = f"{100 * sum(seen[word] for word in KILLED) / seen['mutants']:.1f}"
        rows.append("| " + " | ".join([row, *map(str, figures), share]) + " |")
    return "\n".join(rows)


def module_of(name: str) -> str:
    """Return the module of a mutant, below the package."""
    return re.sub(r"\.x[^.]*$", "", name).removeprefix("inngest_django.")


def write(path: Path, sample: Sample) -> None:
    """Write the page; keep the sentences about survivors whose change is still the same."""
    known = explanations(path.read_text()) if path.exists() else {}
    counts = collections.Counter(sample.verdicts.values())
    late = sample.having("timeout")
    parts = [
        _HEAD,
        "## The sample\n",
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, commit `{sample.commit}`: {len(sample.verdicts)} of "
        f"{sample.population} mutants, chosen by seed {sample.seed}.",
        f"{sample.percent:.1f} % are killed: {counts['killed']} by a failed test and "
        f"{len(late)} by the time limit.\n",
        table(sample) + "\n",
        *(["These ran into the time limit:\n"] if late else []),
        *(["\n".join(f"- `{name}`" for name in late) + "\n"] if late else []),
        "## Survivors\n",
    ]
    for survivor in sample.survivors:
        reason = known.get((module_of(survivor.name), survivor.diff), UNEXPLAINED)
        parts.append(f"### `{survivor.name}`\n\n```diff\n{survivor.diff}\n```\n\n{reason}\n")
    path.write_text("\n".join(parts).rstrip() + "\n")


def explanations(text: str) -> dict[tuple[str, str], str]:
    """Return a page's sentences by module and change: mutmut's numbers move with the code."""
    return {(module_of(name), diff): reason for name, diff, reason in _SECTION.findall(text)}
