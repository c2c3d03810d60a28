"""The mutation command's own parts, and its page: every survivor is explained."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inngest_django import expressions, ids
from inngest_django.expressions import programs
from tests.mutation import forks, fresh, page, sampling
from tests.repo.readme import ROOT

NAMES = [f"inngest_django.durations.x_parse__mutmut_{n}" for n in range(50)]
METHOD = "inngest_django.expressions.lowering.xǁ_Loweringǁunary__mutmut_18"


def _sample(**changed: object) -> sampling.Sample:
    values = {
        "commit": "abc",
        "seed": 1,
        "population": 50,
        "verdicts": {
            NAMES[0]: "killed",
            NAMES[1]: "survived",
            METHOD: "killed",
            NAMES[2]: "unclear",
            NAMES[3]: "timeout",
        },
        "survivors": [sampling.Survivor(NAMES[1], "-    a\n+    b")],
    }
    return sampling.Sample(**{**values, **changed})  # type: ignore[arg-type]


def test_a_seed_decides_the_sample_whatever_the_order_of_the_names() -> None:
    chosen = sampling.choose(NAMES, 10, seed=1)

    assert len(set(chosen)) == 10
    assert chosen == sampling.choose(reversed(NAMES), 10, seed=1)
    assert chosen[:4] == sampling.choose(NAMES, 4, seed=1)
    assert chosen != sampling.choose(NAMES, 10, seed=2)
    assert sorted(sampling.choose(NAMES, 400, seed=1)) == sorted(NAMES)


def test_a_changed_module_leaves_the_rest_of_the_sample() -> None:
    more = [f"inngest_django.ids.x_step__mutmut_{n}" for n in range(20)]

    before, after = sampling.choose(NAMES, 10, seed=1), sampling.choose(NAMES + more, 10, seed=1)

    assert set(after) != set(before)
    assert set(after) - set(more) <= set(before)


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (0, "survived"),
        (1 << 8, "killed"),
        (2 << 8, "unclear"),
        (signal.SIGXCPU, "timeout"),
        (signal.SIGALRM, "timeout"),
        (signal.SIGKILL, "unclear"),
    ],
)
def test_only_a_failed_test_or_a_time_limit_kills(status: int, word: str) -> None:
    assert forks.verdict_of(status) == word
    assert (word in sampling.KILLED) is (word in {"killed", "timeout"})


TRAMPOLINE = """\
record_trampoline_hit = None
"""
MUTATED = """\
import os
from mutmut.mutation import trampoline

def _is(function, number):
    if os.environ["MUTANT_UNDER_TEST"] == "stats":
        trampoline.record_trampoline_hit(f"mutated.x_{function}", caller=None)
    return os.environ["MUTANT_UNDER_TEST"] == f"mutated.x_{function}__mutmut_{number}"

def double(n):
    while _is("double", 3):
        pass
    if _is("double", 4):
        os.abort()
    return n + n if _is("double", 1) else n * n if _is("double", 2) else 2 * n
"""
OF_MUTATED = """\
import mutated

def test_two():
    assert mutated.double(2) == 4

def test_three():
    assert mutated.double(3) == 6

def test_none():
    pass
