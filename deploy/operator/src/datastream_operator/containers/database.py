"""The database's accounts and what each may do. Every step may be taken again."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
from pymysql.cursors import Cursor

from datastream import mysql
from datastream.config import ConfigError, Environment, MysqlSettings, Secret
from datastream.errors import Unavailable
from datastream_operator import migrate
from datastream_operator.containers import owner

#: What an account may do, and where: a table of the schema, all of it (`*`), or more (`*.*`).
Grants = tuple[tuple[str, str], ...]

MIGRATOR = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, LOCK TABLES,"
    " CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EXECUTE"
)
#: A row that is there stays as it is: INSERT … ON DUPLICATE KEY UPDATE key = key needs the right to
#: update the key's column, and no other. So an account could move a line; not change its bytes.
STREAMS = ("SELECT, INSERT, UPDATE (stream_id)", "log_stream")
LINES = "SELECT, INSERT, UPDATE (line_offset)"

#: Every account that `make deploy` makes, with what it is granted once the tables are there.
ACCOUNTS: dict[str, Grants] = {
    "migrator": ((MIGRATOR, "*"),),
    "lake": (STREAMS, (LINES, "raw_log")),
    "clean": (
        STREAMS,
        (f"{LINES}, DELETE", "clean_log"),
        (f"{LINES}, DELETE", "error_log"),
        (f"{LINES}, DELETE", "rejected_log"),
        ("SELECT, INSERT, UPDATE (referrer_id, host, kind)", "referrer"),
        (
            "SELECT, INSERT, UPDATE"
            " (user_agent_id, browser, browser_version, `system`, device, is_bot)",
            "user_agent",
        ),
    ),
    "operator": (
        ("SELECT, SHOW VIEW", "*"),
        ("PROCESS", "*.*"),
        ("UPDATE (format)", "log_stream"),  # a format that a person chooses anew
    ),
    "grafana": (("SELECT", "*"),),
    "exporter": (("PROCESS, REPLICATION CLIENT", "*.*"), ("SELECT", "performance_schema.*")),
}
#: Procedures, by the account that calls each. One that no migration has made is left out.
PROCEDURES = {"complete_line": "lake"}

#: The account that a person names in .env is the person's own.
OWNER: Grants = (("ALL PRIVILEGES", "*"),)

#: What root is called, and the names that the server keeps for itself.
TAKEN = frozenset({*ACCOUNTS, "root", "mysql.sys", "mysql.session", "mysql.infoschema"})
#: By this an account is known as made here, once .env or ACCOUNTS name it no longer.
MADE_HERE = '{"made_by": "datastream"}'

PRESENT_ACCOUNTS = """
    SELECT user FROM information_schema.user_attributes
    WHERE host = '%' AND attribute->>'$.made_by' = 'datastream'
"""
PRESENT_GRANTS = """
    SELECT privilege_type, NULL, '*.*' FROM information_schema.user_privileges
    WHERE grantee = %(grantee)s
    UNION ALL
    SELECT privilege_type, NULL, '*' FROM information_schema.schema_privileges
    WHERE grantee = %(grantee)s AND table_schema = %(pattern)s
    UNION ALL
    SELECT privilege_type, NULL, table_name FROM information_schema.table_privileges
    WHERE grantee = %(grantee)s AND table_schema = %(schema)s
    UNION ALL
    SELECT privilege_type, column_name, table_name FROM information_schema.column_privileges
    WHERE grantee = %(grantee)s AND table_schema = %(schema)s
"""
#: Of a list of privileges: one, and the columns that it is for.
PRIVILEGE = re.compile(r"([A-Z ]+[A-Z])(?: \(([^)]*)\))?(?:, |$)")
PRESENT_PROCEDURES = """
    SELECT routine_name FROM information_schema.routines WHERE routine_schema = %s
"""
SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def schema(env: Environment) -> str:
    """Return the schema's name. Raises ConfigError."""
    name = env.text("MYSQL_DATABASE")
    if not SCHEMA_NAME.fullmatch(name):
        raise ConfigError("MYSQL_DATABASE must be letters, digits, _ and -")
    return name


