"""Compares the ledger with the app's tables: was each promise kept?"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from inngest_django.engine import explanation, transactions
from inngest_django.models import Event, Job, Run, Step
from inngest_django.states import RUN_LIVE
from inngest_django.testing.chaos import rows
from inngest_django.testing.chaos.functions import (
    EFFECTS,
    LEADS_TO,
    OUTCOMES,
    PREFIX,
    SENT,
    STEPS,
)
from inngest_django.testing.chaos.ledger import Note

# Seconds by which two clocks may differ after they were compared.
_TOLERANCE = 0.5
_SHOWN = 5

ROUTED = "every accepted event was routed, and started its run once"
ENDED = "every run ended as it does when nothing breaks"
ONCE = "each result was recorded once, and its body not called after that"
EFFECT = "what step.transaction wrote is there exactly once"
JOBS = "no live run was without a job"
RECOVERED = "due work moved again within the bound"


@dataclasses.dataclass(slots=True)
class Verdict:
    """What became of one promise.

    Attributes:
        checked: How many cases were looked at.
        violations: In words; none when it was kept.
    """

    promise: str
    checked: int = 0
    violations: list[str] = dataclasses.field(default_factory=list)

    @property
    def is_kept(self) -> bool:
        """Whether nothing was found."""
        return not self.violations

    def expect(self, is_right: bool, text: str) -> None:
        """Count a case, and write it down when it is wrong."""
        self.checked += 1
        if not is_right and text not in self.violations:
            self.violations.append(text)

    def as_dict(self) -> dict[str, object]:
        """Return it for programs."""
        return {
            "promise": self.promise,
            "is_kept": self.is_kept,
            "checked": self.checked,
            "violations": self.violations,
        }

    def shown(self) -> list[str]:
        """Return the first violations, and how many more there are."""
        more = len(self.violations) - _SHOWN
        return [*self.violations[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]


class Watch:
    """Looks again and again while things break, for what the end cannot show."""

    def __init__(self) -> None:
        self.jobs = Verdict(JOBS)
        self.results = Verdict(ONCE)
        self._settled: dict[int, tuple[object, ...]] = {}
        self._ended: dict[str, str] = {}

    def look(self) -> None:
        """Compare what is recorded now with what was recorded before."""
        for text in rows.unsound():
            self.jobs.expect(False, text)
        self.jobs.checked += 1
        self._compare(_live_and_new(self._ended))

    def finish(self) -> None:
        """Look a last time, at every run."""
        self._ended, ended = {}, self._ended
        self.look()
        for run_id, status in ended.items():
            now = self._ended.get(run_id)
            self.results.expect(now == status, f"{run_id} ended {status}, then was {now}")

    def _compare(self, runs: list[Run]) -> None:
        steps = Step.objects.filter(run__in=[run.id for run in runs], revision__isnull=False)
        for step in steps:
            value = (step.status, repr(step.output), repr(step.error), step.revision)
            before = self._settled.setdefault(step.id, value)
            self.results.expect(
                before == value,
                f"{step.run_id} {step.name!r} was recorded {before[0]}, then {value[0]} again",
            )
        self._ended.update((run.id, run.status) for run in runs if run.status not in RUN_LIVE)


def _live_and_new(ended: dict[str, str]) -> list[Run]:
    return [run for run in Run.objects.filter(rows.ours()) if run.id not in ended]


def clock_offset() -> float:
    """Return by how many seconds the database's clock is ahead of this host's."""
    before = time.time()
    there = transactions.now().timestamp()
    return there - (before + time.time()) / 2


def check(notes: Iterable[Note], watch: Watch) -> list[Verdict]:
    """Return the verdicts on everything but recovery, once the load has ended."""
    found = list(notes)
    runs = list(Run.objects.filter(rows.ours()).select_related("event").order_by("id"))
    watch.finish()
    return [
        check_events(found, runs),
        check_ends(runs),
        check_calls(found, watch.results, clock_offset()),
        check_effects(runs, rows.effects()),
        watch.jobs,
    ]


def check_events(notes: Iterable[Note], runs: Iterable[Run]) -> Verdict:
    """Compare what was accepted with what was routed and started."""
    verdict = Verdict(ROUTED)
    accepted = {note.key for note in notes if note.what == "accepted"}
    events: dict[str, list[bool]] = defaultdict(list)
    for key, routed_at in Event.objects.filter(name__startswith=f"{PREFIX}/").values_list(
        "external_id", "routed_at"
    ):
        if key:
            events[key].append(routed_at is not None)
    found = list(runs)
    started = Counter((run.event.external_id, _name(run)) for run in found)
    for key in sorted(accepted):
        verdict.expect(bool(events[key]), f"accepted event {key} is not in the database")
        verdict.expect(all(events[key]), f"accepted event {key} was never routed")
        name = key.split(".")[-2]
        if name in SENT:
            count = started[key, name]
            verdict.expect(count == 1, f"event {key} started {count} runs of {name}")
    verdict.expect(bool(accepted), "no event was accepted at all; look at the sender's log")
    by_name = Counter(_name(run) for run in found)
    for name, follower in LEADS_TO.items():
        verdict.expect(
            by_name[name] == by_name[follower],
            f"{by_name[name]} runs of {name} led to {by_name[follower]} of {follower}",
        )
    return verdict


def _standing(run: Run, steps: Mapping[str, str]) -> str:
    """Return where a run stands: its rows are gone when somebody wants to know."""
    now = transactions.now()
    told = [f"{run.status}. {explanation.why(run)}"]
    told += [f"step {name} {status}" for name, status in steps.items()]
    for job in Job.objects.filter(run=run).order_by("id"):
        due = (job.available_at - now).total_seconds()
        hint = (job.next_hint_at - now).total_seconds()
        told.append(
            f"job {job.kind}, due {due:+.1f} s, next hint {hint:+.1f} s after {job.hint_count},"
            f" lost {job.loss_count}, lease {job.lease_owner or 'none'}"
        )
    return "; ".join(told)


def check_ends(runs: Iterable[Run]) -> Verdict:
    """Compare each run's end and steps with those of a run without faults."""
    verdict = Verdict(ENDED)
    steps: dict[str, dict[str, str]] = defaultdict(dict)
    found = list(runs)
    for step in Step.objects.filter(run__in=[run.id for run in found]):
        steps[step.run_id][step.name] = step.status
    for run in found:
        name = _name(run)
        if run.status in RUN_LIVE:
            verdict.expect(False, f"{name} {run.id} has not ended: {_standing(run, steps[run.id])}")
            continue
        verdict.expect(
            (run.status, run.output) == OUTCOMES.get(name),
            f"{name} {run.id} ended {run.status} with {run.output!r} ({run.error})",
        )
        verdict.expect(
            steps[run.id] == STEPS.get(name), f"{name} {run.id} has the steps {steps[run.id]}"
        )
    return verdict