"""


@pytest.fixture
def tried(tmp_path: Path) -> Path:
    """Return a folder with two tests of a module that has mutants without mutmut."""
    for name, text in {
        "mutmut/mutation/trampoline.py": TRAMPOLINE,
        "mutated.py": MUTATED,
        "test_mutated.py": OF_MUTATED,
        "conftest.py": "from tests.mutation import forks\n\nforks.PROCESSOR_SECONDS = 0\n",
        "pytest.ini": "[pytest]\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def _try(folder: Path, names: list[str], at_once: int = 1) -> subprocess.CompletedProcess[str]:
    wanted = {"names": [f"mutated.{name}" for name in names], "killers": {}}
    (folder / "wanted.json").write_text(json.dumps(wanted))
    arguments = ["-p", "tests.mutation.forks", "--mutants", str(folder), "--capture=sys"]
    arguments += ["--mutants-at-once", str(at_once)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:django", "-p", "no:randomly", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("at_once", [1, 3])
def test_each_mutant_gets_the_tests_that_reach_it(tried: Path, at_once: int) -> None:
    names = [*(f"x_double__mutmut_{n}" for n in (1, 2, 3, 4)), "x_unreached__mutmut_1"]

    done = _try(tried, names, at_once)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 of 5: 1 killed, 1 no tests, 1 survived, 1 timeout, 1 unclear" in done.stderr
    lines = [json.loads(line) for line in (tried / "verdicts.jsonl").read_text().splitlines()]
    verdicts = {line["name"].removeprefix("mutated."): line for line in lines}
    words = {name: line["verdict"] for name, line in verdicts.items()}
    assert words == dict(
        zip(names, ["survived", "killed", "timeout", "unclear", "no tests"], strict=True)
    )
    assert verdicts[names[1]]["test"] == "test_mutated.py::test_three"


def test_nothing_is_said_of_mutants_when_a_test_fails_without_one(tried: Path) -> None:
    with (tried / "test_mutated.py").open("a") as tests:
        tests.write("\ndef test_wrong():\n    assert mutated.double(2) == 5\n")

    done = _try(tried, ["x_double__mutmut_1"])

    assert done.returncode != 0
    assert "the tests fail without a mutant" in done.stdout + done.stderr
    assert not (tried / "verdicts.jsonl").exists()


def test_a_test_that_fails_only_in_the_forks_order_is_named(tried: Path) -> None:
    (tried / "test_mutated.py").write_text(
        "import mutated\n\nseen = []\n\n"
        "def test_once():\n    seen.append(mutated.double(1))\n    assert len(seen) == 1\n"
    )

    done = _try(tried, ["x_double__mutmut_1"])

    assert done.returncode != 0
    assert (
        "test_mutated.py::test_once fails in a fork without a mutant" in done.stdout + done.stderr
    )


def test_an_interrupted_write_loses_one_verdict_and_no_more(tmp_path: Path) -> None:
    folder = tmp_path / sampling.FOLDER
    folder.mkdir(parents=True)
    path = folder / "verdicts.jsonl"
    assert sampling.verdicts_in(tmp_path) == {}
    path.write_text('{"name": "a", "verdict": "killed"}\n{"name": "b", "ver')
    assert set(sampling.verdicts_in(tmp_path)) == {"a"}

    sampling.end_last_line(path)
    with path.open("a") as more:
        more.write('{"name": "c", "verdict": "survived"}\n')

    assert {n: v["verdict"] for n, v in sampling.verdicts_in(tmp_path).items()} == {
        "a": "killed",
        "c": "survived",
    }


def test_a_clone_that_was_not_finished_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init"], ["commit", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True, capture_output=True)
    made: list[Path] = []

    def mutate(clone: Path) -> None:
        made.append(clone)
        (clone / "half-made").touch(exist_ok=False)
        if len(made) == 1:
            raise KeyboardInterrupt
        sampling.save(clone / sampling.FOLDER / "mutants.json", NAMES)

    monkeypatch.setattr(sampling, "ROOT", tmp_path)
    monkeypatch.setattr(sampling, "_mutate", mutate)
    with pytest.raises(KeyboardInterrupt):
        sampling._clone()

    assert sampling._clone() == sampling._clone() == made[0]
    assert len(made) == 2


def test_the_table_counts_by_module_and_unclear_ones_do_not_help() -> None:
    rows = page.table(_sample()).splitlines()[2:]

    assert rows == [
        "| durations | 4 | 1 | 1 | 1 | 0 | 1 | 50.0 |",
        "| expressions.lowering | 1 | 1 | 0 | 0 | 0 | 0 | 100.0 |",
        "| all | 5 | 2 | 1 | 1 | 0 | 1 | 60.0 |",
    ]
    assert _sample().percent == 60.0


def test_the_page_lists_what_ran_into_the_time_limit(tmp_path: Path) -> None:
    page.write(tmp_path / "mutation.md", _sample())

    text = (tmp_path / "mutation.md").read_text()
    assert "commit `abc`: 5 of 50 mutants, chosen by seed 1.\n60.0 % are killed" in text
    assert f"These ran into the time limit:\n\n- `{NAMES[3]}`\n" in text


def test_an_explanation_stays_until_its_change_is_another(tmp_path: Path) -> None:
    path = tmp_path / "mutation.md"
    page.write(path, _sample())
    assert page.UNEXPLAINED in path.read_text()
    path.write_text(path.read_text().replace(page.UNEXPLAINED, "Makes no difference."))

    page.write(path, _sample(survivors=[sampling.Survivor(NAMES[7], "-    a\n+    b")]))
    assert "Makes no difference." in path.read_text()
    page.write(path, _sample(survivors=[sampling.Survivor(NAMES[7], "-    a\n+    c")]))
    assert "Makes no difference." not in path.read_text()


def test_a_diff_is_of_the_lines_that_changed(tmp_path: Path) -> None:
    path = tmp_path / "inngest_django/durations.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "def x_f__mutmut_orig(a):\n    b = a\n    return b\n\n"
        "def x_f__mutmut_2(a):\n    b = None\n    return b\n"
    )

    assert sampling._diff(tmp_path, "inngest_django.durations.x_f__mutmut_2") == (
        "-    b = a\n+    b = None"
    )
    with pytest.raises(sampling.MutationError, match="has no x_f__mutmut_9"):
        sampling._diff(tmp_path, "inngest_django.durations.x_f__mutmut_9")


def test_a_test_begins_without_the_caches_of_earlier_ones() -> None:
    ids.hash_step_id("left-by-an-earlier-test", 0)
    expressions.compile("event.data.left", kind="filter")

    fresh.pytest_runtest_setup()

    assert ids.hash_step_id.cache_info().currsize == 0
    assert not programs._programs


def test_every_survivor_of_the_page_is_explained() -> None:
    text = (ROOT / "docs/reference/mutation.md").read_text()

    assert len(page.explanations(text)) > 0
    assert page.UNEXPLAINED not in text
