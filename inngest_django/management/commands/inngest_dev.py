"""``manage.py inngest_dev``: everything in one process, for development."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandParser
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.urls import NoReverseMatch, reverse
from django.utils import autoreload

from inngest_django import conf
from inngest_django.engine import schedules
from inngest_django.management import web
from inngest_django.management.base import InngestCommand, refuse

DESCRIPTION = """\
Runs your durable functions in one process, for development: the web server, a Celery
worker and celery beat, on an in-process transport. No broker and no Celery app are needed.
"""
EPILOG = """\
What it prints, as it happens, is read from the database: runs that start and end, steps
that finish with their time and result, attempts that failed, sleeps and waits.

Examples:
  manage.py inngest_dev                  serve http://127.0.0.1:8000/ with worker and beat
  manage.py inngest_dev --port 0         take any free port
  manage.py inngest_dev --no-web         worker and beat beside a web server of your own
  manage.py inngest_send app/hello       send an event from a second terminal

In production run "celery worker" and "celery beat" instead; the guide "Deploy" says how.
"""
_POLL = 0.2
_SOCKET = "INNGEST_DEV_SOCKET"
_RESTARTS = "INNGEST_DEV_RESTARTS"
_RELOAD = 3  # Django's exit code for "start me again".


class _Stopped(BaseException):
    """Somebody asked the process to stop."""


class Command(InngestCommand):
    """Web server, worker, beat and a stream of what happens."""

    help = DESCRIPTION

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Keep the line breaks of the help."""
        kwargs |= {"epilog": EPILOG, "formatter_class": argparse.RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options; ``--json`` has no meaning here."""
        parser.add_argument(
            "--host", default="127.0.0.1", help="Address to serve on. Default: 127.0.0.1."
        )
        parser.add_argument(
            "--port", type=int, default=8000, help="Port; 0 takes any free one. Default: 8000."
        )
        parser.add_argument("--no-web", action="store_true", help="Worker and beat only.")
        parser.add_argument(
            "--concurrency", type=int, default=4, metavar="N",
            help="Tasks that run at a time. Default: 4.",
        )  # fmt: skip
        parser.add_argument(
            "--no-reload", action="store_true", help="Do not start again when code changes."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until interrupted."""
        if not 0 <= options["port"] <= 65535:
            refuse(f"--port must be between 0 and 65535, got {options['port']}.")
        if options["concurrency"] < 1:
            refuse(f"--concurrency must be at least 1, got {options['concurrency']}.")
        with contextlib.suppress(_Stopped):
            self._start(options)

    def _start(self, options: dict[str, Any]) -> None:
        if os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) == "true":
            self._run_reloadable(options)
            return
        if not settings.DEBUG:
            self._warn(
                "DEBUG is False: static files are not served, and this command is for development."
            )
        listening = None if options["no_web"] else self._listen(options["host"], options["port"])
        self._migrate()
        self._leave_out_missed()
        if options["no_reload"]:
            with _signals():
                self._serve(listening, options)
            return
        with _signals():
            sys.exit(_supervise(listening))

    def line(self, text: str = "") -> None:
        """Print a line at once, into a pipe too."""
        super().line(text)
        self.stdout.flush()

    # Setting up ----------------------------------------------------------------------

    def _listen(self, host: str, port: int) -> socket.socket:
        try:
            return web.listen(host, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                refuse(
                    f"Port {port} is in use. Stop what listens there, or choose another port:"
                    f" --port {port + 1}, or --port 0 for any free one."
                )
            refuse(f"Cannot listen on {host}:{port}: {error.strerror or error}.")

    def _unapplied(self) -> list[str]:
        connection = connections[conf.get().DATABASE]
        try:
            executor = MigrationExecutor(connection)
            plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        except DatabaseError as error:
            refuse(
                f'The database "{connection.alias}" cannot be used: {str(error).strip()}'
                " Check DATABASES in your settings."
            )
        finally:
            connection.close()
        return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]

    def _migrate(self) -> None:
        """Bring the tables up to date before the first start, saying so."""
        if not (unapplied := self._unapplied()):
            return
        count = f"{len(unapplied)} migration{'s' if len(unapplied) > 1 else ''}"
        if not settings.DEBUG:
            refuse(f"{count} not applied ({unapplied[0]}, …). Run: manage.py migrate")
        self.line(f"Applying {count} ({', '.join(unapplied[:3])}{', …' * (len(unapplied) > 3)}).")
        database = conf.get().DATABASE
        call_command("migrate", database=database, interactive=False, verbosity=0)

    @staticmethod
    def _leave_out_missed() -> None:
        """A weekend without this command is no outage to make up for."""
        try:
            schedules.leave_out_missed()
        finally:
            connections[conf.get().DATABASE].close()

    # Running -------------------------------------------------------------------------

    def _run_reloadable(self, options: dict[str, Any]) -> None:
        """In the child of ``_supervise``: serve in a thread, watch files in the main one."""
        listening = None
        if descriptor := os.environ.get(_SOCKET):
            listening = socket.socket(fileno=int(descriptor))
        stopping, stopped = threading.Event(), threading.Event()

        def serve() -> None:
            try:
                self._serve(listening, options, stopping=stopping)
            except BaseException as error:  # noqa: BLE001 - the thread has nobody to raise to
                self._warn(f"Stopped: {error}")
                # Only the main thread can end the process by a raise.
                os._exit(1)
            finally:
                stopped.set()

        with _signals():
            try:
                autoreload.start_django(autoreload.get_reloader(), serve)
            finally:
                stopping.set()
                stopped.wait(4)

    def _serve(
        self,
        listening: socket.socket | None,
        options: dict[str, Any],
        *,
        stopping: threading.Event | None = None,
    ) -> None:
        from inngest_django.dispatch.local import start_local
        from inngest_django.management.stream import Stream

        self.check()
        if os.environ.get(_RESTARTS, "0") != "0" and (unapplied := self._unapplied()):
            self._warn(f"{unapplied[0]} and perhaps more is not applied: manage.py migrate")
        with contextlib.ExitStack() as undo:
            server = None if listening is None else web.Web(listening)
            local = start_local(concurrency=options["concurrency"])
            undo.callback(local.stop)
            if server is not None:
                server.start()
                undo.callback(server.stop)
            stream = Stream(self.line)
            self._greet(listening, live=stream.follow_live())
            stopping = stopping or threading.Event()
            while not stopping.wait(_POLL):
                try:
                    stream.show()
                except DatabaseError as error:
                    self._warn(f"Cannot read the runs: {str(error).strip()}")
                    connections[conf.get().DATABASE].close()
                    stopping.wait(2)

    def _greet(self, listening: socket.socket | None, *, live: int) -> None:
        from inngest_django.functions import registry

        if listening is not None:
            host, port = listening.getsockname()[:2]
            address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            self.line(f"Web      {address}/")
            self.line(f"Runs     {self._admin(address)}")
        functions = sorted(registry.all())
        known = ", ".join(functions[:6]) + (
            f" and {len(functions) - 6} more" if functions[6:] else ""
        )
        self.line(f"Worker   {known or 'no functions yet: write one in a functions.py of an app'}")
        if live:
            self.line(f"         {live} run{'s' if live > 1 else ''} from before go on")
        self.line("Ready. Stop with Ctrl-C.")
        self.line()

    @staticmethod
    def _admin(address: str) -> str:
        try:
            path = reverse("admin:inngest_django_run_changelist")
        except NoReverseMatch:
            return "the admin is not in your URLs; add path('admin/', admin.site.urls)"
        remark = ""
        if apps.is_installed("django.contrib.auth"):
            from django.contrib.auth import get_user_model

            users = get_user_model()._default_manager  # noqa: SLF001 - Django documents it
            with contextlib.suppress(DatabaseError):
                if not users.filter(is_superuser=True).exists():
                    remark = "  (nobody can log in yet: manage.py createsuperuser)"
        return f"{address}{path}{remark}"

    def _warn(self, text: str) -> None:
        self.stderr.write(text)
        self.stderr.flush()


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Raise ``_Stopped`` on SIGINT and SIGTERM, also where a shell has SIGINT ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        # Once: what follows is cleaning up.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise _Stopped

    before = {n: signal.signal(n, stop) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _supervise(listening: socket.socket | None) -> int:
    """Run this command in a child, again whenever the code changed; returns the exit code.

    The socket stays open meanwhile: a browser that reloads in between waits.
    """
    environment = {**os.environ, autoreload.DJANGO_AUTORELOAD_ENV: "true"}
    if listening is not None:
        listening.set_inheritable(True)
        environment[_SOCKET] = str(listening.fileno())
    restarts = 0
    while True:
        environment[_RESTARTS] = str(restarts)
        started_with = _code_times()
        code = _run_child(environment)
        if code == _RELOAD:
            restarts += 1
        elif code and restarts:
            # A half-written file: what worked before will work again.
            sys.stderr.write("Ended with an error. Waiting for a change of the code.\n")
            while _code_times() == started_with:
                time.sleep(0.5)  # noqa: TID251 - nothing else to do
        else:
            return code


def _run_child(environment: dict[str, str]) -> int:
    """Run the child to its end; it is ended with this process."""
    child = subprocess.Popen(  # noqa: S603 - this very command
        autoreload.get_child_arguments(), env=environment, close_fds=False
    )
    try:
        return child.wait()
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()


def _code_times() -> dict[Any, float]:
    return dict(autoreload.StatReloader().snapshot_files())
