"""Applies the migrations: the one place where tables are made."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql
from pymysql.constants import ER
from yoyo import read_migrations
from yoyo.backends.core.mysql import MySQLBackend
from yoyo.connections import DatabaseURI
from yoyo.migrations import default_migration_table

from datastream import mysql
from datastream.config import Environment, MysqlSettings
from datastream.errors import Unavailable

#: The migrations of the checkout this command was installed from.
FOLDER = Path(__file__).resolve().parents[4] / "migrations"

LOCK = "datastream migrations"
#: Seconds to wait for another migration job to end.
LOCK_TIMEOUT = 60

#: A column or a key that is to be made is there, and one that is to be removed is not.
DONE_ALREADY = frozenset({ER.DUP_FIELDNAME, ER.DUP_KEYNAME, ER.CANT_DROP_FIELD_OR_KEY})


class Locked(Exception):
    """Another migration job is running."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream migrate`."""
    parser.add_argument(
        "--rollback", action="store_true", help="undo every migration: this drops all tables"
    )


def run(arguments: argparse.Namespace) -> int:
    """Apply the migrations to the database of the settings; return the exit code."""
    settings = MysqlSettings.read(Environment.load(), "MIGRATOR")
    names = roll_back(settings) if arguments.rollback else apply(settings)
    verb = "Rolled back" if arguments.rollback else "Applied"
    sys.stdout.writelines(f"{verb} {name}\n" for name in names)
    if not names:
        sys.stdout.write("The schema is up to date\n")
    return 0


def apply(settings: MysqlSettings, folder: Path = FOLDER) -> list[str]:
    """Apply what is not applied yet, in order, and return its names.

    Raises Unavailable when the database is away or refuses, and Locked.
    """
    with _backend(settings) as backend:
        migrations = backend.to_apply(read_migrations(str(folder)))
        backend.apply_migrations(migrations)
        return [migration.id for migration in migrations]


def roll_back(settings: MysqlSettings, folder: Path = FOLDER) -> list[str]:
    """Undo every migration, the last one first, and return the names.

    Raises Unavailable when the database is away or refuses, and Locked.
    """
    with _backend(settings) as backend:
        migrations = backend.to_rollback(read_migrations(str(folder)))
        backend.rollback_migrations(migrations)
        return [migration.id for migration in migrations]


@contextmanager
def _backend(settings: MysqlSettings) -> Iterator[_Backend]:
    """Give yoyo's backend, to one job at a time.

    yoyo's own lock is a row, which a job that is killed leaves behind for ever. The lock held
    here ends with its session, and whoever holds it may break what is left of yoyo's.
    """
    logging.getLogger("yoyo").setLevel(logging.WARNING)
    try:
        session = mysql.connect(settings)
        with session, session.cursor() as cursor:
            cursor.execute("SELECT GET_LOCK(%s, %s)", (LOCK, LOCK_TIMEOUT))
            if cursor.fetchone() != (1,):
                raise Locked(f"another migration job has been running for {LOCK_TIMEOUT} s")
            with _Backend(settings) as backend:
                backend.init_database()
                backend.break_lock()
                with backend.lock():
                    yield backend
    except pymysql.MySQLError as error:
        raise Unavailable(f"MySQL at {settings.host}:{settings.port}: {error}") from error


class _Backend(MySQLBackend):  # type: ignore[misc]  # yoyo has no types
    """yoyo's backend with connections of ours: its own way of opening one is deprecated."""

    def __init__(self, settings: MysqlSettings) -> None:
        self._settings = settings
        # yoyo reads no more than the database's name out of it.
        uri = DatabaseURI("mysql", None, None, None, None, settings.database, {})
        super().__init__(uri, default_migration_table)

    def connect(self, _dburi: DatabaseURI) -> Any:  # noqa: ANN401 - for yoyo, which has no types
        """Open a connection."""
        return mysql.connect(self._settings)

    def execute(self, sql: str, params: Any = None) -> Any:  # noqa: ANN401 - as above
        """Run a statement; one that a job has done that was killed before it noted so is done.

        Each migration is one statement, and MySQL cannot say IF NOT EXISTS of a column.
        """
        try:
            return super().execute(sql, params)
        except pymysql.MySQLError as error:
            if error.args[0] not in DONE_ALREADY:
                raise
            return None

    def copy(self) -> _Backend:
        """Return another one, with a connection of its own."""
        return _Backend(self._settings)
