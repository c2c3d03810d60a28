"""The proxy against a server that echoes, and against PostgreSQL."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connections

from inngest_django.testing.proxy import Proxy
from tests.processes import wait_until

PATIENCE = 10.0


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(65536):
                self.server.received.append(data)  # type: ignore[attr-defined]
                self.request.sendall(data)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self.received: list[bytes] = []

    @property
    def text(self) -> bytes:
        return b"".join(self.received)


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.02,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def proxy(server: _Server) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", server.server_address[1]) as found:
        yield found


@contextlib.contextmanager
def connected(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection((proxy.host, proxy.port), timeout=PATIENCE) as found:
        yield found


def ask(client: socket.socket, text: bytes) -> bytes:
    client.sendall(text)
    return receive(client, len(text))


def receive(client: socket.socket, length: int) -> bytes:
    answer = b""
    while len(answer) < length:
        part = client.recv(length - len(answer))
        if not part:
            raise EOFError(answer)
        answer += part
    return answer


def is_silent(client: socket.socket, seconds: float = 0.2) -> bool:
    return not select.select([client], [], [], seconds)[0]


def test_bytes_go_both_ways_and_are_counted(proxy: Proxy, server: _Server) -> None:
    text = bytes(range(256)) * 4096

    with connected(proxy) as client:
        sender = threading.Thread(target=client.sendall, args=(text,))
        sender.start()
        answer = receive(client, len(text))
        sender.join()
        assert proxy.counts.open == 1

    assert answer == server.text == text
    wait_until(lambda: proxy.counts.open == 0, what="end of the connection")
    counts = proxy.counts
    assert (counts.connections, counts.bytes_to_server, counts.bytes_to_client) == (
        1,
        len(text),
        len(text),
    )
    assert counts.faults == {}


def test_the_end_of_one_direction_leaves_the_other_open(proxy: Proxy) -> None:
    with connected(proxy) as client:
        client.sendall(b"last words")
        client.shutdown(socket.SHUT_WR)

        assert receive(client, 10) == b"last words"
        assert client.recv(1) == b""


def test_a_server_that_is_not_there_closes_the_client(server: _Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with Proxy("127.0.0.1", port) as proxy:
        # The reset may come while the client still connects.
        with pytest.raises(ConnectionResetError), connected(proxy) as client:
            client.recv(1)
        assert proxy.counts.unreachable == 1


def test_cut_resets_what_is_open_and_lets_new_ones_in(proxy: Proxy) -> None:
    with connected(proxy) as one, connected(proxy) as two:
        assert ask(one, b"1") + ask(two, b"2") == b"12"

        assert proxy.cut() == 2

        for client in (one, two):
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    with connected(proxy) as client:
        assert ask(client, b"again") == b"again"
    assert proxy.counts.cut == 2
    assert proxy.counts.faults == {"cut": 1}


def test_refuse_keeps_new_ones_out_until_heal(proxy: Proxy) -> None:
    with connected(proxy) as early:
        assert ask(early, b"a") == b"a"
        proxy.refuse()

        with pytest.raises(ConnectionRefusedError), connected(proxy):
            pass
        assert ask(early, b"b") == b"b"

        proxy.heal()
        with connected(proxy) as client:
            assert ask(client, b"c") == b"c"


def test_hang_forwards_nothing_and_heal_all_of_it(proxy: Proxy, server: _Server) -> None:
    with connected(proxy) as early:
        assert ask(early, b"a") == b"a"
        proxy.hang()
        with connected(proxy) as late:
            early.sendall(b"b")
            late.sendall(b"c")

            assert is_silent(early)
            assert is_silent(late)
            assert server.text == b"a"

            proxy.heal()
            assert receive(early, 1) == b"b"
            assert receive(late, 1) == b"c"


def test_hanging_connections_can_be_cut(proxy: Proxy) -> None:
    proxy.hang()
    with connected(proxy) as client:
        client.sendall(b"a")
        wait_until(lambda: proxy.counts.open == 1, what="connection")

        proxy.cut()

        with pytest.raises(ConnectionResetError):
            client.recv(1)


@pytest.mark.parametrize("way", ["to_server", "to_client"])
def test_delay_holds_each_direction_for_so_long(proxy: Proxy, server: _Server, way: str) -> None:
    with connected(proxy) as client:
        proxy.delay(**{way: 0.3})
        began = time.monotonic()
        client.sendall(b"slow")
        if way == "to_client":
            wait_until(lambda: server.text == b"slow", what="request")

        assert receive(client, 4) == b"slow"

        # A lower bound only: it must not come early.
        assert time.monotonic() - began >= 0.3


def test_heal_releases_what_is_delayed(proxy: Proxy) -> None:
    proxy.delay(to_server=3600)
    with connected(proxy) as client:
        client.sendall(b"a")
        assert is_silent(client)

        proxy.heal()

        assert receive(client, 1) == b"a"


def test_drop_reply_lets_the_server_act_and_the_client_not_know(
    proxy: Proxy, server: _Server
) -> None:
    proxy.drop_reply(b"COMMIT", after=1)
    with connected(proxy) as other, connected(proxy) as client:
        assert ask(client, b"COMMIT 1") == b"COMMIT 1"
        client.sendall(b"COM")
        assert receive(client, 3) == b"COM"
        # It comes in two pieces, as a long request may.
        client.sendall(b"MIT 2")

        with pytest.raises(ConnectionResetError):
            client.recv(1)

        assert server.text == b"COMMIT 1COMMIT 2"
        assert ask(other, b"COMMIT 3") == b"COMMIT 3"
    assert proxy.counts.replies_dropped == 1


def test_silence_ends_one_connection_without_a_word(proxy: Proxy, server: _Server) -> None:
    proxy.silence(b"COMMIT", after=1)
    with connected(proxy) as other, connected(proxy) as client:
        assert ask(client, b"COMMIT 1") == b"COMMIT 1"
        client.sendall(b"COMMIT 2")
        assert is_silent(client)
        client.sendall(b"anybody there?")
        assert is_silent(client)

        assert ask(other, b"COMMIT 3") == b"COMMIT 3"
        assert server.text == b"COMMIT 1COMMIT 3"
        assert (proxy.counts.silenced, proxy.counts.replies_dropped) == (1, 0)

        proxy.heal()

        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert ask(other, b"COMMIT 4") == b"COMMIT 4"


def test_heal_forgets_what_was_to_be_dropped(proxy: Proxy) -> None:
    proxy.drop_reply(b"x")
    proxy.heal()

    with connected(proxy) as client:
        assert ask(client, b"x") == b"x"


def test_it_may_be_steered_from_many_threads(proxy: Proxy) -> None:
    def steer() -> None:
        for _ in range(10):
            proxy.refuse()
            proxy.hang()
            proxy.cut()
            proxy.heal()

    threads = [threading.Thread(target=steer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with connected(proxy) as client:
        assert ask(client, b"alive") == b"alive"
    assert proxy.counts.faults == {"refuse": 40, "hang": 40, "cut": 40}


def test_stop_closes_connections_port_and_thread(server: _Server) -> None:
    before = threading.active_count()
    proxy = Proxy("127.0.0.1", server.server_address[1]).start()
    proxy.hang()
    with connected(proxy) as client:
        client.sendall(b"a")
        wait_until(lambda: proxy.counts.open == 1, what="connection")

        proxy.stop()
        proxy.stop()

        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with pytest.raises(ConnectionRefusedError), connected(proxy):
            pass
    assert threading.active_count() <= before + 1  # The connection's handler in the server.
    assert proxy.counts.connections == 1


def test_what_makes_no_sense_is_refused(proxy: Proxy) -> None:
    with pytest.raises(ValueError, match="must not be negative, got -1 and 0"):
        proxy.delay(to_server=-1)
    with pytest.raises(ValueError, match="drop_reply needs the bytes of a request"):
        proxy.drop_reply(b"")
    with pytest.raises(ValueError, match="silence needs the bytes of a request"):
        proxy.silence(b"x", times=0)
    proxy.stop()
    with pytest.raises(RuntimeError, match="The proxy does not run"):
        proxy.cut()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_postgres_commits_and_the_client_cannot_know() -> None:
    import psycopg

    settings = connections["default"].settings_dict
    host, port = settings["HOST"] or "127.0.0.1", int(settings["PORT"] or 5432)
    known = {"dbname": settings["NAME"], "user": settings["USER"], "password": settings["PASSWORD"]}
    with Proxy(host, port) as proxy, connections["default"].cursor() as cursor:
        cursor.execute("CREATE TABLE proxy_probe (number int)")
        try:
            client = psycopg.connect(host=proxy.host, port=proxy.port, sslmode="disable", **known)
            with contextlib.closing(client):
                client.execute("INSERT INTO proxy_probe VALUES (1)")
                proxy.drop_reply(b"COMMIT")
                with pytest.raises(psycopg.OperationalError):
                    client.commit()
            assert proxy.counts.replies_dropped == 1

            def committed() -> list[tuple[int]]:
                cursor.execute("SELECT number FROM proxy_probe")
                return cursor.fetchall()

            assert wait_until(committed, what="the committed row") == [(1,)]
        finally:
            cursor.execute("DROP TABLE proxy_probe")
