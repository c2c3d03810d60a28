"""What each error code means, why it comes, and what to do about it.

The page of a code in the documentation is made from here, ``inngest_show`` and the admin
say the remedy beside the error, and nothing else holds these sentences.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Remedy:
    """A code explained. Texts are sentences; backticks mark code.

    Attributes:
        meaning: What happened, in one sentence.
        causes: When that happens.
        actions: What to do; the first is what helps most often.
    """

    meaning: str
    causes: tuple[str, ...]
    actions: tuple[str, ...]


REMEDIES: Mapping[str, Remedy] = {
    "unknown": Remedy(
        meaning="Your code, or a library that it calls, raised an exception of its own.",
        causes=(
            "Any exception that is not of this package, in a step's body or between steps.",
            "The base class `InngestError`, which has no code of its own.",
        ),
        actions=(
            "Read `name`, `message` and `stack` of the stored error: the stack has your frames"
            " only. Correct the code, then rerun the run.",
            "Raise `NonRetriableError` where another try cannot help.",
        ),
    ),
    "function_config_invalid": Remedy(
        meaning="A function, trigger, option or client is declared in a way that cannot work.",
        causes=(
            "An option has a wrong type or lies outside its limits.",
            "An expression in a trigger, a cancel rule or a key cannot be read.",
            "A handler and its `on_failure` are not both async or both plain.",
        ),
        actions=(
            "The message names the function and the field: correct it there. It is raised where"
            " the function is declared, so that the process does not start with it.",
        ),
    ),
    "non_retriable_error": Remedy(
        meaning="Your code raised `NonRetriableError`: trying again would not help.",
        causes=("You raised it, in a step's body or between steps.",),
        actions=(
            "Look at the message, which is yours. When the cause is gone, rerun the run.",
            "To handle it in the function, catch it around the step.",
        ),
    ),
    "retry_after_error": Remedy(
        meaning="Your code raised `RetryAfterError`, and no attempt was left at that time.",
        causes=(
            "You raised it. While attempts are left the function is called again at the time"
            " that it names, kept within 1 second and 24 hours.",
        ),
        actions=(
            "Give the function more `retries` when the other side needs longer.",
            "For a pause of any length that costs no attempt, return the time from the step and"
            " use `ctx.step.sleep_until`.",
        ),
    ),
    "step_errored": Remedy(
        meaning="A step failed for good, and the function did not catch it.",
        causes=(
            "The step's body raised at each of its attempts; `name`, `message` and `stack` are"
            " those of the last error.",
            "An invoke timed out (`InngestInvokeTimeoutError`), or the invoked run failed or was"
            " cancelled (`InvokedFunctionError`).",
        ),
        actions=(
            "Correct the cause that name and message tell, then rerun the run: steps of a"
            " rerun run anew.",
            "To go on without the step, catch `StepError` around its call.",
            "Raise `retries`, or the pauses in `RETRY_BACKOFF`, when the other side needs longer.",
        ),
    ),
    "step_nested": Remedy(
        meaning="A step was called inside the body of another step.",
        causes=(
            "The function that is passed to `ctx.step.run` or `ctx.step.transaction` calls a"
            " step itself, directly or through a helper.",
        ),
        actions=(
            "Call the inner step before or after the outer one, and pass its result on.",
            "To structure code, use ordinary functions that take `ctx` and call steps one after"
            " the other.",
        ),
    ),
    "step_invalid": Remedy(
        meaning="A step was called with an id or an argument that it cannot take.",
        causes=(
            "The id is no text, or holds a character that no database stores.",
            "The body is not callable, most often because it was called: `run(id, f())`.",
            "`ctx.group.parallel` got step calls instead of callables that make them.",
            "A transaction step got an async body.",
        ),
        actions=(
            "The message names the function, the step and the value: correct the call. Pass the"
            " function itself, or a lambda.",
        ),
    ),
    "step_unexpected": Remedy(
        meaning="A call that was to run one planned step met another new step before it.",
        causes=(
            "The function takes another path than when the step was planned, because it depends"
            " on the time, on chance, or on rows that changed.",
            "A branch of a group was removed or renamed while its step was planned.",
        ),
        actions=(
            "Put what varies into a step, so that each call sees the same; `manage.py check`"
            " finds clocks and random values between steps.",
            "After a deploy that caused it, rerun the run. Before the next one, run"
            " `manage.py inngest_check`.",
        ),
    ),
    "step_in_atomic": Remedy(
        meaning="A step was called inside your own `transaction.atomic()` block.",
        causes=(
            "The function opens `atomic()`, or a decorator does, and calls a step within. A step"
            " unwinds the function, which would roll that block back at every call.",
        ),
        actions=(
            "Move the writes into `ctx.step.transaction(id, fn)`, which commits them with the"
            " step's result.",
            "Or open the block inside a step's body.",
        ),
    ),
    "interrupt_swallowed": Remedy(
        meaning="Code of yours caught the exception that ends a call at a step.",
        causes=(
            "A bare `except:` or `except BaseException` around a step does not raise again.",
            "A `return` or another step stands in a `finally`.",
            "`asyncio.gather(return_exceptions=True)` or `suppress(BaseException)` is around it.",
        ),
        actions=(
            "Catch `Exception`, or raise again at the end of the handler; `manage.py check`"
            " says the line.",
        ),
    ),
    "output_unserializable": Remedy(
        meaning="A step or a function returned something that JSON cannot hold.",
        causes=(
            "It returned a model instance, a date, a set, bytes, `Decimal`, NaN, or a coroutine"
            " that nobody awaited.",
        ),
        actions=(
            "Return what JSON has: texts, numbers, lists and dictionaries, for instance"
            " `order.pk` instead of `order`.",
            "For pydantic models and dates, give the client `PydanticSerializer()` and the step"
            " an `output_type`.",
        ),
    ),
    "async_unsupported": Remedy(
        meaning="Something asynchronous was met where only plain code can run.",
        causes=(
            "A plain function calls a step that was made from an async one.",
            "Middleware with async hooks is used by a plain function.",
            "The body of a transaction returned an awaitable.",
        ),
        actions=(
            "Declare the handler with `async def`, or use the plain form of what it calls, such"
            " as `MiddlewareSync`.",
        ),
    ),
    "function_not_found": Remedy(
        meaning="No function with that id is registered.",
        causes=(
            "`invoke_by_id` names a function that no `functions.py` has, leaves out the `app_id`"
            " of another client's, or puts its own in front of the `function_id`.",
            "A run is to be run again whose function was removed.",
        ),
        actions=(
            "Compare the id with those of `manage.py inngest_functions`; a qualified id is"
            " `<app_id>-<fn_id>`.",
            "Start a worker whose code has the function.",
        ),
    ),
    "duration_invalid": Remedy(
        meaning="A duration or date cannot be read, is negative, or is over 366 days.",
        causes=(
            'Text in another form than `"2d"`, `"1h30m"` or `"3 days"`, such as `"2 months"`.',
            "A date that was computed from a wrong value.",
        ),
        actions=(
            "Write milliseconds, a `timedelta`, or text such as `2d`. For more than a year,"
            " sleep in a loop.",
        ),
    ),
    "expression_invalid": Remedy(
        meaning="An expression cannot be parsed, is outside the dialect, or is too large.",
        causes=(
            "A wait's `if_exp`, or another expression that is read when it is used, has a fault;"
            " `line` and `column` say where.",
        ),
        actions=(
            "Correct the expression at that place; the message shows it.",
            "In an option of a function the same fault is a `function_config_invalid`.",
        ),
    ),
    "outside_step": Remedy(
        meaning="Something was read that exists only inside a function, or in a step's body.",
        causes=(
            "`ctx.step.idempotency_key` was read between steps.",
            "`get_step_context()` was called where no durable function runs.",
        ),
        actions=("Read the key in the body that is passed to `ctx.step.run`.",),
    ),
    "send_event_failed": Remedy(
        meaning="Sending events was refused; `ids` has those that were accepted before.",
        causes=(
            "One event of a list is invalid; those after it were not looked at.",
            "More than 5,000 events in one call.",
        ),
        actions=(
            "The message says which event and why. Correct it, and send it and those after it.",
        ),
    ),
    "event_key_unspecified": Remedy(
        meaning="Never raised: it exists so that imports written for the Inngest SDK work.",
        causes=("Sending needs no key inside a project.",),
        actions=("Remove the handling of it when nothing else imports it.",),
    ),
    "event_invalid": Remedy(
        meaning="An event breaks a rule about its name, size, depth, time or values.",
        causes=(
            "The name is empty, longer than 512 characters, or begins with `inngest/`.",
            "`data` is over `MAX_EVENT_BYTES`, nested deeper than 64, or no JSON.",
            "`ts` lies outside 1980 to 2100, most often because seconds were given.",
        ),
        actions=(
            "The message names the rule and the value. Keep large data elsewhere and send its key.",
        ),
    ),
    "event_data_invalid": Remedy(
        meaning="An event's data does not fit the type that was declared for it.",
        causes=(
            "The sender made data that the pydantic model of the `EventType` refuses.",
            "The model changed after the event was sent, and the run is entered now.",
        ),
        actions=(
            "Correct the sender, or let the model accept the old form too, and rerun the run.",
        ),
    ),
    "recording_invalid": Remedy(
        meaning="A file that a test wants to replay cannot be read, or is no exported run.",
        causes=("The file is missing, damaged, or of another version of the format.",),
        actions=("Export the run again with `manage.py inngest_export`.",),
    ),
    "limit_exceeded": Remedy(
        meaning="A documented limit was exceeded.",
        causes=(
            "A run called one step more than `MAX_STEPS`.",
            "A step's input or output is over 4 MiB as JSON.",
        ),
        actions=(
            "Store large data elsewhere, and return its key from the step.",
            "Split a long run: send an event or invoke a function for each part. Or raise"
            " `MAX_STEPS`.",
        ),
    ),
    "lease_lost": Remedy(
        meaning="A worker's claim ended before it could report, and its late result is refused.",
        causes=(
            "The process stood still for longer than `LEASE_TTL`: a paused machine, a frozen"
            " container, memory that was swapped out.",
            "The body ran for over two hours, and its claim was not renewed any more.",
            "The run was cancelled meanwhile.",
        ),
        actions=(
            "Nothing has to be repaired: another worker has taken over, and this one wrote"
            " nothing. It is seen in logs only.",
            "When it is frequent, give workers more memory and processor time, or raise"
            " `LEASE_TTL`.",
        ),
    ),
    "worker_lost": Remedy(
        meaning="Workers died or hung while they ran this piece, as often as it may be tried.",
        causes=(
            "The process was killed in the middle: out of memory, a crash of a C extension,"
            " `SIGKILL` after too short a grace period.",
            "A call took over two hours: in a body, or because the function awaits something"
            " that is no step and never comes.",
        ),
        actions=(
            "Look at the worker's log and the machine's memory at the times of the attempts.",
            "Split a long body into steps. Let workers stop warm, with a grace period longer"
            " than the longest body.",
            "Rerun the run when the cause is gone.",
        ),
    ),
    "no_progress": Remedy(
        meaning="A call ended without a new step, although the run is not over.",
        causes=(
            "What a step raises to end a call was kept, as a cache of outcomes does, and raised"
            " again in a later call.",
        ),
        actions=(
            "Keep no exceptions between calls that are not of the class `Exception`; then rerun"
            " the run.",
        ),
    ),
}


def action(code: str) -> str:
    """Return what helps most often with a code of this package, or nothing."""
    remedy = REMEDIES.get(code)
    return remedy.actions[0] if remedy is not None and code != "unknown" else ""
