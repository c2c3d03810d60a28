"""The functions of the pages do what the pages say, through the real engine."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import types
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.test import override_settings

from inngest_django import (
    ContextSync,
    Event,
    EventDataError,
    Function,
    SendEventsError,
    TriggerEvent,
    clock,
    crons,
    expressions,
)
from inngest_django.engine import ingest, sync
from inngest_django.errors import ErrorValue
from inngest_django.functions import registry
from inngest_django.management import exports
from inngest_django.models import Event as EventRow
from inngest_django.models import Run, Schedule
from inngest_django.states import RunStatus
from inngest_django.testing import assert_same_path
from project.shop.models import Customer, Order, Product
from tests.docs.execution import Executed, execute
from tests.docs.made import errors
from tests.docs.pages import Page, page, pages
from tests.engine.support import Engine, assert_sound, steps_of


class Reader:
    """Does with a page's functions what a reader would.

    Attributes:
        page: The page, executed, with its functions registered.
    """

    def __init__(self, engine: Engine, page: Executed) -> None:
        self.engine = engine
        self.page = page

    def start(self, name: str, data: dict[str, Any] | None = None, **fields: Any) -> Run:
        """Send the event of a function's first trigger; return its run when all is idle."""
        function = self.page.functions[name]
        event_name = function.triggers[0].event.replace("*", "opened")
        event_id = self.engine.send(event_name, data, **fields)
        self.engine.idle()
        return self.engine.run_of(event_id, function.id)

    def send(self, name: str, data: dict[str, Any]) -> str:
        """Send an event and work until idle."""
        event_id = self.engine.send(name, data)
        self.engine.idle()
        return event_id

    def after(self, run: Run, **duration: float) -> Run:
        """Return the run when so much time has passed."""
        self.engine.advance(dt.timedelta(**duration))
        assert_sound(run)
        return run

    def runs(self, name: str) -> list[Run]:
        """Return the runs of a function, oldest first."""
        return list(Run.objects.filter(function_id=self.page.functions[name].id).order_by("id"))


@pytest.fixture
def read(engine: Engine) -> Any:
    """Return what executes a page and registers its functions."""

    def read(name: str) -> Reader:
        page = execute(name)
        for function in page.functions.values():
            registry.register(function)
        return Reader(engine, page)

    return read


# Explanation ---------------------------------------------------------------------------


def test_replay_example_takes_four_calls_and_three_days(read: Any) -> None:
    reader = read("explanation/how-steps-replay.md")

    run = reader.start("remind", {"name": "ada"})
    asleep = {name: step.status for name, step in steps_of(run).items()}
    reader.after(run, days=3, seconds=1)

    assert asleep == {"find-name": "completed", "give-them-time": "waiting"}
    assert run.status == "completed"
    assert run.output == "Dear Ada, your cart waits."


def test_replay_example_draws_once(read: Any) -> None:
    reader = read("explanation/how-steps-replay.md")

    run = reader.start("draw", {"tickets": 1_000_000})

    assert run.output == steps_of(run)["draw"].output


