"""One call of a function: the replay of what is stored, and the discovery of what is new."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from inngest_django import clock
from inngest_django.drivers import refusals, sending
from inngest_django.drivers.base import CallRequest, Op
from inngest_django.drivers.bodies import Bodies, HookFailedError
from inngest_django.drivers.replay import (
    Body,
    Branch,
    OneBody,
    StepIds,
    body_now,
    branch_now,
    retrieve,
)
from inngest_django.drivers.results import Attempts, Found, step_op
from inngest_django.errors import LeaseLostError
from inngest_django.events import Event
from inngest_django.functions.function import Function
from inngest_django.functions.middleware import MiddlewareStack
from inngest_django.ids import hash_step_id
from inngest_django.states import OpKind
from inngest_django.steps.calling import Calling
from inngest_django.steps.interrupts import Interrupt, is_interrupt
from inngest_django.steps.memos import Memo, StepMemos, fresh
from inngest_django.steps.specs import UNSET, BodySpec, Site, Spec
from inngest_django.steps.tools import steps_of


class Call:
    """The state of one call; what the step tools talk to.

    Attributes:
        found: New steps, in the order they were met.
        ops: Steps whose results were stored, or refused, while the call went on.
        fault: What ended the call whatever the handler does about it.
        met_new: The first new step met, outside groups, by a call that had another target.
        is_over: A step was reported that ends the call; nothing more may begin.
        is_replaying: Whether the code that runs has run before.
    """

    def __init__(
        self,
        *,
        function: Function,
        request: CallRequest,
        stack: MiddlewareStack,
        calling: Calling,
    ) -> None:
        self.app_id = function.client.app_id
        self.found: list[Found] = []
        self.ops: list[Op] = []
        self.fault: BaseException | None = None
        self.met_new: str | None = None
        self.is_over = False
        self.is_replaying = True
        self.root = Branch()
        self.memos = StepMemos(request.memos)
        self._attempts = Attempts(request.attempt, request.max_attempts)
        self._began = False
        self._ended = False
        self._function = function
        self._request = request
        self._stack = stack
        self._calling = calling
        self._ids = StepIds()
        self._bodies = Bodies(function=function, calling=calling)
        self._one_body = OneBody(is_async=calling.is_async)
        self._site = Site(function_id=function.id, zone=request.time_zone)
        self._thread = threading.get_ident()
        self._task = asyncio.current_task() if calling.is_async else None
        self._newest = next(reversed(request.memos), None)
        self._kept = 0
        self._others = request.pending.difference(request.memos, (request.target,))
        self._on_progress: Callable[[], None] | None = None

    @property
    def attempts(self) -> Attempts:
        """Which try this is; starts again after each checkpointed step."""
        return self._attempts

    def on_progress(self, callback: Callable[[], None]) -> None:
        """Call back when a checkpointed step was stored."""
        self._on_progress = callback

    def let_go(self) -> None:
        """Forget the context, with which this is a cycle: it would wait for the collector."""
        self._on_progress = None

    # Step tools ------------------------------------------------------------------------

    def recorded(self, step_id: str, output_type: object = UNSET) -> Any:
        """Return a step's stored result, or ``UNSET`` when only ``meet`` can tell.

        A short way for what the tasks of long runs and wide groups meet most: results, and
        open steps that are not theirs. It makes no call that it can do without.
        """
        current = branch_now.get()
        branch = current[1] if current is not None and current[0] is self else self.root
        if (
            self.is_over
            or branch.unwound_at is not None
            or body_now.get() is not None
            or type(step_id) is not str
        ):
            return UNSET
        ids, memos = self._ids, self.memos
        ids.lock.acquire()  # Not ``with``, which takes twice the time.
        try:
            index = ids.next.get(step_id, 0)
            hashed_id = hash_step_id(step_id, index)
            memo = memos.plain.get(hashed_id)
            if hashed_id in ids.used or (memo is None and hashed_id not in self._others):
                return UNSET
            if memo is not None:
                if memos.left < 2 or memo.error is not None or hashed_id == self._newest:
                    return UNSET  # More than a result belongs to the last one and the newest.
                memos.left -= 1
            ids.next[step_id] = index + 1
            ids.used.add(hashed_id)
        finally:
            ids.lock.release()
        if memo is None:
            branch.met_pending = True
            self._unwind(branch, step_id)
        if memo.revision > branch.decided_at:  # noqa: PLR1730 - a call less
            branch.decided_at = memo.revision
        value = memo.value
        if isinstance(value, (dict, list)):
            value = fresh(value)
        return value if output_type is UNSET else self._function.decode(value, output_type)

    async def meet(self, spec: Spec) -> Any:  # noqa: RET503 - the end unwinds
        """Answer a step call from what is stored, do it now, or report it and unwind."""
        self._refuse_nesting()
        branch = self._branch()
        self._refuse_after_unwinding(branch, str(spec.step_id))
        refusals.check_id(spec.step_id, self._function)
        if self.is_over:
            self._unwind(branch, spec.step_id)
        hashed_id, index = self._ids.take(spec.step_id)
        memo = self.memos.take(hashed_id)
        if memo is not None:
            if self.memos.is_consumed:
                await self.begin_new_code()
            return self._recall(spec, hashed_id, memo, branch)
        self._skip_unless_wanted(spec.step_id, hashed_id, branch)
        self._guard(branch, spec.step_id)
        self._check_limit(hashed_id, branch, spec.step_id)
        found = Found(
            kind=spec.op,
            hashed_id=hashed_id,
            name=spec.step_id,
            index=index,
            mode=branch.mode,
            opts=spec.opts(self._site),
        )
        found.input = found.opts.get("input") or spec.recorded_input()
        if isinstance(spec, BodySpec):
            if self._may_run(hashed_id, branch):
                return await self._run(spec, found, branch)
            found.kind = OpKind.STEP_PLANNED
        self._report(found, branch)

    async def parallel(
        self, callables: tuple[Callable[[], Any], ...], *, is_race: bool
    ) -> tuple[Any, ...]:
        """Call every branch in order up to its first step without a result.

        An error leaves the group once it is decided for good: in a race the one decided by
        the smallest revision, else the first one in order, when no branch stands at an
        open step. What was found beside it is dropped, because no later entry would find it.
        """
        self._refuse_nesting()
        parent = self._branch()
        self._refuse_after_unwinding(parent, "group.parallel")
        race = is_race or parent.is_race
        mark = len(self.found)
        is_whole = self._request.target is None and not self._request.pending
        branches: list[Branch] = []
        values: list[Any] = []
        errors: list[tuple[Branch, Exception]] = []
        place, open_at, step_ids = 0, "", steps_of(callables, self)
        while place < len(callables):
            end = self._ids.take_from(place, step_ids, self._others)
            if end > place:
                # All that other jobs' open steps would do is stop there.
                place, open_at = end, open_at or step_ids[place] or ""
                continue
            branches.append(branch := Branch(parent, race))
            error = await self._enter_branch(callables[place], branch, values)
            place += 1
            if error is not None:
                errors.append((branch, error))
                if is_whole and not race:
                    break
        stopped = [branch for branch in branches if branch.unwound_at is not None]
        met_pending = bool(open_at) or any(b.met_pending for b in stopped)
        parent.met_pending = parent.met_pending or met_pending
        if errors and (race or not met_pending):
            decided, error = min(errors, key=lambda entry: entry[0].decided_at if race else 0)
            del self.found[mark:]
            used = [decided] if race else branches
            parent.decided_at = max(parent.decided_at, *(b.decided_at for b in used))
            raise error
        if stopped or errors or open_at:
            where = next((b.unwound_at for b in stopped if b.unwound_at), open_at)
            self._unwind(parent, where or "group.parallel")
        parent.decided_at = max(parent.decided_at, *(b.decided_at for b in branches), 0)
        if self._newest is None and parent.parent is None:
            self._reach_new_code()
        return tuple(values)

    async def send(self, events: list[Event]) -> list[str]:
        """Send events through the client, inside the hooks of the function's middleware."""
        return await sending.send(self._function, self._stack, self._calling, events)

    def body_key(self) -> str:
        """Return the idempotency key of the body that runs here."""
        body = body_now.get()
        if body is None or body.call is not self:
            raise refusals.no_body()
        return body.key

    # Beginning and ending --------------------------------------------------------------

    async def begin_new_code(self) -> None:
        """Run the hooks that announce code that did not run before, once."""
        if self._began:
            return
        self._began = True
        self._reach_new_code()
        try:
            await self._stack.before_execution()
        except Exception as error:  # noqa: BLE001 - user code must not catch it
            self._fail(error)

    async def end_new_code(self) -> None:
        """Run the hooks that follow new code which did not raise, once."""
        if self._ended:
            return
        self._ended = True
        await self._stack.after_execution()

    # How it works ----------------------------------------------------------------------

    def _reach_new_code(self) -> None:
        # A call with a target comes to run one body; all before it ran when it was planned.
        if self._request.target is None:
            self.is_replaying = False

    def _strand(self) -> object:
        """Return what tells concurrent parts of a handler apart: the task, or the thread.

        Other threads than the handler's own are each time new: a pool uses them for one
        piece of work after the other.
        """
        if self._calling.is_async:
            return asyncio.current_task()
        thread = threading.get_ident()
        return thread if thread == self._thread else object()

    def _branch(self) -> Branch:
        current = branch_now.get()
        return current[1] if current is not None and current[0] is self else self.root

    def _refuse_nesting(self) -> None:
        body = body_now.get()
        if body is not None and body.call is self:
            body.is_nested = True
            raise Interrupt

    def _refuse_after_unwinding(self, branch: Branch, step: str) -> None:
        # Another task or thread of the handler may well come here while the interrupt is
        # on its way through its own code.
        if branch.unwound_at is not None and branch.unwound_by == self._strand():
            if self.fault is None:
                self.fault = refusals.swallowed(branch.unwound_at, self._function)
            self._unwind(branch, step)

    def _unwind(self, branch: Branch, step: str) -> NoReturn:
        branch.unwound_at = step
        branch.unwound_by = strand = self._strand()
        if isinstance(strand, asyncio.Task) and strand is not self._task:
            # The handler may be gone before it awaits this task; asyncio must not report
            # an interrupt as an exception that nobody retrieved.
            strand.add_done_callback(retrieve)
        raise Interrupt

    def _fail(self, error: BaseException | None) -> NoReturn:
        """End the call with an error that the handler cannot catch."""
        branch = self._branch()
        self._end(error, branch, branch.unwound_at or "")

    def _end(self, error: BaseException | None, branch: Branch, step: str) -> NoReturn:
        self.fault = self.fault or error
        self.is_over = True
        self._unwind(branch, step)

    def _recall(self, spec: Spec, hashed_id: str, memo: Memo, branch: Branch) -> Any:
        branch.decided_at = max(branch.decided_at, memo.revision)
        if hashed_id == self._newest:
            # What follows the newest result never ran, also when results of steps that
            # left the code stay behind; in a group, other branches still replay.
            self._newest = None
            if branch.parent is None:
                self._reach_new_code()
        if memo.error is not None:
            raise refusals.failed(memo.error)
        return spec.result(memo.data, self._function)

    def _skip_unless_wanted(self, step_id: str, hashed_id: str, branch: Branch) -> None:
        target = self._request.target
        if hashed_id == target:
            return
        if hashed_id in self._request.pending:
            branch.met_pending = True
        elif target is None:
            return
        elif branch.parent is None:
            self.met_new = self.met_new or step_id
        self._unwind(branch, step_id)

    def _may_run(self, hashed_id: str, branch: Branch) -> bool:
        if self._request.target is not None:
            return hashed_id == self._request.target
        return branch.parent is None and not self._request.plan_only and not self._request.pending

    def _guard(self, branch: Branch, step: str) -> None:
        try:
            self._request.guard()
        except Exception as error:  # noqa: BLE001 - the block must be rolled back, not left
            self._end(error, branch, step)

    def _check_limit(self, hashed_id: str, branch: Branch, step: str) -> None:
        request = self._request
        if hashed_id == request.target:
            return
        count = len(request.memos) + len(request.pending) + len(self.found) + self._kept
        if count >= request.step_limit:
            error = refusals.one_too_many(step, self._function, limit=request.step_limit)
            self._end(error, branch, step)

    def _report(self, found: Found, branch: Branch) -> NoReturn:
        self.found.append(found)
        if branch.parent is None or found.hashed_id == self._request.target:
            self.is_over = True
        self._unwind(branch, found.name)

    async def _enter_branch(
        self, callable_: Callable[[], Any], branch: Branch, values: list[Any]
    ) -> Exception | None:
        """Call one branch; return the error it raised, or None when it stopped or returned."""
        try:
            # Not ``inside_branch``: in a wide group this is most of what an entry does.
            token = branch_now.set((self, branch))
            try:
                value = callable_()
                if self._calling.is_async:
                    value = await self._calling.settled(value)
            finally:
                branch_now.reset(token)
            values.append(value)
        except BaseException as error:
            if is_interrupt(error):
                if self.is_over:
                    self._unwind(branch.parent or self.root, branch.unwound_at or "")
                return None
            if branch.unwound_at is not None:
                self._fail(refusals.swallowed(branch.unwound_at, self._function))
            if isinstance(error, Exception):
                return error
            raise
        if branch.unwound_at is not None:
            self._fail(refusals.swallowed(branch.unwound_at, self._function))
        return None

    # Bodies ----------------------------------------------------------------------------

    async def _run(  # noqa: RET503 - the end unwinds
        self, spec: BodySpec, found: Found, branch: Branch
    ) -> Any:
        self._bodies.check(spec, self._request)
        body = Body(call=self, key=f"{self._request.run_id}:{found.hashed_id}")
        async with self._one_body.turn(body) as is_free:
            if not is_free or self.is_over:
                self._unwind(branch, spec.step_id)
            self.is_replaying = False
            if not self._request.may_start_body():
                self._fail(LeaseLostError("the lease ended before the step's body began"))
            found.started_at = clock.now()
            if spec.is_transaction:
                await self._run_transaction(spec, found, body)
            else:
                await self._bodies.run(spec, found, body, self._attempts)
                if await self._checkpoint(found, branch):
                    return spec.result(found.output, self._function)
        self.is_over = True
        if not self.ops or self.ops[-1].hashed_id != found.hashed_id:
            self.found.append(found)
        self._unwind(branch, found.name)

    async def _run_transaction(self, spec: BodySpec, found: Found, body: Body) -> None:
        async def report() -> Op:
            # The result is stored in the body's transaction, so that the hooks that change
            # it come before its end.
            await self.end_new_code()
            return await step_op(found, self._stack, self._attempts)

        try:
            op = await self._bodies.run_transaction(
                spec, found, body, self._attempts, self._request, report
            )
        except (LeaseLostError, HookFailedError) as error:
            self._fail(error.__cause__ if isinstance(error, HookFailedError) else error)
        if op is not None:
            self.ops.append(op)

    async def _checkpoint(self, found: Found, branch: Branch) -> bool:
        """Store a result to go on with it; False to unwind."""
        # What a middleware makes of a stored result, only the next call's can tell.
        record = None if self.memos.were_looked_at else self._request.record
        if record is None or self._request.target is not None or found.error is not None:
            return False
        try:
            op = await step_op(found, self._stack, self._attempts)
            if op.kind is not OpKind.STEP_RUN:
                self.ops.append(op)
                return False
            memo = await self._calling.on_thread(record, op)
        except Exception as error:  # noqa: BLE001 - a hook's, or the engine's; not the handler's
            self._fail(error)
        if memo is None:
            self.ops.append(dataclasses.replace(op, is_recorded=True))
            return False
        self._kept += 1
        self._attempts = Attempts(0, self._request.max_attempts)
        if self._on_progress is not None:
            self._on_progress()
        branch.decided_at = max(branch.decided_at, memo.revision)
        found.output = fresh(memo.value)
        return True
