"""A server that asks for files is sent none: on sockets, beside a server that plays the villain."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql import connections
from pymysql.constants import CLIENT
from pymysql.cursors import SSCursor

from datastream import mysql
from datastream.config import MysqlSettings, Secret
from datastream.errors import Unavailable
from datastream.inserts import Insert, numbers, texts
from datastream.loading import FEWEST
from datastream.loads import FILE
from datastream.local_infile import PACKET_BYTES, REJECTED
from datastream.mysql import Session

ADD = Insert(
    "INSERT INTO t ({columns}) VALUES {values} ON DUPLICATE KEY UPDATE a = a",
    {"a": numbers, "b": texts},
    load="t",
)
ROWS = [(number, "secret") for number in range(FEWEST)]
OK = b"\x00\x00\x00\x02\x00\x00\x00"
GREETING = (
    b"\x0a8.4.0\x00"
    + struct.pack("<I", 1)
    + b"saltsalt\x00"
    + struct.pack("<H", 0xFFFF & ~CLIENT.SSL)
    + b"\x2d"
    + struct.pack("<HH", 2, CLIENT.PLUGIN_AUTH >> 16)
    + b"\x15"
    + b"\x00" * 10
    + b"saltsaltsalt\x00mysql_native_password\x00"
)
PACKET_SIZE = (
    b"\x01",
    b"\x03def\x00\x00\x00\x01x\x00\x0c\x3f\x00\x14\x00\x00\x00\x08\x00\x00\x00\x00\x00",
    b"\xfe\x00\x00\x02\x00",
    b"\x0816777216",
    b"\xfe\x00\x00\x02\x00",
)


def asking(name: bytes) -> bytes:
    """Return a request for a file."""
    return b"\xfb" + name


#: Answers the `count`th statement, given its text: packets.
Answers = Callable[[bytes, int], tuple[bytes, ...]]


def well(statement: bytes, _count: int) -> tuple[bytes, ...]:
    """Answer as a server does that wants nothing."""
    return PACKET_SIZE if b"max_allowed_packet" in statement else (OK,)


class Villain:
    """Speaks as much of the protocol as it takes, and notes what it is sent."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        #: What came after its requests for files, by packet.
        self.got: list[bytes] = []
        self.statements: list[bytes] = []
        self.is_over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def settings(self) -> MysqlSettings:
        """Where it is."""
        return MysqlSettings("127.0.0.1", self.port, "db", "account", Secret("secret"))

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            client, _ = self._listener.accept()
            with client, suppress(EOFError):
                self._speak(client)
        self.is_over.set()

    def _speak(self, client: socket.socket) -> None:
        _send(client, 0, GREETING)
        _receive(client)
        _send(client, 2, OK)
        while True:
            _, statement = _receive(client)
            self.statements.append(statement[1:])
            number = 1
            for packet in self._answers(statement[1:], len(self.statements)):
                _send(client, number, packet)
                number += 1
                while packet[:1] == b"\xfb":
                    number, sent = _receive(client)
                    self.got.append(sent)
                    number += 1
                    if not sent:
                        break


def _send(client: socket.socket, number: int, packet: bytes) -> None:
    client.sendall(struct.pack("<I", len(packet))[:3] + bytes([number % 256]) + packet)


def _receive(client: socket.socket) -> tuple[int, bytes]:
    head = _exactly(client, 4)
    return head[3], _exactly(client, int.from_bytes(head[:3], "little"))


