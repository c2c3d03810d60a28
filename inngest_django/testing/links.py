"""The connections that a proxy forwards."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import struct
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from inngest_django.testing.proxy import Proxy

_CHUNK = 64 * 1024
_CHUNKS = 64  # In flight in one direction before the sender has to wait.

Way = Literal["to_server", "to_client"]


@dataclasses.dataclass(slots=True)
class Drop:
    """Which requests get no reply.

    Attributes:
        request: Bytes by which to know them.
        after: How many of them still pass.
        times: How many of them still get no reply.
        silences: Whether they do not even arrive, and their connection passes nothing on
            any more, instead of being reset.
    """

    request: bytes
    after: int
    times: int
    silences: bool = False

    def takes(self, before: bytes, data: bytes) -> bool:
        """Return whether this is a request whose reply is to be dropped; counts it."""
        # A request may come in two chunks, and must not be found twice.
        overlap = len(self.request) - 1
        if not self.times or self.request not in before[-overlap:] * bool(overlap) + data:
            return False
        if self.after:
            self.after -= 1
            return False
        self.times -= 1
        return True


class Link:
    """A client's connection and the one to the server that was made for it.

    Attributes:
        is_silent: Whether it stays open and passes nothing on.
    """

    def __init__(
        self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._reader = reader
        self._client = writer
        self._server: asyncio.StreamWriter | None = None
        self._is_condemned = False  # The next reply is dropped, and the client with it.
        self.is_silent = False
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._proxy.hold("to_server", 0.0)
            connection = await self._proxy.connect()
            if connection is None:
                self._abort()
                return
            reader, self._server = connection
            async with asyncio.TaskGroup() as group:
                self._pump(group, "to_server", self._reader, self._server)
                self._pump(group, "to_client", reader, self._client)
            await self._close()
        except* OSError:
            self._abort()  # One side broke: so does the other.

    def reset(self) -> None:
        """Break the connection on both sides at once."""
        self._abort()
        self.task.cancel()

    def _abort(self) -> None:
        for writer in (self._client, self._server):
            if writer is not None and not writer.transport.is_closing():
                # Without lingering the other side sees a reset, not an orderly end.
                found = writer.transport.get_extra_info("socket")
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()

    async def _close(self) -> None:
        for writer in (self._client, self._server):
            if writer is not None:
                writer.close()
                await writer.wait_closed()

    def _pump(
        self,
        group: asyncio.TaskGroup,
        way: Way,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        # Between the two each chunk waits for its time, while the next ones arrive.
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS)
        group.create_task(self._read(reader, queue))
        group.create_task(self._write(way, writer, queue))

    @staticmethod
    async def _read(
        reader: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        clock = asyncio.get_running_loop()
        data = b"?"
        while data:
            data = await reader.read(_CHUNK)
            await queue.put((clock.time(), data))

    async def _write(
        self, way: Way, writer: asyncio.StreamWriter, queue: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        before = b""
        while True:
            arrived, data = await queue.get()
            await self._proxy.hold(way, arrived)
            if not data:
                break
            if way == "to_server" and not self.is_silent:
                self._notice(self._proxy.dropping(before, data))
                before = data
            if self.is_silent:
                continue
            if way == "to_client" and self._is_condemned:
                self._drop_client()
                continue
            self._proxy.count(way, len(data))
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof() and not writer.transport.is_closing():
            writer.write_eof()

    def _notice(self, drop: Drop | None) -> None:
        if drop is None:
            return
        if drop.silences:
            self._proxy.count("silenced")
            self.is_silent = True
        else:
            self._is_condemned = True

    def _drop_client(self) -> None:
        # The server's side ends in order, so that it acts on all that it was sent.
        if not self._client.transport.is_closing():
            self._proxy.count("replies_dropped")
            server, self._server = self._server, None
            self._abort()
            self._server = server
