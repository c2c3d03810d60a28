"""``manage.py inngest_functions``: list functions."""

from __future__ import annotations

from typing import Any

from inngest_django.engine import schedules, transactions
from inngest_django.functions import registry
from inngest_django.management.base import InngestCommand
from inngest_django.models import Function


class Command(InngestCommand):
    """Lists functions."""

    help = (
        "List the functions that this code has, and those that were registered before, and when"
        " the clock starts each next."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the functions by id."""
        found = functions()
        if options["as_json"]:
            self.print_json(found)
            return
        if not found:
            self.line("No functions. Define them in functions.py of an installed app.")
            return
        self.table(
            ["id", "name", "triggers", "next", "version", "in code", "paused"],
            [
                (
                    item["id"],
                    item["name"],
                    ", ".join(_trigger(trigger) for trigger in item["triggers"]),
                    item["next_at"],
                    item["version"],
                    "yes" if item["is_known"] else "no",
                    item["paused_at"],
                )
                for item in found
            ],
        )


def functions() -> list[dict[str, Any]]:
    """Return the functions of the code and of the table, by id.

    ``is_known`` tells whether this code has it; ``version`` is None until a worker
    registered it. ``next_at`` is when the clock starts it next, None when it does not.
    """
    later_first = schedules.alive(transactions.now()).order_by("-next_at")
    next_times = dict(later_first.values_list("function_id", "next_at"))
    rows = {row.pk: row for row in Function.objects.all()}
    known = registry.all()
    found = []
    for function_id in sorted({*rows, *known}):
        row, function = rows.get(function_id), known.get(function_id)
        config = function.config() if function is not None else (row.config if row else {})
        found.append(
            {
                "id": function_id,
                "name": (function.name if function is not None else row.name if row else ""),
                "triggers": list(config.get("triggers") or ()),
                "config": config,
                "is_known": function is not None,
                "version": row.version if row else None,
                "registered_at": row.registered_at if row else None,
                "paused_at": row.paused_at if row else None,
                "next_at": next_times.get(function_id),
            }
        )
    return found


def _trigger(trigger: dict[str, Any]) -> str:
    if trigger.get("cron"):
        return f"cron {trigger['cron']}"
    expression = trigger.get("expression")
    return f"{trigger.get('event')}{f' if {expression}' if expression else ''}"
