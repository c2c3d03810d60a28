"""The verdict: what a schedule left behind, compared with what its script asked for."""

from __future__ import annotations

import collections

from inngest_django.serialization import loads
from tests.simulation import programs
from tests.simulation.audit import Audit
from tests.simulation.database import Database
from tests.simulation.script import Root, Script

# What faults, lost hints and retries may add to the time that a program takes.
SLACK = 200.0


class Judge:
    """Complains to the audit of what is not as it should be at the end."""

    def __init__(self, database: Database, audit: Audit, script: Script) -> None:
        self._database = database
        self._audit = audit
        self._script = script

    def judge(self) -> None:
        """Compare all that there is with what there should be."""
        if self._audit.problems:
            return
        for table in ("inngest_job", "inngest_wait_key"):
            [(count,)] = self._database.rows(f"SELECT count(*) FROM {table}")
            if count:
                self._audit.complain(f"{count} rows are left in {table}")
        for root in self._script.roots:
            self._judge_root(root)
        if self._database.rows(
            "SELECT 1 FROM inngest_run r JOIN inngest_event e ON e.id = r.event_id"
            " WHERE e.external_id = 'nobody'"
        ):
            self._audit.complain("an event that was rolled back started a run")
        self._judge_effects()
        self._judge_waits()
        self._judge_races()
        self._judge_echoes()

    def _judge_root(self, root: Root) -> None:
        rows = self._database.rows(
            "SELECT r.id, r.status, r.output, r.error,"
            " (julianday(r.ended_at) - julianday(r.queued_at)) * 86400"
            " FROM inngest_run r JOIN inngest_event e ON e.id = r.event_id"
            " WHERE e.external_id = ?",
            f"root-{root.key}",
        )
        if len(rows) != 1:
            self._audit.complain(f"{len(rows)} runs were started for {root.key}")
            return
        [(_, status, output, error, seconds)] = rows
        tree = self._script.author.trees[root.tree]
        wanted = "completed"
        if any(isinstance(n, programs.Fail) and n.fails > 5 for n in programs.nodes(tree)):
            wanted = "failed"
        if root.fate == "stopped":
            wanted = "cancelled"
        allowed = {wanted} | ({"cancelled"} if root.fate == "perhaps cancelled" else set())
        if status not in allowed:
            self._audit.complain(f"run of {root.key} ended {status}, not {wanted}: {error}")
            return
        if status != "completed":
            return
        found, expected = loads(output), programs.expected(tree)
        if not programs.is_as_expected(expected, found):
            self._audit.complain(f"run of {root.key} came to {found}, not {expected}")
        if seconds > programs.longest(tree) + SLACK:
            self._audit.complain(f"run of {root.key} took {seconds:.0f} s")

    def _judge_effects(self) -> None:
        for run_id, name, status, count in self._database.rows(
            "SELECT s.run_id, s.name, s.status, (SELECT count(*) FROM sim_effect e"
            " WHERE e.run_id = s.run_id AND e.step = s.name) FROM inngest_step s"
            " WHERE s.name LIKE 't%'"
        ):
            if count != (status == "completed"):
                self._audit.complain(f"{status} transaction {name} of {run_id} had {count} effects")
        [(orphans,)] = self._database.rows(
            "SELECT count(*) FROM sim_effect e WHERE NOT EXISTS (SELECT 1 FROM inngest_step s"
            " WHERE s.run_id = e.run_id AND s.name = e.step)"
        )
        if orphans:
            self._audit.complain(f"{orphans} effects have no recorded step")

    def _judge_waits(self) -> None:
        """Compare each wait with all events, one by one."""
        for name, status, key in self._database.rows(
            "SELECT s.name, s.status, e.data FROM inngest_wait w"
            " JOIN inngest_step s ON s.id = w.step_id JOIN inngest_run r ON r.id = w.run_id"
            " JOIN inngest_event e ON e.id = r.event_id WHERE w.kind = 'event'"
        ):
            matches = self._database.rows(
                "SELECT 1 FROM inngest_event e, inngest_wait w JOIN inngest_step s"
                " ON s.id = w.step_id WHERE s.name = ? AND e.name = w.event_name"
                " AND e.seq > w.floor_seq AND e.received_at <= w.expires_at"
                " AND e.data ->> 'n' = s.name AND e.data ->> 'key' = ?",
                name,
                loads(key)["key"],
            )
            if status == "timed_out" and matches:
                self._audit.complain(f"wait {name} timed out although its event had come")
            if status == "completed" and not matches:
                self._audit.complain(f"wait {name} was resumed by an event that does not match")

    def _judge_races(self) -> None:
        """What follows a race is planned for one winner, and for the same on each entry."""
        winners = collections.defaultdict(set)
        for run_id, name in self._database.rows(
            "SELECT run_id, name FROM inngest_step WHERE name GLOB 'r*.[xy]*'"
        ):
            winners[run_id, name.split(".")[0]].add(name[-1])
        for (_, name), found in winners.items():
            if len(found) > 1:
                self._audit.complain(f"race {name} was won by several branches: {sorted(found)}")

    def _judge_echoes(self) -> None:
        [(sent,)] = self._database.rows(
            "SELECT count(*) FROM inngest_step WHERE name LIKE 'e%' AND name <> 'echo'"
            " AND status = 'completed'"
        )
        [(heard,)] = self._database.rows(
            "SELECT count(*) FROM inngest_run r WHERE r.function_id = 'sim-echo'"
            " AND r.status = 'completed' AND EXISTS (SELECT 1 FROM inngest_event e"
            " JOIN inngest_step s ON e.external_id = s.run_id || ':' || s.name"
            " WHERE e.id = r.event_id AND s.status = 'completed')"
        )
        if sent != heard:
            self._audit.complain(f"{sent} steps sent events, {heard} runs came of them")
