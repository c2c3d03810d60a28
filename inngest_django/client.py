"""The client: makes functions and sends events."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import datetime as dt
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from asgiref.sync import sync_to_async

from inngest_django import checkpointing as checkpoint_limits
from inngest_django.errors import ConfigError, EventInvalidError, InngestError, SendEventsError
from inngest_django.events import Event
from inngest_django.functions import registry
from inngest_django.functions.decorating import Decorator
from inngest_django.functions.flow_control import (
    Batch,
    Cancel,
    Concurrency,
    Debounce,
    Priority,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
)
from inngest_django.functions.function import Function, FunctionOptions
from inngest_django.functions.middleware import (
    MiddlewareStack,
    UninitializedMiddleware,
    send_through,
)
from inngest_django.functions.serializer import Serializer
from inngest_django.functions.triggers import TriggerCron, TriggerEvent
from inngest_django.steps.calling import DIRECT, ON_LOOP, Calling, run_now
from inngest_django.steps.current import is_rehearsal, note_unsent
from inngest_django.steps.specs import UNSET

_T = TypeVar("_T")

Logger = logging.Logger | logging.LoggerAdapter[Any]

MAX_EVENTS = 5000
_API_ORIGIN = "https://api.inngest.com/"
_EVENT_API_ORIGIN = "https://inn.gs/"
_ENV_VARIABLES = (
    "INNGEST_ENV",
    "RAILWAY_GIT_BRANCH",
    "RENDER_GIT_BRANCH",
    "VERCEL_GIT_COMMIT_REF",
)


class Inngest:
    """Makes functions and sends events for one app.

    Attributes:
        app_id: Prefix of the qualified ids of the app's functions.
        logger: What ``ctx.logger`` writes to.
        middleware: Classes or factories, called with ``(client, raw_request)``.
        is_production: Stored; sending works either way.
        checkpointing: Default of the app's functions.

    The other arguments of the Inngest SDK's client are accepted and kept.
    """

    def __init__(  # noqa: PLR0913 - the SDK's signature
        self,
        *,
        app_id: str,
        api_base_url: str | None = None,
        app_version: str | None = None,
        checkpointing: bool | Mapping[str, Any] | None = None,
        env: str | None = None,
        event_api_base_url: str | None = None,
        event_key: str | None = None,
        is_production: bool | None = None,
        logger: Logger | None = None,
        middleware: list[UninitializedMiddleware] | None = None,
        request_timeout: int | dt.timedelta | None = None,
        serializer: Serializer | None = None,
        signing_key: str | None = None,
    ) -> None:
        if not isinstance(app_id, str) or not app_id:
            raise ConfigError(f"app_id: must be a non-empty string, got {app_id!r}")
        try:
            checkpoint_limits.parse(checkpointing)
        except ValueError as error:
            raise ConfigError(f"checkpointing: {error} (app {app_id!r})") from None
        self.app_id = app_id
        self.checkpointing = checkpointing
        self.is_production = (
            not _is_truthy(os.environ.get("INNGEST_DEV"))
            if is_production is None
            else is_production
        )
        self.logger: Logger = logger or logging.getLogger(__name__)
        self.middleware: list[UninitializedMiddleware] = list(middleware or ())
        self._app_version = app_version
        self._env = env or next(
            (os.environ[name] for name in _ENV_VARIABLES if os.environ.get(name)), None
        )
        self._api_origin = _origin(
            api_base_url, "INNGEST_API_BASE_URL", "INNGEST_BASE_URL", default=_API_ORIGIN
        )
        self._event_api_origin = _origin(
            event_api_base_url,
            "INNGEST_EVENT_API_BASE_URL",
            "INNGEST_BASE_URL",
            default=_EVENT_API_ORIGIN,
        )
        self._event_key = event_key or os.environ.get("INNGEST_EVENT_KEY")
        self._request_timeout = request_timeout
        self._serializer = serializer
        self._signing_key = signing_key or os.environ.get("INNGEST_SIGNING_KEY")

    def __repr__(self) -> str:
        return f"<Inngest {self.app_id}>"

    @property
    def api_origin(self) -> str:
        """Kept for source compatibility; nothing is sent there."""
        return self._api_origin

    @property
    def event_api_origin(self) -> str:
        """Kept for source compatibility; nothing is sent there."""
        return self._event_api_origin

    @property
    def app_version(self) -> str | None:
        """The app's version as given."""
        return self._app_version

    @property
    def env(self) -> str | None:
        """The environment's name, as given or from the environment's variables."""
        return self._env

    @property
    def event_key(self) -> str | None:
        """Kept for source compatibility; sending needs none."""
        return self._event_key

    @property
    def signing_key(self) -> str | None:
        """Kept for source compatibility."""
        return self._signing_key

    @property
    def signing_key_fallback(self) -> str | None:
        """Kept for source compatibility."""
        return os.environ.get("INNGEST_SIGNING_KEY_FALLBACK")

    @property
    def serializer(self) -> Serializer | None:
        """For outputs with an ``output_type``."""
        return self._serializer

    def add_middleware(self, middleware: UninitializedMiddleware) -> None:
        """Append middleware; a list that clients share is not changed."""
        self.middleware = [*self.middleware, middleware]

    def set_logger(self, logger: Logger) -> None:
        """Replace the logger; calls that begin later use it."""
        self.logger = logger

    def create_function(  # noqa: PLR0913 - the SDK's signature
        self,
        *,
        fn_id: str,
        trigger: TriggerEvent | TriggerCron | list[TriggerEvent | TriggerCron],
        name: str | None = None,
        batch_events: Batch | None = None,
        cancel: list[Cancel] | None = None,
        checkpointing: bool | Mapping[str, Any] | None = None,
        concurrency: list[Concurrency] | None = None,
        debounce: Debounce | None = None,
        idempotency: str | None = None,
        middleware: list[UninitializedMiddleware] | None = None,
        on_failure: Callable[[Any], Any] | None = None,
        output_type: object = UNSET,
        priority: Priority | None = None,
        rate_limit: RateLimit | None = None,
        retries: int | None = None,
        singleton: Singleton | None = None,
        throttle: Throttle | None = None,
        timeouts: Timeouts | None = None,
    ) -> Decorator:
        """Return a decorator that makes a function of a handler.

        Args:
            fn_id: Unique in the app.
            trigger: What starts it; an empty list for one that is only invoked.
            on_failure: Called as a function of its own when a run failed; as async as the
                handler.
            output_type: With a serializer, the type of what the handler returns.
            retries: How often a failed step is tried again, 0 to 20; 4 unless given.

        Raises:
            FunctionConfigInvalidError: ``<field>: <reason>``.
        """
        options = FunctionOptions(
            fn_id=fn_id,
            trigger=trigger,
            name=name,
            batch_events=batch_events,
            cancel=cancel,
            checkpointing=checkpointing,
            concurrency=concurrency,
            debounce=debounce,
            idempotency=idempotency,
            middleware=middleware,
            on_failure=on_failure,
            output_type=output_type,
            priority=priority,
            rate_limit=rate_limit,
            retries=retries,
            singleton=singleton,
            throttle=throttle,
            timeouts=timeouts,
        )

        def decorate(handler: Callable[[Any], Any]) -> Function[Any]:
            if not callable(handler):
                raise ConfigError(f'fn_id: "{fn_id}" must decorate a function, got {handler!r}.')
            return Function(client=self, handler=handler, options=options)

        return decorate

    async def send(
        self, events: Event | Sequence[Event], *, skip_middleware: bool = False
    ) -> list[str]:
        """Send events and return their ids, in order.

        Inside ``sync_to_async`` or ``async_to_sync`` code it joins the transaction of the
        thread that runs plain code; elsewhere it commits by itself.

        Raises:
            SendEventsError: ``ids`` are those of the events before the one refused.
        """
        if is_rehearsal():
            return note_unsent(_listed(events))
        _refuse_split_transaction("await client.send()")
        accept = sync_to_async(_accept, thread_sensitive=True)
        return await self._send(events, accept, ON_LOOP, skip_middleware=skip_middleware)

    def send_sync(
        self, events: Event | Sequence[Event], *, skip_middleware: bool = False
    ) -> list[str]:
        """Send events and return their ids, in order.

        Joins the transaction of the calling thread. Where an event loop runs in that thread,
        another thread does the work and commits by itself.

        Raises:
            SendEventsError: ``ids`` are those of the events before the one refused.
            InngestError: An event loop runs in the thread, and so does a transaction.
        """
        if is_rehearsal():
            return note_unsent(_listed(events))

        async def accept(checked: list[Event]) -> list[str]:
            if not _is_loop_running():
                return _accept(checked)
            _refuse_split_transaction("client.send_sync()")
            return _in_other_thread(_accept, checked)

        return run_now(self._send(events, accept, DIRECT, skip_middleware=skip_middleware))

    async def _send(
        self,
        events: Event | Sequence[Event],
        accept: Callable[[list[Event]], Any],
        calling: Calling,
        *,
        skip_middleware: bool,
    ) -> list[str]:
        many, refusal = _listed(events), None
        if not skip_middleware:
            # Before middleware, which may make data unreadable.
            many, refusal = registry.fitting(many)
        if skip_middleware or not self.middleware or not many:
            ids = await _accepted(many, accept)
        else:
            stack = MiddlewareStack(self.middleware, client=self, raw_request=None, calling=calling)
            ids = await send_through(stack, many, lambda checked: _accepted(checked, accept))
        if refusal is not None:
            raise SendEventsError(refusal, ids)
        return ids


