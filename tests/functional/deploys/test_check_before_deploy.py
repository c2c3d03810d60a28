"""``inngest_check`` in a process of the new release, beside workers of the old one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from django.db import connections

import inngest_django as inngest
from tests import ledger
from tests.functional.deploying import RELEASE, deployed, wake
from tests.functional.support import Live, client, event_name
from tests.repo.readme import ROOT


def _declare(release: int) -> inngest.Function:
    @client.create_function(
        fn_id="check-before-deploy",
        trigger=inngest.TriggerEvent(event=event_name("check-before-deploy")),
    )
    def handler(ctx: inngest.ContextSync) -> Any:
        name = "charge" if release == 1 or ctx.event.data["keeps"] else "charge-card"
        charged = ctx.step.run(name, lambda: ledger.note(ctx.run_id, f"charged by {release}"))
        ctx.step.sleep("pause", "1h")
        return charged

    return handler


current = _declare(RELEASE)


def _check(release: int) -> tuple[int, Any]:
    result = subprocess.run(
        [sys.executable, "-m", "django", "inngest_check", "--function", current.id, "--json"],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "INNGEST_TEST_DATABASE": str(connections["default"].settings_dict["NAME"]),
            "INNGEST_TEST_RELEASE": str(release),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode in (0, 1), result.stderr
    return result.returncode, json.loads(result.stdout)


def test_it_stops_the_deploy_that_would_charge_twice(live: Live) -> None:
    kept = live.start(current, {"keeps": True})
    charged_again = live.start(current, {"keeps": False})
    for run in (kept, charged_again):
        live.step(run, "pause", status="waiting")

    old_code, new_code = _check(1), _check(2)

    assert (old_code[0], old_code[1]["stranded"]) == (0, {})
    assert (new_code[0], new_code[1]["stranded"]) == (1, {"reruns": 1})
    effects = {e["effect"]: e["examples"] for e in new_code[1]["functions"][0]["effects"]}
    assert effects == {"unaffected": [kept.id], "reruns": [charged_again.id]}

    with deployed(live.stack, [_declare(2)]):
        for run in (kept, charged_again):
            wake(run)
        for run in (kept, charged_again):
            assert live.ended(run).status == "completed"

    assert ledger.count(kept.id, "charged by 2") == 0
    assert ledger.count(charged_again.id, "charged by 2") == 1
