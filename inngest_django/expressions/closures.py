"""Intermediate form to Python closures.

Each node becomes one function of the evaluation. That is 200 to 400 times faster than
walking cel-python's tree, and touches only those fields of an event that are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from inngest_django.expressions import arithmetic, macros, values
from inngest_django.expressions.errors import EvaluationFault
from inngest_django.expressions.evaluation import Evaluation
from inngest_django.expressions.functions import FUNCTIONS
from inngest_django.expressions.nodes import (
    Binary,
    Call,
    Condition,
    Has,
    Index,
    ListOf,
    Literal,
    Logic,
    Macro,
    MapOf,
    Negative,
    Node,
    Not,
    Path,
    Segment,
    Select,
)

Closure = Callable[[Evaluation], object]

_ATTRIBUTES = {"event": "event", "async": "arriving"}


def closure_of(node: Node) -> Closure:
    """Return the function that computes a validated expression.

    It raises ``EvaluationFault`` and ``LimitFault``. It holds no state, so that any
    number of threads may call it.
    """
    return _BUILDERS[type(node)](node)


def _literal(node: Literal) -> Closure:
    value = node.value
    return lambda _: value


def _path(node: Path) -> Closure:
    return _reached(_root(node), node.segments)


def _root(node: Path) -> Closure:
    match _ATTRIBUTES.get(node.root):
        case "event":
            return lambda e: e.event
        case "arriving":
            return lambda e: e.arriving
        case _:
            return lambda e: e.variable


def _select(node: Select) -> Closure:
    return _reached(closure_of(node.target), node.segments)


def _reached(start: Closure, segments: tuple[Segment, ...]) -> Closure:
    if not segments:
        return start
    step_into = values.step_into

    def reached(e: Evaluation) -> object:
        value = start(e)
        for segment in segments:
            # Nearly every step is this one; the general one costs three times as much.
            if type(value) is dict and type(segment) is str:
                value = value.get(segment)
            elif value is None:
                return None
            else:
                value = step_into(value, segment)
        return value

    return reached


def _index(node: Index) -> Closure:
    target, index = closure_of(node.target), closure_of(node.index)
    return lambda e: values.step_into(target(e), index(e))


def _has(node: Has) -> Closure:
    operand = node.operand
    start = _root(operand) if isinstance(operand, Path) else closure_of(operand.target)
    parent, field = _reached(start, operand.segments[:-1]), operand.segments[-1]

    def has(e: Evaluation) -> bool:
        try:
            value = parent(e)
        except EvaluationFault:
            return False
        return isinstance(value, Mapping) and field in value

    return has


def _not(node: Not) -> Closure:
    operand = closure_of(node.operand)

    def negation(e: Evaluation) -> bool:
        value = operand(e)
        if value is True or value is False:
            return not value
        raise EvaluationFault(f"! needs true or false, got {values.kind_of(value)}.")

    return negation


def _negative(node: Negative) -> Closure:
    operand = closure_of(node.operand)
    return lambda e: arithmetic.negate(operand(e))


def _logic(node: Logic) -> Closure:
    operands = tuple(closure_of(operand) for operand in node.operands)
    operator = node.operator
    decisive = operator == "||"

    def logic(e: Evaluation) -> bool:
        # A decisive operand wins over the faults of the others, whatever the order.
        problem = None
        for operand in operands:
            try:
                value = operand(e)
            except EvaluationFault as fault:
                problem = str(fault)
                continue
            if value is decisive:
                return decisive
            if value is not (not decisive):
                kind = values.kind_of(value)
                problem = f"{operator} needs true or false, got {kind}."
        if problem is not None:
            raise EvaluationFault(problem)
        return not decisive

    return logic


def _binary(node: Binary) -> Closure:
    left, right = closure_of(node.left), closure_of(node.right)
    match node.operator:
        case "==":
            return lambda e: values.equal(left(e), right(e), e)
        case "!=":
            return lambda e: not values.equal(left(e), right(e), e)
        case "in":
            return lambda e: values.contained(left(e), right(e), e)
        case "+":
            return lambda e: arithmetic.add(left(e), right(e), e)
        case operator if operator in values.ORDERINGS:
            return lambda e: values.ordered(operator, left(e), right(e))
        case operator:
            compute = _ARITHMETIC[operator]
            return lambda e: compute(left(e), right(e))


_ARITHMETIC = {
    "-": arithmetic.subtract,
    "*": arithmetic.multiply,
    "/": arithmetic.divide,
    "%": arithmetic.remainder,
}


def _condition(node: Condition) -> Closure:
    test, then = closure_of(node.test), closure_of(node.then)
    otherwise = closure_of(node.otherwise)

    def condition(e: Evaluation) -> object:
        value = test(e)
        if value is True:
            return then(e)
        if value is False or value is None:
            return otherwise(e)
        raise EvaluationFault(f"? needs true or false, got {values.kind_of(value)}.")

    return condition


def _call(node: Call) -> Closure:
    function = FUNCTIONS[node.name]
    run, takes_null = function.run, function.takes_null
    arguments = tuple(closure_of(argument) for argument in node.arguments)

    def call(e: Evaluation) -> object:
        given = [argument(e) for argument in arguments]
        if not takes_null and None in given:
            return False
        return run(e, *given)

    return call


def _macro(node: Macro) -> Closure:
    return macros.closure_of(node.name, closure_of(node.target), closure_of(node.body))


def _list(node: ListOf) -> Closure:
    items = tuple(closure_of(item) for item in node.items)
    return lambda e: [item(e) for item in items]


def _map(node: MapOf) -> Closure:
    entries = tuple(
        (closure_of(key), closure_of(value))
        for key, value in zip(node.entries[::2], node.entries[1::2], strict=True)
    )

    def collected(e: Evaluation) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_of, value_of in entries:
            key = key_of(e)
            if not isinstance(key, str):
                raise EvaluationFault("keys of a map are strings, as in JSON.")
            if key in result:
                raise EvaluationFault("a map has a key twice.")
            result[key] = value_of(e)
        return result

    return collected


_BUILDERS: dict[type[Node], Callable[..., Closure]] = {
    Literal: _literal,
    Path: _path,
    Select: _select,
    Index: _index,
    Has: _has,
    Not: _not,
    Negative: _negative,
    Logic: _logic,
    Binary: _binary,
    Condition: _condition,
    Call: _call,
    Macro: _macro,
    ListOf: _list,
    MapOf: _map,
}
