"""Hooks around calls and sends."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pydantic

from inngest_django.errors import AsyncUnsupportedError
from inngest_django.events import Event
from inngest_django.states import OpKind
from inngest_django.steps.calling import Calling, is_async_callable
from inngest_django.steps.context import Context, ContextSync
from inngest_django.steps.memos import StepMemos
from inngest_django.steps.specs import UNSET, Unset


class Opcode(enum.Enum):
    """What a step result is, as ``TransformOutputStepInfo.op``."""

    AI_GATEWAY = "AIGateway"
    INVOKE = "InvokeFunction"
    PLANNED = "StepPlanned"
    SLEEP = "Sleep"
    STEP_ERROR = "StepError"
    STEP_FAILED = "StepFailed"
    STEP_RUN = "StepRun"
    WAIT_FOR_EVENT = "WaitForEvent"

    @classmethod
    def of(cls, kind: OpKind) -> Opcode:
        """Return the opcode of an op."""
        return cls(kind.value)


@dataclasses.dataclass
class TransformOutputStepInfo:
    """The step that a result belongs to; ``opts`` is live."""

    id: str
    op: Opcode
    opts: dict[str, Any]


@dataclasses.dataclass
class TransformOutputResult:
    """The result of a call; ``error`` and ``output`` may be replaced.

    Attributes:
        step: None for the result of the function.
    """

    error: Exception | None = None
    output: Any = UNSET
    step: TransformOutputStepInfo | None = None

    def has_output(self) -> bool:
        """Whether there is an output; None is one."""
        return not isinstance(self.output, Unset)


class SendEventsResult(pydantic.BaseModel):
    """What became of a send."""

    error: str | None = None
    ids: list[str] = []


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """What middleware gets as ``raw_request``: the delivery that led to the call."""

    function_id: str
    run_id: str
    attempt: int
    job_id: str | None = None
    request_id: str | None = None


class _Base:
    def __init__(self, client: Any, raw_request: object) -> None:
        self.client = client
        self.raw_request = raw_request


class Middleware(_Base):
    """Async hooks. Each entry of a function, and each send, makes a new instance."""

    async def transform_input(self, ctx: Any, function: Any, steps: StepMemos) -> None:
        """Change the context or the stored results before the function is called."""

    async def before_execution(self) -> None:
        """Called when code starts that did not run before."""

    async def after_execution(self) -> None:
        """Called when new code ended without raising."""

    async def transform_output(self, result: TransformOutputResult) -> None:
        """Change what is stored."""

    async def before_response(self) -> None:
        """Called last."""

    async def before_send_events(self, events: list[Event]) -> None:
        """Change events before they are sent."""

    async def after_send_events(self, result: SendEventsResult) -> None:
        """Called after sending."""


class MiddlewareSync(_Base):
    """Plain hooks. Each entry of a function, and each send, makes a new instance."""

    def transform_input(self, ctx: Any, function: Any, steps: StepMemos) -> None:
        """Change the context or the stored results before the function is called."""

    def before_execution(self) -> None:
        """Called when code starts that did not run before."""

    def after_execution(self) -> None:
        """Called when new code ended without raising."""

    def transform_output(self, result: TransformOutputResult) -> None:
        """Change what is stored."""

    def before_response(self) -> None:
        """Called last."""

    def before_send_events(self, events: list[Event]) -> None:
        """Change events before they are sent."""

    def after_send_events(self, result: SendEventsResult) -> None:
        """Called after sending."""


UninitializedMiddleware = Callable[[Any, Any], Middleware | MiddlewareSync]


class MiddlewareStack:
    """The middleware of one entry or one send, client's first.

    ``after_execution``, ``after_send_events`` and ``transform_output`` run in reverse.
    """

    def __init__(
        self,
        factories: Iterable[UninitializedMiddleware],
        *,
        client: Any,
        raw_request: object,
        calling: Calling,
    ) -> None:
        self._members = [factory(client, raw_request) for factory in factories]
        self._calling = calling

    async def transform_input(
        self, ctx: Context | ContextSync, function: Any, steps: StepMemos
    ) -> None:
        """Run the hook of every member."""
        await self._run(self._members, "transform_input", ctx, function, steps)

    async def before_execution(self) -> None:
        """Run the hook of every member."""
        await self._run(self._members, "before_execution")

    async def after_execution(self) -> None:
        """Run the hook of every member, last first."""
        await self._run(reversed(self._members), "after_execution")

    async def transform_output(self, result: TransformOutputResult) -> None:
        """Run the hook of every member, last first."""
        await self._run(reversed(self._members), "transform_output", result)

    async def before_response(self) -> None:
        """Run the hook of every member."""
        await self._run(self._members, "before_response")

    async def before_send_events(self, events: list[Event]) -> None:
        """Run the hook of every member."""
        await self._run(self._members, "before_send_events", events)

    async def after_send_events(self, result: SendEventsResult) -> None:
        """Run the hook of every member, last first."""
        await self._run(reversed(self._members), "after_send_events", result)

    @property
    def is_empty(self) -> bool:
        """Whether there is no middleware at all."""
        return not self._members

    def has(self, name: str) -> bool:
        """Whether any member does something in this hook."""
        return any(_hook(member, name) is not None for member in self._members)

    async def _run(self, members: Iterable[Any], name: str, *args: Any) -> None:
        for member in members:
            hook = _hook(member, name)
            if hook is None:
                continue
            # Positionally: users name the parameters as they like.
            if not is_async_callable(hook):
                await self._calling.settled(await self._calling.on_thread(hook, *args))
            elif self._calling.is_async:
                await hook(*args)
            else:
                raise AsyncUnsupportedError("encountered async middleware in non-async context")


async def send_through(
    stack: MiddlewareStack, events: list[Event], send: Callable[[list[Event]], Awaitable[list[str]]]
) -> list[str]:
    """Send events with the hooks of a stack around it."""
    if stack.has("before_send_events"):
        # Hooks replace parts of events; the sender's own objects stay as they are, so that
        # a second send does not transform them twice.
        events = [event.model_copy() for event in events]
    await stack.before_send_events(events)
    try:
        ids = await send(events)
    except Exception as error:
        await stack.after_send_events(
            SendEventsResult(error=str(error), ids=getattr(error, "ids", []))
        )
        raise
    await stack.after_send_events(SendEventsResult(ids=ids))
    return ids


def _hook(member: Any, name: str) -> Callable[..., Any] | None:
    hook: Callable[..., Any] | None = getattr(member, name, None)
    function = getattr(hook, "__func__", None)
    if function is not None and function in (
        getattr(Middleware, name, None),
        getattr(MiddlewareSync, name, None),
    ):
        return None  # Not overridden: nothing to do, and nothing to pay for.
    return hook
