"""The table of system checks."""

from __future__ import annotations

from inngest_django.checklist import CHECKS
from tests.docs.made import table


def overview() -> str:
    """Return the table of all checks."""
    rows = [
        [
            f"`{check_id}`",
            check.level,
            check.meaning,
            check.remedy,
            "comment, setting" if check.reads_source else "setting",
        ]
        for check_id, check in CHECKS.items()
    ]
    return table(["Id", "Level", "Means", "Remedy", "Silenced by"], rows)
