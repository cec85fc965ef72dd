"""An account of the database keeps what it is granted, and nothing beyond."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from datastream_operator.accounts.rights import DATABASE, Grants
from datastream_operator.containers import database

if TYPE_CHECKING:
    import pymysql.cursors


class Cursor:
    """Answers with the grants that there are, and keeps what it is asked to run."""

    def __init__(self, present: list[tuple[str, str | None, str]]) -> None:
        self._present = present
        self.revoked: list[str] = []

    def execute(self, statement: str, _parameters: Any = None) -> None:  # noqa: ANN401 - PyMySQL's
        """Note a REVOKE."""
        if statement.startswith("REVOKE"):
            self.revoked.append(statement)

    def fetchall(self) -> list[tuple[str, str | None, str]]:
        """Return the grants that there are."""
        return self._present


def as_the_drivers(cursor: Cursor) -> pymysql.cursors.Cursor:
    """Return it for what takes the driver's."""
    return cast("pymysql.cursors.Cursor", cursor)


def as_the_server_tells(grants: Grants) -> list[tuple[str, str | None, str]]:
    """Return a row for each privilege, and for each column of it."""
    rows: list[tuple[str, str | None, str]] = [("USAGE", None, "*.*")]
    for text, where in grants:
        left = text
        while left:
            privilege, _, left = (
                left.partition(", ") if "(" not in left.split(",")[0] else ("", "", left)
            )
            if privilege:
                rows.append((privilege, None, where))
                continue
            name, _, rest = left.partition(" (")
            columns, _, left = rest.partition(")")
            left = left.removeprefix(", ")
            rows += [(name, column.strip("` "), where) for column in columns.split(",")]
    return rows


@pytest.mark.parametrize("account", DATABASE)
def test_an_account_keeps_what_it_is_granted(account: str) -> None:
    """With exactly its grants there is nothing to take back."""
    grants = DATABASE[account]
    cursor = Cursor(as_the_server_tells(grants))

    database.narrow(as_the_drivers(cursor), "datastream", account, grants)

    assert cursor.revoked == []


def test_what_is_beyond_is_taken_back() -> None:
    """A privilege, and the right to a column."""
    cursor = Cursor([("DELETE", None, "raw_log"), ("UPDATE", "line", "raw_log")])

    database.narrow(as_the_drivers(cursor), "datastream", "lake", DATABASE["lake"])

    assert sorted(cursor.revoked) == [
        "REVOKE DELETE ON `datastream`.`raw_log` FROM %s@'%%'",
        "REVOKE UPDATE (`line`) ON `datastream`.`raw_log` FROM %s@'%%'",
    ]
