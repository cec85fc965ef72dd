"""The database's accounts and what each may do. Every step may be taken again."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymysql

from datastream.config import ConfigError, Environment, MysqlSettings
from datastream.errors import Unavailable
from datastream_operator import migrate

#: What an account may do, and where: a table of the schema, all of it (`*`), or more (`*.*`).
Grants = tuple[tuple[str, str], ...]

MIGRATOR = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, LOCK TABLES,"
    " CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EXECUTE"
)
#: A row that is there stays as it is: INSERT … ON DUPLICATE KEY UPDATE key = key needs the right to
#: update the key's column, and no other.
STREAMS = ("SELECT, INSERT, UPDATE (stream_id)", "log_stream")
LINES = "SELECT, INSERT, UPDATE (line_offset)"

#: Every account that `make deploy` makes, with what it is granted once the tables are there.
ACCOUNTS: dict[str, Grants] = {
    "migrator": (),
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

PRESENT_PROCEDURES = """
    SELECT routine_name FROM information_schema.routines WHERE routine_schema = %s
"""
SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def run(env: Environment) -> None:
    """Make the schema, the accounts, the tables and the grants of the settings."""
    host, port = env.text("MYSQL_HOST"), env.number("MYSQL_PORT", 3306, 1, 65535)
    schema = env.text("MYSQL_DATABASE")
    if not SCHEMA_NAME.fullmatch(schema):
        raise ConfigError("MYSQL_DATABASE must be letters, digits, _ and -")
    passwords = {name: env.text(f"{name.upper()}_MYSQL_PASSWORD") for name in ACCOUNTS}
    grants = dict(ACCOUNTS)
    owner, password = env.find("MYSQL_USER"), env.find("MYSQL_PASSWORD")
    if owner is not None and password is not None:
        if owner == "root" or owner in ACCOUNTS:
            raise ConfigError(f"MYSQL_USER is {owner!r}, which is an account of the deployment")
        grants[owner], passwords[owner] = OWNER, password
    elif owner is not None or password is not None:
        raise ConfigError("MYSQL_USER and MYSQL_PASSWORD: an account needs both")

    root = MysqlSettings(host, port, schema, "root", env.text("MYSQL_ROOT_PASSWORD"))
    with _root(root) as cursor:
        _make_accounts(cursor, schema, passwords)
    migrator = MysqlSettings(host, port, schema, "migrator", passwords["migrator"])
    for name in migrate.apply(migrator):
        sys.stdout.write(f"Applied {name}\n")
    with _root(root) as cursor:
        for account, granted in grants.items():
            _grant(cursor, schema, account, granted)
        _grant_procedures(cursor, schema)
    sys.stdout.write(f"The schema {schema}, its accounts and their grants are there\n")


@contextmanager
def _root(settings: MysqlSettings) -> Iterator[Any]:
    """Give a cursor of root's. Raises Unavailable."""
    try:
        connection = pymysql.connect(
            host=settings.host,
            port=settings.port,
            user=settings.user,
            password=settings.password,
            charset="utf8mb4",
            autocommit=True,
        )
        with connection, connection.cursor() as cursor:
            yield cursor
    except pymysql.MySQLError as error:
        raise Unavailable(f"MySQL at {settings.host}:{settings.port}: {error}") from error


def _make_accounts(cursor: Any, schema: str, passwords: dict[str, str]) -> None:  # noqa: ANN401 - PyMySQL's
    cursor.execute(
        f"CREATE DATABASE IF NOT EXISTS `{schema}`"
        " DEFAULT CHARACTER SET utf8mb4 DEFAULT COLLATE utf8mb4_bin"
    )
    for account, password in passwords.items():
        cursor.execute(
            "SELECT COUNT(*) FROM mysql.user WHERE user = %s AND host = '%%'", (account,)
        )
        verb = "ALTER USER" if cursor.fetchone() == (1,) else "CREATE USER"
        cursor.execute(f"{verb} %s@'%%' IDENTIFIED BY %s", (account, password))
    _grant(cursor, schema, "migrator", ((MIGRATOR, "*"),))


def _grant(cursor: Any, schema: str, account: str, grants: Grants) -> None:  # noqa: ANN401 - PyMySQL's
    for privileges, where in grants:
        cursor.execute(f"GRANT {privileges} ON {_place(schema, where)} TO %s@'%%'", (account,))


def _place(schema: str, where: str) -> str:
    if "." in where:
        return where
    if where == "*":
        # Here a name is a pattern, in which _ stands for any letter.
        pattern = schema.replace("_", r"\_")
        return f"`{pattern}`.*"
    return f"`{schema}`.`{where}`"


def _grant_procedures(cursor: Any, schema: str) -> None:  # noqa: ANN401 - PyMySQL's
    cursor.execute(PRESENT_PROCEDURES, (schema,))
    present = {name for (name,) in cursor.fetchall()}
    for procedure, account in PROCEDURES.items():
        if procedure in present:
            cursor.execute(
                f"GRANT EXECUTE ON PROCEDURE `{schema}`.`{procedure}` TO %s@'%%'", (account,)
            )
