"""Without beat the workers run the overdue tick themselves, so that sleeps still end."""

from __future__ import annotations

import pytest

import inngest_django as inngest
from tests.functional.support import Live, client, event_name
from tests.processes import ProcessStack

pytestmark = [pytest.mark.services]


@client.create_function(
    fn_id="worker-ticks",
    retries=0,
    trigger=inngest.TriggerEvent(event=event_name("worker-ticks")),
)
def sleeping(ctx: inngest.ContextSync) -> str:
    # Longer than what a worker hands to the broker with a delay.
    ctx.step.sleep("zzz", "3s")
    return "woken"


def test_a_sleep_ends_without_beat(live: Live) -> None:
    assert isinstance(live.stack, ProcessStack)
    live.stack.stop_beat()

    assert live.run(sleeping).output == "woken"
