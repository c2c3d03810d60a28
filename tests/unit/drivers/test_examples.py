"""Functions as a user writes them, by the public names alone."""

from __future__ import annotations

import datetime as dt
import functools
from typing import Any

import pydantic
import pytest

import inngest_django as inngest
from inngest_django.experimental import step
from tests.unit.drivers.harness import run
from tests.unit.drivers.support import SILENT

client = inngest.Inngest(app_id="shop", is_production=False, logger=SILENT)


def event(name: str, **data: Any) -> dict[str, Any]:
    return {"id": "1", "name": name, "data": data, "ts": 1}


@client.create_function(
    fn_id="price-basket", trigger=inngest.TriggerEvent(event="shop/basket.closed")
)
def price_basket(ctx: inngest.ContextSync) -> float:
    def add_tax(amount: float, rate: float) -> float:
        return round(amount * (1 + rate), 2)

    return ctx.step.run("tax", add_tax, ctx.event.data["amount"], 0.25)


@client.create_function(fn_id="index-document", trigger=inngest.TriggerEvent(event="docs/uploaded"))
async def index_document(ctx: inngest.Context) -> int:
    async def tokenize(text: str, *, lower: bool) -> list[str]:
        return (text.lower() if lower else text).split()

    words = await ctx.step.run("tokenize", functools.partial(tokenize, "One Two one", lower=True))
    return len(set(words))


