"""``POST /e/<key>``: one event or an array of them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import BadRequest
from pydantic import ValidationError
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from inngest_django import conf
from inngest_django.api.authentication import EventKeyAuthentication
from inngest_django.api.errors import ApiError, bad_request
from inngest_django.api.views import InngestView
from inngest_django.engine import ingest, transactions
from inngest_django.errors import EventInvalidError
from inngest_django.events import Event
from inngest_django.ids import ulid_from_seed
from inngest_django.serialization import loads

# How many of the largest events fit into one request.
BODY_FACTOR = 4
SEED_HEADER = "x-inngest-event-id-seed"
_SEED = re.compile(r"(\d{1,15}),([A-Za-z0-9+/]{14}={0,2})")
_MAX_MILLIS = 2**48
_TYPES: Mapping[str, tuple[type, str]] = {
    "name": (str, "a string"),
    "data": (dict, "an object"),
    "user": (dict, "an object"),
    "id": (str, "a string"),
    "ts": (int, "a whole number of milliseconds since 1970"),
    "v": (str, "a string"),
}
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Max-Age": "86400",
}


class IngestView(InngestView):
    """Accepts events.

    Events are taken in order up to the first one that is refused: the answer of a refusal
    has the ids accepted before it, so that a sender repeats only the others.
    """

    authentication_classes = (EventKeyAuthentication,)
    http_method_names = ("post", "options")

    def post(self, request: Request, key: str = "") -> Response:
        """Store the events and return their ids in the order of the body."""
        seed = request.headers.get(SEED_HEADER, "")
        events: Sequence[Event]
        events, refusal = parse(read_events(request))
        try:
            ids = store(events, seed=seed)
        except EventInvalidError:
            # Looked at one by one only now: checking a large event costs as much as storing it.
            events, refusal = valid_beginning(events)
            ids = store(events, seed=seed)
        if refusal:
            raise bad_request(refusal, ids=ids)
        return Response({"ids": ids, "status": status.HTTP_200_OK})

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """Answer a browser's preflight; sending itself still needs the key."""
        return Response(status=status.HTTP_204_NO_CONTENT)

    def perform_authentication(self, request: Request) -> None:
        """Ask for the key, except in a preflight, which starts no work and reads nothing."""
        if request.method != "OPTIONS":
            super().perform_authentication(request)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Let scripts of any origin send: what admits them is the key."""
        response = super().finalize_response(request, response, *args, **kwargs)
        for header, value in _CORS.items():
            response[header] = value
        return response


def read_events(request: Request) -> Sequence[Any]:
    """Return the decoded events of the body.

    Raises:
        ApiError: 413 when it is too long, 400 when it is no JSON object or array of them.
    """
    body = _read_body(request)
    try:
        decoded = loads(body)
    except RecursionError:
        raise bad_request("The body nests too deeply.", ids=[]) from None
    except ValueError as error:
        raise bad_request(
            f"The body is not JSON: {error}. Send one event, or an array of events.", ids=[]
        ) from None
    if isinstance(decoded, dict):
        return [decoded]
    if not isinstance(decoded, list):
        raise bad_request(
            f"The body must be one event or an array of events, got {_shown(decoded)}.", ids=[]
        )
    if len(decoded) > ingest.MAX_EVENTS:
        raise bad_request(
            f"At most {ingest.MAX_EVENTS} events can be sent in one request, got {len(decoded)}."
            " Split them.",
            ids=[],
        )
    return decoded


def parse(raw_events: Sequence[Any]) -> tuple[list[Event], str]:
    """Return the events before the first that is none, and what is wrong with that one."""
    events: list[Event] = []
    for index, raw in enumerate(raw_events):
        try:
            events.append(as_event(raw))
        except ValueError as error:
            return events, _placed(error, index=index, is_only=len(raw_events) == 1)
    return events, ""


def valid_beginning(events: Sequence[Event]) -> tuple[Sequence[Event], str]:
    """Return the events before the first that breaks a rule, and which rule it breaks."""
    for index, event in enumerate(events):
        try:
            ingest.validate(event)
        except EventInvalidError as error:
            return events[:index], _placed(error, index=index, is_only=len(events) == 1)
    return events, ""


def _placed(error: Exception, *, index: int, is_only: bool) -> str:
    return str(error) if is_only else f"Event {index}: {error}"


def as_event(raw: Any) -> Event:
    """Return the event of one decoded object; unknown keys are ignored, null means absent.

    Raises:
        ValueError: It is no object, or a field has the wrong type.
    """
    if not isinstance(raw, dict):
        raise ValueError(f"An event must be an object, got {_shown(raw)}.")  # noqa: TRY004
    given = {key: value for key, value in raw.items() if key in _TYPES and value is not None}
    for key, value in given.items():
        kind, words = _TYPES[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{key} must be {words}, got {_shown(value)}.")  # noqa: TRY004
    if not given.get("name"):
        raise ValueError('An event needs a "name" that is not empty.')
    try:
        return Event(**given)
    except ValidationError as error:
        raise ValueError(f"The event cannot be read: {error.errors()[0]['msg']}.") from None


def store(events: Sequence[Event], *, seed: str) -> list[str]:
    """Store events in one transaction; returns their ids."""
    if not events:
        return []
    event_ids = seeded_ids(seed, count=len(events))

    def work() -> list[str]:
        with transactions.write():
            return ingest.accept(events, event_ids=event_ids)

    return transactions.retrying(work)


def seeded_ids(seed: str, *, count: int) -> list[str] | None:
    """Return the ids that a sender's seed stands for; None when there is none to be used.

    A seed is ``<milliseconds>,<ten bytes in base64>``; the number in its last four bytes grows
    by the event's index, counted from 1.
    """
    match = _SEED.fullmatch(seed.strip())
    if match is None:
        return None
    millis = int(match[1])
    try:
        entropy = base64.b64decode(match[2] + "=" * (-len(match[2]) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    if millis >= _MAX_MILLIS or len(entropy) != 10:
        return None
    head, last = entropy[:6], int.from_bytes(entropy[6:], "big")
    return [
        ulid_from_seed(millis, head + ((last + index) % 2**32).to_bytes(4, "big"))
        for index in range(1, count + 1)
    ]


def _read_body(request: Request) -> bytes:
    limit = conf.get().MAX_EVENT_BYTES * BODY_FACTOR
    try:
        # Not request.body: its bound is the project's for forms, below one large event.
        body = request._request.read(limit + 1)  # noqa: SLF001 - DRF has no other way
    except (OSError, BadRequest) as error:
        raise bad_request(f"The body could not be read: {error}.", ids=[]) from error
    if len(body) > limit:
        raise ApiError(
            f"The body has over {limit} bytes. Send fewer events in one request.",
            status_code=status.HTTP_413_REQUEST_ENTITY_TOO_LARGE,
            extra={"ids": []},
        )
    return bytes(body)


def _shown(value: Any) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
