"""The reference has everything that the code has, and nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import load_command_class
from django.test import override_settings

import inngest_django
from inngest_django import conf, experimental, signals, testing
from inngest_django import django as django_module
from inngest_django.admin import actions
from inngest_django.api import ingest as api_ingest
from inngest_django.api import runs as api_runs
from inngest_django.checklist import CHECKS
from inngest_django.engine import ingest, retries
from inngest_django.experimental import mocked
from inngest_django.expressions import guards, lowering
from inngest_django.functions import function, triggers
from inngest_django.management import diagnosis
from inngest_django.remedies import REMEDIES
from inngest_django.states import JobKind, OpKind, RunStatus, StepStatus
from inngest_django.steps import specs
from tests.docs import diagram
from tests.docs.made import contents, errors, parts, renewed
from tests.docs.pages import DOCS, Page, page
from tests.repo.readme import ROOT

PACKAGE = ROOT / "inngest_django"
COMMANDS = sorted(path.stem for path in (PACKAGE / "management/commands").glob("inngest_*.py"))
# Of Django's own, and said once for all commands.
_EVERY_COMMANDS_OPTIONS = frozenset(
    [
        "--help",
        "-h",
        "--version",
        "--verbosity",
        "-v",
        "--settings",
        "--pythonpath",
        "--traceback",
        "--no-color",
        "--force-color",
        "--skip-checks",
        "--json",
    ]
)


def _first_cells(text: str) -> set[str]:
    """Return the code spans that stand first in the table rows of a text."""
    return set(re.findall(r"^\| `([^`]+)`", text, re.MULTILINE))


# Settings ------------------------------------------------------------------------------


def test_settings_page_has_exactly_the_keys() -> None:
    documented = _first_cells(page("reference/settings.md").section("Keys"))

    assert documented == set(conf.Settings.__dataclass_fields__)


@pytest.mark.parametrize("key", conf.Settings.__dataclass_fields__)
def test_settings_page_has_the_default(key: str) -> None:
    section = page("reference/settings.md").section("Keys")
    [default] = re.findall(rf"^\| `{key}` \| `([^`]+)`", section, re.MULTILINE)

    with override_settings(INNGEST={key: ast.literal_eval(default)}):
        documented = conf.get()

    assert conf.problems() == ()
    assert getattr(documented, key) == getattr(conf.Settings(), key)


# Errors --------------------------------------------------------------------------------


def test_errors_page_and_folder_have_exactly_the_codes() -> None:
    text = page("reference/errors.md").section("Codes")

    documented = set(re.findall(r"^\| \[`([^`]+)`\]", text, re.MULTILINE))

    assert documented == set(errors.classes())
    assert {path.stem for path in errors.FOLDER.glob("*.md")} == documented


def test_every_code_has_a_cause_and_a_remedy() -> None:
    assert all(remedy.meaning and remedy.causes and remedy.actions for remedy in REMEDIES.values())


@pytest.mark.parametrize("code", REMEDIES)
def test_classes_can_be_imported_as_the_page_of_their_code_says(code: str) -> None:
    imports = re.findall(r"`(from \S+ import \w+)`", page(f"reference/errors/{code}.md").text)

    names: dict[str, Any] = {}
    for line in imports:
        exec(line, names)
    found = {value for value in names.values() if isinstance(value, type)}

    assert all(cls.code == code for cls in found)
    assert {cls.__name__ for cls in errors.classes()[code]} - {
        "InngestInvokeTimeoutError"  # A stand-in of the testing kit for what has no class.
    } == {cls.__name__ for cls in found}


# What is made from the code ------------------------------------------------------------


@pytest.mark.parametrize("one", contents.with_parts(), ids=lambda one: one.name)
def test_made_parts_are_what_the_code_says(one: Page) -> None:
    assert parts(one.text)
    assert renewed(one.text, contents.MADE) == one.text, "run python -m tests.docs.made"


def test_every_made_part_is_in_a_page() -> None:
    found = [name for one in contents.with_parts() for name in parts(one.text)]

    assert sorted(found) == sorted(contents.MADE)


# Commands ------------------------------------------------------------------------------


def test_commands_page_has_exactly_the_commands() -> None:
    sections = re.findall(r"^## (inngest_\w+)$", page("reference/commands.md").text, re.MULTILINE)

    assert sorted(sections) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_page_has_every_option(name: str) -> None:
    section = page("reference/commands.md").section(name)
    parser = load_command_class("inngest_django", name).create_parser("manage.py", name)

    options = {
        option
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--")
    } - _EVERY_COMMANDS_OPTIONS

    assert {option for option in options if not re.search(rf"`{option}[ `]", section)} == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_page_has_no_other_option(name: str) -> None:
    section = page("reference/commands.md").section(name)
    parser = load_command_class("inngest_django", name).create_parser("manage.py", name)
    options = {option for action in parser._actions for option in action.option_strings}

    documented = {cell.split(" ")[0] for cell in _first_cells(section) if cell.startswith("--")}

    assert documented <= options


def test_commands_page_has_the_doctors_checks() -> None:
    section = page("reference/commands.md").section("inngest_doctor")
    checks = {name.removeprefix("check_") for name in vars(diagnosis) if name.startswith("check_")}

    assert _first_cells(section) == checks


# Names, addresses, checks, statuses ------------------------------------------------------


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Module inngest_django", inngest_django.__all__),
        ("Module inngest_django.experimental", experimental.__all__),
        ("Module inngest_django.experimental.mocked", mocked.__all__),
        ("Module inngest_django.testing", testing.__all__),
        ("Module inngest_django.django", [django_module.serve.__name__]),
        ("Module inngest_django.signals", signals.__all__),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_api_page_has_exactly_the_public_names(heading: str, names: list[str]) -> None:
    documented = _first_cells(page("reference/api.md").section(heading))

    assert documented == set(names)


def test_docstrings_page_has_every_public_module_but_that_of_the_models() -> None:
    rst = (DOCS / "reference/docstrings.rst").read_text()
    described = re.findall(r"^## Module (\S+)$", page("reference/api.md").text, re.MULTILINE)

    assert {*re.findall(r"^\.\. automodule:: (\S+)$", rst, re.MULTILINE)} == {*described} - {
        "inngest_django.models"  # For reading, by the fields that the page of names lists.
    }


def test_api_page_names_models_and_fields_that_exist() -> None:
    section = page("reference/api.md").section("Module inngest_django.models")

    for line in section.splitlines():
        if line.startswith("| `"):
            name, *fields = re.findall(r"`(\w+)`", line)
            model = apps.get_model("inngest_django", name)
            relations = {field.name for field in model._meta.get_fields()}
            assert [f for f in fields if f not in relations and not hasattr(model, f)] == []


def test_api_page_names_step_methods_and_context_attributes_that_exist() -> None:
    steps = page("reference/api.md").section("Step and StepSync")
    contexts = page("reference/api.md").section("Context and ContextSync")

    for cls in (inngest_django.Step, inngest_django.StepSync):
        methods = {cell.split("(")[0] for cell in _first_cells(steps)}
        public = {name for name in dir(cls) if not name.startswith("_")}
        assert methods | {"idempotency_key"} == public
    for cls in (inngest_django.Context, inngest_django.ContextSync):
        assert _first_cells(contexts) == set(cls.__dataclass_fields__)


def test_checks_page_has_exactly_the_ids_that_are_reported() -> None:
    reported = {
        path.name: set(re.findall(r'"(inngest\.[EW]\d{3})"', path.read_text()))
        for path in (PACKAGE / "checks.py", PACKAGE / "source/rules.py")
    }

    assert _first_cells(page("reference/system-checks.md").text) == set.union(*reported.values())
    assert reported["rules.py"] == {name for name, one in CHECKS.items() if one.reads_source}
    assert {name for name, one in CHECKS.items() if one.is_error} == {
        name for name in CHECKS if name.startswith("inngest.E")
    }


@pytest.mark.parametrize(
    ("heading", "members"),
    [
        ("Runs", RunStatus),
        ("Steps", StepStatus),
        ("Kinds of job", JobKind),
        ("Ops", OpKind),
    ],
)
def test_states_page_explains_every_status(heading: str, members: type) -> None:
    documented = _first_cells(page("reference/states.md").section(heading))

    assert documented == {str(member) for member in members}


def test_state_diagrams_are_those_made_from_the_code() -> None:
    assert set(diagram.drawn(diagram.PAGE.text)) == set(diagram.TABLES)
    assert diagram.redrawn(diagram.PAGE.text) == diagram.PAGE.text


# Limits --------------------------------------------------------------------------------

_MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("Events in one send or request", f"{ingest.MAX_EVENTS:,}"),
        ("Size of one event's", f"{conf.Settings().MAX_EVENT_BYTES // _MIB} MiB"),
        ("Depth of lists and objects", str(ingest.MAX_DEPTH)),
        ("Characters in an event's name", str(ingest.MAX_NAME)),
        ("Characters in an event's `id`", str(ingest.MAX_ID)),
        ("Body of `POST /e/<key>`", f"{api_ingest.BODY_FACTOR} times"),
        ("Retries", f"0 to {function.MAX_RETRIES}, {function.DEFAULT_RETRIES} unless"),
        ("Triggers of a function", str(function.MAX_TRIGGERS)),
        ("Characters in a trigger's event name", str(triggers.MAX_EVENT_NAME)),
        ("Characters in a schedule", str(triggers.MAX_CRON)),
        ("`cancel` rules", str(function.MAX_CANCEL)),
        ("`concurrency` entries", str(function.MAX_CONCURRENCY)),
        ("Steps of a run", f"{conf.Settings().MAX_STEPS:,}"),
        ("Output of a step", f"{specs.MAX_VALUE_BYTES // _MIB} MiB"),
        ("Losses of a step before it fails", f"at least {retries.MIN_LOSSES}"),
        ("Losses during deploys", str(retries.MAX_FREE_LOSSES)),
        ("Characters |", f"{guards.MAX_CHARACTERS:,}; in keys {guards.MAX_KEY_CHARACTERS:,}"),
        ("Backslashes", str(guards.MAX_BACKSLASHES)),
        ("Depth of brackets", str(guards.MAX_BRACKETS)),
        ("Parts of an expression", str(lowering.MAX_NODES)),
        ("Runs in the answer of", f"{api_runs.RUN_LIMIT:,}"),
        ("Runs that one admin action", f"{actions.ACTION_LIMIT:,}"),
    ],
)
def test_limits_page_has_the_value(what: str, value: str) -> None:
    lines = page("reference/limits.md").text.splitlines()
    [row] = [line for line in lines if line.startswith(f"| {what}")]

    assert f"| {value}" in row.removeprefix("| ") or f" {value}" in row


# Guarantees ----------------------------------------------------------------------------


def _tests_of(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_guarantees_name_tests_that_exist() -> None:
    named = re.findall(r"`(tests/\S+?\.py)::(\w+)`", page("explanation/guarantees.md").text)

    assert named
    assert [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).exists() or name not in _tests_of(ROOT / path)
    ] == []


def test_each_promise_is_marked_proven_or_not_yet() -> None:
    guarantees = page("explanation/guarantees.md")
    promises = re.findall(r"^## (\d\. .+)$", guarantees.text, re.MULTILINE)

    assert len(promises) == 8
    for promise in promises[:-1]:
        section = guarantees.section(promise)
        assert re.search(r"^- (Proven by `tests/|Not yet proven: )", section, re.MULTILINE)


# Comparison ----------------------------------------------------------------------------


def test_every_cell_at_a_glance_has_a_source() -> None:
    text = page("explanation/comparison.md").section("At a glance")
    [_, ours, *others] = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in text.splitlines()
        if line.startswith("| ") and not line.startswith("| ---")
    ]

    assert len(others) == 9
    assert all("](" in cell for cell in ours[1:])
    assert [cell for row in others for cell in row[1:] if "](https://" not in cell] == []


def test_what_is_said_of_other_systems_has_a_source() -> None:
    comparison = page("explanation/comparison.md")
    systems = re.findall(r"^## (.+)$", comparison.text, re.MULTILINE)[1:-1]
    items = [
        (system, item)
        for system in systems
        for item in re.findall(r"^- .+(?:\n  .+)*", comparison.section(system), re.MULTILINE)
    ]

    assert len(systems) == 8
    assert [
        f"{system}: {item}"
        for system, item in items
        if "](https://" not in item and "](../" not in item and not item.startswith("- It differs")
    ] == []
