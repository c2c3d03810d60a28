"""What exists when the demo is over, counted in the models."""

from __future__ import annotations

from inngest_django.models import Attempt, Event, Run, Step
from project.shop.demo.scenario import Expected
from project.shop.models import Customer, Order, Product, ProductImage


def counts() -> list[tuple[str, int]]:
    """Return labels and numbers, in the order in which they are printed."""
    return [
        ("events accepted", Event.objects.count()),
        ("runs completed", Run.objects.filter(status="completed").count()),
        ("runs failed", Run.objects.filter(status="failed").count()),
        ("steps completed", Step.objects.filter(status="completed").count()),
        ("waits timed out", Step.objects.filter(status="timed_out").count()),
        ("failed attempts", Attempt.objects.count()),
        ("images stored", ProductImage.objects.exclude(image="").count()),
        ("thumbnails made", ProductImage.objects.exclude(thumbnail="").count()),
        ("e-mails sent", Step.objects.filter(name="send-email", status="completed").count()),
        ("orders placed", Order.objects.count()),
        ("payments failed", Order.objects.filter(status=Order.Status.PAYMENT_FAILED).count()),
        ("loyalty accounts", Customer.objects.exclude(loyalty_number="").count()),
        ("mugs in stock", Product.objects.get(sku="mug").stock),
    ]


def mismatches(expected: list[Expected]) -> tuple[list[Expected], list[str]]:
    """Return the expected ends that no run has, and the runs that nobody expected."""
    left = list(expected)
    surprises = []
    for run in Run.objects.order_by("id").values("id", "function_id", "status", "output"):
        match = next((item for item in left if item.fits(run)), None)
        if match is None:
            surprises.append(f"{run['function_id']} {run['id']} is {run['status']}")
        else:
            left.remove(match)
    return left, surprises
