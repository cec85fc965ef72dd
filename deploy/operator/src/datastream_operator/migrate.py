"""Applies the migrations: only here are tables made."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pymysql
from pymysql.constants import ER
from pymysql.cursors import Cursor
from yoyo import read_migrations
from yoyo.backends.core.mysql import MySQLBackend
from yoyo.connections import DatabaseURI
from yoyo.internalmigrations import mark_schema_version, schema_versions, v2
from yoyo.migrations import MigrationList, default_migration_table

from datastream import mysql
from datastream.config import Environment, MysqlSettings
from datastream.errors import Unavailable
from datastream_operator.refused import EX_UNAVAILABLE, EX_USAGE, Refused

EX_FAILED = 1

DESCRIPTION = """\
Create the tables, or bring them up to date: apply every migration that is not applied yet, in
order. It may be run again at any time, also after it was cut short. The account is
MIGRATOR_MYSQL_*, or root where MYSQL_ROOT_PASSWORD is set, or MYSQL_*.
"""

EXIT_CODES = """\
exit codes: 0 done; 1 nothing was changed: it was not confirmed, a table of another program is in
the way, or a newer version has applied more; 2 or 64 the command is wrong; 69 the database is away
or refuses, or another migration runs; 78 a setting is wrong
"""

#: The migrations: beside this file in a wheel; at the root of a checkout, of an image's program and
#: of /opt/datastream-consumers.
PACKED = Path(__file__).with_name("migrations")
FOLDER = PACKED if PACKED.is_dir() else Path(__file__).resolve().parents[4] / "migrations"

LOCK = "datastream migrations"
#: Seconds to wait for another migration job to end.
LOCK_TIMEOUT = 60

#: A column or a key that is to be made is there, and one that is to be removed is not.
DONE_ALREADY = frozenset({ER.DUP_FIELDNAME, ER.DUP_KEYNAME, ER.CANT_DROP_FIELD_OR_KEY})
#: A statement is done as a whole or not at all: what it changes besides is there as well.
RENAMED_TABLE = re.compile(r"^ALTER TABLE \w+ RENAME TO (\w+)\s*$", re.MULTILINE)
RENAMED_COLUMN = re.compile(r"^ALTER TABLE (\w+)\s+RENAME COLUMN \w+ TO (\w+)", re.MULTILINE)
#: While lines are in two tables either may go, and never the last one: a job that was killed before
#: it noted what it did may be followed by one that goes the other way.
DROPPED_TABLE = re.compile(r"^DROP TABLE IF EXISTS (\w+)", re.MULTILINE)
HOLDS_THE_SAME = {"raw_line": "raw_packed", "raw_packed": "raw_line"}

PRESENT = """
    SELECT IF(table_type = 'VIEW', 'view', 'table'), table_name
    FROM information_schema.tables WHERE table_schema = DATABASE()
    UNION ALL
    SELECT 'procedure', routine_name
    FROM information_schema.routines
    WHERE routine_schema = DATABASE() AND routine_type = 'PROCEDURE'
"""
COLUMNS = """
    SELECT column_name FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = %s
"""
#: yoyo's own table, which notes what is applied.
NOTED_TABLE: str = default_migration_table
NOTED = f"SELECT migration_id FROM {NOTED_TABLE}"  # noqa: S608 - a name of yoyo's
PARAMETERS = """
    SELECT parameter_name FROM information_schema.parameters
    WHERE specific_schema = DATABASE() AND specific_name = %s AND parameter_name IS NOT NULL
