"""Django's development server in a thread."""

from __future__ import annotations

import dataclasses
import threading

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Web:
    """A server that answers."""

    address: str
    server: ThreadedWSGIServer
    thread: threading.Thread

    def stop(self) -> None:
        """Stop it and free its port."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Keep requests out of the timeline."""


def start_web(port: int) -> Web:
    """Serve the project on this port of 127.0.0.1; 0 takes any free one."""
    server = ThreadedWSGIServer(("127.0.0.1", port), _QuietHandler)
    server.daemon_threads = True
    server.set_app(StaticFilesHandler(get_wsgi_application()))
    thread = threading.Thread(target=server.serve_forever, name="web", daemon=True)
    thread.start()
    return Web(address=f"http://127.0.0.1:{server.server_port}/", server=server, thread=thread)
