"""A session that only reads, for statements that a person writes: values come as SQL shows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.constants import FIELD_TYPE
from pymysql.cursors import SSCursor

from datastream import mysql
from datastream.config import MysqlSettings
from datastream.errors import Unavailable

#: Below this number an error is the server's answer; from it on the session is lost.
FIRST_CLIENT_ERROR = 2000
READ_ONLY_ERROR = 1792
#: Bytes of a binary column that holds an id or an address; a longer one holds text.
LONGEST_ID = 16

INTEGERS = frozenset(
    {
        FIELD_TYPE.TINY,
        FIELD_TYPE.SHORT,
        FIELD_TYPE.INT24,
        FIELD_TYPE.LONG,
        FIELD_TYPE.LONGLONG,
        FIELD_TYPE.YEAR,
    }
)
FRACTIONS = frozenset(
    {FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE, FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL}
)


class Failed(Exception):
    """The server refuses a statement; the message has its number and its words."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an answer."""

    name: str
    is_integer: bool
    is_fraction: bool
    #: Whether bytes in it are an id, which SQL shows as 0x…, and no text.
    is_id: bool

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return self.is_integer or self.is_fraction


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gives; a statement that is no query has no columns."""

    columns: list[Column]
    #: Each value as SQL shows it, or None for NULL. It is read while one goes through it.
    rows: Iterator[tuple[str | None, ...]]


class Reader:
    """One connection, opened when it is needed and again after it was lost.

    Each of its transactions is READ ONLY, whatever its account may do, and its times are UTC. A
    statement may take any time.
    """

    def __init__(self, settings: MysqlSettings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._connection: Any = None

    def ask(self, statement: str) -> Answer:
        """Run one statement; its rows must be read before the next one. Raises as connect() does.

        Raises Failed when the server refuses it, and Unavailable when the session is lost.
        """
        connection = self.connect()
        cursor = connection.cursor()
        self._guarded(lambda: cursor.execute(statement))
        columns = [_column(*described) for described in cursor.description or ()]
        return Answer(columns, self._rows(cursor, columns))

    def connect(self) -> Any:  # noqa: ANN401 - the driver's
        """Return the connection, opened if need be. Raises Unavailable."""
        if self._connection is None:
            try:
                self._connection = self._opened()
            except pymysql.MySQLError as error:
                raise Unavailable(
                    f"no session with {self._settings.host}:{self._settings.port}: "
                    f"{mysql.explained(error)}"
                ) from error
        return self._connection

    def limit(self, rows: int) -> None:
        """Give no more rows of a query that has no LIMIT. Raises as ask() does."""
        self.ask(f"SET SESSION sql_select_limit = {rows}")

    def close(self) -> None:
        """End the session."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # Not close(), nor what the driver does when it forgets an answer: both read the rest.
            # It has no public way to do without.
            if connection._result is not None:  # noqa: SLF001
                connection._result.unbuffered_active = False  # noqa: SLF001
            with suppress(pymysql.MySQLError, OSError):
                connection._force_close()  # noqa: SLF001

    def kill(self) -> None:
        """End the session, and with it the statement that the server still works at."""
        connection = self._connection
        self.close()
        if connection is not None:
            with (
                suppress(pymysql.MySQLError, OSError, Unavailable),
                self._opened() as other,
                other.cursor() as cursor,
            ):
                cursor.execute(f"KILL {connection.thread_id()}")

    def _opened(self) -> Any:  # noqa: ANN401 - the driver's
        connection = mysql.connect(
            self._settings,
            conv={},  # no value is converted: what SQL shows is what is shown
            cursorclass=SSCursor,
            read_timeout=mysql.CONNECT_TIMEOUT,
            write_timeout=mysql.READ_TIMEOUT,
            program_name=self._name,
            autocommit=True,
        )
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION time_zone = '+00:00'")
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
        connection._read_timeout = None  # noqa: SLF001 - one setting for both, until here
        return connection

    def _rows(self, cursor: Any, columns: list[Column]) -> Iterator[tuple[str | None, ...]]:  # noqa: ANN401
        while columns and (row := self._guarded(cursor.fetchone)) is not None:
            yield tuple(shown(value, column) for value, column in zip(row, columns, strict=True))
        cursor.close()

    def _guarded(self, work: Any) -> Any:  # noqa: ANN401
        try:
            return work()
        except pymysql.MySQLError as error:
            code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
            if 0 < code < FIRST_CLIENT_ERROR:
                raise Failed(_words(code, error)) from error
            self.close()
            raise Unavailable(f"the session is lost: {mysql.explained(error)}") from error


def shown(value: str | bytes | None, column: Column) -> str | None:
    """Return a value as SQL shows it: an id in bytes is a literal of SQL (`0xC0000207`)."""
    if isinstance(value, bytes):
        return (
            f"0x{value.hex().upper()}" if column.is_id else value.decode(errors="backslashreplace")
        )
    return value


def _column(name: str, kind: int, _shown: object, size: int, *_others: object) -> Column:
    is_text = kind in (FIELD_TYPE.VAR_STRING, FIELD_TYPE.STRING, FIELD_TYPE.VARCHAR)
    return Column(name, kind in INTEGERS, kind in FRACTIONS, is_text and size <= LONGEST_ID)


def _words(code: int, error: pymysql.MySQLError) -> str:
    if code == READ_ONLY_ERROR:
        return f"error {code}: nothing is changed here: this session only reads"
    return f"error {code}: {error.args[1] if len(error.args) > 1 else ''}"
