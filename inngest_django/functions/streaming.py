"""Kept for source compatibility."""

from __future__ import annotations

import enum


class Streaming(enum.Enum):
    """How a server streams responses; functions here answer no request."""

    DISABLE = "disable"
    FORCE = "force"
