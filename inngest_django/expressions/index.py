"""Lookup keys: which waits an arriving event could end, without trying them all.

A *shape* is the atoms of an alternative without their values; as text it is the same
for every run of a function. A key is a hash of event name, shape and values. A wait is
stored under its keys; an arriving event computes its own keys for every known shape of
its name. Whatever cannot be looked up is under the residual key of the event name, which
every arriving event has.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import math
from collections.abc import Iterable, Mapping
from typing import cast

from inngest_django import serialization
from inngest_django.expressions import encoding, values
from inngest_django.expressions.alternatives import Alternative, Atom, Planning
from inngest_django.expressions.errors import EvaluationFault
from inngest_django.expressions.nodes import Segment
from inngest_django.expressions.programs import Program

MAX_ATOMS = 4
MAX_SPEC = 500
MAX_COMBINATIONS = 1_000

_RESIDUAL, _VALUES, _WIDE = b"residual", b"values", b"wide"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WaitPlan:
    """Where a wait is stored.

    Attributes:
        never: The condition cannot become true; only the time-out is left.
        keys: Signed 64-bit integers to store the wait under.
        shapes: Texts to store, once each, under the event name.
        warnings: What the author may not have meant.
    """

    never: bool
    keys: tuple[int, ...]
    shapes: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ArrivalKeys:
    """The keys under which waits for an arriving event may be stored."""

    keys: frozenset[int]


def plan(program: Program | None, *, event: Mapping[str, object], event_name: str) -> WaitPlan:
    """Return where to store a wait so that no event that ends it can miss it.

    Args:
        program: The condition, or None when any event of the name will do.
        event: The run's own event.
        event_name: The name of the events waited for.

    Raises:
        ValueError: The program was not compiled as a wait.
    """
    if program is None:
        return plan_residual(event_name)
    if program.kind != "wait" or program.planner is None:
        raise ValueError(f'A wait needs a program of kind "wait", got "{program.kind}".')
    planning = Planning(event=event)
    alternatives = program.planner(planning)
    warnings = tuple(dict.fromkeys(planning.warnings))
    if not alternatives:
        return WaitPlan(never=True, keys=(), shapes=(), warnings=warnings)
    keys, shapes = keys_for(alternatives, event_name=event_name)
    return WaitPlan(never=False, keys=keys, shapes=shapes, warnings=warnings)


def plan_residual(event_name: str) -> WaitPlan:
    """Return the plan of a wait that is tried on every event of the name."""
    return WaitPlan(never=False, keys=(residual_key(event_name),), shapes=(), warnings=())


def keys_for(
    alternatives: Iterable[Alternative], *, event_name: str
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the keys and shapes of alternatives, of which there is at least one."""
    keys: set[int] = set()
    shapes: set[str] = set()
    for alternative in alternatives:
        atoms, spec = _shape(alternative)
        if not atoms:
            return (residual_key(event_name),), ()
        shapes.add(spec)
        parts = [alternative[atom] for atom in atoms]
        keys.add(_hashed(event_name, _VALUES, spec.encode(), *parts))
        if any(kind == "elem" for kind, _ in atoms):
            # An event with a very long list asks for the shape as a whole.
            keys.add(_hashed(event_name, _WIDE, spec.encode()))
    return tuple(sorted(keys)), tuple(sorted(shapes))


def keys_of(event: Mapping[str, object], *, event_name: str, shapes: Iterable[str]) -> ArrivalKeys:
    """Return the keys under which a wait for this event may be stored.

    Args:
        event: The arriving event.
        event_name: Its name.
        shapes: All shapes stored under the name; read after the event is visible to
            others, or a wait stored meanwhile is missed.

    Raises:
        ValueError: A shape was not written by this module.
    """
    keys = {residual_key(event_name)}
    for spec in shapes:
        choices = [_encodings(atom, event) for atom in _atoms(spec)]
        text = spec.encode()
        if math.prod(map(len, choices)) > MAX_COMBINATIONS:
            keys.add(_hashed(event_name, _WIDE, text))
            continue
        keys.update(
            _hashed(event_name, _VALUES, text, *parts) for parts in itertools.product(*choices)
        )
    return ArrivalKeys(keys=frozenset(keys))


@functools.lru_cache(maxsize=4_096)
def residual_key(event_name: str) -> int:
    """Return the key of waits that are tried on every event of the name."""
    return _hashed(event_name, _RESIDUAL)


def _shape(alternative: Alternative) -> tuple[list[Atom], str]:
    """Return the atoms to look up by, and their text.

    The choice depends on paths only, never on values, so that all runs of a function
    share one shape. Leaving atoms out only adds candidates.
    """
    ranked = sorted(alternative, key=lambda atom: (atom[0] != "eq", serialization.dumps(atom)))
    atoms = ranked[:MAX_ATOMS]
    spec = _spec(atoms)
    while atoms and len(spec) > MAX_SPEC:
        # The longest path goes; a column of this size fits every database's index.
        atoms.remove(max(atoms, key=lambda atom: len(serialization.dumps(atom))))
        spec = _spec(atoms)
    return atoms, spec


def _spec(atoms: list[Atom]) -> str:
    return serialization.dumps(atoms)


@functools.lru_cache(maxsize=4_096)
def _atoms(spec: str) -> tuple[Atom, ...]:
    atoms = cast("list[tuple[str, list[Segment]]]", serialization.loads(spec))
    return tuple((kind, tuple(segments)) for kind, segments in atoms)


def _encodings(atom: Atom, event: Mapping[str, object]) -> set[bytes]:
    kind, segments = atom
    try:
        value = values.follow(event, segments)
    except EvaluationFault:
        return set()  # the whole comparison would fail as well
    if kind == "eq":
        found = {encoding.indexable(value)}
    elif isinstance(value, Mapping | list | tuple):
        found = {encoding.indexable(element) for element in value}
    else:
        found = set()
    # Nothing stored can equal what is not indexable.
    return {key for key in found if key is not None}


def _hashed(event_name: str, *parts: bytes) -> int:
    state = hashlib.blake2b(digest_size=8)
    for part in (event_name.encode("utf-8", "surrogatepass"), *parts):
        state.update(len(part).to_bytes(4, "big"))
        state.update(part)
    return int.from_bytes(state.digest(), "big", signed=True)
