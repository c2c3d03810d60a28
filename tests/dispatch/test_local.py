"""Worker and beat as threads of one process. Each test has a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

PREPARE = """
import os, threading, time
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "inngest_django"] + APPS,
    USE_TZ=True, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", SECRET_KEY="x",
    INNGEST={"WORKER_TICK": False, "QUEUES": {"slow-*": "slow"}},
    CELERY_BROKER_URL="amqp://nobody.invalid//", CELERY_BROKER_TRANSPORT_OPTIONS={"x": 1},
)
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)

from celery import current_app, shared_task
from inngest_django.dispatch.local import start_local

done = threading.Event()

@shared_task(name="local.note")
def note():
    done.set()

def ran(queue):
    done.clear()
    note.apply_async(queue=queue)
    return done.wait(5)

def until(look, seconds=10):
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)

def threads():
    return sorted(t.name for t in threading.enumerate() if t.name.startswith("inngest-"))

def beat_threads():
    return [name for name in threads() if name != "inngest-leases"]
"""


def _run(folder: Path, body: str, *, apps: str = '["django_celery_beat"]') -> str:
    script = folder / "script.py"
    script.write_text(f"APPS = {apps}\n{PREPARE}\n{textwrap.dedent(body)}\nprint('END')\n")
    kept = {key: os.environ[key] for key in ("HOME", "PATH") if key in os.environ}
    result = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", script.name],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), "CELERY_BROKER_URL": "amqp://nowhere.invalid//"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("END\n")
    return result.stdout + result.stderr


pytestmark = pytest.mark.sqlite


def test_project_without_celery_app_gets_one_that_serves_every_queue(tmp_path: Path) -> None:
    _run(
        tmp_path,
        """
        stack = start_local(concurrency=2)
        for queue in ("inngest", "inngest-control", "slow", "celery"):
            assert ran(queue), queue
        assert current_app._get_current_object() is stack.app
        stack.stop()
        """,
    )


def test_stop_is_quick_leaves_no_thread_and_allows_another_start(tmp_path: Path) -> None:
    _run(
        tmp_path,
        """
        from inngest_django.engine import hints, leases
        before = hints._publisher
        for _ in range(3):
            stack = start_local()
            assert ran("inngest")
            assert hints._publisher is not before
            stack.stop()
            assert beat_threads() == [], threads()
            assert hints._publisher is before
            assert not leases.is_draining()
        """,
    )


def test_project_app_gets_its_broker_back(tmp_path: Path) -> None:
    _run(
        tmp_path,
        """
        from celery import Celery
        app = Celery("mine", broker="redis://mine//")
        app.conf.broker_transport_options = {"visibility_timeout": 5}
        app.set_default()
        stack = start_local()
        assert stack.app is app
        assert app.connection_for_write().transport_cls == "inngest-memory"
        assert ran("inngest")
        stack.stop()
        assert os.environ["CELERY_BROKER_URL"] == "amqp://nowhere.invalid//"
        del os.environ["CELERY_BROKER_URL"]
        assert app.connection_for_write().transport_cls == "redis"
        assert app.conf.broker_transport_options == {"visibility_timeout": 5}
        """,
    )


def test_second_start_is_refused_with_a_remedy(tmp_path: Path) -> None:
    _run(
        tmp_path,
        """
        stack = start_local()
        try:
            start_local()
        except RuntimeError as error:
            assert "Call stop()" in str(error)
        else:
            raise AssertionError("two workers in one process")
        assert ran("inngest")
        stack.stop()
        """,
    )


@pytest.mark.parametrize(
    "apps", ['["django_celery_beat"]', "[]"], ids=["with beat's app", "without"]
)
def test_beat_ticks(tmp_path: Path, apps: str) -> None:
    _run(
        tmp_path,
        """
        from inngest_django.models import Pulse
        stack = start_local()
        until(lambda: Pulse.objects.filter(ticked_at__isnull=False).exists())
        first = Pulse.objects.get().ticked_at
        until(lambda: Pulse.objects.get().ticked_at > first)
        stack.stop()
        """,
        apps=apps,
    )


def test_body_that_hangs_delays_neither_stop_nor_exit(tmp_path: Path) -> None:
    _run(
        tmp_path,
        """
        began, for_ever = threading.Event(), threading.Event()

        @shared_task(name="local.hang")
        def hang():
            began.set()
            for_ever.wait()

        stack = start_local()
        hang.apply_async(queue="inngest")
        assert began.wait(5)
        stack.stop()
        assert not for_ever.is_set()
        """,
    )


def test_a_burst_is_done_without_pauses(tmp_path: Path) -> None:
    _run(
        tmp_path,
        """
        count = []

        @shared_task(name="local.count")
        def count_one():
            count.append(1)

        stack = start_local(concurrency=2)
        for _ in range(400):
            count_one.apply_async(queue="inngest")
        # One that only looks now and then needs a second for each full window: over 25.
        until(lambda: len(count) == 400, 20)
        stack.stop()
        """,
    )


def test_delayed_message_is_not_early(tmp_path: Path) -> None:
    _run(
        tmp_path,
        """
        stack = start_local()
        start = time.monotonic()
        note.apply_async(queue="inngest", countdown=0.5)
        assert done.wait(5)
        assert time.monotonic() - start >= 0.5
        stack.stop()
        """,
    )
