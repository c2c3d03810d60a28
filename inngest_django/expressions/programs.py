"""Compiled expressions and their cache."""

from __future__ import annotations

import collections
import datetime as dt
import logging
import threading
from collections.abc import Mapping

from inngest_django.expressions import (
    closures,
    encoding,
    grammar,
    guards,
    lowering,
    pruning,
    validation,
)
from inngest_django.expressions.alternatives import Planner, is_volatile, planner_of
from inngest_django.expressions.errors import (
    EvaluationFault,
    ExpressionError,
    LimitFault,
)
from inngest_django.expressions.evaluation import Evaluation
from inngest_django.expressions.nodes import Node, Path, Segment, walk
from inngest_django.expressions.validation import ARRIVING, EVENT, ExpressionKind

CACHED_PROGRAMS = 5_000

logger = logging.getLogger(__name__)


class Program:
    """An expression ready to be evaluated; get one from ``compile``.

    Attributes:
        source: The expression as written.
        kind: What it is for.
        is_volatile: Whether it reads the clock.
        event_paths: Paths under ``event`` that it reads; ``()`` is the whole event.
        planner: Lists what an arriving event must have; None for keys and priorities.

    Concurrency: immutable; any number of threads may use one.
    """

    __slots__ = (
        "_branch",
        "_run",
        "event_paths",
        "is_volatile",
        "kind",
        "planner",
        "source",
    )

    def __init__(self, source: str, kind: ExpressionKind, node: Node) -> None:
        self.source = source
        self.kind: ExpressionKind = kind
        parts = list(walk(node))
        self.is_volatile = any(map(is_volatile, parts))
        self.event_paths: tuple[tuple[Segment, ...], ...] = tuple(
            dict.fromkeys(
                part.segments for part in parts if isinstance(part, Path) and part.root == EVENT
            )
        )
        self._run = closures.closure_of(node)
        self._branch = pruning.branch_of(self.event_paths)
        self.planner: Planner | None = None
        if kind in ("wait", "filter"):
            arriving = ARRIVING if kind == "wait" else EVENT
            self.planner = planner_of(node, arriving=arriving)

    def __repr__(self) -> str:
        """Name the expression and its use."""
        return f"Program({self.source!r}, kind={self.kind!r})"

    def evaluate(
        self,
        *,
        event: Mapping[str, object],
        arriving: Mapping[str, object] | None = None,
        now: dt.datetime | None = None,
    ) -> object:
        """Return the value for an event.

        Args:
            event: The variable ``event``.
            arriving: The variable ``async``; null when left out.
            now: The time for ``now()``; the clock's when left out.

        Raises:
            ExpressionError: Kind ``eval``, or ``limit`` for too much work.
        """
        try:
            return self._run(Evaluation(event, arriving, now))
        except EvaluationFault as fault:
            raise ExpressionError(str(fault), kind="eval", source=self.source) from None
        except LimitFault as fault:
            raise self._limit(str(fault)) from None
        except RecursionError:
            raise self._limit("the event nests too deeply.") from None
        except Exception as error:
            # Events hold what nobody expected; one of them must not stop the others.
            problem = f"it has no value for this event ({type(error).__name__})."
            raise ExpressionError(problem, kind="eval", source=self.source) from error

    def matches(
        self,
        *,
        event: Mapping[str, object],
        arriving: Mapping[str, object] | None = None,
        now: dt.datetime | None = None,
    ) -> bool:
        """Return whether the value is exactly true; an error is no match."""
        try:
            return self._run(Evaluation(event, arriving, now)) is True
        except (EvaluationFault, LimitFault) as fault:
            reason = str(fault)
        except Exception as error:  # noqa: BLE001 - as in evaluate()
            reason = type(error).__name__
        logger.debug(
            "expression has no value",
            extra={"expression": self.source, "reason": reason},
        )
        return False

    def constants(self, event: Mapping[str, object]) -> dict[str, object]:
        """Return the part of the event that the expression reads.

        Used as ``event`` it gives the same results as the whole event, also after a
        round trip through JSON.
        """
        return pruning.pruned(event, self._branch)

    def _limit(self, problem: str) -> ExpressionError:
        return ExpressionError(problem, kind="limit", source=self.source)


_programs: collections.OrderedDict[tuple[str, str], Program] = collections.OrderedDict()
_lock = threading.Lock()


def compile(source: str, *, kind: ExpressionKind) -> Program:  # noqa: A001 - named as in re
    """Return the program of an expression, from the cache if it is known.

    Args:
        source: The expression.
        kind: What it is for; only a ``wait`` may read ``async``.

    Raises:
        ExpressionError: Kind ``syntax``, ``invalid`` or ``limit``; the message names
            the expression, the fault, its place and the remedy.

    Concurrency: two threads may compile the same source at once; either result serves.
    """
    if kind not in ("filter", "wait", "key", "priority"):
        raise ValueError(f'kind must be filter, wait, key or priority, got "{kind}".')
    text = guards.guarded(source, kind=kind)
    key = (source, kind)
    with _lock:
        program = _programs.get(key)
        if program is not None:
            _programs.move_to_end(key)
            return program
    node = lowering.lower(grammar.parse(text, source=source), source=source)
    validation.validate(node, source=source, kind=kind)
    program = Program(source, kind, node)
    with _lock:
        _programs[key] = program
        while len(_programs) > CACHED_PROGRAMS:
            _programs.popitem(last=False)
    return program


def bucket_key(program: Program, event: Mapping[str, object]) -> str | None:
    """Return the key of the event's bucket, or None when the value is null.

    The values 1 and 1.0 share a bucket; 1, "1" and true do not.

    Raises:
        ExpressionError: The expression has no value for this event, or none that can
            be a key.
    """
    value = program.evaluate(event=event)
    if value is None:
        return None
    try:
        return encoding.digest(value)
    except ExpressionError as error:
        raise ExpressionError(str(error), kind=error.kind, source=program.source) from None
