"""``ctx.logger`` says each line once, and once more for each retry of its stretch."""

from __future__ import annotations

import logging

import inngest_django as inngest
from tests import ledger
from tests.functional.support import Live
from tests.functional.variants import both


class _ToLedger(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        ledger.note(str(record.args[0]), record.msg % record.args)  # type: ignore[index]


_logger = logging.getLogger("tests.functional.step_logger")
_logger.setLevel(logging.INFO)
_logger.propagate = False
_logger.handlers[:] = [_ToLedger()]
logging_client = inngest.Inngest(app_id="functional-logger", is_production=False, logger=_logger)


@logging_client.create_function(
    fn_id="logger", retries=1, trigger=inngest.TriggerEvent(event="functional/logger")
)
def logged(ctx: inngest.ContextSync) -> None:
    ctx.logger.info("%s start", ctx.run_id)
    ctx.step.run("one", lambda: ctx.logger.info("%s in one", ctx.run_id))
    ctx.logger.info("%s between", ctx.run_id)
    ctx.step.run("two", lambda: None)
    logging_client.send_sync(inngest.Event(name="functional/nobody"))  # inngest: allow W012
    ctx.logger.info("%s end", ctx.run_id)
    if ctx.attempt == 0:
        raise RuntimeError("the last stretch again")


@logging_client.create_function(
    fn_id="logger-async", retries=1, trigger=inngest.TriggerEvent(event="functional/logger-async")
)
async def logged_async(ctx: inngest.Context) -> None:
    ctx.logger.info("%s start", ctx.run_id)
    await ctx.step.run("one", lambda: ctx.logger.info("%s in one", ctx.run_id))
    ctx.logger.info("%s between", ctx.run_id)
    await ctx.step.run("two", lambda: None)
    await logging_client.send(inngest.Event(name="functional/nobody"))  # inngest: allow W012
    ctx.logger.info("%s end", ctx.run_id)
    if ctx.attempt == 0:
        raise RuntimeError("the last stretch again")


@both(logged, logged_async)
def test_replayed_code_is_silent(live: Live, function: inngest.Function) -> None:
    run = live.run(function)

    assert run.status == "completed", run.error
    said = [what.removeprefix(f"{run.id} ") for what in ledger.order(run.id)]
    assert said == ["start", "in one", "between", "end", "end"]
