"""The database session, on the real server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datastream import inserts, mysql
from datastream.config import Secret
from datastream.errors import RowRefused, Unavailable
from datastream.inserts import Insert, binaries, json_texts, numbers, texts
from datastream.mysql import SESSION_TIMEOUT, Session, StreamLog
from datastream.streams import Stream
from deployment import Deployment
from faults.installation import run_sql

ADD = Insert(
    "INSERT INTO everything ({columns}) VALUES {values}",
    {"id": numbers, "b": binaries, "t": texts, "n": numbers, "j": json_texts},
)
STREAM = Stream(2**64 - 1, "source", "host", "/var/log/a 'quoted' log", "combined", 0)

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
ANY_JSON = st.none() | st.dictionaries(ANY_TEXT, ANY_TEXT | st.integers(-(2**53), 2**53))
HOSTILE = st.sampled_from(
    [
        "'",
        '"',
        "\\",
        "\\'",
        "%s",
        "%",
        "%(x)s",
        "', NULL); DROP TABLE everything; --",
        "_binary'",
        "\0",
        "\x1f",
        "'\x1f\\",
    ]
)
ROWS = st.lists(
    st.tuples(
        st.binary(max_size=200) | HOSTILE.map(str.encode) | st.none(),
        ANY_TEXT | HOSTILE | st.none(),
        st.integers(0, 2**64 - 1) | st.none(),
        ANY_JSON,
    ),
    min_size=1,
    max_size=20,
)


@pytest.fixture
def session(deployment: Deployment) -> Iterator[Session]:
    """A session with a table that has a column of each kind."""
    with deployment.database.connect(deployment.mysql.database) as connection:
        connection.cursor().execute(
            "CREATE TABLE everything (id INT PRIMARY KEY, b BLOB, t TEXT CHARACTER SET utf8mb4,"
            " n BIGINT UNSIGNED, j JSON, short VARCHAR(3)) COLLATE utf8mb4_bin"
        )
    with closing(Session(deployment.mysql, "test")) as opened:
        yield opened


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS)
def test_any_values_come_back_as_they_were(
    session: Session, rows: list[tuple[bytes | None, str | None, int | None, object]]
) -> None:
    """Many rows at once keep every byte, and nothing in them is ever SQL."""
    numbered = [(key, *row) for key, row in enumerate(rows)]
    with session.transaction() as transaction:
        transaction.execute("DELETE FROM everything")
        new = transaction.insert(ADD, numbered)
        stored = list(transaction.select("SELECT b, t, n FROM everything ORDER BY id"))
        same = transaction.select(
            "SELECT COUNT(*) FROM everything WHERE j IS NULL OR JSON_VALID(j)"
        )

    assert new == len(rows)
    assert stored == [row[:3] for row in rows]
    assert next(same)[0] == len(rows)


@pytest.mark.parametrize(("limit", "statements"), [(1, 7), (40, 4), (10_000, 1)])
def test_many_rows_go_in_several_statements(
    session: Session, monkeypatch: pytest.MonkeyPatch, limit: int, statements: int
) -> None:
    """Each has a bounded length, and together they count all rows that are new."""
    monkeypatch.setattr(inserts, "STATEMENT_CHARACTERS", limit)
    rows = [(key, b"0123456789", None, None, None) for key in range(7)]
    with session.transaction() as transaction:
        before = dict(transaction.select("SHOW SESSION STATUS LIKE 'Com_insert'"))
        new = transaction.insert(ADD, rows)
        after = dict(transaction.select("SHOW SESSION STATUS LIKE 'Com_insert'"))
        stored = list(transaction.select("SELECT id FROM everything ORDER BY id"))

    assert new == 7
    assert stored == [(key,) for key in range(7)]
    assert int(after["Com_insert"]) - int(before["Com_insert"]) == statements


def test_the_session_is_pinned(session: Session) -> None:
    """Strict mode, backslash escapes, UTC and READ COMMITTED, whatever the server's defaults."""
    with session.transaction() as transaction:
        mode, zone, timeout = next(
            transaction.select("SELECT @@sql_mode, @@time_zone, @@wait_timeout")
        )
        # tx_isolation or transaction_isolation: the two servers have different names for it.
        isolation = dict(transaction.select("SHOW SESSION VARIABLES LIKE 't%%isolation'"))

    assert "STRICT_TRANS_TABLES" in mode
    assert "NO_BACKSLASH_ESCAPES" not in mode
    assert (zone, timeout) == ("+00:00", SESSION_TIMEOUT)
    assert set(isolation.values()) == {"READ-COMMITTED"}


