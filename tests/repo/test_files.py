"""The shape of the repository."""

from __future__ import annotations

import tomllib

import pytest

from tests.repo.readme import ROOT

# A file is one noun. What is longer has a reason, written here beside its limit.
LONGER = {
    "inngest_django/drivers/calls.py": 450,  # one call, whose parts share its state
}
LIMIT = 400


def test_no_module_has_outgrown_its_noun() -> None:
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in (ROOT / "inngest_django").rglob("*.py")
        if path.parent.name != "migrations"
    }

    assert sizes
    assert {name: size for name, size in sizes.items() if size > LONGER.get(name, LIMIT)} == {}


@pytest.mark.parametrize(
    "name",
    [
        "manage.py",
        "inngest_django/py.typed",
        "project/settings.py",
        "requirements.txt",
        "docs",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        ".ci/run",
    ],
)
def test_top_level_has(name: str) -> None:
    assert (ROOT / name).exists()


def test_requirements_of_a_clone_include_those_of_the_package() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]

    requirements = (ROOT / "requirements.txt").read_text().splitlines()

    assert set(declared) <= set(requirements)
