"""The promises that storing rests on, kept by the fake database and the real one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pytest

from contract.fake_database import COLUMNS, FakeDatabase
from datastream.config import MysqlSettings
from datastream.errors import RowRefused, Unavailable
from datastream.inserts import Insert, binaries, json_texts, numbers, texts
from datastream.mysql import Session
from datastream.slices import TRUNCATED, UNTERMINATED
from deployment import Deployment

ADD_LINES = Insert(
    """
    INSERT INTO raw_log ({columns}) VALUES {values}
    ON DUPLICATE KEY UPDATE line_offset = line_offset
    """,
    {"stream_id": numbers, "line_offset": numbers, "flags": numbers, "line": binaries},
)
ADD_STREAMS = Insert(
    "INSERT INTO log_stream ({columns}) VALUES {values}",
    {
        "stream_id": numbers,
        "source": texts,
        "host": texts,
        "path": texts,
        "format": texts,
        "generation": numbers,
    },
)
ADD_CLEAN = Insert(
    "INSERT INTO clean_log ({columns}) VALUES {values}",
    {
        "stream_id": numbers,
        "line_offset": numbers,
        "parser_version": numbers,
        "flags": numbers,
        "time": texts,
        "is_email": numbers,
        "status": numbers,
        "request_time": numbers,
        "extra": json_texts,
    },
)
LINES = "SELECT stream_id, line_offset, flags, line FROM raw_log ORDER BY line_offset"
STREAM = 2**64 - 1
HOSTILE = "'\"\\%s%\0\n\r\x1a\x1f\U0001f600; DROP TABLE raw_log; --\\"


class Database(Protocol):
    """A database under test."""

    @property
    def settings(self) -> MysqlSettings:
        """Where it is."""

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query, of what is committed."""

    def change(self, statement: str) -> None:
        """Change rows, and commit."""

    def end_sessions(self) -> None:
        """End every session of the services."""


class RealDatabase:
    """MariaDB or MySQL, in a schema of the test's own."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self.settings = deployment.mysql

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query, of what is committed."""
        return list(self._deployment.query(statement))

    def change(self, statement: str) -> None:
        """Change rows, and commit."""
        self._deployment.change(statement)

    def end_sessions(self) -> None:
        """End every session of the services."""
        with self._deployment.database.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW PROCESSLIST")
            ours = [
                number
                for number, _, _, schema, *_ in cursor.fetchall()
                if schema == self.settings.database
            ]
            for number in ours:
                cursor.execute(f"KILL {number}")


