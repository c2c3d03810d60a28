"""Bodies use the database as other Django code does, in plain and in async functions."""

from __future__ import annotations

from django.db import connection

import inngest_django as inngest
from project.shop.models import Product
from tests.functional.support import Live, client, event_name, unique


def _add(sku: str) -> int:
    return Product.objects.create(sku=sku, name="p", price="1.00").pk


async def _add_async(sku: str) -> int:
    return (await Product.objects.acreate(sku=sku, name="p", price="1.00")).pk


@client.create_function(
    fn_id="database-in-bodies",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("database-in-bodies")),
)
def plain(ctx: inngest.ContextSync) -> object:
    sku = str(ctx.event.data["sku"])
    before = Product.objects.filter(sku__startswith=sku).count()
    return [before >= 0, ctx.step.run("plain", _add, f"{sku}-plain")]


@client.create_function(
    fn_id="database-in-bodies-async",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("database-in-bodies-async")),
)
async def coroutine(ctx: inngest.Context) -> object:
    sku = str(ctx.event.data["sku"])
    found = [product.sku async for product in Product.objects.filter(sku__startswith=sku)]
    return [
        len(found) >= 0,
        await ctx.step.run("plain", _add, f"{sku}-plain"),
        await ctx.step.run("async", _add_async, f"{sku}-async"),
    ]


@client.create_function(
    fn_id="broken-transaction",
    retries=1,
    trigger=inngest.TriggerEvent(event=event_name("broken-transaction")),
)
def breaking(ctx: inngest.ContextSync) -> str:
    def body() -> str:
        if ctx.attempt == 0:
            with connection.cursor() as cursor:
                cursor.execute("SELECT * FROM no_such_table")
        return "second try"

    return ctx.step.run("break", body)


def test_in_a_plain_function(live: Live) -> None:
    sku = unique("sku")
    run = live.run(plain, {"sku": sku})

    assert run.status == "completed", run.error
    assert run.output == [True, Product.objects.get(sku=f"{sku}-plain").pk]


def test_in_an_async_function(live: Live) -> None:
    sku = unique("sku")
    run = live.run(coroutine, {"sku": sku})

    assert run.status == "completed", run.error
    assert run.output == [
        True,
        Product.objects.get(sku=f"{sku}-plain").pk,
        Product.objects.get(sku=f"{sku}-async").pk,
    ]


def test_an_error_of_the_database_is_an_attempt_like_any_other(live: Live) -> None:
    run = live.run(breaking)

    assert run.status == "completed", run.error
    assert run.output == "second try"
    assert "no_such_table" in run.attempts.get().error["message"]