def _exactly(client: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        data = client.recv(length - len(found))
        if not data:
            raise EOFError
        found += data
    return found


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the driver's own function was asked to send: nothing, in every test."""
    files: list[str] = []
    monkeypatch.setattr(connections, "_send_local_file", lambda name, _: files.append(name))
    return files


@contextmanager
def villain(answers: Answers) -> Iterator[Villain]:
    """Give a villain; wait until its session is over."""
    with closing(Villain(answers)) as playing:
        yield playing
        assert playing.is_over.wait(60)


@pytest.fixture
def prey(tmp_path: Path) -> bytes:
    """A file that is there."""
    path = tmp_path / "prey"
    path.write_text("secret", encoding="utf-8")
    return str(path).encode()


def refused(run: Callable[[Session], object], answers: Answers) -> Villain:
    """Run something on a session with a villain that asks for a file; return the villain."""
    with villain(answers) as playing:
        session = Session(playing.settings, "test")
        with pytest.raises(Unavailable, match=f"error {REJECTED}.*asked for the file") as raised:
            run(session)
        assert raised.value.reason == "protocol"
        session.close()
    return playing


def select(session: Session) -> None:
    """Run a query."""
    with session.transaction() as transaction:
        transaction.select("SELECT 1")


def insert(session: Session) -> int:
    """Add rows by LOAD DATA."""
    with session.transaction() as transaction:
        return transaction.insert(ADD, ROWS)


def test_it_asks_in_answer_to_a_query(prey: bytes, opened: list[str]) -> None:
    """It is sent nothing, and the session is over."""
    found = refused(select, lambda s, n: (asking(prey),) if s == b"SELECT 1" else well(s, n))

    assert (found.got, opened) == ([], [])


@pytest.mark.parametrize("name", [b"/etc/passwd", b"", FILE.encode() + b"x", b"./" + FILE.encode()])
def test_it_asks_for_another_file_than_the_statement_names(name: bytes, opened: list[str]) -> None:
    """Not even the rows in hand are sent under another name."""
    found = refused(
        insert, lambda s, n: (asking(name),) if s.startswith(b"LOAD DATA") else well(s, n)
    )

    assert (found.got, opened) == ([], [])


def test_it_asks_in_answer_to_the_first_statement(prey: bytes, opened: list[str]) -> None:
    """That is the driver's own, which looks at no answer."""
    found = refused(select, lambda s, n: (asking(prey),) if n == 1 else well(s, n))

    assert found.statements == [b"SET NAMES utf8mb4"]
    assert (found.got, opened) == ([], [])


@pytest.mark.parametrize(
    "statement", [b"SET sql_mode", b"SET AUTOCOMMIT", b"SET SESSION", b"SAVEPOINT", b"COMMIT"]
)
def test_it_asks_in_answer_to_any_statement(
    prey: bytes, statement: bytes, opened: list[str]
) -> None:
    """Whoever sends it."""
    found = refused(insert, lambda s, n: (asking(prey),) if statement in s else well(s, n))

    assert (found.got, opened) == ([], [])


def test_it_asks_for_the_rows_twice(opened: list[str]) -> None:
    """They are sent once; the second time the session ends."""
    asked = asking(FILE.encode())
    found = refused(insert, lambda s, n: (asked, asked) if s.startswith(b"LOAD") else well(s, n))

    assert found.got == [b"".join(b"%d\tsecret\n" % n for n in range(FEWEST)), b""]
    assert opened == []


def test_it_asks_for_the_rows_in_answer_to_what_comes_next(opened: list[str]) -> None:
    """Those of a statement that is over are nobody's."""
    asked = asking(FILE.encode())

    def answers(statement: bytes, count: int) -> tuple[bytes, ...]:
        if statement.startswith(b"LOAD"):
            return asked, OK
        return (asked,) if statement == b"SELECT 1" else well(statement, count)

    def twice(session: Session) -> None:
        insert(session)
        select(session)

    found = refused(twice, answers)

    assert b"".join(found.got).count(b"secret") == FEWEST
    assert opened == []


def test_rows_are_sent_in_packets_that_the_server_takes(opened: list[str]) -> None:
    """Then an empty one."""
    asked = asking(FILE.encode())
    rows = [(number, "x" * 1_000) for number in range(FEWEST)]
    with villain(lambda s, n: (asked, OK) if s.startswith(b"LOAD") else well(s, n)) as playing:
        session = Session(playing.settings, "test")
        with session.transaction() as transaction:
            transaction.insert(ADD, rows)
        session.close()

    assert b"".join(playing.got) == b"".join(b"%d\t%s\n" % (n, b"x" * 1_000) for n, _ in rows)
    assert [len(packet) for packet in playing.got[:-2]] == [PACKET_BYTES] * (len(playing.got) - 2)
    assert playing.got[-1] == b""
    assert opened == []


@pytest.mark.parametrize("options", [{}, {"local_infile": True}, {"cursorclass": SSCursor}])
def test_every_connection_refuses(prey: bytes, options: dict[str, Any], opened: list[str]) -> None:
    """Those of the operator and of the playground as well, whatever they are opened with."""
    with villain(lambda s, n: (asking(prey),) if s == b"SELECT 1" else well(s, n)) as playing:
        connection = mysql.connect(playing.settings, **options)
        with pytest.raises(pymysql.OperationalError, match="asked for the file"):
            connection.cursor().execute("SELECT 1")
        assert not connection.open

    assert (playing.got, opened) == ([], [])


def test_a_name_in_an_error_is_short_and_harmless() -> None:
    """It is whatever the server says."""
    found = b"/" + b"x" * 10_000 + b"\n\xff"
    with villain(lambda s, n: (asking(found),) if s == b"SELECT 1" else well(s, n)) as playing:
        session = Session(playing.settings, "test")
        with pytest.raises(Unavailable) as raised:
            select(session)
        session.close()

    assert len(str(raised.value)) < 500
    assert "\n" not in str(raised.value)
