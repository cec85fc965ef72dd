"""The promises that storing rests on, kept by the fake database and the real one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import pytest

from contract.fake_database import COLUMNS, FakeDatabase
from datastream.config import MysqlSettings
from datastream.errors import RowRefused, Unavailable
from datastream.inserts import Insert, binaries, json_texts, numbers, texts
from datastream.loading import FEWEST
from datastream.mysql import Session
from datastream.packs import PLAIN, Pack, packs
from datastream.slices import DISGUISED, TRUNCATED, UNTERMINATED
from deployment import Deployment

ADD_LINES = Insert(
    """
    INSERT INTO raw_pack ({columns}) VALUES {values}
    ON DUPLICATE KEY UPDATE line_offset = line_offset
    """,
    {"stream_id": numbers, "line_offset": numbers, "flags": numbers, "body": binaries},
)
#: The same, by LOAD DATA.
LOAD_LINES = ADD_LINES._replace(load="raw_pack")
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
ENDS = "SELECT end_offset FROM raw_pack ORDER BY line_offset"
STREAM = 2**64 - 1
HOSTILE = "'\"\\%s%\0\n\r\x1a\x1f\U0001f600; DROP TABLE raw_pack; --\\"


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
    """Return a row of raw_log, and the first columns of one of raw_pack."""
    return STREAM, offset, flags, text


def add(session: Session, *rows: tuple[int, int, int, bytes]) -> int:
    """Commit lines, each as a pack, and return how many were new."""
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


#: As many rows as go by LOAD DATA.
MANY = range(0, 2 * FEWEST, 2)


class Observed:
    """Notes what is told of rows that could not go by LOAD DATA."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def load_refused(self, *, is_refused: bool) -> None:
        """Note it."""
        self.told.append("refused" if is_refused else "taken")

    def load_taken_back(self) -> None:
        """Note it."""
        self.told.append("taken back")


@pytest.fixture
def observed() -> Observed:
    """What a loading session tells."""
    return Observed()


@pytest.fixture
def loading(database: Database, observed: Observed) -> Iterator[Session]:
    """A session that tells of rows that could not go by LOAD DATA."""
    with closing(Session(database.settings, "test", observed)) as opened:
        yield opened


def load(session: Session, insert: Insert, rows: list[tuple[Any, ...]]) -> int:
    """Commit many rows and return how many were new."""
    with session.transaction() as transaction:
        return transaction.insert(insert, rows)


def test_a_loaded_row_counts_when_it_is_new(
    loading: Session, database: Database, observed: Observed
) -> None:
    """As by INSERT: one whose key is there counts none and stays, in the same statement too."""
    add(loading, line(0, b"first"), line(4, b"first"))
    new = load(loading, LOAD_LINES, [line(n, b"then") for n in [*MANY, 2]])

    assert new == len(MANY) - 2
    assert database.query(LINES) == [line(n, b"first" if n in (0, 4) else b"then") for n in MANY]
    assert observed.told == []


def test_rows_that_are_all_there_are_loaded_without_a_change(
    loading: Session, database: Database
) -> None:
    """However few warnings the server keeps of those that it counts."""
    rows = [line(n, b"first") for n in MANY]
    new = load(loading, LOAD_LINES, rows)
    again = load(loading, LOAD_LINES, [line(n, b"then") for n in MANY])

    assert (new, again) == (len(MANY), 0)
    assert database.query(LINES) == rows


def test_loaded_values_come_back_as_they_were(loading: Session, database: Database) -> None:
    """Bytes of every kind, texts of every kind, NULL and numbers."""
    every = bytes(range(256))
    load(loading, LOAD_LINES, [line(2**64 - 1 - n, every) for n in range(FEWEST)])
    rows = [(n, HOSTILE, "", "\\N\t\n\\" if n else "", "\r\0", 2**32 - 1) for n in range(FEWEST)]
    load(loading, ADD_STREAMS._replace(load="log_stream"), rows)

    assert {row[3] for row in database.query(LINES)} == {every}
    assert (
        database.query(
            "SELECT stream_id, source, host, path, format, generation FROM log_stream"
            " ORDER BY stream_id"
        )
        == rows
    )


def test_what_is_loaded_is_undone_with_the_transaction(
    loading: Session, database: Database
) -> None:
    """As what is inserted, before it and after."""
    with pytest.raises(ZeroDivisionError), loading.transaction() as transaction:
        transaction.insert(ADD_LINES, [line(1)])
        transaction.insert(LOAD_LINES, [line(n) for n in MANY])
        transaction.insert(ADD_LINES, [line(3)])
        raise ZeroDivisionError

    assert database.query(LINES) == []
    assert loading.ended == 1


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


