"""What answers at a port is told from its first bytes."""

from __future__ import annotations

import gc
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pika
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from datastream import greetings, mysql, rabbitmq
from datastream.config import MysqlSettings, RabbitSettings, Secret
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


@pytest.mark.parametrize("said", [X_PROTOCOL, b"220 mail.example.com ESMTP\r\n"])
def test_a_greeting_that_the_driver_cannot_read_is_an_outage(said: bytes) -> None:
    """It is no crash of the program: the port is another one's."""
    with Peer([said], "closed") as port:
        session = Session(MysqlSettings("127.0.0.1", port, "d", "u", Secret("p")), "test")
        with (
            pytest.raises(Unavailable, match="check MYSQL_HOST and MYSQL_PORT"),
            session.transaction(),
        ):
            pass


#: What a broker says first, and what a database does.
START = pika.spec.Connection.Start(
    server_properties={"product": "RabbitMQ"}, mechanisms="PLAIN", locales="en_US"
)
BROKER_SAYS = pika.frame.Method(0, START).marshal()
BROKER_TUNES = pika.frame.Method(0, pika.spec.Connection.Tune(10, 131_072, 1)).marshal()
GREETING = (
    b"\x0a8.4.3\0\x0b\0\0\0abcdefgh\0\xff\xff\xff\x02\0\xff\xff\x15"
    b"\0\0\0\0\0\0\0\0\0\0abcdefghijkl\0mysql_native_password\0"
)
DATABASE_SAYS = len(GREETING).to_bytes(3, "little") + b"\0" + GREETING
DATABASE_AGREES = b"\x07\0\0\x02\0\0\0\x02\0\0\0"
WORDS = [
    BROKER_SAYS,
    BROKER_TUNES,
    DATABASE_SAYS,
    DATABASE_AGREES,
    X_PROTOCOL,
    b"AMQP\0\0\x09\1",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\x15\x03\x01\0\x02\x02\x16",
]


@st.composite
def torn(draw: st.DrawFn) -> bytes:
    """Draw words that a server says, of which some bytes are others, or lack."""
    words = bytearray(draw(st.sampled_from(WORDS)))
    for place in draw(st.lists(st.integers(0, len(words) - 1), max_size=3)):
        words[place] = draw(st.integers(0, 255))
    return bytes(words[: draw(st.integers(0, len(words)))])


#: What a peer does, one after the other: it says something, or listens; then it hangs up, by a
#: reset or not, or keeps quiet until we go.
SAYINGS = st.lists(st.none() | st.sampled_from(WORDS) | torn() | st.binary(max_size=40), max_size=4)
ENDINGS = st.sampled_from(["closed", "reset", "silent"])


class Peer:
    """Plays the same to whoever comes, until the end of the block."""

    def __init__(self, sayings: list[bytes | None], ending: str) -> None:
        self._sayings = sayings
        self._ending = ending

    def __enter__(self) -> int:
        """Listen; return the port."""
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._play)
        self._thread.start()
        port: int = self._server.getsockname()[1]
        return port

    def __exit__(self, *error: object) -> None:
        """Leave."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()

    def _play(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                with client, suppress(OSError):
                    self._play_to(client)

    def _play_to(self, client: socket.socket) -> None:
        for saying in self._sayings:
            if saying is None:
                client.recv(4096)
            else:
                client.sendall(saying)
        if self._ending == "silent":
            while client.recv(4096):
                pass
        elif self._ending == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Wait for nobody's words for long."""
    monkeypatch.setattr(rabbitmq.session, "CONNECT_TIMEOUT", 0.05)
    monkeypatch.setattr(mysql, "CONNECT_TIMEOUT", 0.05)
    monkeypatch.setattr(greetings, "PATIENCE", 0.01)
    yield
    gc.collect()  # no later test is told of sockets that the drivers leave to the collector


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.usefixtures("impatient")
@given(sayings=SAYINGS, ending=ENDINGS)
@example(sayings=[], ending="silent")
@example(sayings=[], ending="reset")
@example(sayings=[BROKER_SAYS], ending="silent")
@example(sayings=[BROKER_SAYS, None, BROKER_TUNES], ending="silent")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_answers_in_place_of_the_broker_is_an_outage(
    sayings: list[bytes | None], ending: str
) -> None:
    """What it says and does while a session begins ends the attempt, never the program."""
    with Peer(sayings, ending) as port:
        where = RabbitSettings("127.0.0.1", port, "/", "u", Secret("p"))
        with pytest.raises(Unavailable) as raised, rabbitmq.connect(where, "test"):
            pass
    assert "Unavailable" not in str(raised.value)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.usefixtures("impatient")
@given(sayings=SAYINGS, ending=ENDINGS)
@example(sayings=[DATABASE_SAYS], ending="reset")
@example(sayings=[DATABASE_SAYS.replace(b"8.4", b"\xff.4")], ending="closed")
@example(sayings=[DATABASE_SAYS, None], ending="silent")  # in the middle of TLS's handshake
@example(sayings=[b"\x0c\0\0\0\x0a8\0" + bytes(9)], ending="closed")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_answers_in_place_of_the_database_is_an_outage(
    sayings: list[bytes | None], ending: str
) -> None:
    """As for the broker."""
    with Peer(sayings, ending) as port:
        where = MysqlSettings("127.0.0.1", port, "d", "u", Secret("p"))
        session = Session(where, "test")
        with pytest.raises(Unavailable), closing(session), session.transaction():
            pass
