"""The rows the demo begins with, the events it sends, and how each run must end."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

from inngest_django import Event, clock
from project.shop.functions import client
from project.shop.models import Customer, Order, Product

ADA, BEN, CLEO = "ada@example.com", "ben@example.com", "cleo@example.com"
ANY = object()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """How one run must end; ``output`` is compared unless it is ``ANY``."""

    function: str
    status: str = "completed"
    output: object = ANY

    def fits(self, run: Mapping[str, Any]) -> bool:
        """Return whether a run, as a row of values, is this one."""
        return (
            run["function_id"] == f"{client.app_id}-{self.function}"
            and run["status"] == self.status
            and (self.output is ANY or run["output"] == self.output)
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One event of the demo.

    Attributes:
        title: What it shows.
        after: Sent when a step of this name waits; at once when empty.
    """

    title: str
    event: Event
    runs: tuple[Expected, ...] = ()
    after: str = ""


def lay_out() -> None:
    """Create the rows that the shop has before anything happens."""
    for name, email in (("Ada", ADA), ("Ben", BEN), ("Cleo", CLEO)):
        Customer.objects.create(name=name, email=email)
    mug = Product.objects.create(sku="mug", name="Red mug", price="12.50", stock=10)
    Order.objects.create(
        number="A-1000", customer=Customer.objects.get(email=BEN), product=mug, quantity=1
    )


def examples() -> list[Example]:
    """Return every example, with durations and dates as a project's events have them."""
    remind_at = clock.now() + dt.timedelta(seconds=6)
    return [
        Example(
            title="import-product-images: a step per image, one of which fails twice",
            event=Event(
                name="shop/product.imported",
                data={
                    "sku": "mug",
                    "images": ["mug-front.jpg", "mug-side.jpg", "mug-box.png"],
                    "hang_ups": {"mug-side.jpg": 2},
                },
            ),
            runs=(Expected(function="import-product-images"),),
        ),
        Example(
            title="send-delayed-email: step.sleep, then a message",
            event=Event(
                name="shop/customer.created", data={"name": "Ada", "email": ADA, "delay": "3s"}
            ),
            runs=(Expected(function="send-delayed-email", output="Welcome, Ada"),),
        ),
        Example(
            title="send-scheduled-reminder: step.sleep_until a date of the event",
            event=Event(
                name="shop/reminder.scheduled",
                data={
                    "email": BEN,
                    "text": "Your mug is waiting.",
                    # Without a zone it is in the project's TIME_ZONE, which is UTC.
                    "remind_at": f"{remind_at:%Y-%m-%d%H:%M:%S}",
                },
            ),
            runs=(Expected(function="send-scheduled-reminder"),),
        ),
        Example(
            title="send-onboarding-nudge-email: step.wait_for_event that times out",
            event=Event(
                name="app/account.created",
                data={"userId": "cleo", "email": CLEO, "patience": "5s"},
            ),
            runs=(Expected(function="send-onboarding-nudge-email", output="nudged"),),
        ),
        Example(
            title="send-onboarding-nudge-email: step.wait_for_event that is matched",
            event=Event(
                name="app/account.created",
                data={"userId": "ada", "email": ADA, "patience": "60s"},
            ),
            runs=(Expected(function="send-onboarding-nudge-email", output="completed in time"),),
        ),
        Example(
            title="main-function: step.invoke of compute-square",
            event=Event(name="app/main.requested", data={"number": 4}),
            runs=(
                Expected(function="main-function", output="Square of 4 is 16."),
                Expected(function="compute-square", output={"square": 16}),
            ),
        ),
        Example(
            title="user-onboarding: step.send_event, fanning out to two functions",
            event=Event(name="app/user.signed_up", data={"email": CLEO}),
            runs=(
                Expected(function="user-onboarding", output=1),
                Expected(function="open-loyalty-account"),
                Expected(function="send-starter-guide"),
            ),
        ),
        Example(
            title="place-order: step.transaction; choose-carrier: group.parallel",
            event=Event(
                name="shop/order.placed",
                data={"number": "A-1001", "email": ADA, "sku": "mug", "quantity": 2},
            ),
            runs=(
                Expected(function="place-order", output="A-1001"),
                Expected(function="choose-carrier", output="south"),
            ),
        ),
        Example(
            title="charge-card: fails for good, and its on_failure handler",
            event=Event(
                name="shop/payment.requested",
                data={"number": "A-1000", "email": BEN, "card": "declined"},
            ),
            runs=(
                Expected(function="charge-card", status="failed"),
                Expected(function="charge-card-failure"),
            ),
        ),
        Example(
            title="the event that Ada's onboarding waits for",
            event=Event(name="app/onboarding.completed", data={"userId": "ada"}),
            after="wait-for-onboarding-completion",
        ),
    ]
