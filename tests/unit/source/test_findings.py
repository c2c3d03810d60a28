"""The checks find what is marked in ``cases.py``, and nothing else."""

from __future__ import annotations

import functools
import inspect
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import inngest_django as inngest
from inngest_django.checklist import CHECKS
from inngest_django.functions.function import Function
from inngest_django.source.rules import findings
from inngest_django.source.texts import Library
from tests.unit.source import cases_between, cases_of_steps

TRIGGER = inngest.TriggerEvent(event="a/b")
MODULES = (cases_of_steps, cases_between)
HANDLERS = {
    name: value
    for module in MODULES
    for name, value in vars(module).items()
    if isinstance(value, types.FunctionType)
    and value.__module__ == module.__name__
    and not name.startswith("_")
    and name != "body"
}


def function(handler: Any, **options: Any) -> Function:
    options = {"fn_id": "case", "trigger": TRIGGER, **options}
    return cases_of_steps.client.create_function(**options)(handler)


def found(handler: Any, **options: Any) -> list[tuple[int, str]]:
    made = findings(function(handler, **options), Library())
    return [(finding.line, finding.id.removeprefix("inngest.")) for finding in made]


def marks(module: types.ModuleType) -> dict[int, list[str]]:
    lines = Path(str(module.__file__)).read_text().splitlines()
    return {
        number: checks
        for number, line in enumerate(lines, start=1)
        if (checks := re.findall(r"# finds (W\d{3})", line))
    }


def marked(handler: Any) -> list[tuple[int, str]]:
    """What is marked in a handler and in the helpers that it names."""
    module = sys.modules[handler.__module__]
    named = [handler, *(v for n, v in vars(module).items() if n in _names(handler.__code__))]
    expected = []
    for one in named:
        if isinstance(one, types.FunctionType) and one.__module__ == module.__name__:
            lines, first = inspect.getsourcelines(inspect.unwrap(one))
            expected += [
                (number, check)
                for number, checks in marks(module).items()
                if first <= number < first + len(lines)
                for check in checks
            ]
    return sorted(expected)


def _names(code: types.CodeType) -> set[str]:
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return {*code.co_names}.union(*(_names(one) for one in inner))


@pytest.mark.parametrize("name", HANDLERS)
def test_exactly_what_is_marked_is_found(name: str) -> None:
    handler = HANDLERS[name]

    assert sorted(found(handler)) == marked(handler)


def test_every_mark_belongs_to_a_handler() -> None:
    reached = {
        (handler.__module__, number)
        for handler in HANDLERS.values()
        for number, _ in marked(handler)
    }

    assert reached == {(module.__name__, number) for module in MODULES for number in marks(module)}
    checks = {check for handler in HANDLERS.values() for _, check in marked(handler)}
    assert checks == {"W010", "W011", "W012", "W013", "W014"}


def test_a_finding_says_where_and_what_to_do() -> None:
    [finding] = findings(function(cases_of_steps.twice, fn_id="shop"), Library())

    assert finding.path == cases_of_steps.__file__
    assert "cases-shop" in finding.message
    assert '"a"' in finding.message
    assert f"line {finding.line - 1}" in finding.message
    assert CHECKS[finding.id].reads_source


# Options -----------------------------------------------------------------------------------


def plain(ctx: Any) -> Any:
    ctx.step.sleep("short", "1h")


def test_a_cancel_rule_without_condition() -> None:
    rules = [
        inngest.Cancel(event="stop"),
        inngest.Cancel(event="stop it", if_exp="event.data.id == async.data.id"),
    ]

    [finding] = findings(function(plain, cancel=rules), Library())

    assert finding.id == "inngest.W015"
    assert "'stop'" in finding.message
    assert finding.line == plain.__code__.co_firstlineno


def pauses(ctx: Any) -> Any:
    ctx.step.sleep("a", "20h")
    ctx.step.sleep("b", "20h")
    ctx.step.wait_for_event("c", event="x", timeout="2d")
    ctx.step.wait_for_event("d", event="x", timeout="1h")
    if ctx.event.data["x"]:
        ctx.step.sleep("e", "5h")
    for _ in range(3):
        ctx.step.sleep("f", "5h")
    ctx.step.sleep("g", ctx.event.data["pause"])
    ctx.step.run("h", lambda: None)


