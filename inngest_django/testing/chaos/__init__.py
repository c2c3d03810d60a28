"""Faults on the user's own stack: what ``manage.py inngest_chaos`` runs.

The command's process plans (``planning``), breaks (``faults``, through ``processes`` and the
TCP proxy) and checks (``audit``). Workers, beats and the sender are processes of their own
with ``settings``, which add this package to the installed apps: only there are its functions
registered.
"""

from __future__ import annotations
