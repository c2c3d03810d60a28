"""The checker: compares what bodies did and what was recorded with what was promised.

Bodies write to the ledger, outside the app's database. Triggers write down each time a
result is recorded, a run ends or a status changes, in the transaction that does it, whoever
does it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connections

from inngest_django.models import Run
from inngest_django.states import RUN_TRANSITIONS, STEP_TRANSITIONS
from tests import ledger
from tests.faults import load, recovery

_SETTLED = "('completed', 'failed', 'timed_out')"
_LIVE = "('queued', 'running')"
_OPEN = "('planned', 'running', 'waiting')"

_INSTALL = f"""
CREATE TABLE fault_effect (run_id text, step text);
CREATE TABLE fault_recorded (run_id text, step text, status text, at timestamptz);
CREATE TABLE fault_ended (run_id text, status text, at timestamptz);
CREATE TABLE fault_status (kind text, run_id text, old text, new text);
CREATE FUNCTION fault_note_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.status IN {_SETTLED} AND (TG_OP = 'INSERT' OR
     (OLD.status, OLD.output, OLD.error, OLD.revision) IS DISTINCT FROM
     (NEW.status, NEW.output, NEW.error, NEW.revision)) THEN
    INSERT INTO fault_recorded VALUES (NEW.run_id, NEW.name, NEW.status, clock_timestamp());
  ELSIF TG_OP = 'UPDATE' AND OLD.status IN {_SETTLED} AND NEW.status <> OLD.status THEN
    INSERT INTO fault_recorded VALUES (NEW.run_id, NEW.name, NEW.status, clock_timestamp());
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION fault_note_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.status NOT IN {_LIVE} OR OLD.status NOT IN {_LIVE} THEN
    IF (OLD.status, OLD.output, OLD.error) IS DISTINCT FROM (NEW.status, NEW.output, NEW.error)
    THEN INSERT INTO fault_ended VALUES (NEW.id, NEW.status, clock_timestamp());
    END IF;
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION fault_note_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO fault_status SELECT TG_ARGV[0], to_jsonb(NEW) ->> TG_ARGV[1], OLD.status, NEW.status;
  RETURN NULL;
END $$;
CREATE TRIGGER fault_step_status AFTER UPDATE ON inngest_step FOR EACH ROW
  WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION fault_note_status('step', 'run_id');
CREATE TRIGGER fault_run_status AFTER UPDATE ON inngest_run FOR EACH ROW
  WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION fault_note_status('run', 'id');
CREATE TRIGGER fault_step AFTER INSERT OR UPDATE ON inngest_step
  FOR EACH ROW EXECUTE FUNCTION fault_note_step();
CREATE TRIGGER fault_run AFTER UPDATE ON inngest_run
  FOR EACH ROW EXECUTE FUNCTION fault_note_run();
"""
_REMOVE = """
DROP TRIGGER IF EXISTS fault_step ON inngest_step;
DROP TRIGGER IF EXISTS fault_run ON inngest_run;
DROP TRIGGER IF EXISTS fault_step_status ON inngest_step;
DROP TRIGGER IF EXISTS fault_run_status ON inngest_run;
DROP FUNCTION IF EXISTS fault_note_status;
DROP FUNCTION IF EXISTS fault_note_step; DROP FUNCTION IF EXISTS fault_note_run;
DROP TABLE IF EXISTS fault_effect; DROP TABLE IF EXISTS fault_recorded;
DROP TABLE IF EXISTS fault_ended; DROP TABLE IF EXISTS fault_status;
"""

_TABLES: Mapping[str, Mapping[Any, Iterable[Any]]] = {
    "run": RUN_TRANSITIONS,
    "step": STEP_TRANSITIONS,
}
_ALLOWED = ", ".join(
    f"('{kind}', '{old}', '{new}')"
    for kind, table in _TABLES.items()
    for old, following in table.items()
    for new in following
)

# True in every committed state, so that one statement (one snapshot) may look at any time.
_UNSOUND = f"""
WITH run AS (SELECT * FROM inngest_run WHERE function_id LIKE 'faults-%%' AND NOT id = ANY(%s))
SELECT 'live run without a job: ' || r.function_id || ' ' || r.id FROM run r
  WHERE r.status IN {_LIVE} AND NOT EXISTS (SELECT 1 FROM inngest_job j WHERE j.run_id = r.id)
UNION ALL SELECT 'open step without a job: ' || r.id || ' ' || s.name
  FROM run r JOIN inngest_step s ON s.run_id = r.id WHERE s.status IN {_OPEN}
  AND r.status IN {_LIVE} AND NOT EXISTS (SELECT 1 FROM inngest_job j WHERE j.step_id = s.id)
UNION ALL SELECT 'job of a step that is not open: ' || r.id || ' ' || s.name
  FROM run r JOIN inngest_step s ON s.run_id = r.id JOIN inngest_job j ON j.step_id = s.id
  WHERE s.status NOT IN {_OPEN}
UNION ALL SELECT 'job of an ended run: ' || r.id || ' ' || j.kind
  FROM run r JOIN inngest_job j ON j.run_id = r.id WHERE r.status NOT IN {_LIVE}