def test_replay_example_of_checkpointing_takes_one_call(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = read("explanation/how-steps-replay.md")
    calls = []
    handler = reader.page["tally"].handler
    monkeypatch.setattr(
        reader.page["tally"], "handler", lambda ctx: calls.append(ctx.attempt) or handler(ctx)
    )

    run = reader.start("tally")

    assert run.output == 10
    assert len(steps_of(run)) == 5
    assert len(calls) == 1


# Sending -------------------------------------------------------------------------------


def test_sending_from_a_view_starts_the_function(read: Any) -> None:
    reader = read("how-to/send-events.md")

    event_id = reader.page["pay"]("7")
    reader.engine.idle()

    assert reader.engine.run_of(event_id).output == "Thank you for order 7."


def test_sending_inside_atomic_acts_on_commit_and_never_after_a_rollback(read: Any) -> None:
    reader = read("how-to/send-events.md")
    order = _order("7")

    def pay_and_fail() -> None:
        with transaction.atomic():
            reader.page["mark_paid"](order)
            raise ZeroDivisionError

    reader.page["mark_paid"](order)
    reader.engine.idle()
    committed = len(reader.runs("thank"))
    with pytest.raises(ZeroDivisionError):
        pay_and_fail()
    reader.engine.idle()

    assert committed == 1
    assert len(reader.runs("thank")) == 1


def test_sending_from_async_code_commits_by_itself(read: Any) -> None:
    reader = read("how-to/send-events.md")

    event_id = async_to_sync(reader.page["pay_async"])("8")
    reader.engine.idle()

    assert reader.engine.run_of(event_id).output == "Thank you for order 8."


def test_sending_from_a_function_is_one_event(read: Any) -> None:
    reader = read("how-to/send-events.md")

    run = reader.start("close_order", {"number": "7"})

    assert EventRow.objects.filter(name="shop/review.wanted").count() == 1
    assert run.output == [EventRow.objects.get(name="shop/review.wanted").id]


def test_sending_twice_with_one_id_starts_once(read: Any) -> None:
    reader = read("how-to/send-events.md")

    reader.page["pay_once"]("7")
    reader.page["pay_once"]("7")
    reader.engine.idle()

    assert len(reader.runs("thank")) == 1
    assert EventRow.objects.filter(name="shop/order.paid").count() == 2


def test_idempotency_by_data_starts_once(read: Any) -> None:
    reader = read("how-to/send-events.md")

    run = reader.start("print_label", {"number": "7"})
    reader.send("shop/label.wanted", {"number": "7"})
    reader.send("shop/label.wanted", {"number": "8"})

    assert run.output == "label of 7"
    assert len(reader.runs("print_label")) == 2


def test_a_time_to_come_delays_the_run(read: Any) -> None:
    reader = read("how-to/send-events.md")

    reader.page["remind_tomorrow"]("7")
    reader.engine.idle()
    [run] = reader.runs("thank")
    before = run.status
    reader.after(run, days=1, minutes=1)

    assert before == "queued"
    assert run.status == "completed"


def test_a_refused_event_is_reported_with_the_ids_before_it(read: Any) -> None:
    reader = read("how-to/send-events.md")

    assert reader.page["pay_carefully"](Event(name="")) == []
    with pytest.raises(SendEventsError):
        reader.page["client"].send_sync(Event(name=""))


def test_http_settings_of_the_page_admit_its_key(read: Any, client: Any) -> None:
    reader = read("how-to/send-events.md")
    [settings] = reader.page.settings

    with override_settings(INNGEST=settings, ROOT_URLCONF=_urls(reader.page)):
        answer = client.post(
            "/inngest/e/the-key",
            data='{"name": "shop/order.paid", "data": {"number": "7"}}',
            content_type="application/json",
        )
        refused = client.post("/inngest/e/another", data="{}", content_type="application/json")
    reader.engine.idle()

    assert answer.json()["status"] == 200
    assert reader.engine.run_of(answer.json()["ids"][0]).status == "completed"
    assert refused.status_code == 401


def _urls(page: Executed) -> Any:
    module = types.ModuleType("urls_of_the_page")
    module.urlpatterns = page["urlpatterns"]
    return module


# Failures ------------------------------------------------------------------------------


def test_a_failing_step_is_tried_as_often_as_said(read: Any) -> None:
    reader = read("how-to/handle-failures.md")

    run = reader.start("sync_stock")
    for _ in range(3):
        reader.after(run, minutes=3)

    assert run.output == "pushed at attempt 2"
    assert steps_of(run)["push"].attempt_count == 3


def test_retry_after_chooses_the_time(read: Any) -> None:
    reader = read("how-to/handle-failures.md")

    run = reader.start("ask_rates")
    reader.after(run, seconds=38)
    early = run.status
    reader.after(run, seconds=4)

    assert early == "running"
    assert run.output == "7.25"


def test_a_non_retriable_error_fails_the_run_at_once(read: Any) -> None:
    reader = read("how-to/handle-failures.md")

    run = reader.start("refund", {"amount": 0})
    good = reader.start("refund", {"amount": 5})

    assert (run.status, run.error["code"]) == ("failed", "non_retriable_error")
    assert good.output == "paid back"


def test_a_step_error_can_be_recovered_from(read: Any) -> None:
    reader = read("how-to/handle-failures.md")

    run = reader.start("charge_or_write")
    for _ in range(2):
        reader.after(run, minutes=2)

    assert run.output == "We could not charge you: the bank does not answer"


def test_the_failure_handler_runs_once_the_run_has_failed(read: Any) -> None:
    reader = read("how-to/handle-failures.md")

    run = reader.start("close_books")
    [handler] = Run.objects.filter(function_id="shop-close-books-failure")
    [counted] = reader.runs("count_failures")

    assert run.status == "failed"
    assert handler.output == "shop-close-books: the books do not balance"
    assert counted.output == run.id


# Waits ---------------------------------------------------------------------------------


def test_a_wait_returns_the_matching_event_or_none(read: Any) -> None:
    reader = read("how-to/wait-for-events.md")

    paid = reader.start("await_payment", {"order": 1})
    unpaid = reader.start("await_payment", {"order": 2})
    reader.send("shop/payment.received", {"order": 1, "amount": 30})
    reader.after(unpaid, days=2, seconds=1)
    paid.refresh_from_db()

    assert paid.output == "paid 30"
    assert unpaid.output == "expired"


def test_lookback_finds_an_earlier_event(read: Any) -> None:
    reader = read("how-to/wait-for-events.md")

    reader.send("shop/payment.received", {"order": 3})
    run = reader.start("await_early_payment", {"order": 3})

    assert run.output is True


def test_one_wait_takes_whichever_answer_comes_first(read: Any) -> None:
    reader = read("how-to/wait-for-events.md")

    run = reader.start("await_answer", {"quote": 5})
    reader.send("shop/quote.answered", {"quote": 5, "answer": "perhaps"})
    reader.send("shop/quote.answered", {"quote": 5, "answer": "refused"})
    run.refresh_from_db()

    assert run.output == "refused"


def test_a_cancel_rule_ends_the_run_that_it_matches(read: Any) -> None:
    reader = read("how-to/wait-for-events.md")

    settled = reader.start("chase_payment", {"invoice": 1})
    other = reader.start("chase_payment", {"invoice": 2})
    reader.send("shop/invoice.settled", {"invoice": 1})
    settled.refresh_from_db()
    reader.after(other, days=14, seconds=1)

    assert settled.status == "cancelled"
    assert other.output == "Invoice 2 is due."


@pytest.mark.parametrize(
    ("row", "event", "arriving", "matches"),
    [
        (0, {"order": 1}, {"order": 1}, True),
        (0, {"order": 1}, {"order": 2}, False),
        (1, {"order": 1, "total": 10}, {"order": 1, "amount": 9}, False),
        (1, {"order": 1, "total": 10}, {"order": 1, "amount": 10}, True),
        (2, {}, {"kind": "card"}, True),
        (2, {}, {"kind": "cash"}, False),
    ],
)
def test_expressions_of_the_table_mean_what_it_says(
    row: int, event: dict[str, Any], arriving: dict[str, Any], matches: bool
) -> None:
    source = page("how-to/wait-for-events.md").rows()[row][1].strip("`")
    program = expressions.compile(source, kind="wait")

    assert program.matches(event={"data": event}, arriving={"data": arriving}) is matches


# Changing code -------------------------------------------------------------------------


def test_a_step_added_by_the_events_version_leaves_older_runs_alone(read: Any) -> None:
    reader = read("how-to/change-code-under-live-runs.md")

    old = reader.start("welcome")
    new = reader.start("welcome", v="2")
    reader.after(old, days=21, seconds=1)
    new.refresh_from_db()

    assert old.output == ["greeted", "asked"]
    assert new.output == ["greeted", "gave a coupon", "asked"]


@pytest.mark.parametrize("form", ["old", "new"])
def test_both_forms_of_a_result_are_read(read: Any, form: str) -> None:
    reader = read("how-to/change-code-under-live-runs.md")
    now = reader.page["bill"]
    then = now if form == "new" else _bill_of_before(reader.page["client"])
    _deploy(now, then)

    run = reader.start("bill")
    stored = steps_of(run)["price"].output
    _deploy(then, now)
    reader.after(run, days=14, seconds=1)

    assert isinstance(stored, dict) is (form == "new")
    assert run.output == "Please pay 30."


def _deploy(old: Function, new: Function) -> None:
    registry.unregister(old)
    registry.register(new)


def _bill_of_before(client: Any) -> Function:
    @client.create_function(fn_id="bill", trigger=TriggerEvent(event="shop/order.placed"))
    def bill(ctx: ContextSync) -> str:
        total = ctx.step.run("price", lambda: 30)
        ctx.step.sleep("grace", "14d")
        return ctx.step.run("write", lambda: f"Please pay {total} please.")

    return bill


def test_a_function_without_its_trigger_keeps_its_runs_and_gets_no_new_ones(read: Any) -> None:
    reader = read("how-to/change-code-under-live-runs.md")
    now = reader.page["renew"]
    trigger = TriggerEvent(event="shop/plan.ending")
    then = reader.page["client"].create_function(fn_id="renew", trigger=trigger)(now.handler)
    _deploy(now, then)

    reader.send("shop/plan.ending", {})
    [old] = reader.runs("renew")
    _deploy(then, now)
    reader.send("shop/plan.ending", {})
    reader.after(old, days=30, seconds=1)

    assert len(reader.runs("renew")) == 1
    assert old.output == "charged for a year"
    assert [run.output for run in reader.runs("renew_2")] == ["charged for a month"] * 2


# Coming from Celery --------------------------------------------------------------------


def test_a_moved_chain_passes_results_on(read: Any) -> None:
    reader = read("how-to/come-from-celery.md")

    reader.page["accept"]("7")
    reader.engine.idle()
    [run] = reader.runs("accept_order")

    assert run.output == "Order 7 costs 20."
    assert set(steps_of(run)) == {"fetch", "price", "confirm"}


def test_a_moved_chord_adds_up_what_its_branches_counted(read: Any) -> None:
    reader = read("how-to/come-from-celery.md")

    reader.page["count"](["one two", "three", ""])
    reader.engine.idle()
    [run] = reader.runs("count_book")

    assert run.output == 3
    assert set(steps_of(run)) == {"page-1", "page-2", "page-3", "add-up"}


def test_a_moved_eta_is_kept_unless_an_event_cancels_it(read: Any) -> None:
    reader = read("how-to/come-from-celery.md")
    due = clock.now() + dt.timedelta(days=40)

    reader.page["bill"]("7", due)
    reader.page["bill"]("8", due)
    reader.send("shop/order.paid", {"number": "8"})
    unpaid, paid = reader.runs("remind_to_pay")
    reader.after(unpaid, days=39)
    early = unpaid.status
    reader.after(unpaid, days=1, seconds=1)

    assert (early, unpaid.output) == ("running", "Please pay order 7.")
    assert paid.status == "cancelled"


def test_a_moved_periodic_task_starts_each_night(read: Any, at_the_clock: Any) -> None:
    reader = read("how-to/come-from-celery.md")
    [entry] = reader.page["CELERY_BEAT_SCHEDULE"].values()
    function = reader.page["close_the_day"]
    [trigger] = function.triggers
    crontab = entry["schedule"]

    runs = at_the_clock(
        reader, "close_the_day", dt.datetime(2026, 3, 1, 1, tzinfo=dt.UTC), hours=25
    )

    assert [run.output for run in runs] == ["2026-03-01: closed", "2026-03-02: closed"]
    assert (crontab.hour, crontab.minute) == ({2}, {0})
    assert trigger.cron == "0 2 * * *"


# The clock -------------------------------------------------------------------------------


@pytest.fixture
def at_the_clock() -> Any:
    """Return what registers a page's functions at a moment, and lets hours pass."""

    def at_the_clock(reader: Reader, name: str, moment: dt.datetime, *, hours: int) -> list[Run]:
        Schedule.objects.all().delete()
        clock.move(moment)
        sync.register()
        for _ in range(hours):
            reader.engine.advance(dt.timedelta(hours=1))
        return reader.runs(name)

    return at_the_clock


def test_the_weekly_report_comes_on_monday_morning_in_oslo(read: Any, at_the_clock: Any) -> None:
    reader = read("how-to/start-by-the-clock.md")

    [run] = at_the_clock(
        reader, "weekly_report", dt.datetime(2026, 3, 1, tzinfo=dt.UTC), hours=3 * 24
    )

    assert run.output == "Report: orders until 2026-03-02T06:30:00Z"


def test_the_catalogue_is_synced_within_five_minutes_of_the_hour(
    read: Any, at_the_clock: Any
) -> None:
    reader = read("how-to/start-by-the-clock.md")

    runs = at_the_clock(reader, "sync_catalogue", dt.datetime(2026, 3, 1, tzinfo=dt.UTC), hours=3)

    # The third one is to begin in the minutes after three.
    assert [run.event.data["scheduledAt"][11:16] for run in runs] == ["01:00", "02:00"]
    for schedule in Schedule.objects.filter(function_id="shop-sync-catalogue"):
        delay = schedule.fires_at - schedule.next_at
        assert dt.timedelta(seconds=1) <= delay <= dt.timedelta(minutes=5)


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("`*/15 * * * *`", ["2026-02-27T09:15", "2026-02-27T09:30"]),
        ("`0 3 * * *`", ["2026-02-28T03:00", "2026-03-01T03:00"]),
        ("`TZ=America/New_York 0 9 * * 1-5`", ["2026-02-27T14:00", "2026-03-02T14:00"]),
        ("`0 0 L * *`", ["2026-02-28T00:00", "2026-03-31T00:00"]),
        ("`0 0 1 * 0`", ["2026-03-01T00:00", "2026-03-08T00:00"]),
    ],
)
def test_schedules_of_the_page_name_what_it_says(text: str, times: list[str]) -> None:
    assert f"| {text} |" in page("how-to/start-by-the-clock.md").text
    moment = dt.datetime(2026, 2, 27, 9, tzinfo=dt.UTC)
    found = crons.upcoming(text.strip("`"), moment, 2)
    assert [f"{time:%Y-%m-%dT%H:%M}" for time in found] == times


