"""Changing ``INNGEST`` for the live worker, whatever kind it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.conf import settings
from django.test import override_settings

from tests.functional.support import Live
from tests.processes import ProcessStack


@contextlib.contextmanager
def worker_with(live: Live, **inngest: object) -> Iterator[None]:
    """Let the worker run with these settings inside the block."""
    if isinstance(live.stack, ProcessStack):
        live.stack.restart_worker(inngest=inngest)
        # The fixture brings the ordinary worker back.
        yield
        return
    with override_settings(INNGEST={**settings.INNGEST, **inngest}):
        yield
