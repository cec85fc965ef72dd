"""What answers at a port is told from its first bytes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from datastream.config import MysqlSettings, Secret
from datastream.errors import Unavailable
from datastream.greetings import named
from datastream.mysql import Session

X_PROTOCOL = bytes.fromhex("050000000b08051a00")


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (b"\x4a\0\0\0\x0a8.4.3\0\x0b\0\0\0abcdefgh\0", "MySQL's port"),
        (b"\x45\0\0\0\xff\x6a\x04Host '192.0.2.1' is not allowed", "MySQL's port"),
        (X_PROTOCOL, "MySQL's port for the X protocol"),
        (b"AMQP\0\0\x09\1", "RabbitMQ's port"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a port of HTTP, as RabbitMQ's management has"),
        (b"\x15\x03\x01\0\x02\x02\x16", "a port of TLS alone"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "a port of another program, which says SSH-2.0-OpenSSH_9.6"),
        (b"", ""),
        (b"\x01\0\xff\xfe", ""),
    ],
)
def test_a_protocol_is_named_by_how_it_begins(said: bytes, name: str) -> None:
    """A refusal of MySQL's is MySQL's as well; of what is not known nothing is said."""
    assert named(said) == name


@contextmanager
def greeting(said: bytes) -> Iterator[int]:
    """Greet whoever comes with these bytes; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            for _ in range(2):
                peer, _ = server.accept()
                with peer:
                    peer.sendall(said)

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.mark.parametrize("said", [X_PROTOCOL, b"220 mail.example.com ESMTP\r\n"])
def test_a_greeting_that_the_driver_cannot_read_is_an_outage(said: bytes) -> None:
    """It is no crash of the program: the port is another one's."""
    with greeting(said) as port:
        session = Session(MysqlSettings("127.0.0.1", port, "d", "u", Secret("p")), "test")
        with (
            pytest.raises(Unavailable, match="check MYSQL_HOST and MYSQL_PORT"),
            session.transaction(),
        ):
            pass
