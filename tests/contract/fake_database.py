"""A database in memory that keeps the promises of the real one: see test_database_contract.py.

The driver's connection, as datastream.mysql uses it, on SQLite. It reads the SQL text that the
services send, whatever its tables, and answers with the server's counts and the driver's errors by
number. What it does not keep: a reader that waits for rows which another session has not committed.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql import err
from pymysql.connections import Connection
from pymysql.constants import CR, ER

from datastream.config import MysqlSettings, Secret

MIGRATIONS = Path(__file__).parents[2] / "migrations"
SETTINGS = MysqlSettings("db.example.com", 3306, "logs", "account", Secret("secret"))

#: Every column of the tables that services write and that has no default, as the server knows it.
#: The contract compares it with the server's.
COLUMNS = {
    "raw_log": {
        "stream_id": "bigint unsigned not null",
        "line_offset": "bigint unsigned not null",
        "flags": "tinyint unsigned not null",
        "line": "mediumblob not null",
    },
    "log_stream": {
        "stream_id": "bigint unsigned not null",
        "source": "varchar(255) not null",
        "host": "varchar(255) not null",
        "path": "varchar(1024) not null",
        "format": "varchar(4096) not null",
        "generation": "int unsigned not null",
    },
    "user_agent": {
        "user_agent_id": "bigint unsigned not null",
        "user_agent": "varchar(1024) not null",
        "browser": "varchar(64)",
        "browser_version": "varchar(32)",
        "system": "varchar(64)",
        "device": "varchar(64)",
        "is_bot": "tinyint",
    },
    "referrer": {
        "referrer_id": "bigint unsigned not null",
        "referrer": "varchar(2048) not null",
        "host": "varchar(255)",
        "kind": "varchar(8)",
    },
    "clean_log": {
        "stream_id": "bigint unsigned not null",
        "line_offset": "bigint unsigned not null",
        "parser_version": "smallint unsigned not null",
        "flags": "tinyint unsigned not null",
        "time": "datetime(3) not null",
        "client": "varbinary(16)",
        "session": "varchar(255)",
        "user": "varchar(255)",
        "is_email": "tinyint not null",
        "email_domain": "varchar(255)",
        "method": "varchar(32)",
        "url": "varchar(2048)",
        "scheme": "varchar(16)",
        "host": "varchar(255)",
        "path": "varchar(2048)",
        "query": "varchar(2048)",
        "http_version": "varchar(8)",
        "status": "smallint unsigned",
        "size": "bigint unsigned",
        "request_time": "decimal(10,3)",
        "upstream_time": "decimal(10,3)",
        "referrer_id": "bigint unsigned",
        "user_agent_id": "bigint unsigned",
        "country": "char(2)",
        "city": "varchar(255)",
        "asn": "int unsigned",
        "file_type": "varchar(16)",
        "extra": "json",
    },
    "error_log": {
        "stream_id": "bigint unsigned not null",
        "line_offset": "bigint unsigned not null",
        "parser_version": "smallint unsigned not null",
        "flags": "tinyint unsigned not null",
        "time": "datetime(3) not null",
        "level": "varchar(16) not null",
        "pid": "int unsigned",
        "tid": "bigint unsigned",
        "connection": "bigint unsigned",
        "client": "varbinary(16)",
        "server": "varchar(255)",
        "request": "varchar(2048)",
        "upstream": "varchar(2048)",
        "host": "varchar(255)",
        "referrer": "varchar(2048)",
        "message": "varchar(4096) not null",
        "extra": "json",
    },
    "rejected_log": {
        "stream_id": "bigint unsigned not null",
        "line_offset": "bigint unsigned not null",
        "parser_version": "smallint unsigned not null",
        "flags": "tinyint unsigned not null",
        "reason": "varchar(32) not null",
    },
}

#: Writes values into a statement as the driver does.
_DRIVER: Any = Connection(defer_connect=True)
_DRIVER.server_status = 0
_BITS = {"tinyint": 8, "smallint": 16, "int": 32}
_TYPE = re.compile(r"(\w+)(?:\((\d+)(?:,\d+)?\))?( unsigned)?( not null)?")
#: A value in a statement: a text, bytes, or a number that may be beyond SQLite's.
_LITERAL = re.compile(
    r"'((?:[^'\\]|\\.)*)'|(?:_binary )?X'([0-9a-fA-F]*)'|(?<![\w.])([0-9]{19,})(?![\w.])", re.DOTALL
)
_ESCAPED = {"0": "\0", "n": "\n", "r": "\r", "Z": "\x1a"}
#: What SQLite says in other words.
_WORDS = (
    (re.compile(r"ON DUPLICATE KEY UPDATE (\w+) = \1(?!\w)"), "ON CONFLICT DO NOTHING"),
    (re.compile(r"\bSTRAIGHT_JOIN\b"), "JOIN"),
    (re.compile(r"\bLOCK IN SHARE MODE\b"), ""),
    (re.compile(r"\bIF\("), "IIF("),
    (re.compile(r"\bLEFT\((\w+), "), r"SUBSTR(\1, 1, "),
)
#: SQLite's message, and the server's error for it.
_ERRORS = (
    ("CHECK constraint failed: (\\d+)", None),
    ("NOT NULL constraint failed: \\w+\\.(\\w+)", ER.BAD_NULL_ERROR),
    ("UNIQUE constraint failed", ER.DUP_ENTRY),
    ("database (?:table )?is locked", ER.LOCK_WAIT_TIMEOUT),
    ("no such table", ER.NO_SUCH_TABLE),
    ("no such column", ER.BAD_FIELD_ERROR),
    ("", ER.PARSE_ERROR),
)


class FakeDatabase:
    """The tables of the services, as one server has them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = SETTINGS
        #: The longest statement that it takes.
        self.most_bytes = 2**24
        #: What each session was opened with.
        self.opened: list[dict[str, Any]] = []
        #: Every statement that was sent, the longest ones by their beginning.
        self.statements: list[str] = []
        self._connections: list[FakeConnection] = []
        self._faults: list[tuple[str, BaseException, bool]] = []
        self._changes: list[tuple[str, str]] = []
        self._path = folder / "database.sqlite"
        monkeypatch.setattr("datastream.mysql.Connection", self._connect)
        # There is no port whose greeting could be another server's.
        monkeypatch.setattr("datastream.greetings.stranger", lambda *_: "")
        with closing(self.session()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # readers do not wait for a writer
            for table, columns in COLUMNS.items():
                connection.execute(_create(table, columns))

    def session(self) -> sqlite3.Connection:
        """Open SQLite's own connection."""
        connection = sqlite3.connect(self._path, timeout=0)
        connection.execute("PRAGMA synchronous = OFF")
        connection.create_function("characters", 1, len, deterministic=True)
        return connection

    def _connect(self, **options: object) -> FakeConnection:
        self.raise_fault("CONNECT", is_done=False)
        self.opened.append(options)
        self._connections.append(FakeConnection(self))
        return self._connections[-1]

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query, of what is committed."""
        with closing(FakeConnection(self)) as connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            return cursor.fetchall()

    def change(self, statement: str) -> None:
        """Change rows, as an operator would, and commit."""
        with closing(FakeConnection(self)) as connection:
            connection.cursor().execute(statement)
            connection.commit()

    def narrow(self, table: str, column: str, width: int) -> None:
        """Let a column hold no more than so many characters or bytes."""
        narrower = re.sub(r"\(\d+\)|mediumblob", f"({width})", COLUMNS[table][column])
        narrower = narrower if narrower[0].isalpha() else f"varbinary{narrower}"
        with closing(self.session()) as connection:
            connection.execute(f"DROP TABLE {table}")
            connection.execute(_create(table, COLUMNS[table] | {column: narrower}))

    def end_sessions(self) -> None:
        """End every session, as a server does that is restarted."""
        for connection in self._connections:
            connection.is_lost = True
        self._connections.clear()

    def fail(self, statement: str, error: BaseException | int, *, is_done: bool = False) -> None:
        """Let the next statement that holds some text fail: before it is done, or after that.

        An error may be given by its number; `CONNECT` and `COMMIT` count as statements.
        """
        raised = _error(error, "made up") if isinstance(error, int) else error
        self._faults.append((statement, raised, is_done))

    def before(self, statement: str, change: str) -> None:
        """Let another session commit a change just before the next statement that holds a text."""
        self._changes.append((statement, change))

    def raise_fault(self, statement: str, *, is_done: bool) -> None:
        """Do and raise what was asked for."""
        for each in [each for each in self._changes if each[0] in statement]:
            self._changes.remove(each)
            self.change(each[1])
        for fault in self._faults:
            if fault[0] in statement and fault[2] == is_done:
                self._faults.remove(fault)
                raise fault[1]


class FakeConnection:
    """What datastream.mysql uses of the driver's connection."""

    server_status = 0

    def __init__(self, database: FakeDatabase) -> None:
        self.database = database
        self.is_lost = False
        self.session = database.session()

    def cursor(self) -> FakeCursor:
        """Return a cursor."""
        return FakeCursor(self)

    def commit(self) -> None:
        """Make what was written last."""
        self._end(self.session.commit, "COMMIT")

    def rollback(self) -> None:
        """Undo what was written."""
        self._end(self.session.rollback, "ROLLBACK")

    def _end(self, end: Callable[[], None], statement: str) -> None:
        self.check(statement)
        end()
        self.check(statement, is_done=True)

    def close(self) -> None:
        """End the session; what is not committed is undone."""
        self.session.close()

    def check(self, statement: str, *, is_done: bool = False) -> None:
        """Raise what was asked for, or that the session is lost."""
        try:
            if self.is_lost:
                raise _error(CR.CR_SERVER_LOST, "Lost connection to MySQL server during query")
            self.database.raise_fault(statement, is_done=is_done)
        except err.OperationalError as error:
            if error.args[0] in (CR.CR_SERVER_LOST, CR.CR_SERVER_GONE_ERROR):
                self.is_lost = True
                self.session.close()
            raise


class FakeCursor:
    """What datastream.mysql uses of the driver's cursor."""

    def __init__(self, connection: FakeConnection) -> None:
        self._connection = connection
        self._rows: list[tuple[Any, ...]] = []

    def __enter__(self) -> FakeCursor:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, query: str | bytes, arguments: Sequence[object] | None = None) -> int:
        """Run a statement and return how many rows it wrote."""
        statement = query.decode() if isinstance(query, bytes) else query
        if arguments is not None:
            statement %= tuple(map(_DRIVER.escape, arguments))
        database = self._connection.database
        self._connection.check(statement)
        database.statements.append(statement[:1_000])
        if len(statement.encode()) >= database.most_bytes:
            raise _error(ER.NET_PACKET_TOO_LARGE, "Got a packet bigger than allowed")
        if statement.startswith("SET "):
            return 0
        if statement == "SELECT @@max_allowed_packet":
            self._rows = [(database.most_bytes,)]
            return 1
        translated = _translated(_called(statement))
        try:
            ran = self._connection.session.execute(translated)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise _server_error(str(error), statement) from None
        self._rows = [tuple(map(_unsigned, row)) for row in ran.fetchall()]
        self._connection.check(statement, is_done=True)
        return len(self._rows) if ran.description else ran.rowcount

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows of the query."""
        return self._rows

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return its first row."""
        return next(iter(self._rows), None)


