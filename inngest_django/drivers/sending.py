"""Sends events from inside a call."""

from __future__ import annotations

from inngest_django.events import Event
from inngest_django.functions import registry
from inngest_django.functions.function import Function
from inngest_django.functions.middleware import MiddlewareStack, send_through
from inngest_django.steps.calling import Calling


async def send(
    function: Function, stack: MiddlewareStack, calling: Calling, events: list[Event]
) -> list[str]:
    """Send events through a function's client, inside the hooks of the function's middleware.

    Raises:
        EventDataError: Data does not fit its declared type; without the value, because the
            error is stored with the step.
    """
    client = function.client
    for event in events:
        registry.check_data(event, with_value=False)

    async def pass_on(many: list[Event]) -> list[str]:
        if calling.is_async:
            return await client.send(many, skip_middleware=True)
        return client.send_sync(many, skip_middleware=True)

    return await send_through(stack, events, pass_on)
