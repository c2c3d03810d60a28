"""The unwinding that ends a call."""

from __future__ import annotations


class Interrupt(BaseException):
    """Leaves the handler because the call met something new.

    A ``BaseException``, so that ``except Exception`` in user code does not see it.
    """


def is_interrupt(error: BaseException) -> bool:
    """Whether an exception is an interrupt, or a group that holds one (``TaskGroup``)."""
    if isinstance(error, Interrupt):
        return True
    return isinstance(error, BaseExceptionGroup) and error.subgroup(Interrupt) is not None
