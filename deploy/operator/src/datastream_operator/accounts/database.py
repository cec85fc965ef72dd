"""The SQL that makes the accounts of the database, to print or to run. It may be run again."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pymysql

from datastream import mysql
from datastream.config import ConfigError, Environment, MysqlSettings
from datastream.errors import Unavailable
from datastream_operator.accounts.rights import Right, needed
from datastream_operator.doctor.settings import MYSQL_SERVICES, called, has_account

SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

#: The server's own accounts: they are left as they are.
LEFT_ALONE = frozenset({"root", "mysql", "mariadb.sys", "mysql.sys", "mysql.session"})

#: What the last statement says.
DONE = "Every account has its rights"
AGAIN = (
    "There are no tables yet: run `datastream migrate`, and then this again, for the rights on them"
)

#: Statements whose backslashes and quotes mean the same on every server.
BEGINNING = ("SET NAMES utf8mb4", "SET SESSION sql_mode = ''")


def schema(env: Environment) -> str:
    """Return the schema's name. Raises ConfigError."""
    name = env.text("MYSQL_DATABASE")
    if not SCHEMA_NAME.fullmatch(name):
        raise ConfigError("MYSQL_DATABASE must be letters, digits, _ and -")
    return name


@dataclass(frozen=True)
class Account:
    """An account, and the services that use it, as their settings begin."""

    settings: MysqlSettings
    services: tuple[str, ...]

    @property
    def quoted(self) -> str:
        """Its name, as SQL has it."""
        name = self.settings.user.replace("`", "``")
        return f"`{name}`@`%`"


def read(env: Environment) -> list[Account]:
    """Return each account of the settings once. Raises ConfigError, also where there is none."""
    schema(env)
    found: dict[str, Account] = {}
    for service in MYSQL_SERVICES:
        if has_account(env, service, "MYSQL"):
            settings = MysqlSettings.read(env, service)
            before = found.get(settings.user, Account(settings, ()))
            found[settings.user] = replace(before, services=(*before.services, service))
    if not found:
        MysqlSettings.read(env, "OPERATOR")
    return list(found.values())


def read_administrator(env: Environment) -> MysqlSettings:
    """Return the account that may make others. Raises ConfigError."""
    if env.find("ADMIN_MYSQL_USER") is None and env.find("MYSQL_ROOT_PASSWORD") is None:
        raise ConfigError(
            "neither ADMIN_MYSQL_USER and ADMIN_MYSQL_PASSWORD nor MYSQL_ROOT_PASSWORD are set."
            f" Without a password: {mysql.MAKE_ACCOUNTS}"
        )
    return MysqlSettings.read(env, "ADMIN")


def statements(schema: str, accounts: Iterable[Account], *, shows: bool) -> list[str]:
    """Return the statements; the last one selects what to do next.

    Where not `shows`, what cannot be run stands in place of each password. Raises Unavailable.
    """
    made = [
        *BEGINNING,
        f"CREATE DATABASE IF NOT EXISTS `{schema}`"
        " DEFAULT CHARACTER SET utf8mb4 DEFAULT COLLATE utf8mb4_bin",
    ]
    later: list[str] = []
    tables: set[str] = set()
    for account in accounts:
        if account.settings.user in LEFT_ALONE:
            continue
        secret = account.settings.password
        password = _quoted(secret.read()) if shows else f"<{secret.setting}>"
        made += [
            f"CREATE USER IF NOT EXISTS {account.quoted} IDENTIFIED BY {password}",
            f"ALTER USER {account.quoted} IDENTIFIED BY {password}",
        ]
        for table, statement in _grants(account, schema):
            if table == "*":
                made.append(statement)
            else:
                tables.add(table)
                later += _where_it_is(schema, table, statement)
    return [*made, *later, _what_next(schema, tables)]


def lines(schema: str, accounts: Iterable[Account], *, shows: bool) -> Iterator[str]:
    """Yield the lines of a script of them. Raises Unavailable."""
    accounts = list(accounts)
    for account in accounts:
        made = ", left as it is" if account.settings.user in LEFT_ALONE else ""
        yield f"-- {account.settings.user}: {called(account.services)}{made}"
    for statement in statements(schema, accounts, shows=shows):
        yield f"{statement};"


def apply(administrator_: MysqlSettings, schema: str, accounts: Iterable[Account]) -> str:
    """Run the statements, and return what the last one says. Raises Unavailable."""
    others = [one for one in accounts if one.settings.user != administrator_.user]
    with administrator(administrator_) as cursor:
        for statement in statements(schema, others, shows=True):
            cursor.execute(statement)
        ((words,),) = cursor.fetchall()
    return str(words)


@contextmanager
def administrator(settings: MysqlSettings) -> Iterator[Any]:
    """Yield a cursor of an account that may make others; its schema need not be there.

    Raises Unavailable.
    """
    try:
        connection = mysql.connect(replace(settings, database=""), autocommit=True)
        with connection, connection.cursor() as cursor:
            yield cursor
    except pymysql.MySQLError as error:
        raise Unavailable(
            f"MySQL at {settings.host}:{settings.port}: {mysql.explained(error)}"
        ) from error


def _grants(account: Account, schema: str) -> Iterator[tuple[str, str]]:
    """Yield a statement for each place, and its table: `*` where it needs no table to be there."""
    rights = needed(account.services, schema, is_mariadb=False)
    places: dict[tuple[str, str], list[Right]] = defaultdict(list)
    for right in sorted(rights):
        if not any(one.covers(right) for one in rights - {right}):
            places[right.table, right.place].append(right)
    for (table, place), its in places.items():
        columns: dict[str, list[str]] = defaultdict(list)
        for right in its:
            columns[right.privilege] += [f"`{right.column}`"] if right.column else []
        privileges = ", ".join(
            _privilege(privilege, named, is_added_to="INSERT" in columns)
            for privilege, named in columns.items()
        )
        yield table, f"GRANT {privileges} ON {place} TO {account.quoted}"


def _privilege(privilege: str, columns: list[str], *, is_added_to: bool) -> str:
    if not columns:
        return privilege
    named = f"({', '.join(columns)})"
    # MariaDB passes over it: see `needed`, which says why it asks for more.
    return f"{privilege} /*!80400 {named} */" if is_added_to else f"{privilege} {named}"


def _where_it_is(schema: str, table: str, statement: str) -> list[str]:
    """Return what runs a statement where its table or procedure is: a GRANT on none is an error."""
    kind, _, name = table.rpartition(" ")
    one = "routine" if kind else "table"
    return [
        f"SET @grant = IF(EXISTS (SELECT 1 FROM information_schema.{one}s"  # noqa: S608 - our names
        f" WHERE {one}_schema = '{schema}' AND {one}_name = '{name}'),"
        f" {_quoted(statement)}, 'DO 0')",
        "PREPARE granting FROM @grant",
        "EXECUTE granting",
    ]


def _what_next(schema: str, tables: Iterable[str]) -> str:
    names = ", ".join(f"'{name}'" for name in sorted(tables) if " " not in name)
    if not names:
        return f"SELECT '{DONE}' AS datastream"
    return (
        "SELECT IF(EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema ="  # noqa: S608
        f" '{schema}' AND table_name IN ({names})), '{DONE}', '{AGAIN}') AS datastream"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
