"""Checkpointing: a task that goes on to the following steps, committing each result first."""

from __future__ import annotations

import dataclasses
import time

from inngest_django import checkpointing, conf
from inngest_django.drivers.base import Discovered, Op, StepMemo
from inngest_django.engine import bodies, leases, outcomes
from inngest_django.engine.hot_path import Leased
from inngest_django.engine.leases import Lease
from inngest_django.errors import LeaseLostError
from inngest_django.functions.function import Function
from inngest_django.serialization import loads
from inngest_django.states import JobKind, OpKind


class Recorder:
    """Checkpointing: commits each result and lets the call go on, within limits.

    ``leased`` follows the progress: the report at the end must not look like that of an
    entry over older results.
    """

    def __init__(self, leased: Leased, lease: Lease, function: Function) -> None:
        self.leased = leased
        self.lease = lease
        self.max_attempts = function.max_attempts
        wanted = function.checkpointing
        limits = checkpointing.parse(conf.get().CHECKPOINTING if wanted is None else wanted)
        self.is_on = limits is not None
        limits = limits or checkpointing.Limits()
        self.steps_left = limits.max_steps
        self.until = time.monotonic() + limits.max_runtime.total_seconds()

    def is_wanted(self) -> bool:
        """Whether this call may go on after its first new step."""
        return (
            self.is_on
            and self.leased.kind is JobKind.ENTER
            and not self.leased.has_open_pieces
            and self.leased.loss_count == 0
        )

    def record(self, op: Op) -> StepMemo | None:
        """Commit a body's result; None ends the call, which then is recorded whole."""
        self.lease.take_back()
        try:
            return self._record(op)
        finally:
            self.lease.lend()

    def _record(self, op: Op) -> StepMemo | None:
        self.steps_left -= 1
        if self.steps_left < 1 or time.monotonic() > self.until or leases.is_draining():
            outcomes.report(self.leased, Discovered(ops=(op,)), max_attempts=self.max_attempts)
            return None
        asked_at = time.monotonic()
        ttl = conf.get().LEASE_TTL
        revision = bodies.checkpoint(self.leased, op, ttl=ttl)
        if revision is None:
            raise LeaseLostError("the lease was lost while the step's body ran")
        self.lease.renewed = asked_at
        self.leased = dataclasses.replace(self.leased, revision=revision, attempt=0)
        return StepMemo(
            hashed_id=op.hashed_id,
            op=OpKind.STEP_RUN,
            value=None if op.output is None else loads(op.output),
            revision=revision,
        )
