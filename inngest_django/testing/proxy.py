"""A TCP proxy that breaks connections on request.

It stands between a program and a database or broker on loopback, so that a test can cut,
hang or slow down what it tests without touching the server, which others may be using::

    with Proxy("127.0.0.1", 5432) as proxy:
        connect(host=proxy.host, port=proxy.port)
        proxy.hang()
        ...
        proxy.heal()

All methods may be called from any thread and act before they return. Connections are
forwarded as bytes: under TLS everything works but ``drop_reply``, which has to read them.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import threading
from collections import Counter
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from inngest_django.testing.links import Drop, Link, Way

_PATIENCE = 10.0

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What a proxy has done so far.

    Attributes:
        connections: Accepted connections; those refused never reach the proxy.
        open: How many are open now.
        unreachable: Connections closed because the server did not accept one.
        cut: Connections reset by ``cut``.
        replies_dropped: Connections reset by ``drop_reply``.
        silenced: Connections that ``silence`` met.
        faults: How often each method was called.
    """

    connections: int
    open: int
    unreachable: int
    cut: int
    replies_dropped: int
    silenced: int
    bytes_to_server: int
    bytes_to_client: int
    faults: dict[str, int]


class Proxy:
    """Forwards a free loopback port to a server.

    Attributes:
        host: Where it listens, ``127.0.0.1``.
        port: The port it listens on, from construction to ``stop``, refusing or not.

    Args:
        host: The server's, or the path of its Unix socket.
        port: The server's; without meaning for a Unix socket.
    """

    host = "127.0.0.1"

    def __init__(self, host: str, port: int = 0) -> None:
        self._target = (host, port)
        # Held but never listening: the port stays ours while connections are refused.
        self._reserved = self._bound(0)
        self.port: int = self._reserved.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="proxy")
        self._server: asyncio.Server | None = None
        self._links: set[Link] = set()
        self._listening = asyncio.Lock()
        self._changed = asyncio.Event()
        self._is_hung = False
        self._delays: dict[Way, float] = {"to_server": 0.0, "to_client": 0.0}
        self._drop: Drop | None = None
        self._counter: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()

    # Life ------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen and forward."""
        self._thread.start()
        self._call(self._listen())
        return self

    def stop(self) -> None:
        """Close everything: the listener, each connection, the thread. May be called twice."""
        if self._loop.is_closed():
            return
        if self._thread.is_alive():
            self._run(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_PATIENCE)
        self._reserved.close()
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # Faults ----------------------------------------------------------------------------

    def cut(self) -> int:
        """Reset all open connections, on both sides; new ones are accepted.

        Returns:
            How many there were.
        """
        return self._call(self._cut(), "cut")

    def refuse(self) -> None:
        """Refuse new connections; the open ones go on."""
        self._call(self._refuse(), "refuse")

    def hang(self) -> None:
        """Forward nothing in either direction; new connections are accepted and hang too.

        What is sent meanwhile arrives after ``heal``, as after a break in the network.
        """
        self._call(self._hang(), "hang")

    def delay(self, to_server: float = 0.0, to_client: float = 0.0) -> None:
        """Let each byte arrive so many seconds late, per direction."""
        if to_server < 0 or to_client < 0:
            raise ValueError(f"A delay must not be negative, got {to_server} and {to_client}.")
        self._call(self._set_delays(to_server, to_client), "delay")

    def drop_reply(self, request: bytes, *, times: int = 1, after: int = 0) -> None:
        """Let the server act on a request and the client not learn that it did.

        The connection that sends the request is reset when the server answers: after
        ``drop_reply(b"COMMIT")`` PostgreSQL has committed and the client cannot know.

        Args:
            request: Bytes by which to know the request.
            times: How many of them to treat so.
            after: How many of them to let pass before that.
        """
        self._call(self._set_drop(_drop("drop_reply", request, after, times)), "drop_reply")

    def silence(self, request: bytes, *, times: int = 1, after: int = 0) -> None:
        """Let a connection die without a word, as when a firewall forgets it.

        The request that has these bytes does not reach the server. Its connection stays open
        on both sides, nothing passes on it any more, and ``heal`` resets it.

        Args:
            request: Bytes by which to know the request.
            times: How many of them to treat so.
            after: How many of them to let pass before that.
        """
        drop = dataclasses.replace(_drop("silence", request, after, times), silences=True)
        self._call(self._set_drop(drop), "silence")

    def heal(self) -> None:
        """End refusal, hanging and delays, and forget ``drop_reply`` and ``silence``."""
        self._call(self._heal())

    @property
    def counts(self) -> Counts:
        """What it has done so far; may be read after ``stop``."""
        count = self._counter
        return Counts(
            connections=count["connections"],
            open=len(self._links),
            unreachable=count["unreachable"],
            cut=count["cut"],
            replies_dropped=count["replies_dropped"],
            silenced=count["silenced"],
            bytes_to_server=count["to_server"],
            bytes_to_client=count["to_client"],
            faults=dict(self._faults),
        )

    # In the loop's thread --------------------------------------------------------------

    def _call(self, coroutine: Coroutine[Any, Any, T], fault: str = "") -> T:
        if fault and self._thread.is_alive():
            self._faults[fault] += 1
        return self._run(coroutine)

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if not self._thread.is_alive():
            coroutine.close()
            raise RuntimeError("The proxy does not run: start() it, or use it with `with`.")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_PATIENCE)

    def _bound(self, port: int) -> socket.socket:
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        found.bind((self.host, port))
        return found

    async def _listen(self) -> None:
        async with self._listening:
            if self._server is not None:
                return
            listener = self._bound(self.port)
            self._server = await asyncio.start_server(self._accept, sock=listener, backlog=128)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._counter["connections"] += 1
        link = Link(self, reader, writer)
        self._links.add(link)
        link.task.add_done_callback(lambda _: self._links.discard(link))

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _cut(self) -> int:
        links = list(self._links)
        for link in links:
            link.reset()
        self._counter["cut"] += len(links)
        if links:
            await asyncio.wait([link.task for link in links])
        return len(links)

    async def _hang(self) -> None:
        self._is_hung = True

    async def _set_delays(self, to_server: float, to_client: float) -> None:
        self._delays = {"to_server": to_server, "to_client": to_client}
        self._wake()

    async def _set_drop(self, drop: Drop) -> None:
        self._drop = drop

    async def _heal(self) -> None:
        self._is_hung = False
        self._drop = None
        for link in list(self._links):
            if link.is_silent:
                link.reset()
        await self._set_delays(0, 0)
        await self._listen()

    async def _close(self) -> None:
        await self._refuse()
        for link in list(self._links):
            link.reset()
            await asyncio.wait([link.task])
        # Transports close their sockets in a callback of the next turn.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # What links ask ----------------------------------------------------------------------

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Return a connection to the server, or nothing when it gives none."""
        host, port = self._target
        try:
            if host.startswith("/"):
                return await asyncio.open_unix_connection(host)
            return await asyncio.open_connection(host, port)
        except OSError:
            self._counter["unreachable"] += 1
            return None

    async def hold(self, way: Way, arrived: float) -> None:
        """Wait until what arrived at a time may go on in a direction."""
        while True:
            wait = arrived + self._delays[way] - self._loop.time()
            if not self._is_hung and wait <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if self._is_hung else wait):
                    await self._changed.wait()

    def dropping(self, before: bytes, data: bytes) -> Drop | None:
        """Return what is to happen instead of a reply to this request, or None."""
        return self._drop if self._drop is not None and self._drop.takes(before, data) else None

    def count(self, what: str, number: int = 1) -> None:
        """Add to a counter."""
        self._counter[what] += number


def _drop(method: str, request: bytes, after: int, times: int) -> Drop:
    if not request or times < 1 or after < 0:
        raise ValueError(
            f"{method} needs the bytes of a request, times of at least 1 and after of at"
            f" least 0, got {request!r}, {times} and {after}."
        )
    return Drop(request, after, times)
