"""A sample of mutants and their verdicts, by mutmut in a clone of the last commit."""

from __future__ import annotations

import ast
import collections
import dataclasses
import difflib
import functools
import json
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tests.repo.readme import ROOT

MODULES = (
    "inngest_django/durations.py",
    "inngest_django/ids.py",
    "inngest_django/serialization.py",
    "inngest_django/states.py",
    "inngest_django/engine/retries.py",
    "inngest_django/expressions/*.py",
)
TESTS = (
    "tests/unit/expressions",
    "tests/unit/test_durations.py",
    "tests/unit/test_ids.py",
    "tests/unit/test_serialization.py",
    "tests/unit/test_states.py",
    "tests/unit/test_retries.py",
)
# The package is copied whole, because what is mutated imports the rest of it.
COPIED = ("project", "manage.py", "README.md", "docs", "benchmarks", "inngest_django")
PLUGINS = (
    "-p",
    "no:randomly",
    "-p",
    "no:xdist",
    "-p",
    "no:cacheprovider",
    "-p",
    "tests.mutation.fresh",
)
PROGRESS_SECONDS = 10.0
# mutmut's exit codes. An endless loop is noticed as well as a failed test is.
_KILLED = frozenset([1, 3, 24, -24, 36, 152, 255])
_SURVIVED = frozenset([0])
_UNTESTED = frozenset([5, 33])
_DONE = re.compile(r"^\S+ (\d+)/\d+ ")


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
    verdicts: dict[str, str]  # "killed", "survived", "no tests" or "unclear", by name
    survivors: list[Survivor]

    @property
    def percent(self) -> float:
        """How many of a hundred were killed; those without a test count against it."""
        return 100 * collections.Counter(self.verdicts.values())["killed"] / len(self.verdicts)


def run(count: int, *, seed: int, jobs: int) -> Sample:
    """Test a sample of the last commit's mutants; a larger sample goes on from a smaller one.

    Raises:
        MutationError: mutmut is missing, or the tests fail without a mutant.
    """
    clone = _clone()
    if not _codes(clone):
        _say("Makes the mutants, and learns which tests reach them (about a minute).")
        _mutmut(clone, ["inngest_django.states.*"], jobs=jobs)
    names = choose(_codes(clone), count, seed=seed)
    codes = _codes(clone)
    if untested := [name for name in names if codes[name] is None]:
        _say(f"{len(untested)} of {len(names)} sampled mutants have no verdict yet.")
        _mutmut(clone, untested, jobs=jobs)
    codes = _codes(clone)
    verdicts = {name: verdict_of(codes[name]) for name in names}
    survivors = [
        Survivor(name, _diff(clone, name))
        for name in sorted(names)
        if verdicts[name] in {"survived", "no tests"}
    ]
    return Sample(clone.name, seed, len(codes), verdicts, survivors)


def choose(names: Iterable[str], count: int, *, seed: int) -> list[str]:
    """Return a sample that only the seed decides; a smaller one is the start of a larger one."""
    population = sorted(names)
    random.Random(seed).shuffle(population)
    return population[:count]


def verdict_of(code: int | None) -> str:
    """Return the word for an exit code of mutmut's."""
    words = {"killed": _KILLED, "survived": _SURVIVED, "no tests": _UNTESTED}
    return next((word for word, codes in words.items() if code in codes), "unclear")


def _clone() -> Path:
    git = functools.partial(subprocess.run, cwd=ROOT, check=True, capture_output=True, text=True)
    commit = git(["git", "rev-parse", "HEAD"]).stdout.strip()[:12]
    clone = ROOT / "var/mutation" / commit
    if not clone.exists():
        clone.parent.mkdir(parents=True, exist_ok=True)
        git(["git", "clone", "--quiet", str(ROOT), str(clone)])
        with (clone / "pyproject.toml").open("a") as settings:
            settings.write(_settings())
    return clone


def _settings() -> str:
    lists = {
        "source_paths": ["inngest_django"],
        "only_mutate": MODULES,
        "also_copy": COPIED,
        "pytest_add_cli_args_test_selection": TESTS,
        "pytest_add_cli_args": PLUGINS,
    }
    lines = [f"{name} = {json.dumps(list(values))}" for name, values in lists.items()]
    return "\n".join(["", "[tool.mutmut]", *lines, ""])


def _codes(clone: Path) -> dict[str, int | None]:
    """Return mutmut's exit code of every mutant, None for one that was not tested."""
    return {
        name: code
        for path in sorted((clone / "mutants").rglob("*.meta"))
        for name, code in json.loads(path.read_text())["exit_code_by_key"].items()
    }


def _program() -> str:
    beside = Path(sys.executable).with_name("mutmut")
    found = str(beside) if beside.exists() else shutil.which("mutmut")
    if found is None:
        raise MutationError(
            "mutmut is not installed. Run: pip install -r tests/mutation/requirements.txt"
        )
    return found


def _mutmut(clone: Path, names: list[str], *, jobs: int) -> None:
    command = [_program(), "run", "--max-children", str(jobs), *names]
    said, output = time.monotonic(), collections.deque[str](maxlen=40)
    with subprocess.Popen(
        command, cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:  # its carriage returns end lines too
            output.append(line.rstrip())
            if (at := _DONE.match(line)) and time.monotonic() - said > PROGRESS_SECONDS:
                said = time.monotonic()
                _say(f"  {at[1]} mutants of this commit have a verdict")
    if process.returncode:
        raise MutationError("\n".join([*output, f"mutmut failed; its folder is {clone}."]))


def _diff(clone: Path, name: str) -> str:
    """Return the lines that a mutant changed; ``mutmut show`` needs a second for each."""
    module, function = name.rsplit(".", 1)
    path = clone / "mutants" / f"{module.replace('.', '/')}.py"
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
