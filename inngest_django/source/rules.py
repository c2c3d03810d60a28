"""What is wrong with a function by its source and options; ``checklist`` has the remedies."""

from __future__ import annotations

import ast
import dataclasses
import datetime as dt
from collections.abc import Iterator
from typing import Any

from inngest_django.durations import format_duration, parse_duration
from inngest_django.errors import DurationError
from inngest_django.functions.function import Function
from inngest_django.source.paths import exclude_each_other
from inngest_django.source.seen import Place, StepCall, Walked
from inngest_django.source.texts import Library, Text
from inngest_django.source.walk import walk


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        id: Of the system check.
        path, line: Where.
    """

    id: str
    path: str
    line: int
    message: str


def findings(function: Function, library: Library) -> list[Finding]:
    """Return what is wrong with a function; nothing when its source cannot be read."""
    text = library.text_of(function.handler)
    if text is None:
        return []
    report = _Report(function, text)
    walked = walk(text)
    found = [finding for rule in _RULES for finding in rule(walked, report)]
    return sorted(found, key=lambda finding: (finding.line, finding.id))


class _Report:
    """Makes findings, unless a comment allows them."""

    def __init__(self, function: Function, text: Text) -> None:
        self.function = function
        self._text = text

    def at(self, node: Any, id_: str, message: str) -> Iterator[Finding]:
        """Yield a finding about a place in the source."""
        last = node.end_lineno or node.lineno
        if isinstance(node, ast.ExceptHandler):
            last = node.lineno
        yield from self._made(node.lineno, (node.lineno, last), id_, message)

    def about(self, id_: str, message: str) -> Iterator[Finding]:
        """Yield a finding about the function's options."""
        head = self._text.head
        yield from self._made(head[0], head, id_, message)

    def _made(self, line: int, lines: tuple[int, int], id_: str, message: str) -> Iterator[Finding]:
        file = self._text.file
        check = id_.rpartition(".")[2]
        if not (file.is_allowed(check, *lines) or file.is_allowed(check, *self._text.head)):
            about = f"Function {self.function.id!r} {message}"
            yield Finding(id_, file.path, line, about)


def _duplicates(walked: Walked, report: _Report) -> Iterator[Finding]:
    by_name: dict[str, list[StepCall]] = {}
    for step in walked.steps:
        literal = step.name.literal
        if literal is not None and not step.is_repeated:
            by_name.setdefault(literal, []).append(step)
    for name, steps in by_name.items():
        reported: set[ast.AST] = set()
        for index, step in enumerate(steps):
            first = next((e for e in steps[:index] if _are_two(e.place, step.place)), None)
            if first is None or step.place.node in reported:
                continue
            reported.add(step.place.node)
            yield from report.at(
                step.place.node,
                "inngest.W010",
                f'calls two steps "{name}", here and in line {first.place.node.lineno}. They are'
                " told apart by their order only, which a change of the code can turn round.",
            )


def _are_two(one: Place, other: Place) -> bool:
    return one.node is not other.node and not exclude_each_other(one.arms, other.arms)


def _nested(walked: Walked, report: _Report) -> Iterator[Finding]:
    for place in _once(walked.nested):
        yield from report.at(
            place.node,
            "inngest.W011",
            "calls a step in the body of another step, which fails with step_nested.",
        )


def _sends(walked: Walked, report: _Report) -> Iterator[Finding]:
    for place in _once(walked.sends):
        yield from report.at(
            place.node,
            "inngest.W012",
            "sends an event outside a step: it is sent again on every entry.",
        )


def _changing(walked: Walked, report: _Report) -> Iterator[Finding]:
    for place in _once([p for p in walked.changing if _comes_again(p, walked.steps)]):
        yield from report.at(
            place.node,
            "inngest.W013",
            f"calls {ast.unparse(place.node.func)}() between steps, which gives another"
            " value on every entry.",
        )


def _comes_again(place: Place, steps: list[StepCall]) -> bool:
    """Whether an entry that replays a step comes by this place."""
    return any(
        step.place.order > place.order or set(step.place.loops) & set(place.loops)
        for step in steps
        if not exclude_each_other(place.arms, step.place.arms)
    )


def _traps(walked: Walked, report: _Report) -> Iterator[Finding]:
    for place in _once(walked.traps):
        yield from report.at(
            place.node,
            "inngest.W014",
            f"has {_trap(place.node)} around a step. A step that is not done yet leaves the"
            " function by a BaseException, which must pass.",
        )


def _trap(node: Any) -> str:
    if isinstance(node, ast.ExceptHandler):
        return "a bare except" if node.type is None else "except BaseException"
    if isinstance(node, ast.Return):
        return "a return in the finally"
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        if name.endswith("gather"):
            return "asyncio.gather with return_exceptions=True"
        if name.endswith("suppress"):
            return "suppress(BaseException)"
    return "a step in the finally"


def _rules_without_condition(_: Walked, report: _Report) -> Iterator[Finding]:
    for rule in report.function.cancel:
        if not rule.if_exp:
            yield from report.about(
                "inngest.W015",
                f"has a cancel rule for {rule.event!r} without a condition: one such event"
                " cancels all runs of the function.",
            )


def _contradictions(walked: Walked, report: _Report) -> Iterator[Finding]:
    debounce, timeouts = report.function.debounce, report.function.timeouts
    if debounce is not None and debounce.timeout is not None:
        period, longest = _duration(debounce.period), _duration(debounce.timeout)
        if period is not None and longest is not None and longest < period:
            yield from report.about(
                "inngest.W016",
                f"has a debounce timeout of {format_duration(longest)}, shorter than its period"
                f" of {format_duration(period)}, so that the period never counts.",
            )
    finish = None if timeouts is None else _duration(timeouts.finish)
    if finish is not None:
        yield from _over(walked, report, finish)


def _over(walked: Walked, report: _Report, finish: dt.timedelta) -> Iterator[Finding]:
    """Yield the pauses that outlast what a run may take."""
    total = dt.timedelta(0)
    for step in walked.steps:
        length = _length(step)
        if length is None:
            continue
        is_alone = step.place.arms or step.is_repeated or step.place.is_in_group
        is_sleep = step.method == "sleep"
        if not is_alone and is_sleep:
            total += length
        longest = total if is_sleep and not is_alone else length
        if longest >= finish:
            yield from report.at(
                step.place.node,
                "inngest.W016",
                f'pauses in step "{step.name}" until {format_duration(longest)} have passed, but'
                f" timeouts.finish cancels the run after {format_duration(finish)}.",
            )


def _length(step: StepCall) -> dt.timedelta | None:
    """Return how long a step may pause, when the source says it."""
    call = step.place.node
    if step.method == "sleep":
        node = call.args[1] if len(call.args) > 1 else None
    elif step.method in ("wait_for_event", "invoke", "invoke_by_id"):
        node = None
    else:
        return None
    wanted = "duration" if step.method == "sleep" else "timeout"
    for keyword in call.keywords:
        if keyword.arg == wanted:
            node = keyword.value
    return _duration(node.value) if isinstance(node, ast.Constant) else None


def _duration(value: object) -> dt.timedelta | None:
    try:
        return None if value is None else parse_duration(value)
    except DurationError:
        return None


def _once(places: list[Place]) -> Iterator[Place]:
    """Iterate over places, each node once: a function may be walked through several times."""
    return iter({place.node: place for place in places}.values())


_RULES = (
    _duplicates,
    _nested,
    _sends,
    _changing,
    _traps,
    _rules_without_condition,
    _contradictions,
)