@pytest.mark.parametrize(
    ("table", "insert", "row"),
    [
        ("log_stream", ADD_STREAMS, (STREAM, "x" * 256, "", "", "", 0)),
        ("log_stream", ADD_STREAMS, (2**64, "", "", "", "", 0)),
        ("log_stream", ADD_STREAMS, (STREAM, "", "", "", "", 2**32)),
        ("log_stream", ADD_STREAMS, (STREAM, "", None, "", "", 0)),
        ("raw_pack", ADD_LINES, line(0, flags=256)),
        ("clean_log", ADD_CLEAN, (*TIMED[:4], "no time", 0, None, None, None)),
        ("clean_log", ADD_CLEAN, (*TIMED, 65_536, None, None)),
        ("clean_log", ADD_CLEAN, (*TIMED, None, 10_000_000, None)),
    ],
)
def test_a_loaded_value_that_does_not_fit_its_column_is_refused(
    loading: Session,
    database: Database,
    observed: Observed,
    table: str,
    insert: Insert,
    row: tuple[Any, ...],
) -> None:
    """Nothing of the transaction is stored, changed to fit or left out; the session goes on."""
    others = {
        "log_stream": ("", "", "", "", 0),
        "raw_pack": (0, 0, b""),
        "clean_log": (0, *TIMED[2:], None, None, None),
    }
    rows = [(number, *others[table]) for number in range(FEWEST)]
    with pytest.raises(RowRefused), loading.transaction() as transaction:
        transaction.insert(ADD_LINES, [line(7)])
        transaction.insert(insert._replace(load=table), [*rows, row])

    assert database.query(LINES) == []
    assert database.query(f"SELECT COUNT(*) FROM {table}") == [(0,)]
    assert load(loading, insert._replace(load=table), rows) == len(rows)
    assert loading.ended == 0
    assert observed.told == ["taken back"]


def test_a_fraction_beyond_the_columns_is_rounded_by_either_way(
    loading: Session, database: Database, observed: Observed
) -> None:
    """Without a word: it is no other value by LOAD DATA than by INSERT."""
    rows = [(1, n, *TIMED[2:], None, 0.0005 + n / 7, None) for n in range(FEWEST)]
    load(loading, ADD_CLEAN._replace(load="clean_log"), rows)
    load(loading, ADD_CLEAN, [(2, *row[1:]) for row in rows])

    loaded, inserted = (
        database.query(
            f"SELECT request_time FROM clean_log WHERE stream_id = {stream} ORDER BY line_offset"
        )
        for stream in (1, 2)
    )
    assert loaded == inserted
    assert observed.told == []


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


def test_a_loaded_column_that_must_be_named_is_an_outage(
    loading: Session, database: Database
) -> None:
    """No value is made up for it either."""
    rows = [(STREAM, n, None, b"x") for n in range(FEWEST)]
    with pytest.raises(Unavailable, match="error 1364"):
        load(loading, LOAD_LINES, rows)

    assert database.query(LINES) == []


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        ("SELECT 1 FROM missing", 1146),
        ("SELECT missing FROM raw_pack", 1054),
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
        holder.execute("DELETE FROM raw_pack WHERE line_offset = %s", (0,))

        with pytest.raises(Unavailable) as raised, session.transaction() as transaction:
            transaction.execute("SET SESSION innodb_lock_wait_timeout = 1")
            transaction.execute("DELETE FROM raw_pack WHERE line_offset = %s", (0,))

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
    statement = "DELETE FROM raw_pack WHERE stream_id = %s AND line_offset = %s"
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
        values = (STREAM, 0, 0, whole, 9)
        count = transaction.execute("CALL complete_line(%s, %s, %s, %s, %s)", values)

    assert count == changed
    assert database.query(ENDS) == [(9 if changed else None,), (None,)]
    assert database.query(LINES) == [
        line(0, whole) if changed else line(0, stored, flags),
        line(20, stored, UNTERMINATED),
    ]


ADD_PACKS = Insert(
    "INSERT INTO raw_pack ({columns}) VALUES {values}",
    {
        "stream_id": numbers,
        "line_offset": numbers,
        "flags": numbers,
        "end_offset": numbers,
        "line_count": numbers,
        "codec": numbers,
        "body": binaries,
    },
)