"""


class Locked(Refused):
    """Another migration job is running."""


class Made(NamedTuple):
    """What a migration makes; its columns, or a procedure's parameters, show that it is ours."""

    kind: str
    name: str
    columns: frozenset[str]

    @classmethod
    def by(cls, statement: str) -> Made | None:
        """Return what a migration's text makes, or None when it makes nothing new."""
        found = re.search(
            r"^CREATE (?:OR REPLACE )?(?:ALGORITHM = MERGE )?"
            r"(TABLE|VIEW|PROCEDURE) (?:IF NOT EXISTS )?(\w+)",
            statement,
            re.MULTILINE,
        )
        if found is None:
            return None
        kind, body = found[1].lower(), statement[found.end() :]
        pattern = {
            "table": r"^    (?!PRIMARY |KEY )`?(\w+)`? ",
            "view": r"^    .*\bAS `?(\w+)`?,?$",
            "procedure": r"^    IN (\w+) ",
        }[kind]
        columns = re.findall(pattern, body, re.MULTILINE)
        return cls(kind, found[2], frozenset(columns))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream migrate`."""
    parser.description = DESCRIPTION
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(run=run)
    parser.add_argument(
        "--rollback",
        action="store_true",
        help="take back the last migration, and the rows of its tables; asks first",
    )
    parser.add_argument(
        "--to",
        metavar="N",
        help="with --rollback: take back all that come after migration N; 0 takes back every one",
    )
    parser.add_argument(
        "--yes", action="store_true", help="with --rollback: do it without being asked"
    )


def run(arguments: argparse.Namespace) -> int:
    """Apply the migrations to the database of the settings, or take some back; return 0.

    Raises Refused, with nothing changed, when it is not confirmed, while another job runs (Locked),
    or where the database holds a table of another program; ConfigError and Unavailable.
    """
    if not arguments.rollback and (arguments.yes or arguments.to is not None):
        raise Refused("--to and --yes go with --rollback", EX_USAGE)
    settings = MysqlSettings.read(Environment.load(), "MIGRATOR")
    if arguments.rollback:
        return _take_back(settings, arguments.to, is_sure=arguments.yes)
    names = apply(settings)
    sys.stdout.writelines(f"Applied {name}\n" for name in names)
    if not names:
        sys.stdout.write("The schema is up to date\n")
    return 0


def _take_back(settings: MysqlSettings, to: str | None, *, is_sure: bool) -> int:
    last_kept = None if to is None else _last_kept(to)
    there = applied(settings)
    if last_kept is None:
        last_kept = _number(there[-2]) if len(there) > 1 else 0
    undone = [name for name in reversed(there) if _number(name) > last_kept]
    if not undone:
        sys.stdout.write("There is nothing to take back\n")
        return 0
    if not is_sure:
        _ask(settings.database, undone)
    for name in roll_back(settings, last_kept):
        sys.stdout.write(f"Rolled back {name}\n")
    return 0


def _last_kept(to: str) -> int:
    """Return the number of the last migration to keep. Raises Refused."""
    known = sorted(_number(path.name) for path in FOLDER.glob("*.sql"))
    if not re.fullmatch("[0-9]{1,4}", to) or int(to) not in {0, *known}:
        raise Refused(
            f"--to is {to!r}; it must be the number of a migration, {known[0]} to {known[-1]}, or"
            " 0 for none",
            EX_USAGE,
        )
    return int(to)


def _ask(database: str, undone: Sequence[str]) -> None:
    """Return once a person has typed the database's name. Raises Refused."""
    sys.stdout.write(
        f"This takes back {', '.join(undone)} in the database {database}.\n"
        "A table that is dropped takes its rows with it, permanently.\n"
    )
    sys.stdout.write("Type the database's name to go on: ")
    sys.stdout.flush()
    answer = sys.stdin.readline()
    if not answer:
        raise Refused("nothing was changed: no answer was given; --yes does not ask", EX_FAILED)
    if answer.strip() != database:
        raise Refused("nothing was changed: that is not the database's name", EX_FAILED)


def applied(settings: MysqlSettings, folder: Path = FOLDER) -> list[str]:
    """Return the names of the migrations that are applied, in order; changes nothing.

    Raises Unavailable and Locked.
    """
    with _locked(settings) as cursor:
        noted = _noted(cursor)
    return [m.id for m in read(folder) if m.id in noted]


def apply(settings: MysqlSettings, folder: Path = FOLDER) -> list[str]:
    """Apply what is not applied yet, in order, and return its names.

    Raises Unavailable when the database is away or refuses, and Refused, before anything is
    changed, while another job runs (Locked) or where a table of another program has the name of
    one of ours.
    """
    migrations = read(folder)
    with _locked(settings) as cursor:
        _refuse_others(cursor, settings.database, migrations)
        with _backend(settings) as backend:
            names = []
            for migration in backend.to_apply(migrations):
                with _named(f"migration {migration.id}", settings):
                    backend.apply_one(migration)
                names.append(migration.id)
            return names


def roll_back(settings: MysqlSettings, to: int = 0, folder: Path = FOLDER) -> list[str]:
    """Undo the migrations after number `to`, the last one first, and return the names.

    Raises Unavailable when the database is away or refuses, and Refused, before anything is
    changed, while another job runs (Locked) or where a newer version has applied more.
    """
    migrations = read(folder)
    with _locked(settings) as cursor:
        known = {migration.id for migration in migrations}
        newer = sorted(name for name in _noted(cursor) - known if name > max(known))
        if newer:
            raise Refused(
                f"the database has {', '.join(newer)}, which this version does not know: take them"
                " back with the version that applied them",
                EX_FAILED,
            )
        with _backend(settings) as backend:
            names = []
            for migration in backend.to_rollback(migrations):
                if _number(migration.id) > to:
                    with _named(f"taking back migration {migration.id}", settings):
                        backend.rollback_one(migration)
                    names.append(migration.id)
            return names


def read(folder: Path = FOLDER) -> MigrationList:
    """Return the migrations of a folder. Raises Refused where it has none."""
    if not any(folder.glob("*.sql")):
        raise Refused(
            f"there are no migrations in {folder}: is this installation whole?", EX_FAILED
        )
    return read_migrations(str(folder))


def _number(name: str) -> int:
    return int(name.partition("_")[0])


def _refuse_others(cursor: Cursor, database: str, migrations: Iterable[Any]) -> None:
    """Raise Refused where another program has made something that a migration is to make.

    A job that was killed may have made it and not noted it: then its columns are the same.
    """
    noted = _noted(cursor)
    present = _present(cursor)
    seen = set()
    others = []
    for migration in migrations:
        made = Made.by(Path(migration.path).read_text(encoding="utf-8"))
        if made is None or made.name in seen:
            continue
        seen.add(made.name)
        if migration.id in noted:
            continue
        # Tables and views share their names; a procedure has its own.
        like = ("procedure",) if made.kind == "procedure" else ("table", "view")
        for kind in like:
            if (kind, made.name) in present and (
                kind != made.kind or _columns(cursor, kind, made.name) != made.columns
            ):
                others.append(f"{kind} {made.name}")
    if others:
        raise Refused(
            f"the database {database} has the {', the '.join(others)} of another program: nothing"
            " was changed. Rename what is there, or give MYSQL_DATABASE a database of its own",
            EX_FAILED,
        )


def _present(cursor: Cursor) -> set[tuple[str, str]]:
    cursor.execute(PRESENT)
    return {(kind, name) for kind, name in cursor.fetchall()}


def _columns(cursor: Cursor, kind: str, name: str) -> frozenset[str]:
    cursor.execute(PARAMETERS if kind == "procedure" else COLUMNS, (name,))
    return frozenset(column for (column,) in cursor.fetchall())


def _noted(cursor: Cursor) -> set[str]:
    """Return the names of the migrations that are noted as applied."""
    if "migration_id" not in _columns(cursor, "table", NOTED_TABLE):
        return set()
    cursor.execute(NOTED)
    return {name for (name,) in cursor.fetchall()}


@contextmanager
def _named(doing: str, settings: MysqlSettings) -> Iterator[None]:
    """Add to the server's words what was being done."""
    try:
        yield
    except pymysql.MySQLError as error:
        raise Unavailable(
            f"{doing} failed at MySQL {settings.host}:{settings.port}: {mysql.explained(error)}."
            " What was applied before it stays; once the cause is gone, run it again"
        ) from error


@contextmanager
def _locked(settings: MysqlSettings) -> Iterator[Any]:
    """Yield a cursor, to one job at a time. Raises Unavailable and Locked."""
    try:
        session = mysql.connect(settings)
        with session, session.cursor() as cursor:
            cursor.execute("SELECT GET_LOCK(%s, %s)", (LOCK, LOCK_TIMEOUT))
            if cursor.fetchone() != (1,):
                raise Locked(
                    f"another migration job has been running for {LOCK_TIMEOUT} s", EX_UNAVAILABLE
                )
            yield cursor
    except pymysql.MySQLError as error:
        raise Unavailable(
            f"MySQL at {settings.host}:{settings.port}: {mysql.explained(error)}"
        ) from error


@contextmanager
def _backend(settings: MysqlSettings) -> Iterator[_Backend]:
    """Yield yoyo's backend to the one job that holds our lock.

    yoyo's own lock is a row, which a job that is killed leaves behind. The lock held here ends with
    its session, and its holder may break what is left of yoyo's.
    """
    logging.getLogger("yoyo").setLevel(logging.WARNING)
    with _Backend(settings) as backend:
        with _named("making the tables that note what is applied", settings):
            backend.init_database()
            backend.break_lock()
        with backend.lock():
            yield backend


class _Cursor(Cursor):
    """A cursor that accepts as done what a killed job did but did not note.

    Each migration is one statement, and MySQL has no IF NOT EXISTS for a column.
    """

    def execute(self, query: str, args: Any = None) -> int:  # noqa: ANN401 - PyMySQL's
        """Run a statement. Raises Refused where it would drop the only table with the lines."""
        self._keep_the_last(query)
        try:
            return super().execute(query, args)
        except pymysql.MySQLError as error:
            if error.args[0] not in DONE_ALREADY and not self._is_renamed(query, error):
                raise
            return 0

    def _keep_the_last(self, query: str) -> None:
        found = DROPPED_TABLE.search(query)
        other = HOLDS_THE_SAME.get(found[1]) if found else None
        if found is None or other is None:
            return
        present = _present(self)
        if ("table", found[1]) in present and ("table", other) not in present:
            raise Refused(
                f"{found[1]} was not dropped: it alone has the lines, since another migration was"
                " cut short. First run again what was cut short, datastream migrate or datastream"
                " migrate --rollback --to N, as it was",
                EX_FAILED,
            )

    def _is_renamed(self, query: str, error: pymysql.MySQLError) -> bool:
        """Whether what a statement renames has its new name already, and no other."""
        if error.args[0] == ER.NO_SUCH_TABLE and (found := RENAMED_TABLE.search(query)):
            return ("table", found[1]) in _present(self)
        if error.args[0] == ER.BAD_FIELD_ERROR and (found := RENAMED_COLUMN.search(query)):
            return found[2] in _columns(self, "table", found[1])
        return False


class _Backend(MySQLBackend):  # type: ignore[misc]  # yoyo has no types
    """yoyo's backend with connections of ours: its own way of opening one is deprecated."""

    def __init__(self, settings: MysqlSettings) -> None:
        self._settings = settings
        # yoyo reads only the database's name from it.
        uri = DatabaseURI("mysql", None, None, None, None, settings.database, {})
        super().__init__(uri, default_migration_table)
        # The server commits at each CREATE; yoyo would find that out with a table of its own, which
        # stays where it may not be dropped.
        self.has_transactional_ddl = False

    def connect(self, _dburi: DatabaseURI) -> Any:  # noqa: ANN401 - for yoyo, which has no types
        """Open a connection."""
        return mysql.connect(self._settings, cursorclass=_Cursor)

    def init_database(self) -> None:
        """Make those of yoyo's own tables that are missing, whatever state a job left them in.

        yoyo makes an older form of them first and then the newer one, cannot go on from a state in
        between, and hides the server's words.
        """
        with self.cursor() as cursor:
            columns = _columns(cursor, "table", self.migration_table)
            if columns and "migration_hash" not in columns:
                # The older form, which a job that got no further has left: it is empty.
                cursor.execute(f"DROP TABLE {self.migration_table}")
            there = set(self.list_tables())
            if self.lock_table not in there:
                cursor.execute(self.format_sql(self.create_lock_table_sql))
            for table, make in (
                (self.log_table, v2.create_log_table),
                (self.migration_table, v2.create_migration_table),
                (self.version_table, v2.create_version_table),
            ):
                if table not in there:
                    make(self)
        if not self._is_version_noted():
            mark_schema_version(self, max(schema_versions))
        self.commit()

    def _is_version_noted(self) -> bool:
        cursor = self.execute(self.format_sql("SELECT 1 FROM {0.version_table_quoted}"))
        return cursor.fetchone() is not None

    def savepoint_rollback(self, id: str) -> None:  # noqa: A002 - as yoyo names it
        """Undo a failed statement; with nothing to undo the first error must not be hidden."""
        with suppress(pymysql.MySQLError):
            super().savepoint_rollback(id)

    def rollback(self) -> None:
        """Undo what a transaction did; a session that is lost has undone it by itself."""
        with suppress(pymysql.MySQLError, OSError):
            super().rollback()
        self._in_transaction = False

    def copy(self) -> _Backend:
        """Return another one, with a connection of its own."""
        return _Backend(self._settings)