@pytest.fixture(params=["fake", "mysql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Each test is for both."""
    if request.param == "fake":
        return FakeDatabase(tmp_path, request.getfixturevalue("monkeypatch"))
    return RealDatabase(request.getfixturevalue("deployment"))


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """A session with it."""
    with closing(Session(database.settings, "test")) as opened:
        yield opened


def line(offset: int, text: bytes = b"x", flags: int = 0) -> tuple[int, int, int, bytes]:
    """Return a row of raw_log."""
    return STREAM, offset, flags, text


def add(session: Session, *rows: tuple[int, int, int, bytes]) -> int:
    """Commit rows of raw_log and return how many were new."""
    with session.transaction() as transaction:
        return transaction.insert(ADD_LINES, rows)


def test_a_row_counts_when_it_is_new(session: Session) -> None:
    """One whose key is there already counts none, in the same statement as well, and stays."""
    first = add(session, line(0), line(2), line(2, b"other"))
    again = add(session, line(0, b"other"), line(4))

    with session.transaction() as transaction:
        rows = list(transaction.select(LINES))
    assert (first, again) == (2, 1)
    assert rows == [line(0), line(2), line(4)]


def test_values_come_back_as_they_were(session: Session) -> None:
    """Texts, bytes and numbers, by either way into a statement: nothing in them is SQL."""
    every = bytes(range(256))
    with session.transaction() as transaction:
        transaction.insert(ADD_LINES, [line(2**64 - 1, every)])
        transaction.insert(ADD_STREAMS, [(STREAM, HOSTILE, "", HOSTILE, "x", 2**32 - 1)])
        ((stored, number),) = transaction.select(
            "SELECT line, line_offset FROM raw_log WHERE line = %s AND stream_id = %s",
            (every, STREAM),
        )
        ((source, path),) = transaction.select(
            "SELECT source, path FROM log_stream WHERE source = %s AND generation IN %s",
            (HOSTILE, (1, 2**32 - 1)),
        )

    assert (stored, number) == (every, 2**64 - 1)
    assert source == path == HOSTILE


def test_nothing_of_a_transaction_that_failed_is_there(
    session: Session, database: Database
) -> None:
    """What the body raises comes out, and every statement before it is undone."""
    with pytest.raises(ZeroDivisionError), session.transaction() as transaction:
        transaction.insert(ADD_LINES, [line(0)])
        raise ZeroDivisionError

    assert database.query(LINES) == []


def test_what_is_not_committed_is_seen_by_nobody_else(session: Session, database: Database) -> None:
    """And what is, at once, by a transaction that has looked before too."""
    with (
        closing(Session(database.settings, "other")) as other,
        other.transaction() as looking,
    ):
        before = list(looking.select(LINES))
        with session.transaction() as transaction:
            transaction.insert(ADD_LINES, [line(0)])
            meanwhile = list(looking.select(LINES))
        after = list(looking.select(LINES))

    assert (before, meanwhile, after) == ([], [], [line(0)])


TIMED = (STREAM, 0, 1, 0, "2026-01-01 00:00:00.000", 0)


@pytest.mark.parametrize(
    ("insert", "row"),
    [
        (ADD_STREAMS, (STREAM, "x" * 256, "", "", "", 0)),
        (ADD_STREAMS, (2**64, "", "", "", "", 0)),
        (ADD_STREAMS, (STREAM, "", "", "", "", 2**32)),
        (ADD_LINES, line(0, flags=256)),
        (ADD_CLEAN, (*TIMED[:4], "no time", 0, None, None, None)),
        (ADD_CLEAN, (*TIMED, 65_536, None, None)),
        (ADD_CLEAN, (*TIMED, None, 10_000_000, None)),
    ],
)
def test_a_value_that_does_not_fit_its_column_is_refused(
    session: Session, database: Database, insert: Insert, row: tuple[Any, ...]
) -> None:
    """Of all rows of the statement none is stored, and the session goes on."""
    begun = session.ended
    with pytest.raises(RowRefused), session.transaction() as transaction:
        transaction.insert(ADD_LINES, [line(7)])
        transaction.insert(insert, [row])

    assert database.query(LINES) == []
    assert add(session, line(0)) == 1
    assert session.ended == begun


def test_null_where_none_may_be_is_refused(session: Session) -> None:
    """It is the row's fault, where the statement names the column."""
    rows = [(STREAM, 0, 0, b"x"), (STREAM, 1, None, b"x")]
    with pytest.raises(RowRefused), session.transaction() as transaction:
        transaction.insert(ADD_LINES, rows)


def test_a_column_that_must_be_named_is_an_outage(session: Session) -> None:
    """That no row names it is the program's fault, and not a row's."""
    with pytest.raises(Unavailable, match="error 1364") as raised, session.transaction() as running:
        running.insert(ADD_LINES, [(STREAM, 0, None, b"x")])

    assert raised.value.reason == "statement"


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        ("SELECT 1 FROM missing", 1146),
        ("SELECT missing FROM raw_log", 1054),
        ("CALL missing(1)", 1305),
    ],
)
def test_a_schema_that_is_not_there_is_an_outage(
    session: Session, statement: str, number: int
) -> None:
    """The error says what to do, and the session is another one afterwards."""
    with (
        pytest.raises(Unavailable, match=f"error {number}: .*run the migrations") as raised,
        session.transaction() as transaction,
    ):
        transaction.select(statement)

    assert raised.value.reason == "statement"
    assert (session.ended, add(session, line(0))) == (1, 1)


def test_a_row_that_another_session_holds_is_waited_for(
    session: Session, database: Database
) -> None:
    """Not for ever: then only the batch is to be stored again, on the same session."""
    add(session, line(0))
    with closing(Session(database.settings, "other")) as other, other.transaction() as holder:
        holder.execute("DELETE FROM raw_log WHERE line_offset = %s", (0,))

        with pytest.raises(Unavailable) as raised, session.transaction() as transaction:
            transaction.execute("SET SESSION innodb_lock_wait_timeout = 1")
            transaction.execute("DELETE FROM raw_log WHERE line_offset = %s", (0,))

    assert raised.value.reason == "lock"
    assert (session.ended, add(session, line(0))) == (0, 1)


def test_a_session_that_was_ended_is_opened_again(session: Session, database: Database) -> None:
    """What was not committed is gone, the failure says that it was the connection."""
    add(session, line(0))
    with pytest.raises(Unavailable) as raised, session.transaction() as transaction:
        transaction.insert(ADD_LINES, [line(2)])
        database.end_sessions()
        transaction.insert(ADD_LINES, [line(4)])

    assert raised.value.reason == "connection"
    assert session.ended == 1
    assert add(session, line(6)) == 1
    assert database.query(LINES) == [line(0), line(6)]


def test_deleting_counts_what_was_there(session: Session, database: Database) -> None:
    """By key: one row or none."""
    add(session, line(0), line(2))
    statement = "DELETE FROM raw_log WHERE stream_id = %s AND line_offset = %s"
    with session.transaction() as transaction:
        counts = [transaction.execute(statement, (STREAM, offset)) for offset in (0, 0, 1)]

    assert counts == [1, 0, 0]
    assert database.query(LINES) == [line(2)]


COMPLETIONS = [
    (UNTERMINATED, b"begin", b"beginning", 1),
    (TRUNCATED, b"begin", b"beginning", 1),
    (UNTERMINATED, b"begin", b"other", 0),
    (0, b"begin", b"beginning", 0),
    (4, b"begin", b"beginning", 0),
]


@pytest.mark.parametrize(("flags", "stored", "whole", "changed"), COMPLETIONS)
def test_only_a_beginning_gives_way(
    session: Session, database: Database, flags: int, stored: bytes, whole: bytes, changed: int
) -> None:
    """The procedure changes a line that may go on, to one that goes on from it, and counts it."""
    add(session, line(0, stored, flags), line(20, stored, UNTERMINATED))
    with session.transaction() as transaction:
        count = transaction.execute("CALL complete_line(%s, %s, %s, %s)", (STREAM, 0, 0, whole))

    assert count == changed
    assert database.query(LINES) == [
        line(0, whole) if changed else line(0, stored, flags),
        line(20, stored, UNTERMINATED),
    ]


def test_rows_of_several_tables_are_found_between_two_keys(
    session: Session, database: Database
) -> None:
    """In one query; and those that two tables have."""
    database.change("INSERT INTO rejected_log VALUES (1, 5, 1, 0, 'format'), (1, 9, 1, 0, 'time')")
    add(session, (1, 5, 0, b"five"), (1, 10, 4, b"ten"), (2, 5, 0, b"another"))
    union = """
        SELECT 0, line_offset FROM raw_log
        WHERE stream_id = %s AND line_offset BETWEEN %s AND %s
        UNION ALL
        SELECT 1, line_offset FROM rejected_log
        WHERE stream_id = %s AND line_offset BETWEEN %s AND %s
    """
    both = """
        SELECT other.stream_id, other.line_offset
        FROM (SELECT DISTINCT stream_id, line_offset FROM raw_log WHERE stream_id = %s) AS own
        STRAIGHT_JOIN rejected_log AS other
            ON other.stream_id = own.stream_id AND other.line_offset = own.line_offset
        LOCK IN SHARE MODE
    """
    before = """
        SELECT line_offset + IF(flags & 4, 0, LENGTH(line)) FROM raw_log
        WHERE stream_id = %s AND line_offset < %s ORDER BY line_offset DESC LIMIT 1
    """
    with session.transaction() as transaction:
        found = sorted(transaction.select(union, (1, 5, 9) * 2))
        shared = list(transaction.select(both, (1,)))
        ends = [list(transaction.select(before, (1, offset))) for offset in (5, 6, 11)]

    assert found == [(0, 5), (1, 5), (1, 9)]
    assert shared == [(1, 5)]
    assert ends == [[], [(9,)], [(10,)]]


def test_the_columns_are_those_of_the_migrations(database: Database) -> None:
    """Their types, widths, and whether they may be NULL: what the fake refuses is what is refused.

    Columns with a default are no service's to fill.
    """
    if isinstance(database, FakeDatabase):
        return  # it has the columns that the real one is compared with
    found: dict[str, dict[str, str]] = {}
    for table, column, kind, is_nullable, default in database.query(
        "SELECT table_name, column_name, column_type, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY ordinal_position"
    ):
        if table in COLUMNS and default in (None, "NULL"):
            # The width of a whole number is how it is shown; JSON has another name in MariaDB.
            word = re.sub(r"(int)\(\d+\)", r"\1", kind).replace("longtext", "json")
            word += "" if is_nullable == "YES" else " not null"
            found.setdefault(table, {})[column] = word

    assert found == COLUMNS