def test_a_server_with_other_defaults(deployment: Deployment) -> None:
    """A quote is data also where the server's own mode would make it the end of the text."""
    with deployment.database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.sql_mode")
        (before,) = cursor.fetchone() or ("",)
        cursor.execute("SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'")
        try:
            with closing(Session(deployment.mysql, "test")) as session:
                StreamLog(session).ensure([replace(STREAM, source="\\'), (2, '\\")])
        finally:
            cursor.execute("SET GLOBAL sql_mode = %s", (before,))

    assert deployment.query("SELECT source FROM log_stream") == [("\\'), (2, '\\",)]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO everything (id, short) VALUES (1, 'too long')",
        "INSERT INTO everything (id, n) VALUES (1, 'no number')",
        "INSERT INTO everything (id, n) VALUES (1, -1)",
        "INSERT INTO everything (id) VALUES (NULL)",
        "INSERT INTO everything (id, j) VALUES (1, 'no json')",
    ],
)
def test_what_the_data_is_to_blame_for(session: Session, statement: str) -> None:
    """A value that does not fit its column is refused, and the session goes on."""
    with pytest.raises(RowRefused), session.transaction() as transaction:
        transaction.execute(statement)

    with session.transaction() as transaction:
        assert list(transaction.select("SELECT id FROM everything")) == []


@pytest.mark.parametrize(
    ("statement", "hint"),
    [
        ("SELECT 1 FROM nothing", "run the migrations"),
        ("SELECT nothing FROM everything", "run the migrations"),
        ("CALL nothing()", "run the migrations"),
        ("SELECT 1 FROM mysql.user", "check the grants"),
    ],
)
def test_what_is_an_outage(session: Session, statement: str, hint: str) -> None:
    """A missing table, column or grant is nobody's data: it is waited for, with a hint."""
    with pytest.raises(Unavailable, match=hint), session.transaction() as transaction:
        transaction.execute(statement)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"password": Secret("wrong")}, "check MYSQL_USER and MYSQL_PASSWORD"),
        ({"port": 1}, "refused"),
        ({"database": "nothing"}, "grants|MYSQL_DATABASE"),
    ],
)
def test_a_session_that_cannot_be_opened(
    deployment: Deployment, change: dict[str, object], hint: str
) -> None:
    """The error says what to look at, and shows no password."""
    settings_changed = replace(deployment.mysql, **change)  # type: ignore[arg-type]

    session = Session(settings_changed, "test")

    with pytest.raises(Unavailable, match=hint) as raised, session.transaction():
        pass

    assert "secret" not in str(raised.value)
    assert "secret" not in repr(settings_changed)


def test_a_body_that_raises_is_rolled_back(session: Session) -> None:
    """Nothing of a transaction that failed is there."""
    with pytest.raises(ZeroDivisionError), session.transaction() as transaction:
        transaction.insert(ADD, [(1, b"x", "x", 1, None)])
        raise ZeroDivisionError

    with session.transaction() as transaction:
        assert list(transaction.select("SELECT id FROM everything")) == []


def test_a_session_is_not_used_again_after_a_mistake(session: Session) -> None:
    """Half an answer may be left in it; one that another consumer makes wait goes on."""

    def number() -> int:
        with session.transaction() as transaction:
            ((found,),) = transaction.select("SELECT CONNECTION_ID()")
        return int(found)

    first = number()
    with pytest.raises(Unavailable), session.transaction():
        raise Unavailable("another consumer has it", "lock")
    after_a_wait = number()
    with pytest.raises(TypeError), session.transaction() as transaction:
        transaction.execute("INSERT INTO everything (id) VALUES (7)")
        raise TypeError
    after_a_mistake = number()

    assert first == after_a_wait != after_a_mistake
    with session.transaction() as transaction:
        assert list(transaction.select("SELECT id FROM everything")) == []


def test_a_lock_that_takes_too_long(session: Session, deployment: Deployment) -> None:
    """The batch is to be tried again on the same session: the session is sound."""
    with session.transaction() as transaction:
        transaction.insert(ADD, [(1, None, None, None, None)])
    with closing(Session(deployment.mysql, "other")) as other, other.transaction() as holder:
        holder.execute("UPDATE everything SET n = 1 WHERE id = 1")

        with pytest.raises(Unavailable) as raised, session.transaction() as transaction:
            transaction.execute("SET SESSION innodb_lock_wait_timeout = 1")
            transaction.execute("UPDATE everything SET n = 2 WHERE id = 1")

    assert raised.value.reason == "lock"
    with session.transaction() as transaction:
        assert next(transaction.select("SELECT @@innodb_lock_wait_timeout")) == (1,)