def add_packs(session: Session, *made: Pack) -> None:
    """Commit packs."""
    with session.transaction() as transaction:
        rows = [(STREAM, p.line_offset, p.flags, p.end, p.line_count, *p[4:]) for p in made]
        transaction.insert(ADD_PACKS, rows)


EVERY_BYTE = bytes(byte for byte in range(256) if byte != 0x0A)
#: By what is odd about them.
LINES_OF_A_PACK = {
    "plain": [b"one", b"", b'"two" \\', b"three"],
    "every byte": [EVERY_BYTE, b"", EVERY_BYTE[::-1]],
    "each byte alone": [bytes([byte]) for byte in EVERY_BYTE],
    "a control in ASCII": [b"one\0\x1f\r\t\x7f", b"'\"\\\\n\\u0041"],
    "invalid UTF-8": [b"\xff\xfe\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xc3\xa9"],
    "JSON": [b'[[0,"x"]]', b"]],[[", b"null", b"\\"],
    "one of 1 MiB": [b"\x81'\"\\" * (256 * 1024)],
    "one that is empty": [b""],
}


@pytest.mark.parametrize("lines", LINES_OF_A_PACK.values(), ids=LINES_OF_A_PACK)
@pytest.mark.parametrize("start", [0, 2**63 - 2**21])
def test_the_view_shows_the_bytes_of_a_pack(
    session: Session, database: Database, lines: list[bytes], start: int
) -> None:
    """Line by line, each with its offset in the stream, and with the pack that it is of."""
    offsets = list(accumulate((len(text) + 1 for text in lines), initial=start))
    numbered = list(zip(offsets, lines, strict=False))
    add_packs(session, *packs(numbered, DISGUISED, offsets[-1] - 1))

    shown = "SELECT line_offset, flags, line FROM raw_log ORDER BY line_offset"
    assert database.query(shown) == [(offset, DISGUISED, text) for offset, text in numbered]
    assert database.query("SELECT DISTINCT pack FROM raw_log") == [(start,)]


@pytest.mark.parametrize("flags", [UNTERMINATED, TRUNCATED, UNTERMINATED | DISGUISED])
def test_the_view_shows_the_bytes_of_a_line_as_it_is(
    session: Session, database: Database, flags: int
) -> None:
    """A line that may go on is never compressed, whatever its length."""
    texts = [EVERY_BYTE, b"", b"'\"\\" * 300_000]
    for start, text in enumerate(texts):
        add_packs(session, *packs([(start * 2**21, text)], flags, start * 2**21 + len(text)))

    assert database.query("SELECT line FROM raw_log ORDER BY line_offset") == [(t,) for t in texts]
    assert database.query("SELECT DISTINCT codec FROM raw_pack") == [(PLAIN,)]


def test_a_pack_of_several_lines_gives_no_way(session: Session, database: Database) -> None:
    """Whatever the flags of the row are: only a line as it is may be a beginning."""
    (pack,) = packs([(0, b"one"), (4, b"two")], 0, 7)
    add_packs(session, pack._replace(flags=UNTERMINATED))
    with session.transaction() as transaction:
        values = (STREAM, 0, 0, pack.body + b"more", 99)
        count = transaction.execute("CALL complete_line(%s, %s, %s, %s, %s)", values)

    assert count == 0
    assert database.query(LINES) == [line(0, b"one", UNTERMINATED), line(4, b"two", UNTERMINATED)]


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
        SELECT COALESCE(end_offset, line_offset + IF(flags & 4, 0, LENGTH(body))) FROM raw_pack
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

    Most columns with a default are no service's to fill.
    """
    if isinstance(database, FakeDatabase):
        return  # it has the columns that the real one is compared with
    found: dict[str, dict[str, str]] = {}
    for table, column, kind, is_nullable, default in database.query(
        "SELECT table_name, column_name, column_type, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY ordinal_position"
    ):
        is_filled = default in (None, "NULL") or column in COLUMNS.get(table, ())
        if table in COLUMNS and is_filled:
            # The width of a whole number is how it is shown; JSON has another name in MariaDB.
            word = re.sub(r"(int)\(\d+\)", r"\1", kind).replace("longtext", "json")
            word += "" if is_nullable == "YES" else " not null"
            word += "" if default in (None, "NULL") else f" default {default}"
            found.setdefault(table, {})[column] = word

    assert found == COLUMNS
