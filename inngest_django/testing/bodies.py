"""One step alone: its body is called, the steps before it are answered."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from inngest_django import clock, ids
from inngest_django.drivers.base import CallRequest, Discovered, Op, Raised
from inngest_django.drivers.in_process import InProcessDriver
from inngest_django.drivers.stand_ins import (
    Answer,
    Scene,
    UnstubbedStepError,
    answer,
    around,
    lookup,
)
from inngest_django.engine import transactions
from inngest_django.errors import StepError
from inngest_django.events import Event
from inngest_django.functions.function import Function
from inngest_django.ids import hash_step_id
from inngest_django.serialization import loads
from inngest_django.states import OpKind
from inngest_django.steps.specs import BodySpec, SleepSpec, SleepUntilSpec, Spec


def call(
    function: Function, step: str, event: Event, *, steps: Mapping[str, Any], attempt: int
) -> Any:
    """Call the body of one step; see ``Durable.step``."""
    return _One(function, step, steps).call(event, attempt=attempt)


class _One:
    def __init__(self, function: Function, step: str, steps: Mapping[str, Any]) -> None:
        self._function = function
        self._step = step
        self._steps = steps
        self._met: list[str] = []
        self._spec: Spec | None = None
        self._error: BaseException | None = None

    def call(self, event: Event, *, attempt: int) -> Any:
        payload = event.model_dump(mode="json")
        payload["id"] = payload["id"] or ids.new_ulid()
        payload["ts"] = payload["ts"] or int(clock.now().timestamp() * 1000)
        scene = Scene(self._function, self._choose)
        request = CallRequest(
            run_id=ids.new_ulid(),
            attempt=attempt,
            max_attempts=max(self._function.max_attempts, attempt + 1),
            event=payload,
            events=(payload,),
            memos={},
            # Named, so that it runs inside a parallel group too. "check:1" hashes like the
            # second use of "check".
            target=hash_step_id(self._step, 0),
            transact=_transact,
        )
        response = InProcessDriver().call(scene.function, request)
        if scene.refused is not None:
            raise scene.refused
        if self._error is not None:
            raise self._error
        if self._spec is None:
            error = response.error if isinstance(response, Raised) else None
            ended = f"raised {error['name']}: {error['message']}" if error else "ended"
            raise AssertionError(
                f'Function "{self._function.id}" {ended} without calling step "{self._step}".'
                f" It called: {', '.join(self._met) or 'none'}."
            )
        return self._result(response)

    def _result(self, response: Any) -> Any:
        assert self._spec is not None  # noqa: S101 - checked by the caller
        for op in response.ops if isinstance(response, Discovered) else ():
            if op.kind is OpKind.STEP_RUN:
                return self._spec.result(loads(op.output or "null"), self._function)
            if op.error is not None:
                error = op.error
                raise StepError(error["message"], error["name"], error["stack"], code=error["code"])
        raise AssertionError(
            f'Step "{self._step}" of function "{self._function.id}" has no body to call.'
        )

    def _choose(self, spec: Spec, index: int) -> Spec | Answer:
        name = f"{spec.step_id}:{index}" if index else spec.step_id
        self._met.append(name)
        if name == self._step:
            self._spec = spec
            spec = dataclasses.replace(spec, step_id=name)
            return around(spec, self._watching) if isinstance(spec, BodySpec) else spec
        is_chosen, value = lookup(self._steps, spec, index)
        if is_chosen:
            return Answer(answer(spec, value, self._function))
        if isinstance(spec, SleepSpec | SleepUntilSpec):
            return Answer(None)
        raise UnstubbedStepError(name)

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._error = error
            raise


def _transact(body: Callable[[], Op]) -> Op:
    with transactions.write():
        return body()
