"""Wildcard triggers: a ``*`` after a slash or a dot, at the end."""

from __future__ import annotations

import inngest_django as inngest
from inngest_django.models import Event
from tests.functional.support import Live, client


def _on(fn_id: str, *patterns: str) -> inngest.Function:
    @client.create_function(
        fn_id=fn_id,
        retries=0,
        trigger=[inngest.TriggerEvent(event=pattern) for pattern in patterns],
    )
    def handler(ctx: inngest.ContextSync) -> None:
        return None

    return handler


slash = _on("wildcard-slash", "wildcard/*")
deeper = _on("wildcard-deeper", "wildcard/shop/*")
dot = _on("wildcard-dot", "wildcard/order.*")
several = _on("wildcard-several", "wildcard/*", "wildcard/order.*", "wildcard/order.paid")
nowhere = _on("wildcard-nowhere", "wildcard/ord*", "wildcard/*/paid", "*")
EVERY = (slash, deeper, dot, several, nowhere)


def _started_by(live: Live, name: str) -> list[str]:
    event_id = live.send(name)
    live.wait_until(
        lambda: Event.objects.filter(pk=event_id, routed_at__isnull=False).exists(),
        what=f"routing of {name}",
    )
    return sorted(run.function_id for run in live.runs(event_id))


def test_patterns_match_by_their_beginning(live: Live) -> None:
    assert _started_by(live, "wildcard/order.paid") == sorted([slash.id, dot.id, several.id])
    assert _started_by(live, "wildcard/shop/closed") == sorted([slash.id, deeper.id, several.id])
    assert _started_by(live, "wildcard/order") == sorted([slash.id, several.id])
    assert _started_by(live, "wildcards/order") == []
