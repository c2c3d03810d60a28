"""The wheel works in a project that knows nothing of this repository."""

from __future__ import annotations

import shlex
import zipfile
from pathlib import Path

import pytest
from django.conf import settings

from tests import processes
from tests.packaging.project import Environment, StockProject
from tests.repo.readme import ROOT, blocks

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("environment"))


@pytest.fixture
def project(environment: Environment, tmp_path: Path) -> StockProject:
    return StockProject(environment, tmp_path)


def _readme_command(start: str) -> str:
    """The line of the README's console blocks that starts like this, without its prompt."""
    lines = [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()]
    [line] = [line for line in lines if line.startswith(start)]
    return line


@pytest.mark.sqlite
def test_wheel_holds_every_file_of_the_package_and_nothing_else(environment: Environment) -> None:
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "inngest_django").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    with zipfile.ZipFile(environment.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert "inngest_django/py.typed" in names
    assert names == package


@pytest.mark.sqlite
def test_inngest_dev_drives_a_stock_project_without_a_broker(project: StockProject) -> None:
    command = [*shlex.split(_readme_command("python manage.py inngest_dev")), "--port", "0"]
    project.manage("migrate", "--verbosity", "0")

    with project.running("inngest_dev", command, ready="/admin/") as log:
        run = project.welcome(log)

    assert run["status"] == "completed"
    assert run["output"] == "Welcome, Ada!"


@pytest.mark.services
@pytest.mark.smoke
def test_worker_and_beat_drive_a_stock_project(
    environment: Environment, project: StockProject
) -> None:
    environment.install(f"{environment.wheel}[redis]")
    # Names of its own: whoever else uses this broker must not get its messages.
    queue, control = (f"{settings.INNGEST[key]}-wheel" for key in ("QUEUE", "CONTROL_QUEUE"))
    project.configure(
        f"CELERY_BROKER_URL = {settings.CELERY_BROKER_URL!r}\n"
        f"CELERY_BROKER_TRANSPORT_OPTIONS = {settings.CELERY_BROKER_TRANSPORT_OPTIONS!r}\n"
        f"INNGEST = {{'QUEUE': {queue!r}, 'CONTROL_QUEUE': {control!r}}}"
    )
    (project.folder / "mysite" / "celery.py").write_text(
        "import os\n"
        "from celery import Celery\n"
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')\n"
        "app = Celery('mysite')\n"
        "app.config_from_object('django.conf:settings', namespace='CELERY')\n"
        "app.autodiscover_tasks()\n"
    )
    (project.folder / "mysite" / "__init__.py").write_text(
        "from mysite.celery import app as celery_app\n"
    )
    queues = f"{queue}-celery,{queue},{control}"
    worker = _readme_command("celery -A mysite worker").replace(
        "celery,inngest,inngest-control", queues
    )
    beat = _readme_command("celery -A mysite beat")

    try:
        project.manage("migrate", "--verbosity", "0")
        with (
            project.running("worker", [*shlex.split(worker), "-l", "INFO"], ready=" ready.") as log,
            project.running("beat", [*shlex.split(beat), "-l", "INFO"], ready="beat: Starting"),
        ):
            run = project.welcome(log)
    finally:
        processes.clear_broker(queue, control, f"{queue}-celery")

    assert run["status"] == "completed"
    assert run["output"] == "Welcome, Ada!"
