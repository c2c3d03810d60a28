"""The rules of the protocol: what breaks without each, what tests it, what notices it gone.

Each rule has a test that holds it up and a mistake that takes it out at run time. A mistake is
one of the simulation's, or a second test beside the first that plays the same interleaving
without the rule and asserts that the promise breaks. The page of the documentation has this
table, and a test compares them.
"""

from __future__ import annotations

import dataclasses

from tests.simulation import mistakes

_REFERENCES = "tests/concurrency/test_references.py::"
_EVENTS = "tests/concurrency/test_events_and_waits.py::"
_JOBS = "tests/concurrency/test_jobs.py::"
_JOINS = "tests/concurrency/test_joins.py::"
_COMMITS = "tests/concurrency/test_commits.py::"
_ENGINE = "tests/engine/test_protocol.py::"
SCHEDULES = "tests/simulation/test_schedules.py::test_no_schedule_breaks_a_promise"


@dataclasses.dataclass(frozen=True)
class Rule:
    """One row.

    Attributes:
        breaks: What happens without it.
        test: The test that fails when the rule is gone.
        mistake: The simulation's mistake that takes it out, or the id of the test that does.
    """

    row: int
    rule: str
    breaks: str
    test: str
    mistake: str

    @property
    def is_simulated(self) -> bool:
        """Whether the simulation finds the mistake."""
        return "::" not in self.mistake

    @property
    def layer(self) -> str:
        """Where the mistake is caught."""
        return "simulation" if self.is_simulated else mistakes.layer_of(self.mistake)

    def line(self) -> str:
        """Return its line of the page's table."""
        without = f'"{self.mistake}"' if self.is_simulated else f"`{self.mistake}`"
        return (
            f"| {self.row} | {self.rule} | {self.breaks} | `{self.test}` | {without}"
            f" | {self.layer} |"
        )


