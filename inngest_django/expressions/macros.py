"""``exists``, ``all``, ``exists_one``, ``filter``, ``map``: one turn per element.

A list gives its elements, a map its keys. Missing gives false, and an empty list for
``filter`` and ``map``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from inngest_django.expressions.errors import EvaluationFault
from inngest_django.expressions.evaluation import ITERATION_COST, Evaluation
from inngest_django.expressions.values import kind_of

Closure = Callable[[Evaluation], object]


def closure_of(name: str, target: Closure, body: Closure) -> Closure:
    """Return the function that runs the macro ``name``."""
    return _BUILDERS[name](target, body)


def _elements(name: str, value: object) -> Iterable[object]:
    if isinstance(value, Mapping | list | tuple):
        return value
    raise EvaluationFault(f"{name}() needs a list or a map, got {kind_of(value)}.")


def _decided(e: Evaluation, body: Closure, element: object) -> bool:
    e.charge(ITERATION_COST)
    e.variable = element
    value = body(e)
    if value is True or value is False:
        return value
    raise EvaluationFault(f"a macro needs true or false, got {kind_of(value)}.")


def _any_or_all(name: str, decisive: bool, target: Closure, body: Closure) -> Closure:
    def run(e: Evaluation) -> bool:
        # As with || and &&, one decisive element wins over the faults of others.
        value = target(e)
        if value is None:
            return False
        problem = None
        for element in _elements(name, value):
            try:
                if _decided(e, body, element) is decisive:
                    return decisive
            except EvaluationFault as fault:
                problem = str(fault)
        if problem is not None:
            raise EvaluationFault(problem)
        return not decisive

    return run


def _exists(target: Closure, body: Closure) -> Closure:
    return _any_or_all("exists", True, target, body)


def _all(target: Closure, body: Closure) -> Closure:
    return _any_or_all("all", False, target, body)


def _exists_one(target: Closure, body: Closure) -> Closure:
    def run(e: Evaluation) -> bool:
        value = target(e)
        if value is None:
            return False
        elements = _elements("exists_one", value)
        return sum(_decided(e, body, element) for element in elements) == 1

    return run


def _filter(target: Closure, body: Closure) -> Closure:
    def run(e: Evaluation) -> list[object]:
        value = target(e)
        elements = () if value is None else _elements("filter", value)
        return [element for element in elements if _decided(e, body, element)]

    return run


def _map(target: Closure, body: Closure) -> Closure:
    def run(e: Evaluation) -> list[object]:
        value = target(e)
        mapped = []
        for element in () if value is None else _elements("map", value):
            e.charge(ITERATION_COST)
            e.variable = element
            mapped.append(body(e))
        return mapped

    return run


_BUILDERS: dict[str, Callable[[Closure, Closure], Closure]] = {
    "exists": _exists,
    "all": _all,
    "exists_one": _exists_one,
    "filter": _filter,
    "map": _map,
}