def run(env: Environment) -> None:
    """Make the schema, the accounts, the tables and the grants of the settings.

    An account that was made here and is wanted no longer is removed. Raises ConfigError,
    Unavailable and Refused.
    """
    host, port = env.text("MYSQL_HOST"), env.number("MYSQL_PORT", 3306, 1, 65535)
    database = schema(env)
    passwords = {name: env.text(f"{name.upper()}_MYSQL_PASSWORD") for name in ACCOUNTS}
    grants = dict(ACCOUNTS)
    person = owner.read(env, "MYSQL", TAKEN)
    if person is not None:
        name, password = person
        grants[name], passwords[name] = OWNER, password

    root = MysqlSettings(host, port, database, "root", Secret(env.text("MYSQL_ROOT_PASSWORD")))
    with _root(root) as cursor:
        _make_accounts(cursor, database, passwords)
    migrator = MysqlSettings(host, port, database, "migrator", Secret(passwords["migrator"]))
    for name in migrate.apply(migrator):
        sys.stdout.write(f"Applied {name}\n")
    with _root(root) as cursor:
        for account, granted in grants.items():
            _grant(cursor, database, account, granted)
            if account in ACCOUNTS:
                narrow(cursor, database, account, granted)
        _grant_procedures(cursor, database)
        _remove_former(cursor, grants)
    sys.stdout.write(f"The schema {database}, its accounts and their grants are there\n")


@contextmanager
def _root(settings: MysqlSettings) -> Iterator[Any]:
    """Give a cursor of root's. Raises Unavailable."""
    try:
        connection = pymysql.connect(
            host=settings.host,
            port=settings.port,
            user=settings.user,
            password=settings.password.read(),
            charset="utf8mb4",
            autocommit=True,
        )
        with connection, connection.cursor() as cursor:
            yield cursor
    except pymysql.MySQLError as error:
        raise Unavailable(
            f"MySQL at {settings.host}:{settings.port}: {mysql.explained(error)}"
        ) from error


def _make_accounts(cursor: Cursor, schema: str, passwords: dict[str, str]) -> None:
    cursor.execute(
        f"CREATE DATABASE IF NOT EXISTS `{schema}`"
        " DEFAULT CHARACTER SET utf8mb4 DEFAULT COLLATE utf8mb4_bin"
    )
    for account, password in passwords.items():
        cursor.execute(
            "SELECT COUNT(*) FROM mysql.user WHERE user = %s AND host = '%%'", (account,)
        )
        verb = "ALTER USER" if cursor.fetchone() == (1,) else "CREATE USER"
        cursor.execute(
            f"{verb} %s@'%%' IDENTIFIED BY %s ATTRIBUTE %s", (account, password, MADE_HERE)
        )
    _grant(cursor, schema, "migrator", ACCOUNTS["migrator"])


def _grant(cursor: Cursor, schema: str, account: str, grants: Grants) -> None:
    for privileges, where in grants:
        cursor.execute(f"GRANT {privileges} ON {_place(schema, where)} TO %s@'%%'", (account,))


def narrow(cursor: Cursor, schema: str, account: str, grants: Grants) -> None:
    """Take from an account what it has of the schema and of the server beyond its grants."""
    wanted = {
        (privilege, column.strip(" `") or None, where)
        for privileges, where in grants
        for privilege, columns in PRIVILEGE.findall(privileges)
        for column in columns.split(",")
    }
    cursor.execute(
        PRESENT_GRANTS,
        {"grantee": f"'{account}'@'%'", "schema": schema, "pattern": _pattern(schema)},
    )
    for privilege, column, where in set(cursor.fetchall()) - wanted:
        if privilege != "USAGE":
            of_column = f" (`{column}`)" if column else ""
            cursor.execute(
                f"REVOKE {privilege}{of_column} ON {_place(schema, where)} FROM %s@'%%'", (account,)
            )


def _remove_former(cursor: Cursor, grants: dict[str, Grants]) -> None:
    cursor.execute(PRESENT_ACCOUNTS)
    for (account,) in cursor.fetchall():
        if account not in grants:
            cursor.execute("DROP USER %s@'%%'", (account,))
            sys.stdout.write(f"Removed the account {account}\n")


def _pattern(schema: str) -> str:
    """Return what a whole schema's name is in a grant: a pattern, in which _ is any letter."""
    return schema.replace("_", r"\_")


def _place(schema: str, where: str) -> str:
    if "." in where:
        return where
    if where == "*":
        return f"`{_pattern(schema)}`.*"
    return f"`{schema}`.`{where}`"


def _grant_procedures(cursor: Cursor, schema: str) -> None:
    cursor.execute(PRESENT_PROCEDURES, (schema,))
    present = {name for (name,) in cursor.fetchall()}
    for procedure, account in PROCEDURES.items():
        if procedure in present:
            cursor.execute(
                f"GRANT EXECUTE ON PROCEDURE `{schema}`.`{procedure}` TO %s@'%%'", (account,)
            )
