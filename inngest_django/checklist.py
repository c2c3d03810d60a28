"""What each system check means, what to do about it, and how it is silenced.

The checks take their level and hint from here, the page of the documentation is made from
here, and nothing else holds these sentences.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A system check explained. Texts are sentences; backticks mark code.

    Attributes:
        meaning: What was found.
        remedy: What to do.
        is_error: Whether commands refuse to run; else it is a warning.
        reads_source: Whether it says a line, in which a comment silences it.
    """

    meaning: str
    remedy: str
    is_error: bool = False
    reads_source: bool = False

    @property
    def level(self) -> str:
        """Django's word for how bad it is."""
        return "error" if self.is_error else "warning"

    @property
    def hint(self) -> str:
        """The remedy for a terminal."""
        return self.remedy.replace("`", "")


CHECKS: Mapping[str, Check] = {
    "inngest.E001": Check(
        is_error=True,
        meaning="`INNGEST` has an unknown key, or a value that cannot be read.",
        remedy="Correct it by the settings reference of inngest_django.",
    ),
    "inngest.E002": Check(
        is_error=True,
        meaning="Two different registered functions have one id. Importing one function into a"
        " second module is no duplicate.",
        remedy="Give one of them another `fn_id`.",
    ),
    "inngest.E003": Check(
        is_error=True,
        meaning='A database router keeps a table away from `INNGEST["DATABASE"]`. All tables must'
        " be in one database, because a step's outcome is one transaction.",
        remedy="Let the routers leave the app label `inngest_django` to that database.",
    ),
    "inngest.E004": Check(
        is_error=True,
        meaning="`USE_TZ` is `False` and the tables are in SQLite, which then stores local times:"
        " an hour repeats each autumn.",
        remedy='Set `USE_TZ = True`, or give `INNGEST["DATABASE"]` a PostgreSQL database.',
    ),
    "inngest.E005": Check(
        is_error=True,
        meaning='`INNGEST["DATABASE"]` names no database.',
        remedy="Name a key of `DATABASES`.",
    ),
    "inngest.W001": Check(
        meaning="A function declares options that this version accepts and does not enforce.",
        remedy="Leave them out, or know that the function runs as if they were not declared.",
    ),
    "inngest.W002": Check(
        meaning="SQLite is older than 3.35, and has no `RETURNING`.",
        remedy="Use SQLite 3.35 or newer, or PostgreSQL.",
    ),
    "inngest.W010": Check(
        reads_source=True,
        meaning="Two steps of a function have one literal id, outside loops and outside branches"
        " that exclude each other.",
        remedy="Give each step an id of its own.",
    ),
    "inngest.W011": Check(
        reads_source=True,
        meaning="A step is called in the body of another step; it would fail with `step_nested`.",
        remedy="Call the inner step before or after, and pass its result on.",
    ),
    "inngest.W012": Check(
        reads_source=True,
        meaning="A client's `send` or `send_sync` is called outside a step, and so on every entry.",
        remedy="Use `ctx.step.send_event(id, event)`, or send in the body of a step.",
    ),
    "inngest.W013": Check(
        reads_source=True,
        meaning="A value that differs on each entry is made between steps: the current time,"
        " `random`, `secrets`, `uuid4`, `os.urandom`.",
        remedy='Make the value in a step, such as `ctx.step.run("now", ...)`; there it is stored.',
    ),
    "inngest.W014": Check(
        reads_source=True,
        meaning="A step is called where its unwinding cannot pass: in a bare `except` or"
        " `except BaseException` that does not raise again, `suppress(BaseException)`,"
        " `gather(return_exceptions=True)`, or beside a `finally` with a step or a `return`.",
        remedy="Catch `Exception` instead, or raise again at the end of the handler.",
    ),
    "inngest.W015": Check(
        reads_source=True,
        meaning="A `Cancel` rule has no `if_exp`: one event of that name cancels every run of the"
        " function.",
        remedy='Add `if_exp="event.data.id == async.data.id"`, with what they have in common.',
    ),
    "inngest.W016": Check(
        reads_source=True,
        meaning="Durations contradict each other: a debounce's `timeout` is shorter than its"
        " `period`, or a step pauses longer than `timeouts.finish` lets the run live.",
        remedy="Make the longer one shorter, or the shorter one longer.",
    ),
}
