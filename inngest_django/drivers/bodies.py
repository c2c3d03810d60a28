"""Running a step's body, and sorting out what came of it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from inngest_django.drivers.base import CallRequest, Op
from inngest_django.drivers.replay import Body, inside_body
from inngest_django.drivers.results import Attempts, Found, encode, failure_kind
from inngest_django.errors import (
    AsyncUnsupportedError,
    LeaseLostError,
    NonRetriableError,
    RetryAfterError,
    StepNestedError,
    StepUsageError,
)
from inngest_django.functions.function import Function
from inngest_django.states import OpKind
from inngest_django.steps.calling import Calling, is_async_callable
from inngest_django.steps.specs import BodySpec

# These are about the run, not about the step: they leave the body for the function's code.
_PASSING = (NonRetriableError, RetryAfterError)


class HookFailedError(Exception):
    """A hook raised (its cause) while a transaction was open."""


class _RefusedError(Exception):
    """Rolls a transaction back whose result cannot be stored."""

    def __init__(self, op: Op) -> None:
        super().__init__()
        self.op = op


class Bodies:
    """Runs the bodies of one function."""

    def __init__(self, *, function: Function, calling: Calling) -> None:
        self._function = function
        self._calling = calling

    def check(self, spec: BodySpec, request: CallRequest) -> None:
        """Refuse a transaction that cannot be one."""
        if not spec.is_transaction:
            return
        if is_async_callable(spec.handler):
            raise StepUsageError(
                f'The handler of step "{spec.step_id}" in function "{self._function.id}" is'
                " async; a transaction needs a plain function. Use the ORM's plain methods."
            )
        if request.transact is None:
            raise StepUsageError(
                f'Step "{spec.step_id}" is a transaction, and this call has no database.'
            )

    async def run(self, spec: BodySpec, found: Found, body: Body, attempts: Attempts) -> None:
        """Run a body and put its output or error into ``found``."""
        try:
            with inside_body(body):
                if self._calling.is_async and is_async_callable(spec.handler):
                    value = await spec.handler(*spec.args)
                elif self._calling.is_async:
                    value = await self._calling.settled(
                        await self._calling.on_thread(spec.handler, *spec.args)
                    )
                else:
                    value = spec.handler(*spec.args)
            self._accept(value, spec, found, body)
        except BaseException as error:  # noqa: BLE001 - sorted out there
            _take_error(error, found, body, attempts)

    async def run_transaction(
        self,
        spec: BodySpec,
        found: Found,
        body: Body,
        attempts: Attempts,
        request: CallRequest,
        report: Callable[[], Coroutine[Any, Any, Op]],
    ) -> Op | None:
        """Run a body and store its op in one database transaction.

        Returns:
            The op, or None when the error in ``found`` is still to be reported.

        Raises:
            LeaseLostError: The op may not be stored any more.
            HookFailedError: A hook raised.
        """

        def work() -> Op:
            with inside_body(body):
                value = spec.handler(*spec.args)
            if inspect.isawaitable(value):
                if inspect.iscoroutine(value):
                    value.close()
                raise AsyncUnsupportedError(
                    f'The handler of step "{spec.step_id}" in function "{self._function.id}"'
                    " returned an awaitable; a transaction needs a plain function."
                )
            self._accept(value, spec, found, body)
            try:
                op = self._calling.from_thread(report)
            except Exception as error:
                raise HookFailedError from error
            if op.kind is not OpKind.STEP_RUN:
                raise _RefusedError(op)
            return op

        assert request.transact is not None  # noqa: S101 - checked before the body's turn
        try:
            op: Op = await self._calling.on_thread(request.transact, work)
        except _RefusedError as refused:
            return refused.op
        except (LeaseLostError, HookFailedError):
            raise
        except BaseException as error:  # noqa: BLE001 - sorted out there
            _take_error(error, found, body, attempts)
            return None
        return op

    def _accept(self, value: Any, spec: BodySpec, found: Found, body: Body) -> None:
        if body.is_nested:
            raise StepNestedError
        found.output = encode(value, self._function, spec.output_type, step_id=spec.step_id)


def _take_error(error: BaseException, found: Found, body: Body, attempts: Attempts) -> None:
    """Make a body's error the step's, or let it pass on."""
    if body.is_nested:
        error = StepNestedError()
    elif isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration):
        error = error.__cause__  # No coroutine can raise it as it is.
    elif isinstance(error, _PASSING) or not _is_failure(error):
        raise error
    found.kind = failure_kind(error, attempts)
    found.error = error
    found.output = None


def _is_failure(error: BaseException) -> bool:
    """Whether an exception is the body's failure rather than the end of this process."""
    if isinstance(error, Exception | SystemExit):
        return True
    if isinstance(error, asyncio.CancelledError):
        try:
            task = asyncio.current_task()
        except RuntimeError:
            return True
        return task is not None and not task.cancelling()
    return False
