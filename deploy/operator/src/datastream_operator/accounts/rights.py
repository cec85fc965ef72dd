"""What each account may do, at the database and at the broker: the one declaration."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from datastream import topology

# --- the database

#: What an account may do, and on what: a table of the schema, all of it (`*`), or more (`*.*`).
Grants = tuple[tuple[str, str], ...]

MIGRATOR = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, LOCK TABLES,"
    " CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EXECUTE"
)
#: A stored row stays as it is: INSERT … ON DUPLICATE KEY UPDATE key = key needs the right to update
#: the key's column, and no other. So an account could move a line, but not change its bytes.
STREAMS = ("SELECT, INSERT, UPDATE (stream_id)", "log_stream")
LINES = "SELECT, INSERT, UPDATE (line_offset)"

#: Every account of the database. The last two are made by `make deploy` alone.
DATABASE: dict[str, Grants] = {
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
        ("UPDATE (format)", "log_stream"),  # when a person chooses another format
    ),
    "grafana": (("SELECT", "*"),),
    "exporter": (("PROCESS, REPLICATION CLIENT", "*.*"), ("SELECT", "performance_schema.*")),
}
#: Procedures by the account that calls them. One that no migration has made is left out.
PROCEDURES = {"complete_line": "lake"}

EVERY_PRIVILEGE = "ALL PRIVILEGES"
PROCEDURE = "PROCEDURE"

_PRIVILEGE = re.compile(r"([A-Z_ ]+[A-Z])(?: \(([^)]*)\))?(?:, |$)")


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One privilege, and on what: all names may be `*`."""

    privilege: str
    #: A pattern where a whole schema is granted; else the name.
    schema: str
    #: A table or a view; a procedure has that word before its name.
    table: str
    #: Empty: every column.
    column: str = ""

    def covers(self, other: Right) -> bool:
        """Return whether an account with this right has the other one too."""
        return (
            self.privilege in (EVERY_PRIVILEGE, other.privilege)
            and (self.schema == "*" or _fits(self.schema, other.schema))
            and self.table in ("*", other.table)
            and self.column in ("", other.column)
        )

    def told(self, schema: str) -> str:
        """Return it in words, without the name of this schema."""
        columns = f" ({self.column})" if self.column else ""
        place = self.table if self.schema == schema else f"{self.schema}.{self.table}"
        return f"{self.privilege}{columns} on {place}"

    def granted_to(self, account: str) -> str:
        """Return the statement that gives it to an account."""
        columns = f" (`{self.column}`)" if self.column else ""
        return f"GRANT {self.privilege}{columns} ON {self.place} TO {account}"

    @property
    def place(self) -> str:
        """On what it is, as GRANT has it."""
        if self.schema == "*":
            return "*.*"
        if self.table == "*":
            return f"`{pattern(self.schema)}`.*"
        kind, _, name = self.table.rpartition(" ")
        return f"{kind} `{self.schema}`.`{name}`".lstrip()


def pattern(schema: str) -> str:
    """Return a whole schema's name for a grant: a pattern, in which _ is any letter."""
    return schema.replace("_", r"\_")


def _fits(pattern: str, schema: str) -> bool:
    r"""Return whether a grant is for a schema; in its pattern `_` is any letter and `\_` itself."""
    if pattern == schema:
        return True
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"_": ".", "%": ".*"}
    expression = "".join(wild.get(part) or re.escape(part[-1]) for part in parts)
    return re.fullmatch(expression, schema, re.DOTALL) is not None


def in_privileges(privileges: str, schema: str, table: str) -> set[Right]:
    """Return the rights in the privileges of a GRANT."""
    return {
        Right(privilege, schema, table, column.strip(" `"))
        for privilege, columns in _PRIVILEGE.findall(privileges)
        for column in columns.split(",")
    }


def needed(services: Iterable[str], schema: str, *, is_mariadb: bool) -> set[Right]:
    """Return the rights that services need in a schema, and others that they may have."""
    rights = set()
    for service in services:
        account = service.lower()
        for privileges, where in DATABASE[account]:
            place = ("*", "*") if where == "*.*" else (schema, where)
            its = in_privileges(privileges, *place)
            rights |= _as_mariadb_checks(its) if is_mariadb else its
        rights |= {
            Right("EXECUTE", schema, f"{PROCEDURE} {name}")
            for name, its_account in PROCEDURES.items()
            if its_account == account
        }
    return rights


def _as_mariadb_checks(rights: set[Right]) -> set[Right]:
    """Return the rights on one place, wider where MariaDB asks for more than MySQL.

    Of INSERT … ON DUPLICATE KEY UPDATE it asks for UPDATE on every column that is named.
    """
    if not any(right.privilege == "INSERT" for right in rights):
        return rights
    return {replace(right, column="") for right in rights}


# --- the broker

EVERYTHING = ".*"
NOTHING = "^$"


@dataclass(frozen=True, slots=True)
class BrokerRights:
    """What an account may do in the vhost: patterns of the names it may configure, write, read."""

    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING
    #: The routing keys it may publish to the exchange of the slices; None: not restricted.
    keys: str | None = None
    tags: tuple[str, ...] = ()


def _only(name: str) -> str:
    return f"^{name.replace('.', '[.]')}$"


def _consumer(queue: str) -> BrokerRights:
    return BrokerRights(read=_only(queue), write=_only(topology.DEAD_LETTER_EXCHANGE))


#: Every account of the broker, and the prefix of its setting.
BROKER = {
    "producer": BrokerRights(
        configure=f"^{topology.PRODUCER_LOCK}[.]",
        write=_only(topology.EXCHANGE),
        keys=f"^({topology.LAKE_KEY}|{topology.CLEAN_KEY})[.].+",
    ),
    "lake": _consumer(topology.LAKE_QUEUE),
    "clean": _consumer(topology.CLEAN_QUEUE),
    "operator": BrokerRights(
        EVERYTHING, EVERYTHING, EVERYTHING, tags=("monitoring", "policymaker")
    ),
}


def of_broker(services: Iterable[str]) -> BrokerRights:
    """Return the rights of an account that serves several services."""
    rights = [BROKER[service.lower()] for service in services]
    keys = [right.keys for right in rights if right.keys is not None]
    is_free = any(right.write == EVERYTHING for right in rights)
    return BrokerRights(
        _either(right.configure for right in rights),
        _either(right.write for right in rights),
        _either(right.read for right in rights),
        None if is_free or not keys else _either(keys),
        tuple(sorted({tag for right in rights for tag in right.tags})),
    )


def _either(patterns: Iterable[str]) -> str:
    wanted = sorted(set(patterns) - {NOTHING})
    if EVERYTHING in wanted:
        return EVERYTHING
    return "|".join(wanted) or NOTHING