def _error(number: int, words: str) -> pymysql.MySQLError:
    """Return an error of the class that the driver has for its number."""
    kind = err.error_map.get(number, err.InternalError if number < 1000 else err.OperationalError)
    error: pymysql.MySQLError = kind(number, words)
    return error


def _server_error(words: str, statement: str) -> pymysql.MySQLError:
    """Return the server's error for what SQLite says of a statement."""
    number, column = next(
        (number or int(found[1]), found[found.re.groups])
        for pattern, number in _ERRORS
        if (found := re.search(pattern, words))
    )
    if number == ER.BAD_NULL_ERROR and f"`{column}`" not in statement.partition("VALUES")[0]:
        number = ER.NO_DEFAULT_FOR_FIELD
    return _error(number, words)


def _create(table: str, columns: dict[str, str]) -> str:
    """Return SQLite's statement for a table, with the server's limits of its values."""
    keys = "stream_id, line_offset" if "line_offset" in columns else next(iter(columns))
    parts = [_column(name, kind) for name, kind in columns.items()]
    return f"CREATE TABLE {table} ({', '.join(parts)}, PRIMARY KEY ({keys}))"


def _column(name: str, kind: str) -> str:
    found = _TYPE.fullmatch(kind)
    assert found, kind
    word, width, unsigned, required = found.groups()
    check, number = {
        "char": (f"characters(`{name}`) <= {width}", ER.DATA_TOO_LONG),
        "varchar": (f"characters(`{name}`) <= {width}", ER.DATA_TOO_LONG),
        "varbinary": (f"length(`{name}`) <= {width}", ER.DATA_TOO_LONG),
        "datetime": (f"datetime(`{name}`) IS NOT NULL", ER.TRUNCATED_WRONG_VALUE),
        "decimal": (f"abs(`{name}`) < 1e7", ER.WARN_DATA_OUT_OF_RANGE),
        "json": (f"json_valid(`{name}`)", ER.CONSTRAINT_FAILED),
    }.get(word, ("", 0))
    if word in _BITS:
        most = 2 ** (_BITS[word] - (not unsigned)) - 1
        check, number = f"`{name}` BETWEEN 0 AND {most}", ER.WARN_DATA_OUT_OF_RANGE
    rule = f'CONSTRAINT "{number}" CHECK (`{name}` IS NULL OR {check})' if check else ""
    return f"`{name}` {'NOT NULL' if required else ''} {rule}"


