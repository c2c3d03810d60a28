"""The HTTP interface: events in, events and runs out."""

from __future__ import annotations
