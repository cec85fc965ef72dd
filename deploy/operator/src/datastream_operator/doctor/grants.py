"""What the server says an account may do in the database, against what its services need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from datastream_operator.accounts.rights import EVERY_PRIVILEGE, Right, in_privileges, needed

#: A line of SHOW GRANTS. One of a role, or of a proxy, names no table.
_GRANT = re.compile(
    r"""
    GRANT\ (?P<privileges>.+?)\ ON\ (?:TABLE\ |(?P<kind>PROCEDURE|FUNCTION)\ )?
    (?P<schema>`(?:[^`]|``)*`|\*)\.(?P<table>`(?:[^`]|``)*`|\*)
    \ TO\ .*?(?P<option>\ WITH\ GRANT\ OPTION)?
    """,
    re.VERBOSE,
)


def held(lines: Iterable[str]) -> set[Right]:
    """Return the rights in the lines of SHOW GRANTS."""
    rights = set()
    for line in lines:
        found = _GRANT.fullmatch(line)
        if found is None:
            continue
        schema, table = (_unquoted(found[name]) for name in ("schema", "table"))
        if found["kind"]:
            table = f"{found['kind']} {table}"
        rights |= in_privileges(found["privileges"], schema, table)
        if found["option"]:
            rights.add(Right("GRANT OPTION", schema, table))
    return rights


def missing(
    services: Sequence[str], schema: str, has: set[Right], *, is_mariadb: bool
) -> list[Right]:
    """Return what services need and an account has not.

    Rights beyond the schema are for a person who looks (PROCESS): no command needs them.
    """
    every = needed(services, schema, is_mariadb=is_mariadb)
    wanted = (right for right in every if right.schema == schema)
    return sorted(right for right in wanted if not any(one.covers(right) for one in has))


def beyond(
    services: Sequence[str], schema: str, has: set[Right], *, is_mariadb: bool
) -> list[Right]:
    """Return what an account has and its services do not need.

    An account that makes the tables, or serves several, may do everything in the schema.
    """
    allowed = needed(services, schema, is_mariadb=is_mariadb)
    if "MIGRATOR" in services or len(services) > 1:
        allowed.add(Right(EVERY_PRIVILEGE, schema, "*"))
    # A pattern that fits only this schema, as GRANT wants it.
    named = (
        replace(right, schema=schema) if right.schema.replace(r"\_", "_") == schema else right
        for right in has
    )
    return sorted(
        right
        for right in named
        if right.privilege != "USAGE" and not any(one.covers(right) for one in allowed)
    )


def _unquoted(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name