@client.create_function(fn_id="trial", trigger=inngest.TriggerEvent(event="billing/trial.started"))
def trial_reminder(ctx: inngest.ContextSync) -> str:
    ctx.step.sleep("settle", 1500)
    ctx.step.sleep("cool-down", dt.timedelta(days=3))
    ctx.step.sleep_until("first-of-month", dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    return "reminded"


@client.create_function(fn_id="await-payment", trigger=inngest.TriggerEvent(event="orders/placed"))
def await_payment(ctx: inngest.ContextSync) -> str:
    paid = ctx.step.wait_for_event(
        "payment",
        event="payments/settled",
        if_exp="event.data.order_id == async.data.order_id",
        timeout=dt.timedelta(hours=2),
    )
    return "expired" if paid is None else f"paid {paid.data['amount']}"


@client.create_function(fn_id="render-invoice", trigger=inngest.TriggerEvent(event="unused/render"))
def render_invoice(ctx: inngest.ContextSync) -> dict[str, Any]:
    return {"pages": 2, "order": ctx.event.data["order"]}


@client.create_function(fn_id="bill-order", trigger=inngest.TriggerEvent(event="orders/shipped"))
def bill_order(ctx: inngest.ContextSync) -> list[Any]:
    a = ctx.step.invoke("render", function=render_invoice, data={"order": 7})
    b = ctx.step.invoke_by_id(
        "archive",
        app_id="archive-app",
        function_id="store-pdf",
        data={"pages": a["pages"]},
        timeout=dt.timedelta(minutes=10),
    )
    return [a, b]


@client.create_function(fn_id="quotes", trigger=inngest.TriggerEvent(event="shipping/quote"))
def quote_carriers(ctx: inngest.ContextSync) -> float:
    def ask(carrier: str) -> float:
        return {"north": 9.5, "south": 7.25}[carrier]

    quotes = ctx.group.parallel(
        tuple(functools.partial(ctx.step.run, f"ask-{c}", ask, c) for c in ("north", "south"))
    )
    return min(quotes)


@client.create_function(fn_id="two-lanes", trigger=inngest.TriggerEvent(event="lab/started"))
async def two_lanes(ctx: inngest.Context) -> tuple[Any, ...]:
    async def lane(name: str) -> list[str]:
        first = await ctx.step.run(f"{name}-1", lambda: f"{name} one")
        second = await ctx.step.run(f"{name}-2", lambda: f"{name} two")
        return [first, second]

    return await ctx.group.parallel(
        (lambda: lane("red"), lambda: lane("blue")), parallel_mode=inngest.ParallelMode.RACE
    )


@client.create_function(fn_id="poll-job", trigger=inngest.TriggerEvent(event="jobs/created"))
def poll_job(ctx: inngest.ContextSync) -> int:
    for tries in range(1, 6):
        state = ctx.step.run("check", lambda t=tries: "done" if t == 3 else "busy")
        if state == "done":
            return tries
        ctx.step.sleep("pause", 5_000)
    raise inngest.NonRetriableError("job never finished")


@client.create_function(
    fn_id="charge-or-email", retries=0, trigger=inngest.TriggerEvent(event="orders/confirmed")
)
def charge_or_email(ctx: inngest.ContextSync) -> str:
    def charge() -> str:
        raise ConnectionError("gateway down")

    try:
        return ctx.step.run("charge", charge)
    except inngest.StepError as err:
        ctx.step.run("notify", lambda: None)
        return f"mailed after {err.name}"


def report_failure(ctx: inngest.ContextSync) -> Any:
    original = ctx.event.data["event"]
    return ctx.step.run("page", lambda: f"{original['name']}: {ctx.event.data['error']['message']}")


@client.create_function(
    fn_id="nightly-export",
    on_failure=report_failure,
    retries=2,
    trigger=inngest.TriggerCron(cron="TZ=Europe/Oslo 15 2 * * *", jitter="5m"),
)
def nightly_export(ctx: inngest.ContextSync) -> None:
    raise RuntimeError("disk full")


class Parcel(pydantic.BaseModel):
    weight_g: int


typed = inngest.Inngest(app_id="typed", serializer=inngest.PydanticSerializer())


@typed.create_function(
    fn_id="weigh",
    output_type=list[Parcel],
    trigger=inngest.TriggerEvent(event="parcels/arrived"),
)
def weigh(ctx: inngest.ContextSync) -> list[Parcel]:
    one = ctx.step.run("scale", lambda: Parcel(weight_g=420), output_type=Parcel)
    assert isinstance(one, Parcel)
    return [one]


class Timing(inngest.MiddlewareSync):
    def transform_input(self, ctx: Any, function: Any, steps: inngest.StepMemos) -> None:
        self._label = f"{function.local_id}#{steps.size}"

    def transform_output(self, result: inngest.TransformOutputResult) -> None:
        if result.error is None and result.step is None:
            result.output = {"value": result.output, "by": self._label}


@client.create_function(
    fn_id="timed", middleware=[Timing], trigger=inngest.TriggerEvent(event="demo/timed")
)
def timed(ctx: inngest.ContextSync) -> int:
    ctx.logger.info("only once per execution of this line")
    return 5


@step("audit")
def audit(action: str) -> str:
    return f"logged {action}"


@client.create_function(fn_id="audited", trigger=inngest.TriggerEvent(event="demo/audited"))
def audited(ctx: inngest.ContextSync) -> str:
    return audit("login")


@pytest.mark.parametrize(
    ("function", "options", "output"),
    [
        (price_basket, {"event": event("a", amount=80.0)}, 100.0),
        (index_document, {}, 2),
        (trial_reminder, {}, "reminded"),
        (await_payment, {}, "expired"),
        (
            await_payment,
            {"answers": {"payment": event("payments/settled", amount=30)}},
            "paid 30",
        ),
        (render_invoice, {"event": event("a", order=7)}, {"pages": 2, "order": 7}),
        (
            bill_order,
            {"answers": {"render": {"pages": 2}, "archive": "stored"}},
            [{"pages": 2}, "stored"],
        ),
        (quote_carriers, {}, 7.25),
        (two_lanes, {}, [["red one", "red two"], ["blue one", "blue two"]]),
        (poll_job, {}, 3),
        (charge_or_email, {}, "mailed after ConnectionError"),
        (
            nightly_export.failure_function,
            {"event": event("x", event={"name": "cron"}, error={"message": "disk full"})},
            "cron: disk full",
        ),
        (weigh, {}, [{"weight_g": 420}]),
        (timed, {}, {"value": 5, "by": "timed#0"}),
        (audited, {}, "logged login"),
    ],
)
def test_function_ends_with_its_output(function: Any, options: Any, output: Any) -> None:
    assert run(function, **options).output == output


def test_flow_control_is_accepted_in_one_place() -> None:
    @client.create_function(
        fn_id="sync-tenant",
        cancel=[
            inngest.Cancel(
                event="tenant/deleted",
                if_exp="event.data.tenant == async.data.tenant",
                timeout=dt.timedelta(hours=6),
            )
        ],
        concurrency=[inngest.Concurrency(limit=2, key="event.data.tenant")],
        idempotency="event.data.sync_id",
        priority=inngest.Priority(run="event.data.paid ? 120 : 0"),
        throttle=inngest.Throttle(limit=10, period=60_000, burst=3),
        timeouts=inngest.Timeouts(start=dt.timedelta(minutes=5), finish=dt.timedelta(hours=1)),
        trigger=[
            inngest.TriggerEvent(event="tenant/sync", expression="event.data.live == true"),
            inngest.TriggerCron(cron="0 * * * *"),
        ],
    )
    def sync_tenant(ctx: inngest.ContextSync) -> None:
        return None

    @client.create_function(
        fn_id="send-digest",
        rate_limit=inngest.RateLimit(limit=1, period=dt.timedelta(hours=24), key="event.data.user"),
        singleton=inngest.Singleton(mode="cancel", key="event.data.user"),
        debounce=inngest.Debounce(period=10_000, key="event.data.site", timeout=120_000),
        trigger=inngest.TriggerEvent(event="digest/requested"),
    )
    def send_digest(ctx: inngest.ContextSync) -> None: ...

    assert run(sync_tenant).output is None
    assert send_digest.config()["debounce"] == {
        "period": "10s",
        "key": "event.data.site",
        "timeout": "2m",
    }


def test_batch_holds_all_events() -> None:
    @client.create_function(
        batch_events=inngest.Batch(max_size=50, timeout=dt.timedelta(seconds=5)),
        fn_id="write-metrics",
        trigger=inngest.TriggerEvent(event="metrics/point"),
    )
    def write_metrics(ctx: inngest.ContextSync) -> float:
        return sum(e.data["value"] for e in ctx.events)  # type: ignore[misc]

    points = tuple(event("metrics/point", value=v) for v in (1, 2, 3.5))

    assert run(write_metrics, events=points).output == 6.5
