"""The database session: how failures are told apart, on the fake database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pymysql
import pytest

from contract.fake_database import FakeConnection, FakeDatabase
from datastream.errors import RowRefused, Unavailable
from datastream.inserts import Insert, binaries, numbers
from datastream.mysql import SESSION_TIMEOUT, Session, StreamLog
from datastream.streams import Stream

ADD = Insert(
    "INSERT INTO raw_log ({columns}) VALUES {values} ON DUPLICATE KEY UPDATE line_offset ="
    " line_offset",
    {"stream_id": numbers, "line_offset": numbers, "flags": numbers, "line": binaries},
)
LINES = "SELECT line_offset FROM raw_log ORDER BY line_offset"
STREAM = Stream(2**64 - 1, "test", "host", "/var/log/access.log", "combined", 0)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDatabase:
    """A database of the test's own."""
    return FakeDatabase(tmp_path, monkeypatch)


@pytest.fixture
def session(database: FakeDatabase) -> Iterator[Session]:
    """A session with it."""
    with closing(Session(database.settings, "test")) as opened:
        yield opened


def add(session: Session, *offsets: int) -> int:
    """Commit lines at some offsets and return how many were new."""
    with session.transaction() as transaction:
        return transaction.insert(ADD, [(1, offset, 0, b"x" * 20) for offset in offsets])


@pytest.mark.parametrize("number", [1048, 1264, 1265, 1292, 1366, 1406, 3140, 3819, 4025])
def test_a_row_is_refused_for_its_data(
    database: FakeDatabase, session: Session, number: int
) -> None:
    """Decided by the number, whatever class the driver gives it; the session is kept."""
    database.fail("INSERT", number)
    with pytest.raises(RowRefused, match=str(number)):
        add(session, 0)

    assert (add(session, 0), session.ended) == (1, 0)


