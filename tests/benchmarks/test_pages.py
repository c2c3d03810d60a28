"""What was measured is written into a page that people write as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import pages
from tests.repo.readme import ROOT


def test_new_page_takes_a_second_writing(tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.md"

    pages.write(page, "one\n", name="measured", title="Benchmarks")
    pages.write(page, "two\n", name="measured", title="Benchmarks")

    assert page.read_text() == (
        "# Benchmarks\n\n<!-- measured -->\n\ntwo\n\n<!-- end of measured -->\n"
    )


def test_words_around_the_comments_survive(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Mine\n<!-- measured -->old<!-- end of measured -->\n\n## Why\n\nSo.\n")

    pages.write(page, "new", name="measured", title="Benchmarks")

    assert page.read_text() == (
        "# Mine\n<!-- measured -->\n\nnew\n\n<!-- end of measured -->\n\n## Why\n\nSo.\n"
    )


def test_page_without_a_place_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Somebody's\n")

    with pytest.raises(SystemExit) as ended:
        command.main(["W1", "--write", str(page)])

    assert ended.value.code == 2
    assert "has no <!-- measured --> and <!-- end of measured -->" in capsys.readouterr().err
    assert page.read_text() == "# Somebody's\n"


def test_page_of_this_project_keeps_its_explanation() -> None:
    page = ROOT / "docs" / "reference" / "benchmarks.md"

    pages.check(page, command.MEASURED)

    kept = page.read_text().partition(f"<!-- end of {command.MEASURED} -->")[2]
    assert "## What is missed, and where its time goes" in kept
