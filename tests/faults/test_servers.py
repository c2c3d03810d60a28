"""The servers of these tests come and go without a trace."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest

from tests.faults import servers
from tests.processes import wait_until

pytestmark = pytest.mark.faults


class _FailureError(Exception):
    """Of a test."""


@pytest.mark.parametrize("kind", [servers.Postgres, servers.Redis, servers.Rabbit])
def test_a_server_leaves_neither_process_nor_folder_when_a_test_fails(
    kind: type[servers.Server],
) -> None:
    server = kind()
    with contextlib.suppress(_FailureError), server:
        assert server.answers()
        raise _FailureError

    assert not server.folder.exists()
    # The node's helper ends by itself, a moment after the node.
    wait_until(lambda: not _mentioning(str(server.folder)), what="end of its processes")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((servers.LOOPBACK, server.port))


def test_a_missing_program_is_an_error_that_names_it() -> None:
    with pytest.raises(AssertionError, match="no-such-server is neither in /nowhere"):
        servers.program("no-such-server", "/nowhere")


def _mentioning(text: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            folder = str((path / "cwd").readlink())
        except OSError:
            continue
        if int(path.name) != os.getpid() and (text in command or text in folder):
            found.append(command)
    return found
