"""The main job: ``manage.py shop_demo`` and what it leaves behind."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from tests.processes import wait_until
from tests.repo.readme import ROOT

pytestmark = [pytest.mark.sqlite, pytest.mark.timeout(300)]


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of this session's: the demo finds its own settings."""
    kept = {key: os.environ[key] for key in ("HOME", "PATH", "TMPDIR") if key in os.environ}
    return {**kept, "VAR_DIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


@dataclasses.dataclass(frozen=True)
class Demo:
    """A finished demo: what it printed, and the folder that it wrote to."""

    output: str
    folder: Path
    seconds: float

    def count(self, label: str) -> int:
        found = re.search(rf"^  {re.escape(label)} +(\d+)$", self.output, re.MULTILINE)
        assert found, f"no {label!r} in the summary:\n{self.output}"
        return int(found[1])

    def lines(self, function: str) -> list[str]:
        return [line for line in self.output.splitlines() if f" shop-{function} " in line]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(self.folder / "db.sqlite3")
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def messages(self) -> list[str]:
        texts = "".join(path.read_text() for path in (self.folder / "mail").iterdir())
        return re.findall(r"^Subject: (.*)$", texts, re.MULTILINE)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    begin = time.monotonic()
    result = subprocess.run(
        [sys.executable, "manage.py", "shop_demo"],
        cwd=ROOT,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    return Demo(result.stdout, folder / "demo", time.monotonic() - begin)


def test_it_ends_by_itself_within_three_minutes(demo: Demo) -> None:
    assert demo.seconds < 180
    assert "All 14 runs ended as expected." in demo.output
    assert re.search(r"Admin \(200\): http://127\.0\.0\.1:\d+/admin/\S+ \(user demo", demo.output)


def test_summary_counts_the_pictures_in_storage(demo: Demo) -> None:
    pictures = [path for path in (demo.folder / "media/products").iterdir() if path.is_file()]
    thumbnails = list((demo.folder / "media/products/thumbnails").iterdir())

    assert demo.count("images stored") == len(pictures) == 3
    assert demo.count("thumbnails made") == len(thumbnails) == 3
    samples = ROOT / "project/shop/sample_images"
    for path in pictures:
        assert path.read_bytes() == (samples / path.name).read_bytes()
    for path in thumbnails:
        with Image.open(path) as picture:
            assert max(picture.size) == 96


def test_summary_counts_the_messages_that_were_written(demo: Demo) -> None:
    assert demo.count("e-mails sent") == len(demo.messages())
    assert sorted(demo.messages()) == [
        "A reminder from the shop",
        "We could not charge your card",
        "Welcome, Ada",
        "Your account is nearly ready",
        "Your starter guide",
    ]


def test_summary_counts_the_rows_of_the_shop(demo: Demo) -> None:
    orders = demo.rows("SELECT number, status, carrier, quantity FROM shop_order ORDER BY number")
    [(stock,)] = demo.rows("SELECT stock FROM shop_product WHERE sku = 'mug'")
    loyal = demo.rows("SELECT email FROM shop_customer WHERE loyalty_number <> ''")

    assert orders == [("A-1000", "payment failed", "", 1), ("A-1001", "reserved", "south", 2)]
    assert demo.count("orders placed") == len(orders)
    assert demo.count("payments failed") == 1
    assert demo.count("mugs in stock") == stock == 8
    assert demo.count("loyalty accounts") == len(loyal) == 1


def test_summary_counts_the_runs_and_their_steps(demo: Demo) -> None:
    def number(query: str) -> object:
        return demo.rows(query)[0][0]

    assert demo.count("events accepted") == number("SELECT COUNT(*) FROM inngest_event")
    assert demo.count("runs completed") == 13
    assert demo.count("runs failed") == 1
    assert number("SELECT COUNT(*) FROM inngest_run") == 14
    assert demo.count("steps completed") == number(
        "SELECT COUNT(*) FROM inngest_step WHERE status = 'completed'"
    )
    assert demo.count("waits timed out") == 1
    # Two of the image that hangs up, two of the card, and the function that gave up with it.
    assert demo.count("failed attempts") == number("SELECT COUNT(*) FROM inngest_attempt")


def test_timeline_shows_that_only_the_failing_image_was_copied_again(demo: Demo) -> None:
    lines = demo.lines("import-product-images")
    story = [
        re.sub(r" +", " ", line.partition(mark)[2])
        for line in lines
        for mark in ("\u2713", "\u21bb")
        if f" {mark} copy " in line
    ]

    assert [re.match(r" copy (\S+) (attempt \d failed)?", line).groups() for line in story] == [
        ("mug-front.jpg", None),
        ("mug-side.jpg", "attempt 1 failed"),
        ("mug-side.jpg", "attempt 2 failed"),
        ("mug-side.jpg", None),
        ("mug-box.png", None),
    ]


def test_timeline_shows_the_results_of_the_documentation(demo: Demo) -> None:
    assert any("Square of 4 is 16." in line for line in demo.lines("main-function"))
    nudges = " ".join(demo.lines("send-onboarding-nudge-email"))
    assert "nudged" in nudges
    assert "completed in time" in nudges
    assert "! wait-for-onboarding-completion" in nudges


def test_serve_keeps_answering_until_it_is_stopped(tmp_path: Path) -> None:
    log = tmp_path / "output"
    with log.open("wb") as output:
        serving = subprocess.Popen(
            [sys.executable, "manage.py", "shop_demo", "--serve"],
            cwd=ROOT,
            env=_environment(tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(
            lambda: "Still serving" in log.read_text() or serving.poll() is not None,
            240,
            what="end of the examples",
            explain=log.read_text,
        )
        found = re.search(r"Admin \(200\): (\S+)", log.read_text())
        assert found, log.read_text()
        with urllib.request.urlopen(found[1], timeout=10) as page:
            assert page.status == 200
        serving.send_signal(signal.SIGINT)
        assert serving.wait(30) == 0, log.read_text()
    finally:
        serving.kill()
        serving.wait()
