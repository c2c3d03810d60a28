"""The driver of a test: the real one, with chosen results and failures put in its way."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from inngest_django.drivers.base import CallRequest, CallResponse, Discovered, Driver
from inngest_django.drivers.stand_ins import Scene, around, chosen, lookup
from inngest_django.functions.function import Function
from inngest_django.ids import hash_step_id
from inngest_django.steps.specs import BodySpec, Spec
from inngest_django.testing.autocommit import autocommitting
from inngest_django.testing.faults import BEFORE_BODY, Faults


class MadeToFailError(Exception):
    """What a step raises that a test made fail."""


@dataclasses.dataclass(slots=True)
class Choices:
    """What a test chose for one run.

    Attributes:
        steps: Results by step id; see ``stand_ins.chosen``.
        fail: By step id, how many tries fail, or what each of them raises.
        met: Ids that were used.
    """

    steps: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    fail: dict[str, list[BaseException]] = dataclasses.field(default_factory=dict)
    met: set[str] = dataclasses.field(default_factory=set)

    @classmethod
    def of(cls, steps: Mapping[str, Any] | None, fail: Mapping[str, Any] | None) -> Choices:
        """Return the choices as an author writes them."""
        return cls(
            steps=dict(steps or {}),
            fail={name: _failures(name, wanted) for name, wanted in (fail or {}).items()},
        )

    @property
    def unmet(self) -> list[str]:
        """Steps with a choice that the run never called."""
        return sorted({*self.steps, *self.fail} - self.met)


def _failures(name: str, wanted: Any) -> list[BaseException]:
    if isinstance(wanted, int) and not isinstance(wanted, bool) and wanted >= 0:
        return [
            MadeToFailError(f'Step "{name}" was made to fail by the test ({number} of {wanted}).')
            for number in range(1, wanted + 1)
        ]
    errors = list(wanted) if isinstance(wanted, list | tuple) else [wanted]
    for error in errors:
        if not isinstance(error, BaseException):
            raise TypeError(
                f'fail: step "{name}" takes a number of tries, an exception, or a list of'
                f" exceptions, got {wanted!r}."
            )
    return errors


class KitDriver:
    """Calls functions through the driver it stands in for.

    Attributes:
        choices: By run id.
        during: Called with the job's id while a body could run.
    """

    def __init__(self, driver: Driver, faults: Faults) -> None:
        self.choices: dict[str, Choices] = {}
        self.during: Callable[[int], None] | None = None
        self._driver = driver
        self._faults = faults

    def call(self, function: Function, request: CallRequest) -> CallResponse:
        """Run the function from the top until it ends or meets new steps."""
        choices = self.choices.get(request.run_id) or Choices()
        names: dict[str, str] = {}

        def choose(spec: Spec, index: int) -> Spec:
            name = f"{spec.step_id}:{index}" if index else spec.step_id
            names[hash_step_id(spec.step_id, index)] = name
            choices.met |= {name, spec.step_id}
            is_chosen, value = lookup(choices.steps, spec, index)
            if is_chosen:
                spec = chosen(spec, value)
            if isinstance(spec, BodySpec):
                failures = choices.fail.get(name) or choices.fail.get(spec.step_id) or []
                is_transaction = spec.is_transaction
                return around(spec, lambda: self._body(name, failures, is_transaction))
            return spec

        if self.during is not None and request.job_id is not None:
            self.during(int(request.job_id))
        scene = Scene(function, choose)
        response = self._driver.call(scene.function, request)
        if scene.refused is not None:
            raise scene.refused
        if isinstance(response, Discovered) and response.ops:
            self._faults.at_steps(*(names.get(op.hashed_id, op.name) for op in response.ops))
        return response

    @contextlib.contextmanager
    def _body(
        self, name: str, failures: list[BaseException], is_transaction: bool
    ) -> Iterator[None]:
        self._faults.at_steps(name)
        self._faults.reach(BEFORE_BODY)
        if failures:
            raise failures.pop(0)
        with contextlib.nullcontext() if is_transaction else autocommitting():
            yield