def check_calls(notes: Iterable[Note], verdict: Verdict, offset: float) -> Verdict:
    """Compare when bodies were called with when their results were recorded."""
    recorded = {
        (run_id, name): ended_at.timestamp()
        for run_id, name, ended_at in Step.objects.filter(
            run__in=Run.objects.filter(rows.ours()), revision__isnull=False
        ).values_list("run_id", "name", "ended_at")
        if ended_at is not None
    }
    begun: dict[tuple[str, str], float] = {}
    for note in notes:
        if note.what.startswith("begin "):
            key = (note.key, note.what.removeprefix("begin "))
            begun[key] = max(begun.get(key, 0.0), note.at)
    for (run_id, name), at in begun.items():
        late = at + offset - recorded.get((run_id, name), at + offset)
        verdict.expect(
            late <= _TOLERANCE, f"{run_id} {name!r} was called {late:.1f} s after its result"
        )
    return verdict


def check_effects(runs: Iterable[Run], effects: Iterable[tuple[str, str]]) -> Verdict:
    """Count what transaction steps wrote."""
    verdict = Verdict(EFFECT)
    found = Counter(effects)
    for run in runs:
        for step in EFFECTS.get(_name(run), ()):
            count = found.pop((run.id, step), 0)
            verdict.expect(count == 1, f"{_name(run)} {run.id} {step!r} wrote {count} times")
    for (run_id, step), count in found.items():
        verdict.expect(False, f"{run_id} {step!r} wrote {count} times and should not have")
    return verdict


def _name(run: Run) -> str:
    return run.function_id.removeprefix(f"{PREFIX}-")
