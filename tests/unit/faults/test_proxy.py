"""The proxy does what the tests of faults believe of it."""

from __future__ import annotations

import socket

from datastream_playground.local.ports import LOOPBACK
from deployment import PATIENCE
from faults.proxy import Proxy

#: Enough for a thread that wakes too early to be caught at it.
TIMES = 300


def test_what_was_held_never_gets_through() -> None:
    """Else a COMMIT that was held would come after all when the connection is cut."""
    with socket.create_server((LOOPBACK, 0)) as server:
        for _ in range(TIMES):
            with (
                Proxy(LOOPBACK, server.getsockname()[1]) as proxy,
                socket.create_connection((LOOPBACK, proxy.port)) as client,
            ):
                held = proxy.hold(b"COMMIT", after=b"INSERT")
                client.sendall(b"INSERT")
                accepted, _ = server.accept()
                with accepted:
                    assert accepted.recv(100) == b"INSERT"
                    client.sendall(b"COMMIT")
                    assert held.wait(PATIENCE)
                    proxy.cut()
                    assert received(accepted) == b""


def received(connection: socket.socket) -> bytes:
    """Return what comes through a connection before it breaks."""
    try:
        return connection.recv(100)
    except ConnectionResetError:
        return b""