@pytest.mark.parametrize("number", [1205, 1213])
def test_a_lock_is_waited_for_on_the_same_session(
    database: FakeDatabase, session: Session, number: int
) -> None:
    """A deadlock or a wait that took too long: only the batch is stored again."""
    database.fail("INSERT", number)
    with pytest.raises(Unavailable) as raised:
        add(session, 0)

    assert raised.value.reason == "lock"
    assert (add(session, 0), session.ended) == (1, 0)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (2013, "connection"),
        (2006, "connection"),
        (9999, "connection"),
        (1142, "statement"),
        (1114, "statement"),
        (pymysql.InterfaceError("closed"), "connection"),
        (pymysql.InterfaceError(), "connection"),
        (ConnectionResetError("reset"), "connection"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("statement", ["CONNECT", "INSERT", "COMMIT"])
def test_anything_else_is_an_outage(
    database: FakeDatabase,
    session: Session,
    statement: str,
    error: int | BaseException,
    reason: str,
) -> None:
    """Known or not, at any moment: nothing of it is stored, and the next try has a new session."""
    database.fail(statement, error)
    with pytest.raises(Unavailable) as raised:
        add(session, 0)
    stored = database.query(LINES)
    again = add(session, 0)

    assert (raised.value.reason, stored, again) == (reason, [], 1)
    assert session.ended == (statement != "CONNECT")
    assert len(database.opened) == 1 + (statement != "CONNECT")


def timed_out(number: int) -> pymysql.OperationalError:
    """Return the driver's error where it waited in vain: it keeps the cause as the context."""
    error = pymysql.OperationalError(number, "Lost connection")
    error.__context__ = TimeoutError("timed out")
    return error


@pytest.mark.parametrize(
    ("statement", "number", "reason"),
    [("INSERT", 2013, "timeout"), ("CONNECT", 2003, "connection")],
)
def test_a_statement_that_takes_too_long_is_told_from_a_server_that_is_away(
    database: FakeDatabase, session: Session, statement: str, number: int, reason: str
) -> None:
    """A smaller batch may do; one that cannot be reached in time is away."""
    database.fail(statement, timed_out(number))
    with pytest.raises(Unavailable) as raised:
        add(session, 0)

    assert raised.value.reason == reason


def test_a_mistake_of_the_program_comes_out_and_ends_the_session(
    database: FakeDatabase, session: Session
) -> None:
    """An answer may be half read; what was written is undone."""
    with pytest.raises(TypeError), session.transaction() as transaction:
        transaction.insert(ADD, [(1, 0, 0, b"x")])
        raise TypeError

    assert (session.ended, database.query(LINES)) == (1, [])
    assert add(session, 2) == 1


def test_an_outage_that_the_body_tells_keeps_the_session(session: Session) -> None:
    """Another consumer is waited for: nothing is wrong with this connection."""
    with pytest.raises(Unavailable, match="elsewhere"), session.transaction():
        raise Unavailable("elsewhere", "lock")

    assert (add(session, 0), session.ended) == (1, 0)


def test_a_session_is_pinned(database: FakeDatabase, session: Session) -> None:
    """Strict mode, READ COMMITTED, UTC, and no transaction that outlives its client for long."""
    add(session, 0)

    (options,) = database.opened
    assert "STRICT_TRANS_TABLES" in options["sql_mode"]
    assert "NO_BACKSLASH_ESCAPES" not in options["sql_mode"]
    assert "READ COMMITTED" in options["init_command"]
    assert options["autocommit"] is False
    assert options["charset"] == "utf8mb4"
    assert (options["program_name"], options["password"]) == ("test", "secret")
    settings = next(each for each in database.statements if each.startswith("SET SESSION"))
    assert "time_zone = '+00:00'" in settings
    assert f"wait_timeout = {SESSION_TIMEOUT}" in settings


def test_a_server_that_reads_no_backslashes_is_not_written_to(
    database: FakeDatabase, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There a text could end where it should not."""
    monkeypatch.setattr(
        FakeConnection,
        "server_status",
        pymysql.constants.SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES,
    )
    with pytest.raises(Unavailable) as raised:
        add(session, 0)

    assert raised.value.reason == "sql_mode"
    assert database.query(LINES) == []


def test_a_session_that_was_idle_is_opened_again(
    database: FakeDatabase, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than find out by an error that the server has ended it; a busy one is kept."""
    now = 1_000.0
    monkeypatch.setattr("datastream.mysql.time.monotonic", lambda: now)
    add(session, 0)
    now += SESSION_TIMEOUT / 2
    add(session, 2)
    busy = len(database.opened)
    now += SESSION_TIMEOUT / 2 + 0.1
    add(session, 4)

    assert (busy, len(database.opened), session.ended) == (1, 2, 1)


def test_a_statement_that_is_too_long_for_the_server_is_halved(
    database: FakeDatabase, session: Session
) -> None:
    """Until each fits: all rows are stored, and counted once."""
    database.most_bytes = 260
    rows = range(0, 100, 2)

    assert add(session, *rows) == 50
    assert database.query(LINES) == [(offset,) for offset in rows]


def test_a_row_that_alone_is_too_long_is_an_outage_with_a_cure(
    database: FakeDatabase, session: Session
) -> None:
    """The server is set to take less than a line may be: that is no fault of the line's."""
    database.most_bytes = 150
    with pytest.raises(Unavailable, match="max_allowed_packet") as raised:
        add(session, 0, 2)

    assert raised.value.reason == "statement"


def test_closing_twice_ends_one_session(session: Session) -> None:
    """And one that was never opened has none to end."""
    session.close()
    never = session.ended
    add(session, 0)
    session.close()
    session.close()

    assert (never, session.ended) == (0, 1)


def test_a_stream_that_could_not_be_described_is_not_remembered(
    database: FakeDatabase, session: Session
) -> None:
    """Refused, or not committed: it is written when it comes again."""
    streams = StreamLog(session)
    with pytest.raises(RowRefused):
        streams.ensure([replace(STREAM, source="x" * 256)])
    database.fail("COMMIT", 2013)
    with pytest.raises(Unavailable):
        streams.ensure([STREAM])
    streams.ensure([STREAM])
    streams.ensure([STREAM, STREAM])

    found = database.query(
        "SELECT stream_id, source, host, path, format, generation FROM log_stream"
    )
    assert found == [(2**64 - 1, "test", "host", STREAM.path, "combined", 0)]
