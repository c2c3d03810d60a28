"""Django's development server in a thread, on a socket that outlives a reload."""

from __future__ import annotations

import socket
import threading
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.servers.basehttp import (
    ThreadedWSGIServer,
    WSGIRequestHandler,
    get_internal_wsgi_application,
)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes any free one.

    Raises:
        OSError: The port is taken or not allowed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(64)
    except BaseException:
        listening.close()
        raise
    return listening


class Web:
    """The project's WSGI application, served on a listening socket."""

    def __init__(self, listening: socket.socket) -> None:
        host, port = listening.getsockname()[:2]
        self._server = ThreadedWSGIServer((host, port), _Handler, bind_and_activate=False)
        self._server.daemon_threads = True
        self._server.socket.close()
        # What binding would have done.
        self._server.socket = listening
        self._server.server_address = (host, port)
        self._server.server_name, self._server.server_port = host, port
        self._server.setup_environ()
        self._server.set_app(_application())
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="inngest-web", daemon=True
        )

    def start(self) -> None:
        """Serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving; requests that run are left behind."""
        self._server.shutdown()
        self._thread.join(2)


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Print failed requests only: the others would drown the runs."""
        if len(args) > 1 and str(args[1]).startswith("5"):
            super().log_message(format, *args)


def _application() -> Any:
    application = get_internal_wsgi_application()
    if settings.DEBUG and apps.is_installed("django.contrib.staticfiles"):
        from django.contrib.staticfiles.handlers import StaticFilesHandler

        return StaticFilesHandler(application)
    return application
