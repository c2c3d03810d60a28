"""``manage.py inngest_doctor``: what is wrong, and what to do."""

from __future__ import annotations

import dataclasses
from typing import Any

from inngest_django.management import diagnosis
from inngest_django.management.base import InngestCommand, end_negative


class Command(InngestCommand):
    """Says what is wrong, and what to do."""

    help = "Say what is wrong with the installation and with live runs, and what to do about it."
    # It is the one to report what the checks and a missing database would stop.
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the findings."""
        findings = diagnosis.examine()
        good = diagnosis.is_good(findings)
        if options["as_json"]:
            checks = [dataclasses.asdict(finding) for finding in findings]
            self.print_json({"ok": good, "checks": checks})
        else:
            for finding in findings:
                self.line(f"{finding.level:<8} {finding.id:<18} {finding.message}")
                if finding.remedy:
                    self.line(f"{'':<27} {finding.remedy}")
            self.line("All is well." if good else "Something is wrong.")
        if not good:
            end_negative()
