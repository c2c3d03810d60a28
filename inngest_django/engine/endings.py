"""After how many steps a function's runs end, as far as this process has seen.

The entry that finds a function's end runs nobody's step, so the task that recorded the last
step can do it, too, and one message less is sent for the run. Which step is the last one
nobody knows before that entry: it is expected where the last runs ended. An entry that
finds a new step after all only plans it, so that a task still runs one new body at most.
"""

from __future__ import annotations

_ENOUGH = 2  # Runs in a row; with fewer, each change of a run's length would be a wrong guess.
_MOST = 1000  # Functions and lengths.

_seen: dict[tuple[str, int], int] = {}


def note_end(function_id: str, steps: int) -> None:
    """Note that a run ended with so many steps."""
    key = (function_id, steps)
    times = _seen.get(key, 0)
    if times < _ENOUGH:
        if len(_seen) >= _MOST:
            _seen.clear()
        _seen[key] = times + 1


def note_more(function_id: str, steps: int) -> None:
    """Note that a run had so many steps and went on."""
    _seen.pop((function_id, steps), None)


def is_expected(function_id: str, steps: int) -> bool:
    """Whether a run that has so many steps probably ends now."""
    return _seen.get((function_id, steps), 0) >= _ENOUGH


def forget() -> None:
    """Forget all of it."""
    _seen.clear()
