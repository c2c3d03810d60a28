"""Which functions an event starts: those of this process and those of other living ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from inngest_django import expressions
from inngest_django.engine import sync
from inngest_django.functions import registry
from inngest_django.functions.triggers import patterns

logger = logging.getLogger(__name__)


def started_by(payload: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return id and configuration of each function that an event starts, each once."""
    found: dict[str, Mapping[str, Any]] = {
        function.id: function.config() for function in registry.functions_started_by(payload)
    }
    for function_id, config in sync.foreign().items():
        if any(_matches(trigger, payload) for trigger in config.get("triggers", ())):
            found.setdefault(function_id, config)
    return found


def is_named(event_name: str) -> bool:
    """Whether any trigger could match an event of that name."""
    if registry.triggers_for(event_name):
        return True
    names = set(patterns(event_name))
    return any(
        trigger.get("event") in names
        for config in sync.foreign().values()
        for trigger in config.get("triggers", ())
    )


def _matches(trigger: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
    if trigger.get("event") not in set(patterns(payload["name"])):
        return False
    source = trigger.get("expression")
    if not source:
        return True
    try:
        program = expressions.compile(source, kind="filter")
    except expressions.ExpressionError:
        logger.warning("trigger filter of another process does not compile")
        return False
    return program.matches(event=payload)
