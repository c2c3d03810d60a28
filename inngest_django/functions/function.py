"""The function: a handler with everything declared about it."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol

from typing_extensions import TypeVar

from inngest_django import checkpointing
from inngest_django.errors import ConfigError, InngestError
from inngest_django.functions.configuration import Configuration
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
from inngest_django.functions.middleware import UninitializedMiddleware
from inngest_django.functions.serializer import Serializer
from inngest_django.functions.triggers import TriggerCron, TriggerEvent
from inngest_django.steps.specs import UNSET, Unset

DEFAULT_RETRIES = 4
MAX_RETRIES = 20
MAX_TRIGGERS = 10
MAX_CONCURRENCY = 2
MAX_CANCEL = 5
FAILURE_EVENT = "inngest/function.failed"
FAILURE_SUFFIX = "-failure"

Trigger = TriggerEvent | TriggerCron
Handler = Callable[[Any], Any]


# So that ``Function`` alone, as the Inngest SDK has it, is any function.
_Output = TypeVar("_Output", default=Any)


class Client(Protocol):
    """What a function needs of the client that made it."""

    app_id: str
    logger: Any
    middleware: list[UninitializedMiddleware]

    @property
    def serializer(self) -> Serializer | None:
        """For outputs with an ``output_type``."""

    async def send(self, events: Any, *, skip_middleware: bool = False) -> list[str]:
        """Send events."""

    def send_sync(self, events: Any, *, skip_middleware: bool = False) -> list[str]:
        """Send events."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FunctionOptions:
    """The options of ``create_function``, checked.

    Raises:
        ConfigError: ``<field>: <reason>``.
    """

    fn_id: str
    trigger: Trigger | list[Trigger]
    name: str | None = None
    batch_events: Batch | None = None
    cancel: list[Cancel] | None = None
    checkpointing: bool | Mapping[str, Any] | None = None
    concurrency: list[Concurrency] | None = None
    debounce: Debounce | None = None
    idempotency: str | None = None
    middleware: list[UninitializedMiddleware] | None = None
    on_failure: Handler | None = None
    output_type: object = UNSET
    priority: Priority | None = None
    rate_limit: RateLimit | None = None
    retries: int | None = None
    singleton: Singleton | None = None
    throttle: Throttle | None = None
    timeouts: Timeouts | None = None

    def __post_init__(self) -> None:
        _check_types(self)
        _check_limits(self)
        _check_combinations(self)

    @property
    def triggers(self) -> list[Trigger]:
        """The triggers as a list."""
        return list(self.trigger) if isinstance(self.trigger, list) else [self.trigger]


