"""The mutation command's own parts, and its page: every survivor is explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from inngest_django import expressions, ids
from inngest_django.expressions import programs
from tests.mutation import fresh, page, sampling
from tests.repo.readme import ROOT

NAMES = [f"inngest_django.durations.x_parse__mutmut_{n}" for n in range(50)]
METHOD = "inngest_django.expressions.lowering.xǁ_Loweringǁunary__mutmut_18"


def _sample(**changed: object) -> sampling.Sample:
    values = {
        "commit": "abc",
        "seed": 1,
        "population": 50,
        "verdicts": {NAMES[0]: "killed", NAMES[1]: "survived", METHOD: "killed", NAMES[2]: "unclear"},
        "survivors": [sampling.Survivor(NAMES[1], "-    a\n+    b")],
    }  # fmt: skip
    return sampling.Sample(**{**values, **changed})  # type: ignore[arg-type]


def test_a_seed_decides_the_sample_whatever_the_order_of_the_names() -> None:
    chosen = sampling.choose(NAMES, 10, seed=1)

    assert len(set(chosen)) == 10
    assert chosen == sampling.choose(reversed(NAMES), 10, seed=1)
    assert chosen[:4] == sampling.choose(NAMES, 4, seed=1)
    assert chosen != sampling.choose(NAMES, 10, seed=2)
    assert sorted(sampling.choose(NAMES, 400, seed=1)) == sorted(NAMES)


@pytest.mark.parametrize(
    ("code", "word"),
    [(1, "killed"), (36, "killed"), (0, "survived"), (33, "no tests"), (None, "unclear"), (-9, "unclear")],
)  # fmt: skip
def test_only_a_failed_test_or_an_endless_loop_kills(code: int | None, word: str) -> None:
    assert sampling.verdict_of(code) == word


def test_the_table_counts_by_module_and_unclear_ones_do_not_help() -> None:
    rows = page.table(_sample()).splitlines()[2:]

    assert rows == [
        "| durations | 3 | 1 | 1 | 0 | 1 | 33.3 |",
        "| expressions.lowering | 1 | 1 | 0 | 0 | 0 | 100.0 |",
        "| all | 4 | 2 | 1 | 0 | 1 | 50.0 |",
    ]
    assert _sample().percent == 50.0


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
    path = tmp_path / "mutants/inngest_django/durations.py"
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