# The database ----------------------------------------------------------------------------


def _order(number: str, *, stock: int = 5) -> Order:
    customer, _ = Customer.objects.get_or_create(email="ada@example.com", name="Ada")
    product, _ = Product.objects.get_or_create(
        sku="mug", defaults={"name": "Mug", "price": 9, "stock": stock}
    )
    return Order.objects.create(number=number, customer=customer, product=product, quantity=2)


def test_a_transaction_takes_from_the_stock_once(read: Any) -> None:
    reader = read("how-to/write-to-the-database-once.md")
    _order("1")
    wanted = {"sku": "mug", "email": "ada@example.com", "quantity": 3}

    good = reader.start("reserve", {**wanted, "number": "2"})
    bad = reader.start("reserve", {**wanted, "number": "3"})

    assert good.output == "2"
    assert (bad.status, bad.error["code"]) == ("failed", "non_retriable_error")
    assert Product.objects.get().stock == 2
    assert set(Order.objects.values_list("number", flat=True)) == {"1", "2"}


def test_an_event_of_a_transaction_is_part_of_it(read: Any) -> None:
    reader = read("how-to/write-to-the-database-once.md")
    _order("1")

    run = reader.start("cancel_order", {"number": "1"})

    assert run.status == "completed"
    assert Product.objects.get().stock == 7
    assert EventRow.objects.get(name="shop/stock.grew").data == {"sku": "mug"}


