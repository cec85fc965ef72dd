"""Many rows by LOAD DATA LOCAL, or not at all: whatever is not as it must be goes by INSERT.

LOAD DATA changes a value that does not fit its column, and warns, where an INSERT refuses it. So
rows that any warning is about are taken back.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

import pymysql
from pymysql.constants import ER

from datastream.inserts import Insert
from datastream.loads import FILE, Load, loads

logger = logging.getLogger(__name__)

#: Rows from which on LOAD DATA costs less than an INSERT on either server: it takes two round trips
#: more.
FEWEST = 300
#: A deadlock and a lock that took too long. The session is sound: only the batch is tried again.
LOCK_ERRORS = frozenset({1205, 1213})
#: `local_infile` is off: MariaDB from 10.5 on, MySQL, and older or other servers.
OFF = frozenset({4166, 3948, 1148})
#: The client's own errors, which no server has sent: the session is lost.
CLIENT_ERRORS = range(2000, 3000)
#: Warnings of a key that is there already.
DUPLICATES = frozenset({ER.DUP_ENTRY, 1586})


class LoadObserver(Protocol):
    """What is told of rows that could not go by LOAD DATA; datastream.metrics implements it."""

    def load_refused(self, *, is_refused: bool) -> None:
        """Show whether the server refuses LOAD DATA LOCAL."""

    def load_taken_back(self) -> None:
        """Count rows that were loaded with a warning, and sent again as INSERTs."""


class _Nobody:
    def load_refused(self, *, is_refused: bool) -> None:
        pass

    def load_taken_back(self) -> None:
        pass


NOBODY = _Nobody()


class Loading:
    """Whether rows of a session may go by LOAD DATA, and how they do."""

    def __init__(self, observer: LoadObserver, *, is_wanted: bool) -> None:
        self._observer = observer
        self._is_wanted = is_wanted
        #: Whether the server has refused it in this session; whether that was told.
        self._is_refused = False
        self._is_told = False
        #: Whether a session was lost at it, as at a proxy that does not know it: the batch goes by
        #: INSERT next, or might never be stored.
        self._is_doubted = False
        #: Whether rows of this transaction go by INSERT for that reason.
        self._is_avoided = False

    def opened(self) -> None:
        """Note that a session begins, which may be with another server."""
        self._is_refused = False

    def begun(self) -> None:
        """Note that a transaction begins."""
        self._is_avoided = False

    def committed(self) -> None:
        """Note that a transaction is stored; one without many rows says nothing of them."""
        if self._is_avoided:
            self._is_doubted = False

    def load(
        self, connection: Any, insert: Insert, rows: Sequence[Sequence[object]], most_bytes: int
    ) -> int | None:
        """Add rows, and return how many are new; None: none was added, they must go by INSERT.

        No packet has `most_bytes` or more. Raises pymysql.MySQLError when the session is lost, and
        for a lock.
        """
        if insert.load is None or len(rows) < FEWEST:
            return None
        if not self._is_wanted or self._is_refused:
            return None
        if self._is_doubted:
            self._is_avoided = True
            return None
        _run(connection, "SAVEPOINT loading")
        try:
            new = self._load(connection, insert, rows, most_bytes)
        except pymysql.MySQLError as error:
            self._consider(error)
            try:
                _run(connection, "ROLLBACK TO SAVEPOINT loading")
            except pymysql.MySQLError:
                raise error from None  # it has rolled back everything, the savepoint too
            return None
        if new is None:
            _run(connection, "ROLLBACK TO SAVEPOINT loading")
            self._observer.load_taken_back()
        self._tell(is_refused=False)
        return new

    def _load(
        self, connection: Any, insert: Insert, rows: Sequence[Sequence[object]], most_bytes: int
    ) -> int | None:
        """Add rows, and return how many are new; None when a value may be another one now."""
        new = 0
        for part in loads(insert, rows):
            loaded = connection.load(part.statement, FILE, part.text, most_bytes)
            if loaded.warnings and not _are_duplicates(connection, part, loaded.warnings):
                return None
            new += loaded.new
        return new

    def _consider(self, error: pymysql.MySQLError) -> None:
        """Return if the rows can go by INSERT, which may fail as well and say why; else raise."""
        code = error.args[0] if error.args else None
        if not isinstance(code, int) or not code or code in CLIENT_ERRORS:
            self._is_doubted = True
            raise error
        if code in LOCK_ERRORS:
            raise error
        if code in OFF:
            self._is_refused = True
            self._tell(is_refused=True)

    def _tell(self, *, is_refused: bool) -> None:
        """Tell of a change."""
        if is_refused == self._is_told:
            return
        self._is_told = is_refused
        self._observer.load_refused(is_refused=is_refused)
        if is_refused:
            logger.warning(
                "MySQL refuses LOAD DATA LOCAL: rows go by INSERT, which takes more CPU time; set"
                " local_infile to ON there, or MYSQL_LOCAL_INFILE=no here"
            )


def _run(connection: Any, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _are_duplicates(connection: Any, part: Load, warnings: int) -> bool:
    """Return whether the last statement's warnings all tell of keys that were there already."""
    if warnings > part.rows:
        return False
    shown = connection.show_warnings()
    # The server keeps some of many (max_error_count): what is not seen may be anything.
    return len(shown) == warnings and all(code in DUPLICATES for _, code, _ in shown)
