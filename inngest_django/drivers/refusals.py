"""The errors that a call ends with because of how its handler uses steps."""

from __future__ import annotations

from inngest_django.errors import (
    InterruptSwallowedError,
    LimitExceededError,
    OutsideStepError,
    StepError,
    StepUsageError,
)
from inngest_django.functions.function import Function
from inngest_django.serialization import is_storable
from inngest_django.steps.memos import MemoError

# A step that fails for these reasons gives its code to a run that fails by it; all other
# reasons are the author's and read "step_errored".
_KEPT_CODES = frozenset({"output_unserializable", "step_nested"})


def check_id(step_id: object, function: Function) -> None:
    """Refuse a step id that is no text which can be stored.

    Raises:
        StepUsageError: Names it.
    """
    if not isinstance(step_id, str):
        raise StepUsageError(
            f'A step id in function "{function.id}" must be a string, got {step_id!r}.'
        )
    if not is_storable(step_id):
        raise StepUsageError(
            f'Step id {step_id!r} in function "{function.id}" holds a NUL or half of a surrogate'
            " pair, which no database stores. Choose another id."
        )


def swallowed(step: str, function: Function) -> InterruptSwallowedError:
    """Return the error for a handler that did not let an interrupt pass."""
    return InterruptSwallowedError(
        f'Function "{function.id}" swallowed the unwinding that step "{step}" began.'
        " Look for a bare except, except BaseException, a return or a step in finally, or"
        " return_exceptions=True around it, and let BaseException pass."
    )


def one_too_many(step: str, function: Function, *, limit: int) -> LimitExceededError:
    """Return the error for a step above the limit of a run."""
    return LimitExceededError(
        f'Step "{step}" in function "{function.id}" is one more than a run may have: {limit}.'
        ' Split the work with step.invoke or events, or raise INNGEST["MAX_STEPS"].'
    )


def no_body() -> OutsideStepError:
    """Return the error for an idempotency key that nothing here has."""
    return OutsideStepError(
        "ctx.step.idempotency_key exists only while a step's body runs."
        " Read it inside the function that is passed to step.run."
    )


def failed(error: MemoError) -> StepError:
    """Return what a step call raises when the step failed for good."""
    code = error.code if error.code in _KEPT_CODES else "step_errored"
    return StepError(error.message, error.name, error.stack, code=code)