def test_a_step_inside_ones_own_block_is_refused(read: Any) -> None:
    reader = read("how-to/write-to-the-database-once.md")

    run = reader.start("wrong")

    assert (run.status, run.error["code"]) == ("failed", "step_in_atomic")


def test_the_idempotency_key_makes_a_second_request_harmless(read: Any) -> None:
    reader = read("how-to/write-to-the-database-once.md")

    run = reader.start("charge_order", {"amount": 30})
    other = reader.start("charge_order", {"amount": 40})

    assert (run.output, other.output) == (30, 40)
    assert sorted(reader.page["sent"].values()) == [30, 40]


# Invoking ------------------------------------------------------------------------------


def test_an_invoked_function_gives_its_result(read: Any) -> None:
    reader = read("how-to/invoke-and-fan-out.md")

    run = reader.start("quote", {"net": 80})

    assert run.output == "That is 100.0 in all."
    assert len(reader.runs("price")) == 1


def test_a_failed_child_raises_in_its_parent(read: Any) -> None:
    reader = read("how-to/invoke-and-fan-out.md")

    run = reader.start("careful")

    assert run.output == "ValueError: no luck"
    assert [child.status for child in reader.runs("fragile")] == ["failed"]


def test_an_unknown_function_fails_the_step(read: Any) -> None:
    reader = read("how-to/invoke-and-fan-out.md")

    run = reader.start("archive", {"number": "7"})

    assert run.status == "failed"
    assert "archive-app-store-order" in run.error["message"]