class Function(Generic[_Output]):
    """A durable function. Made by ``Inngest.create_function``; not callable itself.

    Attributes:
        id: Qualified: ``<app_id>-<local_id>``.
        local_id: The ``fn_id`` as given.
        retries: How often a failed step, or stretch of function code, is tried again.
        failure_function: What runs when a run failed, or None.
    """

    def __init__(self, *, client: Client, handler: Handler, options: FunctionOptions) -> None:
        self.client = client
        self.handler = handler
        self.options = options
        self.app_id = client.app_id
        self.local_id = options.fn_id
        self.id = f"{client.app_id}-{options.fn_id}"
        self.name = options.name or options.fn_id
        self.is_handler_async = inspect.iscoroutinefunction(handler)
        self.retries = DEFAULT_RETRIES if options.retries is None else options.retries
        self.triggers = options.triggers
        self.batch_events = options.batch_events
        self.cancel = list(options.cancel or ())
        self.checkpointing = options.checkpointing
        if self.checkpointing is None:
            self.checkpointing = getattr(client, "checkpointing", None)
        self.concurrency = list(options.concurrency or ())
        self.debounce = options.debounce
        self.idempotency = options.idempotency
        self.middleware = list(options.middleware or ())
        self.output_type = options.output_type
        self.priority = options.priority
        self.rate_limit = options.rate_limit
        self.singleton = options.singleton
        self.throttle = options.throttle
        self.timeouts = options.timeouts
        _check_expressions(self)
        self.failure_function = self._make_failure_function(options)

    def __repr__(self) -> str:
        return f"<Function {self.id}>"

    @property
    def max_attempts(self) -> int:
        """How often a step, or stretch of function code, is tried."""
        return self.retries + 1

    @property
    def is_on_failure_handler_async(self) -> bool | None:
        """Whether the failure handler is async; None without one."""
        failure = self.failure_function
        return None if failure is None else failure.is_handler_async

    @property
    def on_failure_fn_id(self) -> str | None:
        """Qualified id of the failure handler's function, or None."""
        return None if self.failure_function is None else self.failure_function.id

    def get_id(self) -> str:
        """Return the qualified id."""
        return self.id

    def encode_output(self, value: Any) -> Any:
        """Return an output as JSON-able values, by the client's serializer."""
        return self.encode(value, self.output_type)

    def decode_output(self, value: Any) -> _Output:
        """Return a stored output in the function's ``output_type``."""
        output: _Output = self.decode(value, self.output_type)
        return output

    def encode(self, value: Any, output_type: object) -> Any:
        """Return a value as JSON-able values; as it is without type or serializer."""
        serializer = self.client.serializer
        if serializer is None or isinstance(output_type, Unset):
            return value
        return serializer.serialize(value, output_type)

    def decode(self, value: Any, output_type: object) -> Any:
        """Return a stored value in a type; as it is without type or serializer."""
        serializer = self.client.serializer
        if serializer is None or isinstance(output_type, Unset):
            return value
        return serializer.deserialize(value, output_type)

    def config(self) -> dict[str, Any]:
        """Return the registration snapshot: the wire's names, JSON-able, no unset keys."""
        config: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "triggers": [trigger.wire() for trigger in self.triggers],
            "steps": {
                "step": {
                    "id": "step",
                    "name": "step",
                    "runtime": {"type": "in_process"},
                    "retries": {"attempts": self.retries},
                }
            },
        }
        options: dict[str, Any] = {
            "batchEvents": self.batch_events,
            "cancel": self.cancel,
            "concurrency": self.concurrency,
            "debounce": self.debounce,
            "idempotency": self.idempotency,
            "priority": self.priority,
            "rateLimit": self.rate_limit,
            "singleton": self.singleton,
            "throttle": self.throttle,
            "timeouts": self.timeouts,
        }
        config.update({name: _wire(value) for name, value in options.items() if value})
        if self.checkpointing is not None:
            config["checkpoint"] = (
                self.checkpointing
                if isinstance(self.checkpointing, bool)
                else {name: str(value) for name, value in self.checkpointing.items()}
            )
        return config

    def _make_failure_function(self, options: FunctionOptions) -> Function | None:
        handler = options.on_failure
        if handler is None:
            return None
        is_async = inspect.iscoroutinefunction(handler)
        if is_async != self.is_handler_async:
            one, other = ("an async", "a non-async")
            if not self.is_handler_async:
                one, other = other, one
            raise InngestError(
                f"{one} function cannot have {other} on_failure handler (function {self.local_id})"
            )
        return Function(
            client=self.client,
            handler=handler,
            options=FunctionOptions(
                fn_id=self.local_id + FAILURE_SUFFIX,
                name=f"{self.name} (failure)",
                trigger=TriggerEvent(
                    event=FAILURE_EVENT,
                    expression=f"event.data.function_id == {_quoted(self.id)}",
                ),
                middleware=options.middleware,
                output_type=object,
                retries=0,
            ),
        )


def _wire(value: Any) -> Any:
    if isinstance(value, Configuration):
        return value.wire()
    return [item.wire() for item in value] if isinstance(value, list) else value


def _quoted(text: str) -> str:
    """Return a string literal of the expression language, with as few escapes as can be."""
    quote = '"' if "'" in text and '"' not in text else "'"
    escaped = text.replace("\\", "\\\\").replace(quote, "\\" + quote)
    # A line end would end the literal.
    return quote + escaped.replace("\n", "\\n").replace("\r", "\\r") + quote


# Checks --------------------------------------------------------------------------------

_OPTIONAL_TYPES: Mapping[str, tuple[type, str]] = {
    "name": (str, "a string"),
    "batch_events": (Batch, "a Batch"),
    "debounce": (Debounce, "a Debounce"),
    "idempotency": (str, "an expression"),
    "priority": (Priority, "a Priority"),
    "rate_limit": (RateLimit, "a RateLimit"),
    "retries": (int, "a whole number"),
    "singleton": (Singleton, "a Singleton"),
    "throttle": (Throttle, "a Throttle"),
    "timeouts": (Timeouts, "a Timeouts"),
}
_OPTIONAL_LISTS: Mapping[str, tuple[type, str]] = {
    "cancel": (Cancel, "a list of Cancel"),
    "concurrency": (Concurrency, "a list of Concurrency"),
}


