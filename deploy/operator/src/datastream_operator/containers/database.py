"""The database's accounts and what each may do. Every step may be repeated."""

from __future__ import annotations

import re
import sys

from pymysql.cursors import Cursor

from datastream.config import Environment, MysqlSettings, Secret
from datastream_operator import migrate
from datastream_operator.accounts.database import administrator, schema
from datastream_operator.accounts.rights import DATABASE, PROCEDURES, Grants, pattern
from datastream_operator.containers import owner

#: The account that .env names is the person's own.
OWNER: Grants = (("ALL PRIVILEGES", "*"),)

#: The name of root, and the names that the server reserves.
TAKEN = frozenset({*DATABASE, "root", "mysql.sys", "mysql.session", "mysql.infoschema"})
#: Marks an account as made here, for when .env or DATABASE no longer name it.
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
#: One of a list of privileges, and the columns that it is for.
PRIVILEGE = re.compile(r"([A-Z ]+[A-Z])(?: \(([^)]*)\))?(?:, |$)")
PRESENT_PROCEDURES = """
    SELECT routine_name FROM information_schema.routines WHERE routine_schema = %s
"""


def run(env: Environment) -> None:
    """Make the schema, the accounts, the tables and the grants of the settings.

    Removes accounts that were made here and are no longer named. Raises ConfigError, Unavailable
    and Refused.
    """
    host, port = env.text("MYSQL_HOST"), env.number("MYSQL_PORT", 3306, 1, 65535)
    database = schema(env)
    passwords = {name: env.text(f"{name.upper()}_MYSQL_PASSWORD") for name in DATABASE}
    grants = dict(DATABASE)
    person = owner.read(env, "MYSQL", TAKEN)
    if person is not None:
        name, password = person
        grants[name], passwords[name] = OWNER, password

    root = MysqlSettings(host, port, database, "root", Secret(env.text("MYSQL_ROOT_PASSWORD")))
    with administrator(root) as cursor:
        _make_accounts(cursor, database, passwords)
    migrator = MysqlSettings(host, port, database, "migrator", Secret(passwords["migrator"]))
    for name in migrate.apply(migrator):
        sys.stdout.write(f"Applied {name}\n")
    with administrator(root) as cursor:
        for account, granted in grants.items():
            _grant(cursor, database, account, granted)
            if account in DATABASE:
                narrow(cursor, database, account, granted)
        _grant_procedures(cursor, database)
        _remove_former(cursor, grants)
    sys.stdout.write(f"The schema {database}, its accounts and their grants are there\n")


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
    _grant(cursor, schema, "migrator", DATABASE["migrator"])


def _grant(cursor: Cursor, schema: str, account: str, grants: Grants) -> None:
    for privileges, where in grants:
        cursor.execute(f"GRANT {privileges} ON {_place(schema, where)} TO %s@'%%'", (account,))


def narrow(cursor: Cursor, schema: str, account: str, grants: Grants) -> None:
    """Revoke what an account may do in the schema and on the server beyond its grants."""
    wanted = {
        (privilege, column.strip(" `") or None, where)
        for privileges, where in grants
        for privilege, columns in PRIVILEGE.findall(privileges)
        for column in columns.split(",")
    }
    cursor.execute(
        PRESENT_GRANTS,
        {"grantee": f"'{account}'@'%'", "schema": schema, "pattern": pattern(schema)},
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


def _place(schema: str, where: str) -> str:
    if "." in where:
        return where
    if where == "*":
        return f"`{pattern(schema)}`.*"
    return f"`{schema}`.`{where}`"


def _grant_procedures(cursor: Cursor, schema: str) -> None:
    cursor.execute(PRESENT_PROCEDURES, (schema,))
    present = {name for (name,) in cursor.fetchall()}
    for procedure, account in PROCEDURES.items():
        if procedure in present:
            cursor.execute(
                f"GRANT EXECUTE ON PROCEDURE `{schema}`.`{procedure}` TO %s@'%%'", (account,)
            )
