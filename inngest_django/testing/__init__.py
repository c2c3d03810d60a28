"""Tests of durable functions on the real engine, without broker, worker or beat.

``Durable`` is a context manager; with pytest the fixture ``durable`` enters it for a test.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inngest_django.drivers.stand_ins import TIMEOUT, UnstubbedStepError
    from inngest_django.testing.choices import MadeToFailError
    from inngest_django.testing.durable import Durable
    from inngest_django.testing.handles import RunHandle, StepView
    from inngest_django.testing.replays import Replay, assert_same_path, replay
    from inngest_django.testing.survival import assert_survives_crashes

# Loaded at first use: pytest imports the plugin's package before Django is set up.
_HOMES = {
    "TIMEOUT": "inngest_django.drivers.stand_ins",
    "UnstubbedStepError": "inngest_django.drivers.stand_ins",
    "MadeToFailError": "inngest_django.testing.choices",
    "Durable": "inngest_django.testing.durable",
    "RunHandle": "inngest_django.testing.handles",
    "StepView": "inngest_django.testing.handles",
    "Replay": "inngest_django.testing.replays",
    "assert_same_path": "inngest_django.testing.replays",
    "replay": "inngest_django.testing.replays",
    "assert_survives_crashes": "inngest_django.testing.survival",
}

__all__ = [
    "TIMEOUT",
    "Durable",
    "MadeToFailError",
    "Replay",
    "RunHandle",
    "StepView",
    "UnstubbedStepError",
    "assert_same_path",
    "assert_survives_crashes",
    "replay",
]


def __getattr__(name: str) -> Any:
    module = _HOMES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
