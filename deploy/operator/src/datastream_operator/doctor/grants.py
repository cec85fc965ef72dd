"""What an account may do in the database, as the server says it, against what its services need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from datastream_operator.containers.database import ACCOUNTS, PROCEDURES

EVERYTHING = "ALL PRIVILEGES"

#: A line of SHOW GRANTS. One of a role, or of a proxy, has no such place.
_GRANT = re.compile(
    r"""
    GRANT\ (?P<privileges>.+?)\ ON\ (?:TABLE\ |(?P<kind>PROCEDURE|FUNCTION)\ )?
    (?P<schema>`(?:[^`]|``)*`|\*)\.(?P<table>`(?:[^`]|``)*`|\*)
    \ TO\ .*?(?P<option>\ WITH\ GRANT\ OPTION)?
    """,
    re.VERBOSE,
)
_PRIVILEGE = re.compile(r"([A-Z_ ]+[A-Z])(?: \(([^)]*)\))?(?:, |$)")


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One privilege, and where: all names may be `*`."""

    privilege: str
    #: As a grant of a whole schema has it, a pattern; else the name.
    schema: str
    #: A table or a view; of a procedure with that word before its name.
    table: str
    #: Empty: every column.
    column: str = ""

    def covers(self, other: Right) -> bool:
        """Say whether who has this has the other one too."""
        return (
            self.privilege in (EVERYTHING, other.privilege)
            and (self.schema == "*" or _fits(self.schema, other.schema))
            and self.table in ("*", other.table)
            and self.column in ("", other.column)
        )

    def told(self, schema: str) -> str:
        """Return it in words; what is in this schema is told without its name."""
        columns = f" ({self.column})" if self.column else ""
        place = self.table if self.schema == schema else f"{self.schema}.{self.table}"
        return f"{self.privilege}{columns} on {place}"

    def granted_to(self, account: str) -> str:
        """Return the statement that gives it to an account."""
        columns = f" (`{self.column}`)" if self.column else ""
        kind, _, name = self.table.rpartition(" ")
        table = name if name == "*" else f"`{name}`"
        place = f"{kind} `{self.schema}`.{table}".lstrip()
        return f"GRANT {self.privilege}{columns} ON {place} TO {account}"


def _fits(pattern: str, schema: str) -> bool:
    r"""Say whether a schema is meant by a grant, in which `_` is any letter and `\_` itself."""
    if pattern == schema:
        return True
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"_": ".", "%": ".*"}
    expression = "".join(wild.get(part) or re.escape(part[-1]) for part in parts)
    return re.fullmatch(expression, schema, re.DOTALL) is not None


def held(lines: Iterable[str]) -> set[Right]:
    """Return the rights that the lines of SHOW GRANTS say."""
    rights = set()
    for line in lines:
        found = _GRANT.fullmatch(line)
        if found is None:
            continue
        schema, table = (_unquoted(found[name]) for name in ("schema", "table"))
        if found["kind"]:
            table = f"{found['kind']} {table}"
        rights |= _rights(found["privileges"], schema, table)
        if found["option"]:
            rights.add(Right("GRANT OPTION", schema, table))
    return rights


def needed(services: Iterable[str], schema: str) -> set[Right]:
    """Return the rights that services need in a schema, and what else they may well have."""
    rights = set()
    for service in services:
        account = service.lower()
        for privileges, where in ACCOUNTS[account]:
            place = ("*", "*") if where == "*.*" else (schema, where)
            rights |= _rights(privileges, *place)
        rights |= {
            Right("EXECUTE", schema, f"PROCEDURE {name}")
            for name, its in PROCEDURES.items()
            if its == account
        }
    return rights


def missing(services: Sequence[str], schema: str, has: set[Right]) -> list[Right]:
    """Return what services need and an account has not.

    What reaches beyond the schema is for the person who looks (PROCESS): no command needs it.
    """
    wanted = (right for right in needed(services, schema) if right.schema == schema)
    return sorted(right for right in wanted if not any(one.covers(right) for one in has))


def beyond(services: Sequence[str], schema: str, has: set[Right]) -> list[Right]:
    """Return what an account has and its services do not need.

    An account that makes the tables, or serves several, has the schema for its own.
    """
    allowed = needed(services, schema)
    if "MIGRATOR" in services or len(services) > 1:
        allowed.add(Right(EVERYTHING, schema, "*"))
    # A pattern that is this schema's name alone, as GRANT wants it.
    named = (
        replace(right, schema=schema) if right.schema.replace(r"\_", "_") == schema else right
        for right in has
    )
    return sorted(
        right
        for right in named
        if right.privilege != "USAGE" and not any(one.covers(right) for one in allowed)
    )


def _rights(privileges: str, schema: str, table: str) -> set[Right]:
    return {
        Right(privilege, schema, table, column.strip(" `"))
        for privilege, columns in _PRIVILEGE.findall(privileges)
        for column in columns.split(",")
    }


def _unquoted(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name
