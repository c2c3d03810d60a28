"""``step.transaction``: the body's rows and the recorded result exist together or not at all."""

from __future__ import annotations

from typing import Any

import pytest

import inngest_django as inngest
from project.shop.models import Product
from tests import ledger
from tests.functional.support import Live, client, event_name, unique
from tests.functional.variants import both

pytestmark = [pytest.mark.smoke]


def _sell(run_id: str, sku: str, mode: str, attempt: int) -> dict[str, Any]:
    ledger.note(run_id, "body", attempt)
    product = Product.objects.create(sku=sku, name=f"attempt {attempt}", price="1.00", stock=1)
    if mode == "raise" or (mode == "raise once" and attempt == 0):
        raise RuntimeError("after the write")
    if mode == "duplicate":
        Product.objects.create(sku=sku, name="again", price="1.00")
    if mode == "unserializable":
        return {"product": product}
    return {"product": product.pk}


@client.create_function(
    fn_id="transaction",
    retries=1,
    trigger=inngest.TriggerEvent(event=event_name("transaction")),
)
def transaction(ctx: inngest.ContextSync) -> object:
    data: Any = ctx.event.data
    try:
        return ctx.step.transaction(
            "sell", _sell, ctx.run_id, data["sku"], data["mode"], ctx.attempt
        )
    except inngest.StepError as error:
        return {"failed": error.name}


@client.create_function(
    fn_id="transaction-async",
    retries=1,
    trigger=inngest.TriggerEvent(event=event_name("transaction-async")),
)
async def transaction_async(ctx: inngest.Context) -> object:
    data: Any = ctx.event.data
    try:
        return await ctx.step.transaction(
            "sell", _sell, ctx.run_id, data["sku"], data["mode"], ctx.attempt
        )
    except inngest.StepError as error:
        return {"failed": error.name}


@both(transaction, transaction_async)
def test_rows_and_result_are_committed_together(live: Live, function: inngest.Function) -> None:
    sku = unique("sku")
    run = live.run(function, {"sku": sku, "mode": "fine"})

    assert run.status == "completed", run.error
    product = Product.objects.get(sku=sku)
    assert run.output == {"product": product.pk}
    step = run.steps.get()
    assert (step.op, step.status, step.output) == ("StepRun", "completed", run.output)
    assert ledger.count(run.id, "body") == 1


@both(transaction, transaction_async)
def test_a_failed_body_writes_nothing_and_is_tried_again(
    live: Live, function: inngest.Function
) -> None:
    sku = unique("sku")
    run = live.run(function, {"sku": sku, "mode": "raise once"})

    assert run.status == "completed", run.error
    assert Product.objects.get(sku=sku).name == "attempt 1"
    assert ledger.count(run.id, "body") == 2
    step = run.steps.get()
    assert step.attempt_count == 2
    assert [attempt.error["message"] for attempt in step.attempts.all()] == ["after the write"]


@both(transaction, transaction_async)
def test_a_body_that_always_fails_leaves_nothing(live: Live, function: inngest.Function) -> None:
    sku = unique("sku")
    run = live.run(function, {"sku": sku, "mode": "raise"})

    assert run.output == {"failed": "RuntimeError"}
    assert not Product.objects.filter(sku=sku).exists()
    assert run.steps.get().status == "failed"


@both(transaction, transaction_async)
def test_a_constraint_violation_is_a_failed_attempt(live: Live, function: inngest.Function) -> None:
    sku = unique("sku")
    run = live.run(function, {"sku": sku, "mode": "duplicate"})

    assert run.output == {"failed": "IntegrityError"}
    assert not Product.objects.filter(sku=sku).exists()
    assert ledger.count(run.id, "body") == 2


@both(transaction, transaction_async)
def test_a_result_that_cannot_be_stored_takes_the_rows_along(
    live: Live, function: inngest.Function
) -> None:
    sku = unique("sku")
    run = live.run(function, {"sku": sku, "mode": "unserializable"})

    assert not Product.objects.filter(sku=sku).exists()
    assert ledger.count(run.id, "body") == 1
    assert run.steps.get().error["name"] == "OutputUnserializableError"
