"""Calls a function in this process."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync

from inngest_django.drivers import refusals, results
from inngest_django.drivers.base import CallRequest, CallResponse, Discovered, Raised
from inngest_django.drivers.calls import Call
from inngest_django.drivers.replay import inside_branch
from inngest_django.errors import EventDataError, LeaseLostError
from inngest_django.events import Event
from inngest_django.functions.event_types import problem
from inngest_django.functions.function import Function
from inngest_django.functions.middleware import Delivery, MiddlewareStack
from inngest_django.functions.triggers import event_types
from inngest_django.states import OpKind
from inngest_django.steps import current
from inngest_django.steps.calling import DIRECT, ON_LOOP, Calling, run_now
from inngest_django.steps.context import Context, ContextSync, replay_logger
from inngest_django.steps.groups import Group, GroupSync
from inngest_django.steps.interrupts import is_interrupt
from inngest_django.steps.memos import fresh
from inngest_django.steps.tools import Step, StepSync

_FAILED_STEPS = (OpKind.STEP_ERROR, OpKind.STEP_FAILED)


class InProcessDriver:
    """Calls plain functions here, and async ones on an event loop of their own.

    An async function's loop runs in another thread for the time of the call; plain code in
    it (bodies, hooks, the ORM) runs on the calling thread and its database connection.
    """

    def call(self, function: Function, request: CallRequest) -> CallResponse:
        """Run the function from the top until it ends or meets new steps.

        Raises:
            LeaseLostError: The call was given up.
        """
        if function.is_handler_async:
            return async_to_sync(_enter)(function, request, ON_LOOP)
        return run_now(_enter(function, request, DIRECT))


async def _enter(function: Function, request: CallRequest, calling: Calling) -> CallResponse:
    try:
        stack = _stack(function, request, calling)
    except Exception as refused:  # noqa: BLE001 - a middleware's constructor is user code
        return _logged(results.raised(refused, request), refused, function, request)
    call = Call(function=function, request=request, stack=stack, calling=calling)
    ctx = _context(function, request, call)
    try:
        response, error = await _respond(function, request, call, stack, ctx)
    except Exception as hook_error:
        if isinstance(hook_error, LeaseLostError):
            raise
        response, error = results.raised(hook_error, request), hook_error
    finally:
        call.let_go()
    try:
        await stack.before_response()
    except Exception as hook_error:  # noqa: BLE001 - a hook is user code
        response, error = results.raised(hook_error, request), hook_error
    return _logged(response, error, function, request)


async def _respond(
    function: Function,
    request: CallRequest,
    call: Call,
    stack: MiddlewareStack,
    ctx: Context | ContextSync,
) -> tuple[CallResponse, BaseException | None]:
    """Call the handler and turn what became of it into a response, and the error in it."""
    await stack.transform_input(ctx, function, call.memos)
    value: Any = None
    error: BaseException | None = None
    try:
        if not request.memos:
            for event in ctx.events:
                _check_data(function, event)
            await call.begin_new_code()
        value = await _handle(function, call, ctx)
    except BaseException as raised:
        if isinstance(raised, KeyboardInterrupt | GeneratorExit):
            raise
        error = raised
    if call.fault is not None:
        if isinstance(call.fault, LeaseLostError):
            raise call.fault
        return await results.function_error(call.fault, stack, request), call.fault
    if error is not None and is_interrupt(error):
        # Its traceback holds this frame, which would hold it: a cycle for each call.
        del error
        await call.end_new_code()
        return await _discovered(request, call, stack)
    if call.root.unwound_at is not None:
        error = refusals.swallowed(call.root.unwound_at, function)
    if error is not None:
        return await results.function_error(error, stack, request), error
    await call.end_new_code()
    return await results.function_result(value, function, stack, request), None


def _check_data(function: Function, event: Event) -> None:
    # The value is left out: this error goes to a log.
    fault = problem(event_types(function.triggers, event.name), event.data, with_value=False)
    if fault is not None:
        raise EventDataError(
            f'{fault} Function "{function.id}" was not called. Correct the sender, or let the'
            " model accept such data and rerun this run."
        )


async def _handle(function: Function, call: Call, ctx: Context | ContextSync) -> Any:
    with current.entered(ctx.step), inside_branch(call, call.root):
        if isinstance(ctx, Context):
            return await function.handler(ctx)
        return function.handler(ctx)


async def _discovered(
    request: CallRequest, call: Call, stack: MiddlewareStack
) -> tuple[CallResponse, BaseException | None]:
    ops = list(call.ops)
    error: BaseException | None = None
    if len(call.found) == 1:
        # Of a plan of several steps there is no one result to transform.
        error = call.found[0].error
        ops.append(await results.step_op(call.found[0], stack, call.attempts))
    else:
        ops.extend(results.planned_op(found) for found in call.found)
    is_missing = request.target is not None and not any(
        op.hashed_id == request.target for op in ops
    )
    return (
        Discovered(
            ops=tuple(ops),
            target_missing=is_missing,
            met=call.met_new if is_missing else None,
        ),
        error,
    )


def _stack(function: Function, request: CallRequest, calling: Calling) -> MiddlewareStack:
    return MiddlewareStack(
        [*function.client.middleware, *function.middleware],
        client=function.client,
        raw_request=Delivery(
            function_id=function.id,
            run_id=request.run_id,
            attempt=request.attempt,
            job_id=request.job_id,
            request_id=request.request_id,
        ),
        calling=calling,
    )


def _context(function: Function, request: CallRequest, call: Call) -> Context | ContextSync:
    # Copies: the request's values are shared with other calls, and handlers may change theirs.
    events = [Event.from_stored(fresh(dict(event))) for event in request.events]
    event = events[0] if events else Event.from_stored(fresh(dict(request.event)))
    common: dict[str, Any] = {
        "attempt": request.attempt,
        "event": event,
        "events": events or [event],
        "logger": replay_logger(function.client.logger, lambda: call.is_replaying),
        "run_id": request.run_id,
        "job_id": request.job_id,
        "request_id": request.request_id,
    }
    ctx: Context | ContextSync
    if function.is_handler_async:
        ctx = Context(**common, group=Group(call), step=Step(call))
    else:
        ctx = ContextSync(**common, group=GroupSync(call), step=StepSync(call))

    def restart_attempts() -> None:
        ctx.attempt = 0

    call.on_progress(restart_attempts)
    return ctx


def _logged(
    response: CallResponse,
    error: BaseException | None,
    function: Function,
    request: CallRequest,
) -> CallResponse:
    """Write a failure that nobody handled to the author's log, unless it asks for quiet."""
    if isinstance(response, Raised):
        what, is_quiet = "function", response.is_quiet
    elif isinstance(response, Discovered):
        failed = next((op for op in response.ops if op.kind in _FAILED_STEPS), None)
        if failed is None:
            return response
        what, is_quiet = f'step "{failed.name}" of function', getattr(error, "quiet", False)
    else:
        return response
    if not is_quiet:
        function.client.logger.error(
            "%s %s failed on attempt %s",
            what,
            function.id,
            request.attempt,
            exc_info=error,
            extra={"run_id": request.run_id, "function_id": function.id},
        )
    return response