def _check_types(options: FunctionOptions) -> None:
    if not isinstance(options.fn_id, str) or not options.fn_id:
        raise ConfigError(f"fn_id: must be a non-empty string, got {options.fn_id!r}")
    for field, (kind, words) in _OPTIONAL_TYPES.items():
        value = getattr(options, field)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ConfigError(f"{field}: must be {words}, got {value!r}")
    for field, (kind, words) in _OPTIONAL_LISTS.items():
        value = getattr(options, field)
        if value is not None and not _is_list_of(value, kind):
            raise ConfigError(f"{field}: must be {words}, got {value!r}")
    if not _is_list_of(options.triggers, Trigger):
        raise ConfigError(
            f"trigger: must be a TriggerEvent, a TriggerCron or a list of them,"
            f" got {options.trigger!r}"
        )
    for field in ("on_failure", "middleware"):
        value = getattr(options, field)
        members = value if isinstance(value, list) else [value]
        if value is not None and not all(callable(member) for member in members):
            raise ConfigError(f"{field}: must be callable, got {value!r}")
    try:
        checkpointing.parse(options.checkpointing)
    except ValueError as error:
        raise ConfigError(f"checkpointing: {error}") from None


def _is_list_of(value: object, kind: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _check_limits(options: FunctionOptions) -> None:
    if options.retries is not None and not 0 <= options.retries <= MAX_RETRIES:
        raise ConfigError(f"retries: must be between 0 and {MAX_RETRIES}, got {options.retries}")
    lists: Sequence[tuple[str, Sequence[object], int]] = (
        ("trigger", options.triggers, MAX_TRIGGERS),
        ("concurrency", options.concurrency or (), MAX_CONCURRENCY),
        ("cancel", options.cancel or (), MAX_CANCEL),
    )
    for field, values, limit in lists:
        if len(values) > limit:
            raise ConfigError(f"{field}: at most {limit} are allowed, got {len(values)}")
    seen: set[object] = set()
    for trigger in options.triggers:
        # Two schedules are the same whatever their jitter.
        key = (
            trigger.cron
            if isinstance(trigger, TriggerCron)
            else (trigger.event, trigger.expression)
        )
        if key in seen:
            raise ConfigError(f"trigger: {key!r} is given twice")
        seen.add(key)


def _check_combinations(options: FunctionOptions) -> None:
    if options.batch_events is None:
        return
    if options.batch_events.timeout is None:
        raise ConfigError(
            "batch_events: needs a timeout, such as Batch(max_size=50, timeout=5_000)"
        )
    for field in ("cancel", "debounce", "singleton", "priority"):
        if getattr(options, field):
            raise ConfigError(f"batch_events: cannot be combined with {field}")


def _check_expressions(function: Function) -> None:
    sources = list(_expressions(function))
    if not sources:
        return
    # Late, because it loads the parser, and only a function with expressions needs it.
    from inngest_django import expressions

    for field, source, kind in sources:
        try:
            expressions.compile(source, kind=kind)
        except expressions.ExpressionError as error:
            raise ConfigError(f'{field}: {error} (function "{function.id}")') from None


def _expressions(function: Function) -> Any:
    for trigger in function.triggers:
        if isinstance(trigger, TriggerEvent) and trigger.expression is not None:
            yield "trigger", trigger.expression, "filter"
    for rule in function.cancel:
        if rule.if_exp is not None:
            yield "cancel", rule.if_exp, "wait"
    keyed: Sequence[tuple[str, Any]] = (
        *(("concurrency", entry) for entry in function.concurrency),
        ("batch_events", function.batch_events),
        ("debounce", function.debounce),
        ("rate_limit", function.rate_limit),
        ("singleton", function.singleton),
        ("throttle", function.throttle),
    )
    for field, entry in keyed:
        if entry is not None and entry.key is not None:
            yield field, entry.key, "key"
    if function.batch_events is not None and function.batch_events.if_exp is not None:
        yield "batch_events", function.batch_events.if_exp, "filter"
    if function.idempotency is not None:
        yield "idempotency", function.idempotency, "key"
    if function.priority is not None:
        yield "priority", function.priority.run, "priority"