UNION ALL SELECT 'open step of an ended run: ' || r.id || ' ' || s.name
  FROM run r JOIN inngest_step s ON s.run_id = r.id
  WHERE r.status NOT IN {_LIVE} AND s.status IN {_OPEN}
UNION ALL SELECT 'open wait of an ended run: ' || r.id FROM run r
  JOIN inngest_wait w ON w.run_id = r.id WHERE r.status NOT IN {_LIVE} AND w.status = 'open'
UNION ALL SELECT 'event routed without a place: ' || e.name || ' ' || e.id
  FROM inngest_event e WHERE e.routed_at IS NOT NULL AND e.seq IS NULL
UNION ALL SELECT 'key of a closed wait: ' || r.id FROM run r JOIN inngest_wait w
  ON w.run_id = r.id JOIN inngest_wait_key k ON k.wait_id = w.id WHERE w.status <> 'open'
UNION ALL SELECT 'status that may not follow: ' || c.kind || ' of ' || r.id || ' went from '
  || c.old || ' to ' || c.new FROM run r JOIN fault_status c ON c.run_id = r.id
  WHERE (c.kind, c.old, c.new) NOT IN ({_ALLOWED})
"""


def install() -> None:
    """Begin to write down what is recorded."""
    remove()
    with connections["default"].cursor() as cursor:
        cursor.execute(_INSTALL + recovery.INSTALL)


def remove() -> None:
    """End that."""
    with connections["default"].cursor() as cursor:
        cursor.execute(_REMOVE + recovery.REMOVE)


def unsound(ignored: Sequence[str] = ()) -> list[str]:
    """Return what is wrong with the rows as they are now, in words; nothing ever should be."""
    with connections["default"].cursor() as cursor:
        cursor.execute(_UNSOUND, (list(ignored),))
        return [row[0] for row in cursor.fetchall()]


@dataclasses.dataclass(frozen=True, slots=True)
class _Records:
    recorded: dict[str, dict[str, list[float]]]
    ended: dict[str, list[str]]
    effects: dict[str, Counter[str]]


def _records(run_ids: list[str]) -> _Records:
    recorded: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    ended: dict[str, list[str]] = defaultdict(list)
    effects: dict[str, Counter[str]] = defaultdict(Counter)
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT run_id, step, extract(epoch FROM at) FROM fault_recorded"
            " WHERE run_id = ANY(%s) ORDER BY at",
            (run_ids,),
        )
        for run_id, step, at in cursor.fetchall():
            recorded[run_id][step].append(float(at))
        cursor.execute(
            "SELECT run_id, status FROM fault_ended WHERE run_id = ANY(%s) ORDER BY at",
            (run_ids,),
        )
        for run_id, status in cursor.fetchall():
            ended[run_id].append(status)
        cursor.execute("SELECT run_id, step FROM fault_effect WHERE run_id = ANY(%s)", (run_ids,))
        for run_id, step in cursor.fetchall():
            effects[run_id][step] += 1
    return _Records(recorded, ended, effects)


def check(runs: Iterable[Run]) -> list[str]:
    """Return each promise that was broken for these runs, which have ended."""
    found = list(runs)
    records = _records([run.id for run in found])
    problems = unsound()
    for run in found:
        problems += [f"{run.function_id} {run.id}: {text}" for text in _check(run, records)]
    return problems


def _check(run: Run, records: _Records) -> list[str]:
    problems = []
    if run.function_id in load.OUTCOMES:
        if (run.status, run.output) != load.OUTCOMES[run.function_id]:
            problems.append(f"ended {run.status} with {run.output!r} ({run.error})")
        problems += _compare_steps(run)
    if records.ended[run.id] != [run.status]:
        problems.append(f"ended {len(records.ended[run.id])} times: {records.ended[run.id]}")
    recorded = records.recorded[run.id]
    for step in run.steps.all():
        if step.is_settled and len(recorded[step.name]) != 1:
            problems.append(f"{step.name!r} was recorded {len(recorded[step.name])} times")
    problems += _late_calls(run, recorded)
    wanted = Counter(dict.fromkeys(load.EFFECTS.get(run.function_id, ()), 1))
    if records.effects[run.id] != wanted:
        problems.append(f"effects {dict(records.effects[run.id])}, not {dict(wanted)}")
    return problems


def _late_calls(run: Run, recorded: dict[str, list[float]]) -> list[str]:
    begun: dict[str, list[float]] = defaultdict(list)
    for note in ledger.notes(run.id):
        if note.what.startswith("begin "):
            begun[note.what.removeprefix("begin ")].append(note.at)
    return [
        f"the body of {name!r} was called {max(times) - recorded[name][0]:.3f} s after its result"
        for name, times in begun.items()
        if recorded[name] and max(times) > recorded[name][0]
    ]


def _compare_steps(run: Run) -> list[str]:
    wanted = {name: status for name, (status, _) in load.STEPS[run.function_id].items()}
    got = {step.name: step.status for step in run.steps.all()}
    return [] if got == wanted else [f"steps {got}, not {wanted}"]


def extra_calls(runs: Iterable[Run]) -> int:
    """Return how many more bodies were called than when nothing breaks."""
    extra = 0
    for run in runs:
        order = ledger.order(run.id)
        for name, (_, calls) in load.STEPS.get(run.function_id, {}).items():
            extra += max(0, order.count(f"begin {name}") - calls)
    return extra
