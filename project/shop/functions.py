"""The shop's durable functions: every example of the documentation, on real rows and files.

Each is started by an event and made of named steps. What a step returned is stored, so that
a function continues where it stopped, whatever happens to the worker in between.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from django.core.mail import send_mail
from django.db.models import F

from inngest_django import (
    Context,
    ContextSync,
    Event,
    Inngest,
    NonRetriableError,
    TriggerCron,
    TriggerEvent,
)
from project.shop import images
from project.shop.models import Customer, Order, Product

client = Inngest(app_id="shop", is_production=False)

Data = Mapping[str, Any]


def mail(email: str, subject: str, text: str) -> str:
    """Send one message and return its subject."""
    send_mail(subject, text, None, [email])
    return subject


# One step per image: when one fails and is tried again, the others are not.


@client.create_function(
    fn_id="import-product-images",
    trigger=TriggerEvent(event="shop/product.imported"),
)
def import_product_images(ctx: ContextSync) -> dict[str, Any]:
    """Copy the pictures that the event names into storage and make thumbnails."""
    product: Data = ctx.event.data

    def copy(name: str) -> images.Stored:
        hang_ups = product.get("hang_ups", {}).get(name, 0)
        content = images.fetch(name, hang_ups=hang_ups, attempt=ctx.attempt)
        return images.store(product["sku"], name, content)

    stored = [ctx.step.run(f"copy {name}", copy, name) for name in product["images"]]
    return {"sku": product["sku"], "thumbnails": [image["thumbnail"] for image in stored]}


# Sleeping holds no worker: the run is a row until it is due.


@client.create_function(
    fn_id="send-delayed-email",
    trigger=TriggerEvent(event="shop/customer.created"),
)
def send_delayed_email(ctx: ContextSync) -> str:
    """Welcome a customer some time after the first visit."""
    customer: Data = ctx.event.data
    ctx.step.sleep("wait-before-welcome", customer["delay"])
    return ctx.step.run(
        "send-email",
        mail,
        customer["email"],
        f"Welcome, {customer['name']}",
        "Have a look at our mugs.",
    )


@client.create_function(
    fn_id="send-scheduled-reminder",
    trigger=TriggerEvent(event="shop/reminder.scheduled"),
)
def send_scheduled_reminder(ctx: ContextSync) -> str:
    """Remind somebody at a date that the event names."""
    reminder: Data = ctx.event.data
    ctx.step.sleep_until("wait-for-the-date", reminder["remind_at"])
    return ctx.step.run(
        "send-email", mail, reminder["email"], "A reminder from the shop", reminder["text"]
    )


# The clock starts functions, too: celery-beat's tick releases what is due.


@client.create_function(
    fn_id="send-stock-report", trigger=TriggerCron(cron="TZ=Europe/Oslo 0 7 * * 1-5")
)
def send_stock_report(ctx: ContextSync) -> str:
    """Tell the shop's owner on working days what is nearly sold out."""
    timer: Data = ctx.event.data

    def look() -> list[str]:
        few = Product.objects.filter(stock__lt=5).order_by("sku")
        return [f"{product.stock} {product.name}" for product in few]

    few = ctx.step.run("look", look)
    if not few:
        return "enough of everything"
    day = timer["scheduledAt"][:10]
    return ctx.step.run("send-email", mail, "owner@example.com", f"Stock on {day}", "\n".join(few))


# Waiting for an event: matched, it is returned; timed out, it is None.


@client.create_function(
    fn_id="send-onboarding-nudge-email",
    trigger=TriggerEvent(event="app/account.created"),
)
def send_onboarding_nudge_email(ctx: ContextSync) -> str:
    """Write to those who do not complete their onboarding in time."""
    account: Data = ctx.event.data
    completed = ctx.step.wait_for_event(
        "wait-for-onboarding-completion",
        event="app/onboarding.completed",
        timeout=account["patience"],
        if_exp="event.data.userId == async.data.userId",
    )
    if completed is not None:
        return "completed in time"
    ctx.step.run(
        "send-email",
        mail,
        account["email"],
        "Your account is nearly ready",
        "One step of your onboarding is left.",
    )
    return "nudged"


# Functions can call each other; the called one is a run of its own.


@client.create_function(fn_id="compute-square", trigger=TriggerEvent(event="app/square.requested"))
async def compute_square(ctx: Context) -> dict[str, int]:
    """Return the square of a number."""
    data: Data = ctx.event.data

    async def multiply(number: int) -> int:
        return number * number

    return {"square": await ctx.step.run("multiply", multiply, data["number"])}


