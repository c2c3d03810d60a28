"""An engine of a few lines: it drives functions through the driver and keeps results in a dict.

It settles pieces in the order they were planned, unless ``first`` names steps to prefer, and
does not wait for sleeps. It raises when the driver breaks a rule that the real engine relies on.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inngest_django.drivers.base import CallRequest, Discovered, Op, Raised, Returned, StepMemo
from inngest_django.drivers.in_process import InProcessDriver
from inngest_django.errors import ErrorValue
from inngest_django.functions.function import Function
from inngest_django.ids import hash_step_id
from inngest_django.serialization import dumps, loads
from inngest_django.states import OpKind

EVENT = {"id": "e1", "name": "test/event", "data": {"n": 1}, "ts": 1_700_000_000_000}
RUN_ID = "01HZZZZZZZZZZZZZZZZZZZZZZZ"
BODIES = (OpKind.STEP_RUN, OpKind.STEP_ERROR, OpKind.STEP_FAILED)


@dataclasses.dataclass
class Piece:
    op: Op
    attempt: int = 0
    memo: StepMemo | None = None


class Engine:
    """One run.

    Args:
        answers: By step name, what a wait or invoke resolves to; an exception fails it.
        first: Names of steps to settle before others.
        hold: Names of steps that are never settled.
    """

    def __init__(
        self,
        function: Function,
        *,
        event: Mapping[str, Any] = EVENT,
        answers: Mapping[str, Any] | None = None,
        first: Sequence[str] = (),
        hold: Sequence[str] = (),
        checkpointing: bool = False,
        **request: Any,
    ) -> None:
        self.function = function
        self.event = event
        self.answers = answers or {}
        self.first = list(first)
        self.hold = hold
        self.checkpointing = checkpointing
        self.request = request
        self.pieces: dict[str, Piece] = {}
        self.revision = 0
        self.entries: list[Any] = []
        self.requests: list[CallRequest] = []
        self.settled: list[str] = []
        self.attempts: collections.Counter[str] = collections.Counter()
        self.result: Returned | Raised | None = None
        self.enters = 1
        self.attempt = 0

    # What a test asks ---------------------------------------------------------------------

    @property
    def output(self) -> Any:
        assert isinstance(self.result, Returned), self.result
        return loads(self.result.output)

    @property
    def error(self) -> ErrorValue:
        assert isinstance(self.result, Raised), self.result
        return self.result.error

    def stored(self, name: str, index: int = 0) -> StepMemo:
        memo = self.pieces[hash_step_id(name, index)].memo
        assert memo is not None
        return memo

    # Working ------------------------------------------------------------------------------

    def run(self) -> Engine:
        """Work until the run ends or only held pieces are left."""
        for _ in range(200):
            if self.result is not None or not self.step():
                return self
        raise AssertionError("the run does not end")

    def step(self) -> bool:
        """Do one piece of work; False when there is none."""
        if self.enters:
            self.enters = 0
            self.enter()
            return True
        open_ = [p for p in self.pieces.values() if p.memo is None and p.op.name not in self.hold]
        if not open_:
            return False
        open_.sort(
            key=lambda p: (
                self.first.index(p.op.name) if p.op.name in self.first else len(self.first)
            )
        )
        self.work(open_[0])
        return True

    def call(self, *, target: str | None = None, attempt: int = 0, **overrides: Any) -> Any:
        memos = sorted(
            (p.memo for p in self.pieces.values() if p.memo is not None), key=lambda m: m.revision
        )
        before = dumps([dataclasses.asdict(m) for m in memos])
        request = CallRequest(
            **{
                "run_id": RUN_ID,
                "attempt": attempt,
                "max_attempts": self.function.max_attempts,
                "event": self.event,
                "events": (self.event,),
                "memos": {m.hashed_id: m for m in memos},
                "pending": frozenset(k for k, p in self.pieces.items() if p.memo is None),
                "target": target,
                "transact": self.transact,
                "record": self.record if self.checkpointing and target is None else None,
                **self.request,
                **overrides,
            }
        )
        self.requests.append(request)
        response = InProcessDriver().call(self.function, request)
        assert dumps([dataclasses.asdict(m) for m in memos]) == before, "a stored result changed"
        self.entries.append(response)
        return response

    def enter(self) -> None:
        response = self.call(attempt=self.attempt)
        if isinstance(response, Returned):
            self.result = response
        elif isinstance(response, Raised):
            self.raised(response)
        else:
            self.discovered(response)

    def raised(self, response: Raised) -> None:
        self.attempt += 1
        if response.is_retriable and self.attempt < self.function.max_attempts:
            self.enters = 1
        else:
            self.result = response

    def discovered(self, response: Discovered) -> None:
        was_open = any(p.memo is None for p in self.pieces.values())
        for op in response.ops:
            if op.is_recorded:
                continue
            assert op.hashed_id not in self.pieces, "a recorded step was reported again"
            self.pieces[op.hashed_id] = Piece(op)
            if op.kind in BODIES:
                assert len(response.ops) == 1, "a body ran beside other ops"
                assert not was_open, "a body ran while pieces were open"
                self.attempts[op.name] += 1
                self.body_ended(self.pieces[op.hashed_id], op)
        assert self.enters or any(p.memo is None for p in self.pieces.values()), "no progress"

    def work(self, piece: Piece) -> None:
        op = piece.op
        if op.kind in (OpKind.STEP_PLANNED, *BODIES):
            response = self.call(target=op.hashed_id, attempt=piece.attempt)
            self.attempts[op.name] += 1
            if isinstance(response, Discovered):
                assert not response.target_missing, response
                assert [o.hashed_id for o in response.ops] == [op.hashed_id]
                self.body_ended(piece, response.ops[0])
            elif isinstance(response, Raised) and response.is_retriable:
                piece.attempt += 1
                if piece.attempt >= self.function.max_attempts:
                    self.result = response
            else:
                self.result = response
        else:
            answer = self.answers.get(op.name)
            if isinstance(answer, BaseException):
                self.settle(piece, error=value_of(answer))
            else:
                self.settle(piece, value=answer)

    def body_ended(self, piece: Piece, op: Op) -> None:
        if op.kind is OpKind.STEP_RUN:
            assert op.output is not None
            self.settle(piece, value=loads(op.output))
        elif op.kind is OpKind.STEP_FAILED or not op.is_retriable:
            self.settle(piece, error=op.error)
        else:
            piece.attempt += 1

    def settle(
        self, piece: Piece, *, value: Any = None, error: ErrorValue | None = None
    ) -> StepMemo:
        assert piece.memo is None
        self.revision += 1
        piece.memo = StepMemo(
            hashed_id=piece.op.hashed_id,
            op=piece.op.kind,
            value=value,
            error=error,
            revision=self.revision,
        )
        self.settled.append(piece.op.name)
        self.attempt = 0
        self.follow_up()
        return piece.memo

    def follow_up(self) -> None:
        open_ = [p for p in self.pieces.values() if p.memo is None]
        if not open_ or any(p.op.mode == "race" for p in open_):
            self.enters = 1

    def transact(self, body: Callable[[], Op]) -> Op:
        op = body()
        self.pieces[op.hashed_id] = Piece(op)
        self.body_ended(self.pieces[op.hashed_id], op)
        return dataclasses.replace(op, is_recorded=True)

    def record(self, op: Op) -> StepMemo | None:
        self.pieces[op.hashed_id] = Piece(op)
        self.body_ended(self.pieces[op.hashed_id], op)
        self.enters = 0
        return self.pieces[op.hashed_id].memo


def value_of(error: BaseException) -> ErrorValue:
    return ErrorValue(code="unknown", name=type(error).__name__, message=str(error), stack=None)


def run(function: Function, **options: Any) -> Engine:
    return Engine(function, **options).run()


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
