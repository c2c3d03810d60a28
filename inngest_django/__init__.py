"""Durable functions for Django."""

from __future__ import annotations
