"""``manage.py inngest_show``: one run with its steps."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from inngest_django import clock, remedies
from inngest_django.engine import explanation
from inngest_django.management import drawing, shapes
from inngest_django.management.base import InngestCommand, as_ulid, missing, shown_time
from inngest_django.models import Attempt, Run


class Command(InngestCommand):
    """Shows one run."""

    help = "Show one run: what it waits for, its steps in time, its attempts and its result."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the run."""
        super().add_arguments(parser)
        parser.add_argument("run", help="The run's id.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the run."""
        run_id = as_ulid(options["run"], what="run")
        run = Run.objects.select_related("event").filter(pk=run_id).first()
        if run is None:
            missing(f"No run has the id {run_id}.")
        steps = list(run.steps.order_by("pk"))
        why = explanation.why(run)
        if options["as_json"]:
            shown = [shapes.step(step) for step in steps]
            self.print_json({**shapes.run(run), "steps": shown, "why": why})
            return
        attempts: dict[int | None, list[Attempt]] = {}
        for attempt in run.attempts.order_by("pk"):
            attempts.setdefault(attempt.step_id, []).append(attempt)
        now = clock.now()
        took = drawing.span((run.ended_at or now) - run.started_at) if run.started_at else "-"
        self.line(f"{run.function_id}  {run.status}  {took}")
        self.line(f"  run     {run.pk}")
        self.line(f"  event   {run.event.name}  {run.event_id}")
        self.line(f"  data    {drawing.value(run.event.data)}")
        self.line(f"  queued  {shown_time(run.queued_at)} UTC")
        self.line(f"  why     {why}")
        self.line()
        for line in drawing.lines(run, steps, attempts, now=now):
            self.line(line)
        if run.error is not None:
            self.line(f"  error   {drawing.error(run.error)}")
            if remedy := remedies.action(str(run.error.get("code"))):
                self.line(f"  {run.error['code']}: {remedy}")
        elif run.ended_at is not None:
            self.line(f"  output  {drawing.value(run.output)}")