def _translated(statement: str) -> str:
    """Return a statement with the words and the literals of SQLite."""
    parts: list[str] = []
    end = 0
    for found in _LITERAL.finditer(statement):
        parts += [_in_other_words(statement[end : found.start()]), _literal(found)]
        end = found.end()
    return "".join([*parts, _in_other_words(statement[end:])])


def _in_other_words(text: str) -> str:
    for pattern, words in _WORDS:
        text = pattern.sub(words, text)
    return text


def _literal(found: re.Match[str]) -> str:
    text, digits, number = found.groups()
    if digits is not None:
        return f"X'{digits}'"
    if number is not None:
        value = int(number)
        if value >= 2**64:
            raise _error(ER.WARN_DATA_OUT_OF_RANGE, "Out of range value")
        return str(value - 2**64 if value >= 2**63 else value)
    plain = re.sub(r"\\(.)", lambda each: _ESCAPED.get(each[1], each[1]), text, flags=re.DOTALL)
    return f"CAST(X'{plain.encode().hex()}' AS TEXT)"


def _unsigned(value: object) -> object:
    """Return a number as it was written: SQLite has none beyond 63 bits, and we none below 0."""
    return value + 2**64 if isinstance(value, int) and value < 0 else value


def _called(statement: str) -> str:
    """Return the body of the procedure that a statement calls, or the statement."""
    found = re.fullmatch(r"\s*CALL (\w+)\((.*)\)\s*", statement, re.DOTALL)
    if found is None:
        return statement
    names, body = _procedure(found[1])
    by_name = dict(zip(names, _arguments(found[2]), strict=True))
    return re.sub(r"\w+", lambda word: by_name.get(word[0], word[0]), _in_other_words(body))


def _arguments(text: str) -> list[str]:
    """Return the values of a call, which are literals."""
    return [each[0] for each in re.finditer(rf"{_LITERAL.pattern}|[0-9]+", text, re.DOTALL)]


def _procedure(name: str) -> tuple[list[str], str]:
    """Return the parameters and the body of a procedure, as its newest migration makes it."""
    for path in sorted(MIGRATIONS.glob("*[!k].sql"), reverse=True):
        text = path.read_text(encoding="utf-8")
        if f"PROCEDURE IF NOT EXISTS {name}(" in text:
            return re.findall(r"\bIN (\w+)", text), text.partition("SQL SECURITY DEFINER")[2]
    raise _error(ER.SP_DOES_NOT_EXIST, f"PROCEDURE {name} does not exist")
