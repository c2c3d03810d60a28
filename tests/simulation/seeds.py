"""Seeds that always run: those by which bugs and mistakes were found.

A seed stands for a schedule of the simulation as it is. When the simulation changes, the
mistakes are hunted again, and this list follows what they were caught by.
"""

from __future__ import annotations

KNOWN: dict[int, str] = {
    14: "cancel rules are compared at the first entry; a wait looks for what came before it",
    21: "the token alone decides who may write",
    150: "nothing is routed whose place a crash of the server undid",
    236: "an event that came in time beats the time-out",
    386: "a race has the same winner on every entry",
    443: "a wait stamps before it looks",
    602: "two last branches that decide together leave one entry",
    882: "a stale worker does not start a body",
    1449: "a wait that stalls between its stamp and its scan does not time out over an event",
    9050: "an entry over older results is followed by another",
}