def test_a_connection_that_was_ended_is_replaced(session: Session, deployment: Deployment) -> None:
    """The transaction fails once; the next one has a new connection."""
    with session.transaction() as transaction:
        (thread,) = next(transaction.select("SELECT CONNECTION_ID()"))
    with deployment.database.connect() as connection:
        connection.cursor().execute(f"KILL {thread}")

    with pytest.raises(Unavailable), session.transaction() as transaction:
        transaction.execute("SELECT 1")

    with session.transaction() as transaction:
        assert next(transaction.select("SELECT CONNECTION_ID()")) != (thread,)


def test_a_statement_that_takes_too_long(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told from a server that is away: a smaller batch may do; the next session is sound."""
    monkeypatch.setattr(mysql, "READ_TIMEOUT", 1)
    with closing(Session(deployment.mysql, "test")) as session:
        with pytest.raises(Unavailable) as raised, session.transaction() as transaction:
            transaction.execute("SELECT SLEEP(5)")

        assert raised.value.reason == "timeout"
        with session.transaction() as transaction:
            assert list(transaction.select("SELECT 1")) == [(1,)]


def test_each_stream_is_written_once(deployment: Deployment) -> None:
    """Whoever sees a stream first describes it; who comes later changes nothing."""
    with closing(Session(deployment.mysql, "test")) as session:
        StreamLog(session).ensure([STREAM, STREAM])
        StreamLog(session).ensure([replace(STREAM, host="another")])

    rows = deployment.query(
        "SELECT stream_id, source, host, path, format, generation FROM log_stream"
    )
    assert rows == [(2**64 - 1, "source", "host", STREAM.path, "combined", 0)]


class Silent:
    """A server that takes a connection and never says a word."""

    def __enter__(self) -> int:
        """Listen; return the port."""
        self._socket = socket.create_server(("127.0.0.1", 0))
        return int(self._socket.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        """Hear no more."""
        self._socket.close()


def test_a_server_that_never_greets_is_told_as_soon_as_one_that_is_away(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of a connection holds for the greeting, not that of a statement."""
    monkeypatch.setattr(mysql, "CONNECT_TIMEOUT", 1)
    monkeypatch.setattr(mysql, "READ_TIMEOUT", 10_000)
    with Silent() as port:
        session = Session(replace(deployment.mysql, port=port), "test")
        with pytest.raises(Unavailable, match=r"error (2013|2003)"), session.transaction():
            pass


def test_a_statement_has_its_own_limit(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes longer than a connection may is no failure."""
    monkeypatch.setattr(mysql, "CONNECT_TIMEOUT", 1)
    with closing(Session(deployment.mysql, "test")) as session, session.transaction() as running:
        assert list(running.select("SELECT SLEEP(2)")) == [(0,)]


@pytest.fixture
def account(deployment: Deployment) -> Iterator[str]:
    """An account of the test's own, that may do all with the schema."""
    name = f"{deployment.mysql.database}_x"
    pattern = deployment.mysql.database.replace("_", r"\_")
    run_sql(
        deployment.database,
        f"CREATE USER '{name}'@'%' IDENTIFIED BY 'secret'",
        f"GRANT ALL ON `{pattern}`.* TO '{name}'@'%'",
    )
    yield name
    run_sql(deployment.database, f"DROP USER '{name}'@'%'")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER USER {} ACCOUNT LOCK", "error (4151|3118): .*ACCOUNT UNLOCK"),
        ("ALTER USER {} PASSWORD EXPIRE", "error (1820|1862): .*give the account a new password"),
        ("ALTER USER {} WITH MAX_QUERIES_PER_HOUR 2", "error 1226: .*raise the account's limit"),
        ("ALTER USER {} REQUIRE X509", "error 1045: .*MYSQL_TLS_CERT"),
        ("DROP DATABASE `{schema}`", "error 1049: Unknown database .*create the database"),
        ("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {}", "error 1044: .*check the grants"),
    ],
)
def test_what_an_account_is_refused_for_is_told_with_what_to_do(
    deployment: Deployment, account: str, change: str, words: str
) -> None:
    """The server's number and words first, then the cure, as what a person mends."""
    schema = deployment.mysql.database
    run_sql(deployment.database, change.format(f"'{account}'@'%'", schema=schema))
    try:
        session = Session(replace(deployment.mysql, user=account), "test")
        with pytest.raises(Unavailable, match=words) as raised:
            for _ in range(3):
                with closing(session), session.transaction() as transaction:
                    transaction.select("SELECT 1")
    finally:
        run_sql(deployment.database, f"CREATE DATABASE IF NOT EXISTS {schema}")

    assert raised.value.reason == "statement"
    assert str(raised.value).startswith("error ")