async def _accepted(events: list[Event], accept: Callable[[list[Event]], Any]) -> list[str]:
    ids: list[str] = await accept(events) if events else []
    return ids


def _accept(events: list[Event]) -> list[str]:
    # Late: models cannot be imported while INSTALLED_APPS loads.
    from inngest_django.engine import ingest

    try:
        return ingest.accept(events)
    except EventInvalidError:
        # Nothing was stored. Find the culprit; what stands before it is accepted.
        for index, event in enumerate(events):
            try:
                ingest.validate(event)
            except EventInvalidError as error:
                ids = ingest.accept(events[:index]) if index else []
                raise SendEventsError(
                    f"Event {index + 1} of {len(events)} was refused: {error}", ids
                ) from error
        raise


def _listed(events: Event | Sequence[Event]) -> list[Event]:
    many = [events] if isinstance(events, Event) else list(events)
    for event in many:
        if not isinstance(event, Event):
            raise SendEventsError(
                f'Only Event objects can be sent, got {event!r}. Write Event(name="…", data={{…}}).'
            )
    if len(many) > MAX_EVENTS:
        raise SendEventsError(
            f"At most {MAX_EVENTS} events can be sent at once, got {len(many)}."
            " Send them in several calls."
        )
    return many


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _refuse_split_transaction(call: str) -> None:
    # This thread runs the loop, so the rows would be written by another one, and stay even
    # when the block that is open here rolls back.
    if _is_in_transaction():
        raise InngestError(
            f"{call} would not be part of the transaction that is open in this thread,"
            " because an event loop runs in it. Send before or after the atomic() block, or"
            " run the block without a loop (sync_to_async)."
        )