def test_one_event_starts_every_function_that_asks_for_it(read: Any) -> None:
    reader = read("how-to/invoke-and-fan-out.md")

    run = reader.start("sign_up", {"email": "a@example.com", "plan": "pro"})

    assert run.output == 2
    assert [r.output for r in reader.runs("send_guide")] == ["guide for a@example.com"]
    assert [r.output for r in reader.runs("open_account")] == ["account for a@example.com"]
    assert [r.output for r in reader.runs("audit")] == ["shop/account.wanted"]


def test_a_filter_leaves_others_out(read: Any) -> None:
    reader = read("how-to/invoke-and-fan-out.md")

    reader.send("shop/account.wanted", {"email": "a@example.com", "plan": "free"})

    assert reader.runs("audit") == []


def test_one_run_starts_for_each_row(read: Any) -> None:
    reader = read("how-to/invoke-and-fan-out.md")

    run = reader.start("import_rows")

    assert run.output == 3
    assert sorted(r.output for r in reader.runs("import_row")) == [0, 1, 2]


# Groups --------------------------------------------------------------------------------


def test_a_group_returns_its_results_in_order(read: Any) -> None:
    reader = read("how-to/run-steps-in-parallel.md")

    assert reader.start("quote_carriers").output == 7.25
    assert reader.start("both_async").output == ["label", "letter"]


