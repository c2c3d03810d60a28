"""A worker that does not know a job's function leaves it, uncharged and visible."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import inngest_django as inngest
from inngest_django.engine import explanation
from inngest_django.functions import registry
from tests.functional.deploying import RELEASE, wake
from tests.functional.support import Live, client, event_name
from tests.processes import ProcessStack


def _declare() -> inngest.Function:
    @client.create_function(
        fn_id="unknown-function",
        retries=0,
        trigger=inngest.TriggerEvent(event=event_name("unknown-function")),
    )
    def handler(ctx: inngest.ContextSync) -> str:
        ctx.step.sleep("zzz", "1h")
        return "done"

    return handler


known = _declare()
if RELEASE != 1:
    del known


@contextlib.contextmanager
def _worker_without_it(live: Live) -> Iterator[None]:
    if isinstance(live.stack, ProcessStack):
        live.stack.restart_worker(env={"INNGEST_TEST_RELEASE": "2"})
        yield
        live.stack.heal()
        return
    functions = [function for function in registry.all().values() if function is not known]
    with registry.only(functions):
        yield


def test_the_run_waits_for_a_worker_that_knows(live: Live) -> None:
    run = live.start(known)
    live.step(run, "zzz", status="waiting")
    with _worker_without_it(live):
        wake(run)
        job = live.wait_until(
            lambda: run.jobs.exclude(note="").filter(kind="enter").first(), what="a released job"
        )
        run.refresh_from_db()
        assert run.status == "running"
        assert job.attempt == job.loss_count == 0
        assert known.id in explanation.why(run)

    run = live.ended(run)
    assert (run.status, run.output) == ("completed", "done")
