"""Seeds that always run: those by which bugs and mistakes were found.

A seed stands for a schedule of the simulation as it is. So each is named with the mistake that
it shows: when the simulation changes and the seed shows it no longer, its test fails, and
``python -m tests.simulation --mistakes`` says which seed does.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Known:
    """What a seed is kept for.

    Attributes:
        seed: Clean with the engine as it is.
        rule: What holds in its schedule, and does not with the mistake.
        mistake: The name of the known mistake that its schedule shows.
    """

    seed: int
    rule: str
    mistake: str


KNOWN = (
    Known(
        1,
        "an invoked run begins at what was committed before it",
        "begin an invoked run at a place that is not given yet",
    ),
    Known(12, "the token alone decides who may write", "drop the token check"),
    Known(
        14,
        "cancel rules are compared at the first entry",
        "do not compare a run's cancel rules at its first entry",
    ),
    Known(
        14,
        "a wait looks for what came before it",
        "do not look for what came before a wait",
    ),
    Known(
        19,
        "an event that came in time beats the time-out",
        "let a time-out win before it looks for events",
    ),
    Known(
        150,
        "nothing is routed whose place a crash of the server undid",
        "let an event act that lost its place to a crash of the server",
    ),
    Known(
        161,
        "two last branches that decide together leave one entry",
        "decide the join outside the lock",
    ),
    Known(
        386,
        "a race has the same winner on every entry",
        "resolve results in the order of the code",
    ),
    Known(
        2142,
        "a stale worker does not start a body",
        "skip the lease check before the body",
    ),
    Known(
        2624,
        "a wait stamps before it looks",
        "do not stamp before a wait looks for events",
    ),
    Known(
        9050,
        "an entry over older results is followed by another",
        "end an entry over older results",
    ),
)