def test_branches_advance_in_lock_step(read: Any) -> None:
    reader = read("how-to/run-steps-in-parallel.md")

    run = reader.start("two_lanes")

    assert run.output == [["red-1", "red-2"], ["blue-1", "blue-2"]]
    assert reader.page["order"] == ["red-1", "blue-1", "red-2", "blue-2"]


def test_in_a_race_each_branch_goes_at_its_own_pace(read: Any) -> None:
    reader = read("how-to/run-steps-in-parallel.md")

    run = reader.start("own_pace")
    reader.after(run, minutes=2)
    meanwhile = list(reader.page["order"])
    reader.after(run, hours=1)

    assert meanwhile == ["fast"]
    assert run.output == ["slow", "fast"]


def test_a_branch_may_catch_its_own_failure(read: Any) -> None:
    reader = read("how-to/run-steps-in-parallel.md")

    assert reader.start("some_fail").output == ["yes", "no"]


# Middleware and inspection ----------------------------------------------------------------


def test_middleware_of_the_page_measures_wraps_and_stamps(read: Any) -> None:
    reader = read("how-to/write-middleware.md")

    run = reader.start("double", {"number": 21})
    [event_id] = reader.page["client"].send_sync(Event(name="shop/other", data={"a": 1}))
    [tagged_id] = reader.page["tagged"].send_sync(Event(name="shop/other"))

    assert run.output == {"value": 42}
    assert len(reader.page["took"]) == 2
    assert EventRow.objects.get(pk=event_id).data == {"a": 1, "sent_by": "shop"}
    assert EventRow.objects.get(pk=tagged_id).data == {"tag": "blue"}


def test_inspection_of_the_page_reads_and_is_told(read: Any) -> None:
    failures = read("how-to/handle-failures.md")
    inspect = execute("how-to/inspect-and-cancel.md")

    failed = failures.start("refund", {"amount": 0})
    good = failures.start("refund", {"amount": 1})

    assert inspect["failed_today"]("shop-refund") == [f"{failed.id} NonRetriableError"]
    assert inspect["results"](good) == {"pay-back": "paid back"}
    assert inspect["seen"] == [f"shop-refund {failed.id}"]


def test_testing_example_is_the_one_that_the_page_tests(read: Any) -> None:
    reader = read("how-to/test-your-functions.md")

    run = reader.start("sell", {"number": "A-1", "card": "good"})
    reader.send("shop/delivery.confirmed", {"number": "A-1"})

    assert reader.after(run, days=3).output == "R-A-1"


