"""Durable functions for Django."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inngest_django.client import Inngest
    from inngest_django.errors import (
        Error,
        EventDataError,
        EventInvalidError,
        EventKeyUnspecifiedError,
        FunctionConfigInvalidError,
        InngestError,
        NonRetriableError,
        OutputUnserializableError,
        RetryAfterError,
        SendEventsError,
        StepError,
    )
    from inngest_django.events import JSON, Event
    from inngest_django.functions.event_types import EventType
    from inngest_django.functions.flow_control import (
        Batch,
        Cancel,
        Concurrency,
        Debounce,
        Priority,
        RateLimit,
        Singleton,
        Throttle,
        Timeouts,
    )
    from inngest_django.functions.function import Function
    from inngest_django.functions.middleware import (
        Middleware,
        MiddlewareSync,
        Opcode,
        SendEventsResult,
        TransformOutputResult,
        TransformOutputStepInfo,
    )
    from inngest_django.functions.serializer import PydanticSerializer, Serializer
    from inngest_django.functions.streaming import Streaming
    from inngest_django.functions.triggers import TriggerCron, TriggerEvent
    from inngest_django.steps.context import Context, ContextSync
    from inngest_django.steps.groups import Group, GroupSync, ParallelMode
    from inngest_django.steps.memos import StepMemos
    from inngest_django.steps.tools import Step, StepSync

# Loaded at first use: Django imports this package before its apps are ready, and a process
# that only sends events needs little of it.
_HOMES = {
    "inngest_django.client": ("Inngest",),
    "inngest_django.errors": (
        "Error",
        "EventDataError",
        "EventInvalidError",
        "EventKeyUnspecifiedError",
        "FunctionConfigInvalidError",
        "InngestError",
        "NonRetriableError",
        "OutputUnserializableError",
        "RetryAfterError",
        "SendEventsError",
        "StepError",
    ),
    "inngest_django.events": ("JSON", "Event"),
    "inngest_django.functions.event_types": ("EventType",),
    "inngest_django.functions.flow_control": (
        "Batch",
        "Cancel",
        "Concurrency",
        "Debounce",
        "Priority",
        "RateLimit",
        "Singleton",
        "Throttle",
        "Timeouts",
    ),
    "inngest_django.functions.function": ("Function",),
    "inngest_django.functions.middleware": (
        "Middleware",
        "MiddlewareSync",
        "Opcode",
        "SendEventsResult",
        "TransformOutputResult",
        "TransformOutputStepInfo",
    ),
    "inngest_django.functions.serializer": ("PydanticSerializer", "Serializer"),
    "inngest_django.functions.streaming": ("Streaming",),
    "inngest_django.functions.triggers": ("TriggerCron", "TriggerEvent"),
    "inngest_django.steps.context": ("Context", "ContextSync"),
    "inngest_django.steps.memos": ("StepMemos",),
    "inngest_django.steps.groups": ("Group", "GroupSync", "ParallelMode"),
    "inngest_django.steps.tools": ("Step", "StepSync"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "JSON",
    "Batch",
    "Cancel",
    "Concurrency",
    "Context",
    "ContextSync",
    "Debounce",
    "Error",
    "Event",
    "EventDataError",
    "EventInvalidError",
    "EventKeyUnspecifiedError",
    "EventType",
    "Function",
    "FunctionConfigInvalidError",
    "Group",
    "GroupSync",
    "Inngest",
    "InngestError",
    "Middleware",
    "MiddlewareSync",
    "NonRetriableError",
    "Opcode",
    "OutputUnserializableError",
    "ParallelMode",
    "Priority",
    "PydanticSerializer",
    "RateLimit",
    "RetryAfterError",
    "SendEventsError",
    "SendEventsResult",
    "Serializer",
    "Singleton",
    "Step",
    "StepError",
    "StepMemos",
    "StepSync",
    "Streaming",
    "Throttle",
    "Timeouts",
    "TransformOutputResult",
    "TransformOutputStepInfo",
    "TriggerCron",
    "TriggerEvent",
]


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
