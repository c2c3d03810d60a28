"""``manage.py inngest_send``: send one event."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from pydantic import ValidationError

from inngest_django.engine import ingest, transactions
from inngest_django.errors import EventInvalidError
from inngest_django.events import Event
from inngest_django.functions import registry
from inngest_django.management.base import InngestCommand, refuse
from inngest_django.serialization import loads


class Command(InngestCommand):
    """Sends one event."""

    help = (
        "Send one event. Functions with a matching trigger start when a worker routes it."
        " Example: inngest_send shop/order.paid --data '{\"id\": 7}'"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the fields of an event."""
        super().add_arguments(parser)
        parser.add_argument("name", help="The event's name, such as shop/order.paid.")
        parser.add_argument(
            "--data", default="{}", metavar="JSON",
            help="The data: a JSON object, @FILE, or - for standard input. Default: {}.",
        )  # fmt: skip
        parser.add_argument("--user", metavar="JSON", help="The user object.")
        parser.add_argument(
            "--id", default="", dest="event_id",
            help="Your id of the event: each function starts once for it within 24 hours.",
        )  # fmt: skip
        parser.add_argument(
            "--ts", type=int, default=0,
            help="Milliseconds since 1970; a time to come delays the runs.",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Store the event."""
        try:
            event = Event(
                name=options["name"],
                data=_object(options["data"], option="--data"),
                id=options["event_id"],
                ts=options["ts"],
                user=None if options["user"] is None else _object(options["user"], option="--user"),
            )
            registry.check_data(event, with_value=True)
            ids = transactions.retrying(lambda: _store(event))
        except EventInvalidError as error:
            refuse(str(error))
        except ValidationError as error:
            refuse(f"The event cannot be sent: {error.errors()[0]['msg']}.")
        if options["as_json"]:
            self.print_json({"ids": ids})
        else:
            self.line(f"Sent {options['name']} as {ids[0]}.")


def _store(event: Event) -> list[str]:
    with transactions.write():
        return ingest.accept([event])


def _object(text: str, *, option: str) -> dict[str, Any]:
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            refuse(f"{option} names a file that cannot be read: {error}.")
    try:
        decoded = loads(text)
    except (ValueError, RecursionError) as error:
        refuse(f"{option} is not JSON: {error}. Quote it for the shell, as '{{\"id\": 7}}'.")
    if not isinstance(decoded, dict):
        refuse(f"{option} must be a JSON object, got {text[:60]}.")
    return decoded
