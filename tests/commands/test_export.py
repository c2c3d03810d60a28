"""inngest_export: what it writes, and what it keeps out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inngest_django import ContextSync, Inngest, TriggerEvent
from inngest_django.management.scrubbing import Scrubber
from inngest_django.models import Run
from inngest_django.testing import Durable, RunHandle, assert_same_path
from tests.commands.conftest import Result

Manage = Callable[..., Result]

client = Inngest(app_id="export", is_production=False)
DATA = {
    "email": "ada@mugs.example.com",
    "card": {"number": "4242 4242 4242 4242", "pin": 1234},
    "note": "call ada@mugs.example.com at +47 123 45 678",
    "quantity": 3,
    "paid": True,
}
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLW9m"


@client.create_function(fn_id="f", trigger=TriggerEvent(event="export/go"), retries=0)
def function(ctx: ContextSync) -> str:
    email = ctx.event.data["email"]
    login = ctx.step.run("login", lambda: {"access_token": "Tk-9f8e7d6c5b", "header": JWT})
    ctx.step.sleep(f"wait for {email}", "1d")
    if "@mugs." in email:
        ctx.step.run("regular", lambda: f"used {login['access_token']} for {email}")
    if ctx.event.data.get("fail"):
        raise ValueError(f"no such customer: {email}")
    return f"done for {email}"


@pytest.fixture
def run(durable: Durable) -> RunHandle:
    # No other one, which the clock might start while this one sleeps.
    durable.only(function)
    return durable.run(function, DATA).finish()


def _export(manage: Manage, path: Path, run: RunHandle, *words: str) -> Any:
    result = manage("inngest_export", run.id, "--output", str(path), *words)
    assert result.code == 0, result.err
    return json.loads(path.read_text())


def test_it_writes_a_run_without_its_secrets(
    run: RunHandle, manage: Manage, tmp_path: Path
) -> None:
    written = _export(manage, tmp_path / "run.json", run)
    text = json.dumps(written)

    for secret in ("ada", "mugs", "4242", "1234", "Tk-9f8e7d6c5b", JWT, "123 45 678"):
        assert secret not in text.replace(run.id, "")
    data = written["events"][0]["data"]
    assert data["quantity"] == 3
    assert data["paid"] is True
    assert len(data["card"]["number"]) == len("4242 4242 4242 4242")
    assert len(str(data["card"]["pin"])) == 4
    email = data["email"]
    assert email.endswith(".example")
    assert data["note"].startswith(f"call {email} at +")
    assert [step["name"] for step in written["steps"]] == ["login", f"wait for {email}", "regular"]
    token = written["steps"][0]["output"]["access_token"]
    assert written["steps"][2]["output"] == f"used {token} for {email}"
    assert written["run"]["output"] == f"done for {email}"
    assert written["is_scrubbed"] is True


def test_it_says_what_was_scrubbed_and_why(run: RunHandle, manage: Manage, tmp_path: Path) -> None:
    path = tmp_path / "run.json"

    result = manage("inngest_export", run.id, "--output", str(path))

    assert f"Wrote {path}: export-f, completed, 3 steps." in result.out
    rows = dict(
        re.split(r" {2,}", line, maxsplit=1) for line in result.out.splitlines() if "  " in line
    )
    assert rows["event.data.email"] == "name of the field"
    assert rows["event.data.note"] in ("phone number", "scrubbed elsewhere")
    assert rows["steps.login.output.access_token"] == "name of the field"
    assert rows["steps.login.output.header"] == "token"
    assert "ada@" not in result.out
    assert json.loads(path.read_text())["scrubbed"].keys() == rows.keys() - {"SCRUBBED"}


def test_the_summary_in_json(run: RunHandle, manage: Manage, tmp_path: Path) -> None:
    path = tmp_path / "run.json"

    result = manage("inngest_export", run.id, "--output", str(path), "--json")

    assert result.json["path"] == str(path)
    assert result.json["scrubbed"] == json.loads(path.read_text())["scrubbed"]


@pytest.mark.parametrize("keep", ["email", "event.data.email"])
def test_a_kept_field_is_kept_wherever_its_value_stands(
    run: RunHandle, manage: Manage, tmp_path: Path, keep: str
) -> None:
    written = _export(manage, tmp_path / "run.json", run, "--keep", keep)

    assert written["events"][0]["data"]["email"] == DATA["email"]
    assert written["steps"][1]["name"] == f"wait for {DATA['email']}"
    assert "4242" not in json.dumps(written)
    assert_same_path(tmp_path / "run.json", function)


def test_no_scrub_writes_everything(run: RunHandle, manage: Manage, tmp_path: Path) -> None:
    written = _export(manage, tmp_path / "run.json", run, "--no-scrub")

    assert written["events"][0]["data"] == DATA
    assert written["scrubbed"] == {}
    assert written["is_scrubbed"] is False
    assert_same_path(tmp_path / "run.json", function)


def test_the_domain_that_was_scrubbed_shows_in_the_replay(
    run: RunHandle, manage: Manage, tmp_path: Path
) -> None:
    _export(manage, tmp_path / "run.json", run)

    with pytest.raises(AssertionError) as caught:
        assert_same_path(tmp_path / "run.json", function)

    assert 'Step "regular" (StepRun) is not met any more.' in str(caught.value)
    assert "event.data.email" in str(caught.value)
    assert "--keep" in str(caught.value)


def test_an_error_loses_its_stack_and_its_secrets(
    durable: Durable, manage: Manage, tmp_path: Path
) -> None:
    failed = durable.run(function, {**DATA, "fail": 1}).finish()

    written = _export(manage, tmp_path / "run.json", failed)

    assert written["run"]["status"] == "failed"
    assert written["run"]["error"]["name"] == "ValueError"
    assert written["run"]["error"]["stack"] is None
    assert written["run"]["error"]["message"].startswith("no such customer: ")
    assert "ada" not in written["run"]["error"]["message"]


def test_standard_output_has_the_file_alone(run: RunHandle, manage: Manage) -> None:
    result = manage("inngest_export", run.id.lower(), "--output", "-")

    assert result.json["run"]["id"] == run.id


def test_the_file_has_a_name_by_itself(
    run: RunHandle, manage: Manage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert manage("inngest_export", run.id).code == 0
    assert (tmp_path / f"run-{run.id}.json").exists()


def test_a_file_that_exists_is_left_alone(run: RunHandle, manage: Manage, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text("mine")

    result = manage("inngest_export", run.id, "--output", str(path))

    assert (result.code, path.read_text()) == (2, "mine")
    assert "exists already" in result.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nonsense"], 2, "is not a run id"),
        (["01ARZ3NDEKTSV4RRFFQ69G5FAV"], 1, "No run has the id"),
    ],
)
def test_runs_that_are_none(
    db: None, manage: Manage, words: list[str], code: int, message: str
) -> None:
    result = manage("inngest_export", *words)

    assert result.code == code
    assert message in result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--keep", "nothing"], "no field 'nothing' to keep"),
        (["--keep", "email", "--no-scrub"], "--keep has no meaning with --no-scrub"),
        (["--output", "/nowhere/at/all.json"], "/nowhere/at/all.json cannot be written"),
    ],
)
def test_bad_usage_writes_nothing(
    run: RunHandle, manage: Manage, tmp_path: Path, monkeypatch: Any, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)

    result = manage("inngest_export", run.id, *words)

    assert result.code == 2
    assert message in result.err
    assert list(tmp_path.iterdir()) == []
    assert Run.objects.count() == 1


# What is found -------------------------------------------------------------------------------


def _scrubbed(value: Any, *keep: str) -> Any:
    scrubber = Scrubber(keep)
    scrubber.learn([("data", value)])
    return scrubber.scrub(value, "data")


@pytest.mark.parametrize(
    "value",
    [
        {"password": "x1"},
        {"API-Key": "abc"},
        {"user": {"creditCardNumber": 4111111111111111}},
        {"tokens": ["one", "two"]},
        {"secret": {"deep": {"er": "value"}}},
        {"phone_no": 1.5e22},
        "mail to bob.b+x@sub.host.org now",
        "Authorization: Bearer abc.def",
        "https://me:hunter2@host/path",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "d41d8cd98f00b204e9800998ecf8427e",
        "paid with 4111111111111111",
        ["tel +1 (202) 555-0123"],
        {"bob@host.org": 1},
    ],
)  # fmt: skip
def test_it_looks_like_a_secret_and_keeps_its_shape(value: Any) -> None:
    scrubbed = _scrubbed(value)

    assert scrubbed != value
    assert _shape(scrubbed) == _shape(value)


def test_no_short_text_comes_out_as_it_was() -> None:
    for _ in range(500):
        for value in ("1", "a", "x1"):
            assert _scrubbed({"password": value}) != {"password": value}


def test_no_number_comes_out_as_it_was() -> None:
    """The key is another one in each export, so that a chance of a tenth shows."""
    for _ in range(200):
        for value in (1, 15, 0.5, 1.5e22, -15):
            assert _scrubbed({"phone_no": value}) != {"phone_no": value}


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return [_shape(item) for item in value.values()]
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return type(value)


@pytest.mark.parametrize(
    "value",
    [
        {"name": "Red mug", "sku": "mug", "price": "12.50", "count": 3, "ok": False, "at": None},
        {"password": None, "token": True, "pin": 0, "secret": ""},
        "01K8ZZ3NDEKTSV4RRFFQ69G5FA",
        "6f1c2a52-3d0b-4c57-9a57-6a2f1f5b7c11",
        "2030-01-01T12:00:00.000Z",
        "product-image-of-the-large-red-mug-2",
        "order 4111111111111112",
    ],
)
def test_it_does_not_look_like_a_secret(value: Any) -> None:
    assert _scrubbed(value) == value


def test_equal_values_become_equal_and_others_different() -> None:
    # Long enough not to become equal by chance.
    emails = ["annabel.lee@b.org", "cornelius@b.org", "annabel.lee@b.org"]
    one, two, three = _scrubbed({"email": emails})["email"]

    assert one == three != two
    assert one.partition("@")[2] == two.partition("@")[2]


def test_two_exports_have_nothing_in_common() -> None:
    value = {"token": "a-long-enough-token"}

    assert _scrubbed(value) != _scrubbed(value)
