"""Seeds that once failed, or that a mistake needed; they always run.

A seed stands for a schedule of the simulation as it is: when the simulation changes, the
mistakes are hunted again and this list is renewed with what they were caught by.
"""

from __future__ import annotations

KNOWN: dict[int, str] = {
    8: "an invoked run's event takes its place from what was committed before it",
}
