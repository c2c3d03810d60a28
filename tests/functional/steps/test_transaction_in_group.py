"""``step.transaction`` inside a parallel group."""

from __future__ import annotations

import inngest_django as inngest
from project.shop.models import Product
from tests.functional.support import Live, client, event_name, unique


def _add(sku: str) -> int:
    return Product.objects.create(sku=sku, name="p", price="1.00").pk


@client.create_function(
    fn_id="transaction-in-group",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("transaction-in-group")),
)
def grouped(ctx: inngest.ContextSync) -> object:
    sku = str(ctx.event.data["sku"])
    return ctx.group.parallel(
        (
            lambda: ctx.step.transaction("one", _add, f"{sku}-1"),
            lambda: ctx.step.transaction("two", _add, f"{sku}-2"),
        )
    )


def test_each_branch_commits_its_own(live: Live) -> None:
    sku = unique("sku")
    run = live.run(grouped, {"sku": sku})

    assert run.status == "completed", run.error
    stored = Product.objects.filter(sku__startswith=sku).order_by("sku")
    assert run.output == [product.pk for product in stored]
    assert len(run.output) == 2
