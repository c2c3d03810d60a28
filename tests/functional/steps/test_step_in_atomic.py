"""A step called inside the author's own ``atomic`` block fails the run with a clear error."""

from __future__ import annotations

from django.db import transaction

import inngest_django as inngest
from project.shop.models import Product
from tests import ledger
from tests.functional.support import Live, client, event_name, unique


@client.create_function(
    fn_id="step-in-atomic", trigger=inngest.TriggerEvent(event=event_name("step-in-atomic"))
)
def inside(ctx: inngest.ContextSync) -> None:
    ledger.note(ctx.run_id, "entered")
    with transaction.atomic():
        Product.objects.create(sku=str(ctx.event.data["sku"]), name="p", price="1.00")
        ctx.step.run("inside", lambda: ledger.note(ctx.run_id, "inside"))


@client.create_function(
    fn_id="atomic-in-step", trigger=inngest.TriggerEvent(event=event_name("atomic-in-step"))
)
def outside(ctx: inngest.ContextSync) -> int:
    def body() -> int:
        with transaction.atomic():
            return Product.objects.create(sku=str(ctx.event.data["sku"]), name="p", price="1.00").pk

    return ctx.step.run("outside", body)


def test_the_run_fails_and_names_the_remedy(live: Live) -> None:
    sku = unique("sku")
    run = live.run(inside, {"sku": sku})

    assert run.status == "failed"
    assert run.error["code"] == "step_in_atomic"
    assert "step.transaction" in run.error["message"]
    assert ledger.order(run.id) == ["entered"]
    assert not Product.objects.filter(sku=sku).exists()


def test_a_block_inside_a_body_is_fine(live: Live) -> None:
    sku = unique("sku")

    assert live.run(outside, {"sku": sku}).output == Product.objects.get(sku=sku).pk
