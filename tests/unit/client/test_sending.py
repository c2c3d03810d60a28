"""Sending, and whose transaction the events belong to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction

from inngest_django.client import Inngest
from inngest_django.errors import InngestError, SendEventsError
from inngest_django.events import Event
from inngest_django.functions.middleware import Middleware, MiddlewareSync, SendEventsResult
from inngest_django.models import Event as EventRow

client = Inngest(app_id="sending")
committing = pytest.mark.django_db(transaction=True)


def stored() -> list[str]:
    return list(EventRow.objects.order_by("id").values_list("name", flat=True))


@pytest.mark.django_db
def test_ids_come_back_in_order() -> None:
    ids = client.send_sync([Event(name=f"t/{n}") for n in range(3)])

    assert [EventRow.objects.get(pk=i).name for i in ids] == ["t/0", "t/1", "t/2"]
    assert client.send_sync([]) == []
    assert len(client.send_sync(Event(name="one"))) == 1


@pytest.mark.django_db
def test_events_before_the_invalid_one_are_accepted() -> None:
    with pytest.raises(SendEventsError) as raised:
        client.send_sync([Event(name="good"), Event(name=""), Event(name="never")])

    assert len(raised.value.ids) == 1
    assert stored() == ["good"]
    assert "Event 2 of 3" in str(raised.value)


@pytest.mark.django_db
@pytest.mark.parametrize("events", [["text"], [Event(name="a")] * 5001])
def test_what_cannot_be_sent_is_refused(events: Any) -> None:
    with pytest.raises(SendEventsError) as raised:
        client.send_sync(events)

    assert raised.value.ids == []
    assert stored() == []


@committing
def test_send_sync_joins_the_transaction_of_its_thread() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():  # noqa: PT012
        client.send_sync(Event(name="gone"))
        raise ZeroDivisionError

    assert stored() == []


@committing
def test_send_sync_under_a_running_loop_commits_by_itself() -> None:
    async def main() -> list[str]:
        return client.send_sync(Event(name="here"))

    ids = asyncio.run(main())

    assert len(ids) == 1
    assert stored() == ["here"]


@committing
@pytest.mark.parametrize("is_async", [False, True])
def test_send_that_would_split_an_open_transaction_is_refused(is_async: bool) -> None:
    async def main() -> None:
        if is_async:
            await client.send(Event(name="split"))
        else:
            client.send_sync(Event(name="split"))

    with transaction.atomic(), pytest.raises(InngestError, match="atomic"):
        asyncio.run(main())

    assert stored() == []


@committing
def test_awaited_send_joins_the_transaction_of_the_thread_below() -> None:
    async def main() -> None:
        await client.send(Event(name="gone"))

    with pytest.raises(ZeroDivisionError), transaction.atomic():  # noqa: PT012
        async_to_sync(main)()
        raise ZeroDivisionError

    assert stored() == []


@committing
def test_plain_code_of_async_code_joins_its_own_transaction() -> None:
    def work() -> None:
        with transaction.atomic():
            client.send_sync(Event(name="gone"))
            raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await sync_to_async(work)()
        await client.send(Event(name="kept"))

    async_to_sync(main)()

    assert stored() == ["kept"]


@committing
def test_many_concurrent_sends_succeed() -> None:
    async def main() -> list[list[str]]:
        return await asyncio.gather(*(client.send(Event(name=f"t/{n}")) for n in range(500)))

    ids = async_to_sync(main)()

    assert len({i for (i,) in ids}) == 500
    assert EventRow.objects.count() == 500


# Middleware ------------------------------------------------------------------------------

log: list[Any] = []


class Hooks(MiddlewareSync):
    def before_send_events(self, events: list[Event]) -> None:
        assert self.raw_request is None
        log.append([e.name for e in events])
        events[0].data = {"changed": True}

    def after_send_events(self, result: SendEventsResult) -> None:
        log.append((result.error is None, len(result.ids)))


class AsyncHooks(Middleware):
    async def before_send_events(self, events: list[Event]) -> None:
        log.append([e.name for e in events])


@pytest.fixture(autouse=True)
def _empty() -> None:
    log.clear()


@pytest.mark.django_db
def test_hooks_run_around_a_send_unless_skipped() -> None:
    hooked = Inngest(app_id="sending", middleware=[Hooks])

    (sent,) = hooked.send_sync(Event(name="a"))
    hooked.send_sync(Event(name="b"), skip_middleware=True)
    with pytest.raises(SendEventsError):
        hooked.send_sync([Event(name="ok"), Event(name="")])

    assert log == [["a"], (True, 1), ["ok", ""], (False, 1)]
    assert EventRow.objects.get(pk=sent).payload()["data"] == {"changed": True}


@committing
def test_hooks_of_both_kinds_run_around_an_awaited_send() -> None:
    hooked = Inngest(app_id="sending", middleware=[Hooks, AsyncHooks])

    async_to_sync(hooked.send)(Event(name="a"))

    assert log == [["a"], ["a"], (True, 1)]


@pytest.mark.django_db
def test_async_hooks_cannot_run_around_send_sync() -> None:
    hooked = Inngest(app_id="sending", middleware=[AsyncHooks])

    with pytest.raises(InngestError, match="async middleware"):
        hooked.send_sync(Event(name="a"))
