"""A sample of mutants and their verdicts, in a clone of the last commit."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import difflib
import functools
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.repo.readme import ROOT

MODULES = (
    "inngest_django/crons.py",
    "inngest_django/durations.py",
    "inngest_django/ids.py",
    "inngest_django/serialization.py",
    "inngest_django/states.py",
    "inngest_django/engine/retries.py",
    "inngest_django/expressions/*.py",
)
TESTS = (
    "tests/unit/expressions",
    "tests/unit/test_crons.py",
    "tests/unit/test_durations.py",
    "tests/unit/test_ids.py",
    "tests/unit/test_serialization.py",
    "tests/unit/test_states.py",
    "tests/unit/test_retries.py",
)
PYTEST = (
    "--quiet",
    "--capture=sys",
    "--timeout=0",
    "-p",
    "no:randomly",
    "-p",
    "no:xdist",
    "-p",
    "no:cacheprovider",
    "-p",
    "tests.mutation.fresh",
    "-p",
    "tests.mutation.forks",
)
# It plants mistakes of its own to test another test, which finds mistakes without it.
LEFT_OUT = "tests/unit/expressions/test_index_property.py::test_deliberate_bug_is_caught"
# An endless loop is noticed as well as a failed test is.
KILLED = frozenset(["killed", "timeout"])
FOLDER = "var/verdicts"


class MutationError(Exception):
    """The sample could not be taken."""


@dataclasses.dataclass(frozen=True)
class Survivor:
    """A mutant that no test noticed."""

    name: str
    diff: str


@dataclasses.dataclass(frozen=True)
class Sample:
    """What became of the sampled mutants."""

    commit: str
    seed: int
    population: int
    verdicts: dict[str, str]  # "killed", "timeout", "survived", "no tests" or "unclear", by name
    survivors: list[Survivor]

    @property
    def percent(self) -> float:
        """How many of a hundred were killed; those without a test count against it."""
        return 100 * sum(v in KILLED for v in self.verdicts.values()) / len(self.verdicts)

    def having(self, verdict: str) -> list[str]:
        """Return the names of the mutants with a verdict."""
        return sorted(name for name, word in self.verdicts.items() if word == verdict)


def run(count: int, *, seed: int, jobs: int) -> Sample:
    """Test a sample of the last commit's mutants; a larger sample goes on from a smaller one.

    Raises:
        MutationError: mutmut is missing, or the tests fail without a mutant.
    """
    clone = _clone()
    population = _mutants(clone)
    names = choose(population, count, seed=seed)
    known = verdicts_in(clone)
    if untested := [name for name in names if name not in known]:
        _say(
            f"{len(untested)} of {len(names)} sampled mutants of {clone.name} have no verdict yet."
        )
        _test(clone, untested, jobs=jobs)
        known = verdicts_in(clone)
    verdicts = {name: known[name]["verdict"] for name in names}
    survivors = [
        Survivor(name, _diff(clone, name))
        for name in sorted(names)
        if verdicts[name] in {"survived", "no tests"}
    ]
    return Sample(clone.name, seed, len(population), verdicts, survivors)


def choose(names: Iterable[str], count: int, *, seed: int) -> list[str]:
    """Return a sample that only the seed decides; a smaller one is the start of a larger one.

    Each mutant draws its own place, so that a change of one module leaves the others' places.
    """
    return sorted(names, key=lambda name: (random.Random(f"{seed} {name}").random(), name))[:count]


def verdicts_in(clone: Path) -> dict[str, dict[str, Any]]:
    """Return the verdicts of a clone by mutant; a line that was not written to its end is none."""
    found: dict[str, dict[str, Any]] = {}
    path = clone / FOLDER / "verdicts.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(json.JSONDecodeError):
            verdict = json.loads(line)
            found[verdict["name"]] = verdict
    return found


def _clone() -> Path:
    """Return a clone of the last commit, with all mutants in its modules."""
    git = functools.partial(subprocess.run, cwd=ROOT, check=True, capture_output=True, text=True)
    commit = git(["git", "rev-parse", "HEAD"]).stdout.strip()[:12]
    clone = ROOT / "var/mutation" / commit
    if not (clone / FOLDER / "mutants.json").exists():  # written last: all else is there too
        _say("Clones the last commit and makes the mutants.")
        shutil.rmtree(clone, ignore_errors=True)
        clone.parent.mkdir(parents=True, exist_ok=True)
        git(["git", "clone", "--quiet", str(ROOT), str(clone)])
        _mutate(clone)
    return clone


def _mutate(clone: Path) -> None:
    try:
        from mutmut.mutation.file_mutation import mutate_file_contents
    except ImportError:
        shutil.rmtree(clone)
        raise MutationError(
            "mutmut is not installed. Run: pip install -r tests/mutation/requirements.txt"
        ) from None
    with (clone / "pyproject.toml").open("a") as settings:
        settings.write('\n[tool.mutmut]\nsource_paths = ["inngest_django"]\n')
    names: list[str] = []
    for path in sorted(path for pattern in MODULES for path in clone.glob(pattern)):
        module = ".".join(path.relative_to(clone).with_suffix("").parts).removesuffix(".__init__")
        with contextlib.chdir(clone):  # where mutmut looks for its settings
            mutated = mutate_file_contents(str(path), path.read_text())
        path.write_text(mutated.code)
        names += [f"{module}.{name}" for name in mutated.mutant_names]
    save(clone / FOLDER / "mutants.json", names)


def _mutants(clone: Path) -> list[str]:
    names: list[str] = json.loads((clone / FOLDER / "mutants.json").read_text())
    return names


def _test(clone: Path, names: list[str], *, jobs: int) -> None:
    folder = clone / FOLDER
    end_last_line(folder / "verdicts.jsonl")
    save(folder / "wanted.json", {"names": names, "killers": _killers(clone)})
    command = [sys.executable, "-m", "pytest", *TESTS, "--deselect", LEFT_OUT, *PYTEST]
    command += ["--mutants", str(folder), "--mutants-at-once", str(jobs)]
    environment = os.environ | {"INNGEST_TEST_PROFILE": "sqlite", "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        command, cwd=clone, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise MutationError(f"{done.stdout}\nThe tests could not be run in {clone}.")


def _killers(clone: Path) -> dict[str, str]:
    """Return which test killed a mutant at any commit: it is the one to try first."""
    folders = sorted(clone.parent.iterdir(), key=lambda folder: folder.stat().st_mtime)
    return {
        name: verdict["test"]
        for folder in folders
        for name, verdict in verdicts_in(folder).items()
        if "test" in verdict
    }


def end_last_line(path: Path) -> None:
    """Make sure that the next verdict gets a line of its own after an interrupted write."""
    if path.exists() and (text := path.read_text()) and not text.endswith("\n"):
        path.write_text(text + "\n")


def save(path: Path, content: object) -> None:
    """Write a file that is either whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content))
    unfinished.replace(path)


def _diff(clone: Path, name: str) -> str:
    """Return the lines that a mutant changed."""
    module, function = name.rsplit(".", 1)
    path = clone / f"{module.replace('.', '/')}.py"
    path = path if path.exists() else path.with_suffix("") / "__init__.py"
    original = _body(path, re.sub(r"_\d+$", "_orig", function))
    changed = _body(path, function)
    lines = list(difflib.unified_diff(original, changed, n=0, lineterm=""))[2:]
    return "\n".join(line for line in lines if not line.startswith("@@"))


def _body(path: Path, function: str) -> list[str]:
    """Return a function's lines, without its name."""
    bodies = _bodies(path)
    if function not in bodies:
        raise MutationError(f"{path} has no {function}: mutmut names its mutants differently now.")
    return [line.replace(function, "") for line in bodies[function]]


@functools.cache
def _bodies(path: Path) -> dict[str, list[str]]:
    text = path.read_text()
    lines = text.splitlines()
    return {
        node.name: lines[node.lineno - 1 : node.end_lineno]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