# Types, and replays -----------------------------------------------------------------------


def test_typed_events_are_made_checked_and_read_as_the_page_says(read: Any) -> None:
    reader = read("how-to/typed-events.md")
    names = reader.page.names
    sent, on_entry = (block.code.strip() for block in page("how-to/typed-events.md").blocks("text"))

    names["place"](names["Order"](number="A-1", total="9.50"))
    reader.engine.idle()
    with pytest.raises(EventDataError) as refused:
        names["order_placed"].event({"number": "A-1", "total": -5})
    [good] = reader.runs("sell")
    # As a program does that does not know the type.
    ingest.accept([Event(name="shop/order.placed", data={"number": "A-1"})])
    reader.engine.idle()
    [_, bad] = reader.runs("sell")
    quote = reader.start("quote")

    assert good.output == "charged 9.50 for A-1"
    assert str(refused.value) == sent
    assert bad.error is not None
    assert bad.error["message"] == on_entry
    assert quote.output == len("north") + len(good.output)


def test_replay_page_shows_what_the_kit_prints(
    read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = read("how-to/replay-a-run.md")
    run = reader.start("charge_card", {"email": "ada@example.com"})
    recording, _ = exports.scrub(exports.read(run))
    recording = dataclasses.replace(recording, scrubbed={"event.data.email": "name of the field"})
    (tmp_path / "tests/runs").mkdir(parents=True)
    (tmp_path / "tests/runs/declined.json").write_text(json.dumps(recording.as_dict()))
    monkeypatch.chdir(tmp_path)
    declined = dataclasses.replace(
        recording,
        run_id="01M84C54A06R9B8BDSSK9EEX4G",
        status=RunStatus.FAILED,
        error=ErrorValue(code="unknown", name="CardDeclinedError", message="", stack=None),
    )

    @reader.page["client"].create_function(fn_id="charge-card", trigger=[])
    def changed(ctx: ContextSync) -> str:
        ctx.step.run("check", lambda: 1)
        return ctx.step.run("charge", lambda: "paid")

    with pytest.raises(AssertionError) as failed:
        assert_same_path(declined, changed)

    [shown] = page("how-to/replay-a-run.md").blocks("text")
    assert str(failed.value) == shown.code.rstrip()
    reader.page["test_a_declined_card_takes_the_path_that_it_took"]()


# All of them ---------------------------------------------------------------------------


def test_every_function_of_a_guide_is_named_in_a_test_here() -> None:
    source = Path(__file__).read_text()

    missing = [
        f"{one.name}: {name}"
        for one in pages()
        if one.name.startswith(("how-to/", "explanation/"))
        for name in execute(one.name).functions
        if f'"{name}"' not in source
    ]

    assert missing == []


def test_module_from_the_sdk_runs_with_its_import_changed(read: Any) -> None:
    reader = read("how-to/come-from-inngest.md")

    paid, expired = (reader.start("await_payment", {"id": number}) for number in (1, 2))
    reader.send("payments/settled", {"id": 1, "amount": 30})
    reader.after(paid, hours=2, seconds=1)
    reader.after(expired)

    assert (paid.output, expired.output) == ("paid 30", "expired")


# Reference -----------------------------------------------------------------------------

# An example is two functions, or tests.
FUNCTIONS = [one for one in errors.pages() if "def wrong(" in one.text]


@pytest.mark.parametrize("one", FUNCTIONS, ids=lambda one: one.path.stem)
@pytest.mark.filterwarnings("ignore:.*:SyntaxWarning")
def test_wrong_example_fails_with_the_code_of_its_page_and_the_right_one_completes(
    read: Any, one: Page
) -> None:
    reader = read(one.name)

    # From another program: whatever is declared about its data is not known there.
    ingest.accept([Event(name="shop/order.placed", data={"id": 7})])
    reader.engine.idle()
    reader.engine.advance(dt.timedelta(days=3))

    [wrong], [right] = reader.runs("wrong"), reader.runs("right")
    found = [wrong.error, *(step.error for step in steps_of(wrong).values() if step.error)]
    assert wrong.status == "failed"
    assert one.path.stem in {error["code"] for error in found}
    assert right.status == "completed"