def test_pauses_that_outlast_the_run() -> None:
    first = pauses.__code__.co_firstlineno

    over = found(pauses, timeouts=inngest.Timeouts(finish="1d"))
    fits = found(pauses, timeouts=inngest.Timeouts(finish="3d", start="9d"))

    assert over == [(first + 2, "W016"), (first + 3, "W016")]
    assert fits == []


@pytest.mark.parametrize(("timeout", "count"), [("1m", 1), ("2m", 0), ("3m", 0), (None, 0)])
def test_a_debounce_that_ends_before_its_period(timeout: str | None, count: int) -> None:
    debounce = inngest.Debounce(period="2m", timeout=timeout)

    assert [check for _, check in found(plain, debounce=debounce)] == ["W016"] * count


def silent(ctx: Any) -> Any:  # inngest: allow W015 W016
    ctx.step.sleep("short", "1h")


def test_options_are_allowed_at_the_function() -> None:
    options = {
        "cancel": [inngest.Cancel(event="stop")],
        "debounce": inngest.Debounce(period="2m", timeout="1m"),
    }

    assert len(found(plain, **options)) == 2
    assert found(silent, **options) == []


# No source, odd source -------------------------------------------------------------------------


def made(source: str, path: str = "<console>") -> Any:
    names: dict[str, Any] = {}
    exec(compile(source, path, "exec"), names)
    return names["handler"]


TWICE = 'def handler(ctx):\n    ctx.step.run("a", print)\n    ctx.step.run("a", print)\n'


class Callable:
    def __call__(self, ctx: Any) -> Any:
        return None


@pytest.mark.parametrize("path", ["<console>", "/nowhere/module.py", __file__])
def test_without_its_source_nothing_is_found(path: str) -> None:
    assert found(made(TWICE, path)) == []


@pytest.mark.parametrize("handler", [Callable(), print, Callable().__call__])
def test_handlers_of_other_kinds_are_left_alone(handler: Any) -> None:
    assert found(handler) == []


@pytest.mark.parametrize(
    ("source", "count"), [(TWICE, 1), (f"\0{TWICE}", 0), (f"{TWICE}\n? python", 0)]
)
def test_a_file_that_cannot_be_parsed_finds_nothing(
    tmp_path: Path, source: str, count: int
) -> None:
    path = tmp_path / "module.py"
    path.write_text(source)

    assert len(found(made(TWICE, str(path)))) == count


def test_deep_source_is_left_alone(tmp_path: Path) -> None:
    deep = f"def handler(ctx):\n    return {'-' * 5_000}1\n"
    path = tmp_path / "deep.py"
    path.write_text(deep)

    handler = made("def handler(ctx):\n    return 1\n", str(path))

    assert found(handler) == []


class Shop:
    def sell(self, ctx: Any) -> None:
        ctx.step.run("a", print)
        ctx.step.run("a", print)

    @staticmethod
    def priced(price: int, ctx: Any) -> None:
        ctx.step.run("a", print, price)
        ctx.step.run("a", print)


@pytest.mark.parametrize("handler", [Shop().sell, functools.partial(Shop.priced, 1)])
def test_methods_and_partials_are_read(handler: Any) -> None:
    assert [check for _, check in found(handler)] == ["W010"]


def test_helpers_that_call_each_other_many_times_end(tmp_path: Path) -> None:
    levels = [f"def level_{n}(ctx):\n" + f"    level_{n + 1}(ctx)\n" * 30 for n in range(12)]
    source = "\n".join(
        [*levels, "def level_12(ctx): ...", TWICE.replace("ctx):", "ctx):\n    level_0(ctx)", 1)]
    )
    path = tmp_path / "module.py"
    path.write_text(source)

    assert len(found(made(source, str(path)))) == 1


def test_two_lambdas_of_one_line_are_not_mixed_up() -> None:
    pair = [lambda ctx: ctx.step.run("a", print), lambda ctx: ctx.step.run("b", print)]

    assert found(pair[0]) == []
