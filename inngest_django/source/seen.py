"""What a walk through a function knows of where it stands, and what it saw."""

from __future__ import annotations

import ast
import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Any

from inngest_django.source import names as meanings
from inngest_django.source.paths import Arms, Exclusion, merged
from inngest_django.source.step_names import StepName
from inngest_django.source.texts import FunctionNode


class Mode(enum.Enum):
    """How the code at a place runs."""

    REPLAYED = enum.auto()  # On every entry: between steps.
    BODY = enum.auto()  # Once: in a step's body.
    UNSURE = enum.auto()  # Whenever something else calls it.


class Tool(enum.Enum):
    """What a name of the function's own is."""

    CONTEXT = enum.auto()
    STEP = enum.auto()
    GROUP = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Method:
    """A method of the tools, such as ``ctx.step.run``."""

    tool: Tool
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Local:
    """Another name of the function's own.

    Attributes:
        node: The function that it is, if it is one, with the names around it.
        imported: What an import inside the function gave it.
    """

    node: FunctionNode | None = None
    around: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    imported: Any = meanings.UNKNOWN


@dataclasses.dataclass(frozen=True, slots=True)
class At:
    """Where the walk stands.

    Attributes:
        names: The names of the function's own: ``Tool``, ``Method`` or ``Local``.
        arms: Which arms of branches lead here.
        loops: The loops around.
        is_free: A value that differs on each entry does no harm here.
    """

    names: dict[str, Any]
    mode: Mode = Mode.REPLAYED
    arms: Arms = ()
    loops: tuple[ast.AST, ...] = ()
    is_free: bool = False
    is_in_group: bool = False

    def arm(self, branch: ast.AST, arm: int) -> At:
        """Return where an arm of a branch begins."""
        return dataclasses.replace(self, arms=merged(self.arms, (branch, frozenset({arm}))))

    def after(self, exclusions: Sequence[Exclusion]) -> At:
        """Return where the code behind a branch begins."""
        arms = self.arms
        for exclusion in exclusions:
            arms = merged(arms, (exclusion.branch, exclusion.left))
        return dataclasses.replace(self, arms=arms)

    def loop(self, loop: ast.AST) -> At:
        """Return where the body of a loop begins."""
        return dataclasses.replace(self, loops=(*self.loops, loop))


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Something noteworthy, where it stands and how it is come to."""

    node: Any
    order: int
    arms: Arms
    loops: tuple[ast.AST, ...]
    is_in_group: bool = False
    is_sure: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class StepCall:
    """A call of a step."""

    name: StepName
    method: str
    place: Place

    @property
    def is_repeated(self) -> bool:
        """Whether this one place may well be met several times."""
        return bool(self.place.loops) or not self.place.is_sure


@dataclasses.dataclass(slots=True)
class Walked:
    """What a walk saw.

    Attributes:
        nested: Steps in the bodies of steps.
        sends: Events sent by a client between steps.
        changing: Calls whose value differs on each entry, between steps.
        traps: What does not let the unwinding of a step pass.
    """

    steps: list[StepCall] = dataclasses.field(default_factory=list)
    nested: list[Place] = dataclasses.field(default_factory=list)
    sends: list[Place] = dataclasses.field(default_factory=list)
    changing: list[Place] = dataclasses.field(default_factory=list)
    traps: list[Place] = dataclasses.field(default_factory=list)