@client.create_function(fn_id="main-function", trigger=TriggerEvent(event="app/main.requested"))
async def main_function(ctx: Context) -> str:
    """Say what the square of a number is."""
    number = ctx.event.data["number"]
    result = await ctx.step.invoke(
        "compute-square", function=compute_square, data={"number": number}
    )
    return f"Square of {number} is {result['square']}."


# Fanning out: one event starts every function that asks for it.


@client.create_function(fn_id="user-onboarding", trigger=TriggerEvent(event="app/user.signed_up"))
def user_onboarding(ctx: ContextSync) -> int:
    """Tell the rest of the shop about a new user."""
    ids = ctx.step.send_event(
        "announce", Event(name="shop/onboarding.started", data=ctx.event.data)
    )
    return len(ids)


@client.create_function(
    fn_id="open-loyalty-account", trigger=TriggerEvent(event="shop/onboarding.started")
)
def open_loyalty_account(ctx: ContextSync) -> str:
    """Give the new user a loyalty number."""

    def open_account(email: str) -> str:
        customer = Customer.objects.get(email=email)
        customer.loyalty_number = f"L-{customer.pk:05}"
        customer.save(update_fields=["loyalty_number"])
        return customer.loyalty_number

    user: Data = ctx.event.data
    return ctx.step.run("open-account", open_account, user["email"])


@client.create_function(
    fn_id="send-starter-guide", trigger=TriggerEvent(event="shop/onboarding.started")
)
def send_starter_guide(ctx: ContextSync) -> str:
    """Write to the new user."""
    user: Data = ctx.event.data
    return ctx.step.run(
        "send-email", mail, user["email"], "Your starter guide", "Mugs hold coffee."
    )


# Steps of a group run side by side, on as many workers as there are.


@client.create_function(fn_id="choose-carrier", trigger=TriggerEvent(event="shop/order.reserved"))
def choose_carrier(ctx: ContextSync) -> str:
    """Ask three carriers at once and take the cheapest."""
    order: Data = ctx.event.data
    rates = {"north": 9.5, "south": 7.25, "east": 8.0}

    def ask(carrier: str) -> float:
        return ctx.step.run(f"ask {carrier}", lambda: rates[carrier])

    def book(carrier: str) -> str:
        Order.objects.filter(number=order["order"]).update(carrier=carrier)
        return carrier

    quotes = ctx.group.parallel([functools.partial(ask, name) for name in rates])
    cheapest = min(zip(quotes, rates, strict=True))[1]
    return ctx.step.run("book", book, cheapest)


# The rows that this body writes and its recorded result commit together: exactly once.


@client.create_function(fn_id="place-order", trigger=TriggerEvent(event="shop/order.placed"))
def place_order(ctx: ContextSync) -> str:
    """Take a product out of the stock for an order, and tell the rest of the shop."""
    order: Data = ctx.event.data

    def reserve() -> str:
        taken = Product.objects.filter(sku=order["sku"], stock__gte=order["quantity"]).update(
            stock=F("stock") - order["quantity"]
        )
        if not taken:
            raise NonRetriableError(f"not enough of {order['sku']} in stock")
        Order.objects.create(
            number=order["number"],
            customer=Customer.objects.get(email=order["email"]),
            product=Product.objects.get(sku=order["sku"]),
            quantity=order["quantity"],
        )
        return str(order["number"])

    number = ctx.step.transaction("reserve", reserve)
    ctx.step.send_event("announce", Event(name="shop/order.reserved", data={"order": number}))
    return number


# When a function has failed for good, its on_failure handler runs as a run of its own.


class CardDeclinedError(Exception):
    """The bank said no."""


def give_up_payment(ctx: ContextSync) -> str:
    """Mark the order, and tell the customer."""
    failure: Data = ctx.event.data
    order, message = failure["event"]["data"], failure["error"]["message"]

    def mark() -> str:
        Order.objects.filter(number=order["number"]).update(status=Order.Status.PAYMENT_FAILED)
        return str(Order.Status.PAYMENT_FAILED)

    ctx.step.run("mark-order", mark)
    return ctx.step.run(
        "send-email", mail, order["email"], "We could not charge your card", message
    )


@client.create_function(
    fn_id="charge-card",
    trigger=TriggerEvent(event="shop/payment.requested"),
    retries=1,
    on_failure=give_up_payment,
)
def charge_card(ctx: ContextSync) -> str:
    """Charge the card of an order."""
    order: Data = ctx.event.data

    def charge() -> str:
        if order["card"] == "declined":
            raise CardDeclinedError("the bank declined the card")
        Order.objects.filter(number=order["number"]).update(status=Order.Status.PAID)
        return str(Order.Status.PAID)

    return ctx.step.run("charge", charge)
