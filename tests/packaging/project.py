"""A project as ``django-admin startproject`` makes it, in an environment with our wheel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.processes import wait_until
from tests.repo.readme import ROOT, blocks


class Environment:
    """A fresh virtual environment that holds the built wheel and what it asks for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "venv" / "bin"
        run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT])
        [self.wheel] = folder.glob("inngest_django-*.whl")
        run([sys.executable, "-m", "venv", folder / "venv"])
        self.install(str(self.wheel))

    def install(self, *requirements: str) -> None:
        """Install with this environment's own pip."""
        run([self.bin / "python", "-m", "pip", "install", "--quiet", *requirements])


class StockProject:
    """An unchanged new project to which the README's steps are applied."""

    def __init__(self, environment: Environment, folder: Path) -> None:
        self.bin = environment.bin
        self.folder = folder / "mysite"
        run([self.bin / "django-admin", "startproject", "mysite"], cwd=folder)
        self.manage("startapp", "shop")
        example, settings = blocks("python")[:2]
        (self.folder / "shop" / "functions.py").write_text(example)
        self.configure(settings.replace("INSTALLED_APPS =", "INSTALLED_APPS +="))
        self.configure('INSTALLED_APPS += ["shop"]')

    def configure(self, lines: str) -> None:
        """Append lines to its settings."""
        path = self.folder / "mysite" / "settings.py"
        path.write_text(f"{path.read_text()}\n{lines}\n")

    def manage(self, *arguments: str) -> str:
        """Run a management command and return what it printed."""
        return run([self.bin / "python", "manage.py", *arguments], cwd=self.folder)

    def manage_json(self, *arguments: str) -> Any:
        """Run a management command with ``--json`` and return its answer."""
        return json.loads(self.manage(*arguments, "--json"))

    @contextmanager
    def running(self, name: str, command: list[str], *, ready: str) -> Iterator[Path]:
        """Run a process beside the block and stop it as Ctrl-C does."""
        whole = [str(self.bin / command[0]), *command[1:]]
        log = self.folder / f"{name}.log"
        with beside(whole, folder=self.folder, env=pristine(), log=log, ready=ready):
            yield log

    def welcome(self, log: Path) -> dict[str, Any]:
        """Send the event of the README's example and return the run when it has ended."""
        data = json.dumps({"name": "ada", "delay": "1s"})
        [event_id] = self.manage_json("inngest_send", "shop/customer.created", "--data", data)[
            "ids"
        ]

        def over() -> dict[str, Any] | None:
            runs = self.manage_json("inngest_runs", "--event", event_id)
            return runs[0] if runs and runs[0]["ended_at"] else None

        return wait_until(over, 60, what="end of the run", explain=log.read_text)


@contextmanager
def beside(
    command: list[str], *, folder: Path, env: Mapping[str, str], log: Path, ready: str
) -> Iterator[None]:
    """Run a process beside the block, from when it has printed ``ready``."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(
            lambda: ready in log.read_text() or process.poll() is not None,
            60,
            what=f"readiness of {log.stem}",
            explain=log.read_text,
        )
        assert process.poll() is None, log.read_text()
        yield
        process.terminate()
        process.wait(30)
    finally:
        process.kill()
        process.wait()


def pristine(**extra: str) -> Mapping[str, str]:
    """Return an environment without anything of this session."""
    kept = ("HOME", "PATH", "TMPDIR", "PIP_NO_CACHE_DIR", "PIP_DISABLE_PIP_VERSION_CHECK")
    return {**{key: os.environ[key] for key in kept if key in os.environ}, **extra}


def run(command: list[Any], cwd: Path = ROOT) -> str:
    """Run a command to its end and return what it printed; its failure is the test's."""
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=pristine(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout
