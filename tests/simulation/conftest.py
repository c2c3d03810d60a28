"""One stage for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulation.stage import Stage, opened


@pytest.fixture(scope="module")
def stage(django_db_setup: None, django_db_blocker: Any) -> Iterator[Stage]:
    """The engine on a database, a clock and threads of its own."""
    with django_db_blocker.unblock(), opened() as found:
        yield found