RULES = (
    Rule(
        1,
        "An event has its place in the order, committed, before anybody looks for waits.",
        "A wait that opens meanwhile sees no event, routing sees no wait: it waits for ever.",
        _EVENTS + "test_event_stamped_before_routing_is_seen_by_a_wait_that_routing_did_not_see",
        _EVENTS + "test_event_stamped_and_routed_in_one_transaction_is_lost",
    ),
    Rule(
        2,
        "A wait begins above the largest place that is committed.",
        "A place that is given and not committed counts as seen; its event is missed.",
        _EVENTS + "test_floor_is_below_a_seq_that_is_not_committed",
        _EVENTS + "test_floor_from_a_sequence_that_runs_ahead_loses_the_event",
    ),
    Rule(
        3,
        "Places are given by one transaction at a time.",
        "A later place is committed first; a wait begins above the earlier one.",
        _EVENTS + "test_second_stamping_waits_for_the_first",
        _EVENTS + "test_stamping_side_by_side_loses_the_event",
    ),
    Rule(
        4,
        "A run's first entry compares its cancel rules with what came since its trigger.",
        "An event routed while the run was being stored never cancels it.",
        _ENGINE + "test_a_cancel_rule_sees_an_event_that_was_routed_before_it_was_stored",
        "do not compare a run's cancel rules at its first entry",
    ),
    Rule(
        5,
        "Row locks leave rows open for references.",
        "Router and scan wait for each other, or at least one for the other.",
        _REFERENCES + "test_wait_settles_with_an_event_that_a_router_holds",
        _REFERENCES + "test_router_with_a_full_row_lock_holds_up_the_scan",
    ),
    Rule(
        6,
        "Keys of idempotency are taken in one order, each once for a batch.",
        "Two routers with a, b and b, a deadlock.",
        _EVENTS + "test_routers_take_keys_in_one_order",
        _EVENTS + "test_routers_that_take_keys_as_they_come_deadlock",
    ),
    Rule(
        7,
        "Jobs are locked by id, and statements over many skip those that are locked.",
        "A renewal and a cancel deadlock.",
        _JOBS + "test_renewal_skips_what_a_cancel_holds",
        _JOBS + "test_renewal_that_waits_for_locks_in_its_own_order_deadlocks",
    ),
    Rule(
        8,
        "An entry is a new row.",
        "The worker of the settled wait takes the entry for its own job.",
        _JOBS + "test_worker_whose_wait_was_settled_finds_no_job_of_its_own",
        _JOBS + "test_entry_made_of_the_old_row_is_taken_for_the_wait",
    ),
    Rule(
        9,
        "The parent's job is locked before the child is read.",
        "The child's wake-up is overwritten by a parent that read it as running.",
        _JOBS + "test_child_that_ended_before_the_time_out_was_decided_wins",
        _JOBS + "test_child_read_before_the_parents_job_is_locked_is_missed",
    ),
    Rule(
        10,
        "A time-out looks for events first.",
        "An event that came in time loses because its router is behind.",
        _ENGINE + "test_an_event_that_was_committed_in_time_beats_the_time_out",
        "let a time-out win before it looks for events",
    ),
    Rule(
        11,
        "The run's lock is a statement of its own; what it decides comes in later ones.",
        "Two last branches each see the other's old job, and nothing enters.",
        _JOINS + "test_two_last_branches_leave_one_entry",
        _JOINS + "test_branches_that_lock_and_decide_in_one_statement_leave_none",
    ),
    Rule(
        12,
        "An entry reads which pieces are open before it reads results.",
        "A piece that settles in between is taken for one never run: its body runs again.",
        _JOINS + "test_piece_that_settles_while_an_entry_loads_is_not_run_again",
        _JOINS + "test_results_loaded_before_the_pieces_let_a_body_run_again",
    ),
    Rule(
        13,
        "Whether the run is live is read together with its pieces.",
        "A cancel closes the pieces; the entry sees none open and runs the body again.",
        _JOINS + "test_entry_that_loads_while_the_run_is_cancelled_runs_no_body",
        _JOINS + "test_pieces_read_after_a_cancel_let_a_body_run_again",
    ),
    Rule(
        14,
        "Every result raises the run's revision.",
        "An entry that began before the last result ends without a successor.",
        SCHEDULES,
        "settle without a new revision",
    ),
    Rule(
        15,
        "In a race every result enters, whoever is still open.",
        "What follows the race waits for the loser, perhaps for a month.",
        _ENGINE + "test_in_a_race_a_settle_enters_while_a_loser_is_open",
        "enter only when a race has no loser left",
    ),
    Rule(
        16,
        "Results are given to the code in the order of their revisions.",
        "A later entry sees another winner of a race than an earlier one.",
        SCHEDULES,
        "resolve results in the order of the code",
    ),
    Rule(
        17,
        "Only steps without a row are planned or run.",
        "An entry with an old view plans a recorded step again.",
        SCHEDULES,
        "plan what has a row",
    ),
    Rule(
        18,
        "The lease is looked at before each body.",
        "A worker that slept through its lease begins a body that another has recorded.",
        _ENGINE + "test_a_job_whose_lease_is_lost_before_the_body_does_not_start_it",
        "skip the lease check before the body",
    ),
    Rule(
        19,
        "Doubt about a commit is resolved under the run's lock.",
        "A commit that is still on its way is taken for one that failed.",
        _COMMITS + "test_doubt_about_a_commit_is_resolved_under_the_runs_lock",
        _COMMITS + "test_doubt_resolved_without_the_lock_runs_into_the_one_row_of_a_step",
    ),
    Rule(
        20,
        "Only the author's code is charged for lost workers.",
        "A worker that dies before the body, or with a timer, uses up attempts.",
        "tests/engine/test_charging.py::test_worker_lost_before_the_body_costs_no_attempt",
        "end a piece at its first lost lease",
    ),
    Rule(
        21,
        "An entry that reports over older results is followed by another.",
        "The revision moved while it ran, its job is deleted: nothing enters.",
        _ENGINE + "test_an_entry_over_older_results_is_followed_by_another",
        "end an entry over older results",
    ),
    Rule(
        22,
        "A wait begins at what was committed when the previous result was recorded.",
        "An event between that result and the wait is missed, or not, by luck.",
        _ENGINE + "test_an_event_between_the_previous_result_and_the_wait_resumes_it",
        "begin a wait at what is committed when it is stored",
    ),
)

HEAD = "| # | rule | without it | test | taken out by | caught by |\n| --- | --- | --- | --- | --- | --- |"
MISTAKES_HEAD = "| mistake | rule | caught by |\n| --- | --- | --- |"


def rules_table() -> str:
    """Return the page's table of rules."""
    return "\n".join([HEAD, *[rule.line() for rule in RULES]])


def mistakes_table() -> str:
    """Return the page's table of mistakes."""
    lines = [MISTAKES_HEAD]
    for mistake in mistakes.ALL:
        where = mistakes.layer_of(mistake.elsewhere)
        if mistake.elsewhere:
            where += f": `{mistake.elsewhere}`"
        lines.append(f"| {mistake.name} | {mistake.row or ''} | {where} |")
    return "\n".join(lines)