def _is_in_transaction() -> bool:
    from django.db import connections

    from inngest_django import conf

    # Under a running loop Django hides the connections of the thread itself, and a block that
    # was opened before the loop began is one of theirs.
    alias = conf.get().DATABASE
    loop = asyncio._get_running_loop()  # noqa: SLF001 - asyncio exports it for such cases
    asyncio._set_running_loop(None)  # noqa: SLF001
    try:
        is_open = bool(connections[alias].in_atomic_block)
    finally:
        asyncio._set_running_loop(loop)  # noqa: SLF001
    return is_open or bool(connections[alias].in_atomic_block)


def _in_other_thread(function: Callable[..., _T], *args: Any) -> _T:
    context = contextvars.copy_context()

    def work() -> _T:
        from django.db import connections

        try:
            return context.run(function, *args)
        finally:
            connections.close_all()

    with concurrent.futures.ThreadPoolExecutor(
        max_workers=1, thread_name_prefix="inngest-send"
    ) as executor:
        return executor.submit(work).result()


def _is_truthy(value: str | None) -> bool:
    return bool(value) and value not in ("0", "false", "False")


def _origin(given: str | None, *variables: str, default: str) -> str:
    found = given or next((os.environ[name] for name in variables if os.environ.get(name)), default)
    return found if found.endswith("/") else found + "/"
