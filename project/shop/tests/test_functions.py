"""The shop's durable functions, tested as a project tests its own.

Copy from here. ``durable`` is the fixture of ``inngest_django.testing``; everything runs in
the test's transaction, and three days pass in milliseconds.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from django.core import mail

from inngest_django import Event
from inngest_django.testing import TIMEOUT, Durable
from project.shop import functions
from project.shop.models import Customer, Order, Product, ProductImage

ADA = "ada@example.com"


@pytest.fixture(autouse=True)
def shop(db: None, tmp_path: Path, settings: Any) -> None:
    """A customer, a product with ten pieces in stock, and storage that is thrown away."""
    settings.MEDIA_ROOT = tmp_path
    Customer.objects.create(name="Ada", email=ADA)
    Product.objects.create(sku="mug", name="Red mug", price="12.50", stock=10)


def order(number: str = "A-1") -> Order:
    return Order.objects.create(
        number=number,
        customer=Customer.objects.get(email=ADA),
        product=Product.objects.get(sku="mug"),
        quantity=1,
    )


# Started by the clock --------------------------------------------------------------------


def test_the_stock_is_reported_on_working_days(durable: Durable) -> None:
    Product.objects.update(stock=2)
    durable.only(functions.send_stock_report)

    durable.advance("7 days")

    runs = durable.runs(functions.send_stock_report)
    days = [dt.datetime.fromisoformat(run.event.data["scheduledAt"]).weekday() for run in runs]
    assert sorted(days) == [0, 1, 2, 3, 4]
    assert [message.body for message in mail.outbox] == ["2 Red mug"] * 5


def test_no_report_of_full_shelves(durable: Durable) -> None:
    durable.run(functions.send_stock_report).assert_completed(output="enough of everything")


# One step per image ----------------------------------------------------------------------


def test_images_are_copied_and_only_the_failing_one_is_tried_again(durable: Durable) -> None:
    run = durable.run(
        functions.import_product_images,
        {
            "sku": "mug",
            "images": ["mug-front.jpg", "mug-side.jpg"],
            "hang_ups": {"mug-side.jpg": 2},
        },
    ).finish()

    run.assert_completed()
    run.assert_step("copy mug-front.jpg", attempts=1)
    run.assert_step("copy mug-side.jpg", attempts=3)
    assert ProductImage.objects.count() == 2


def test_one_image_alone(durable: Durable) -> None:
    stored = durable.step(
        functions.import_product_images,
        "copy mug-box.png",
        {"sku": "mug", "images": ["mug-box.png"]},
    )

    assert (stored["width"], stored["height"]) > (0, 0)
    assert ProductImage.objects.get().source == "mug-box.png"


# Time ------------------------------------------------------------------------------------


def test_the_welcome_comes_three_days_later(durable: Durable) -> None:
    run = durable.run(functions.send_delayed_email, {"name": "Ada", "email": ADA, "delay": "3 d"})

    run.assert_sleeping("wait-before-welcome")
    durable.advance("2 days and 23 hours")
    assert mail.outbox == []
    durable.advance("1 hour")

    run.assert_completed(output="Welcome, Ada")
    [message] = mail.outbox
    assert message.to == [ADA]


def test_the_reminder_comes_at_its_date(durable: Durable) -> None:
    at = durable.now.replace(microsecond=0) + dt.timedelta(days=5)
    run = durable.run(
        functions.send_scheduled_reminder,
        {"email": ADA, "text": "Your mug is waiting.", "remind_at": at.isoformat()},
    )

    run.assert_sleeping(until=at)
    durable.advance_to(at)

    run.assert_completed(output="A reminder from the shop")


# Waiting for an event ---------------------------------------------------------------------

ACCOUNT = {"userId": "ada", "email": ADA, "patience": "2d"}


def test_who_completes_in_time_gets_no_mail(durable: Durable) -> None:
    run = durable.run(functions.send_onboarding_nudge_email, ACCOUNT)
    run.assert_waiting_for("app/onboarding.completed")

    durable.deliver("app/onboarding.completed", {"userId": "somebody else"})
    assert run.is_live
    durable.deliver("app/onboarding.completed", {"userId": "ada"})

    run.assert_completed(output="completed in time")
    assert mail.outbox == []


def test_who_does_not_is_nudged(durable: Durable) -> None:
    run = durable.run(functions.send_onboarding_nudge_email, ACCOUNT)

    durable.advance("2 days")

    run.assert_completed(output="nudged")
    run.assert_step("send-email", output="Your account is nearly ready")


@pytest.mark.parametrize(
    ("answer", "output"),
    [(TIMEOUT, "nudged"), (Event(name="app/onboarding.completed"), "completed in time")],
)
def test_both_ways_without_any_waiting(durable: Durable, answer: Any, output: str) -> None:
    run = durable.run(
        functions.send_onboarding_nudge_email,
        ACCOUNT,
        steps={"wait-for-onboarding-completion": answer},
    )

    run.assert_completed(output=output)


# Functions that call or start others ------------------------------------------------------


def test_main_function_asks_another_one(durable: Durable) -> None:
    run = durable.run(functions.main_function, {"number": 4})

    run.assert_completed(output="Square of 4 is 16.")
    [square] = run.children
    square.assert_completed(output={"square": 16})


def test_a_square_alone(durable: Durable) -> None:
    assert durable.step(functions.compute_square, "multiply", {"number": 3}) == 9


def test_main_function_alone(durable: Durable) -> None:
    run = durable.run(
        functions.main_function, {"number": 4}, steps={"compute-square": {"square": -1}}
    )

    run.assert_completed(output="Square of 4 is -1.")
    assert run.children == []


def test_a_new_user_is_welcomed_by_every_function_that_asks(durable: Durable) -> None:
    durable.deliver("app/user.signed_up", {"email": ADA})

    durable.only_run(functions.user_onboarding).assert_completed(output=1)
    durable.only_run(functions.open_loyalty_account).assert_completed()
    durable.only_run(functions.send_starter_guide).assert_completed()
    assert Customer.objects.get(email=ADA).loyalty_number.startswith("L-")


def test_carriers_are_asked_side_by_side(durable: Durable) -> None:
    order("A-1")

    run = durable.run(functions.choose_carrier, {"order": "A-1"}, fail={"ask north": 1}).finish()

    run.assert_completed(output="south")
    run.assert_step("ask north", attempts=2)
    run.assert_step("ask east", attempts=1)
    assert Order.objects.get().carrier == "south"


# Exactly once ----------------------------------------------------------------------------

PLACED = {"number": "A-7", "sku": "mug", "quantity": 3, "email": ADA}


def test_an_order_takes_from_the_stock_and_starts_the_next_function(durable: Durable) -> None:
    durable.run(functions.place_order, PLACED).assert_completed(output="A-7")

    assert Product.objects.get().stock == 7
    durable.only_run(functions.choose_carrier).assert_completed(output="south")


def test_an_order_over_the_stock_fails_at_once(durable: Durable) -> None:
    run = durable.run(functions.place_order, {**PLACED, "quantity": 11})

    run.assert_failed(name="NonRetriableError", message="not enough of mug")
    assert Product.objects.get().stock == 10
    assert not Order.objects.exists()


def test_an_order_is_reserved_once_wherever_the_worker_dies(durable: Durable) -> None:
    durable.only(functions.place_order)

    durable.assert_survives_crashes(
        functions.place_order,
        PLACED,
        ledger=lambda: [Product.objects.get().stock, Order.objects.count()],
        points=["lease.taken", "transaction.body_done", "transaction.committed", "call.end"],
    )


# Failing for good ------------------------------------------------------------------------


def test_a_declined_card_marks_the_order_and_tells_the_customer(durable: Durable) -> None:
    order("A-9")

    run = durable.run(
        functions.charge_card, {"number": "A-9", "email": ADA, "card": "declined"}
    ).finish()

    run.assert_failed(name="CardDeclinedError", message="declined the card")
    run.assert_step("charge", error="CardDeclinedError", attempts=2)
    assert functions.charge_card.failure_function is not None
    durable.only_run(functions.charge_card.failure_function).assert_completed()
    assert Order.objects.get().status == Order.Status.PAYMENT_FAILED
    assert mail.outbox[0].subject == "We could not charge your card"


def test_a_payment_that_failed_once_goes_through(durable: Durable) -> None:
    order("A-9")

    run = durable.run(
        functions.charge_card,
        {"number": "A-9", "email": ADA, "card": "good"},
        fail={"charge": 1},
    ).finish()

    run.assert_completed(output="paid")
    run.assert_step("charge", attempts=2)
