"""The tables of lines, and the statements on them."""

from __future__ import annotations

from typing import LiteralString, NamedTuple

from clean_consumer.columns import CleanRow, ErrorRow, RejectedRow
from datastream.inserts import Insert, columns_of


class LineTable(NamedTuple):
    """A table whose key is the identity of a line."""

    name: str
    insert: Insert
    delete: LiteralString


INSERT_CLEAN = Insert(
    """
    INSERT INTO clean_log ({columns}) VALUES {values}
    ON DUPLICATE KEY UPDATE line_offset = line_offset
    """,
    columns_of(CleanRow),
)
INSERT_ERRORS = Insert(
    """
    INSERT INTO error_log ({columns}) VALUES {values}
    ON DUPLICATE KEY UPDATE line_offset = line_offset
    """,
    columns_of(ErrorRow),
)
INSERT_REJECTED = Insert(
    """
    INSERT INTO rejected_log ({columns}) VALUES {values}
    ON DUPLICATE KEY UPDATE line_offset = line_offset
    """,
    columns_of(RejectedRow),
)

CLEAN = LineTable(
    "clean_log", INSERT_CLEAN, "DELETE FROM clean_log WHERE stream_id = %s AND line_offset = %s"
)
ERRORS = LineTable(
    "error_log", INSERT_ERRORS, "DELETE FROM error_log WHERE stream_id = %s AND line_offset = %s"
)
REJECTED = LineTable(
    "rejected_log",
    INSERT_REJECTED,
    "DELETE FROM rejected_log WHERE stream_id = %s AND line_offset = %s",
)
#: In the order in which they are written.
TABLES = (CLEAN, ERRORS, REJECTED)

#: The rows of all tables between two keys; each is named by its index in TABLES.
PRESENT = """
    SELECT 0, line_offset, parser_version, flags FROM clean_log
    WHERE stream_id = %s AND line_offset BETWEEN %s AND %s
    UNION ALL
    SELECT 1, line_offset, parser_version, flags FROM error_log
    WHERE stream_id = %s AND line_offset BETWEEN %s AND %s
    UNION ALL
    SELECT 2, line_offset, parser_version, flags FROM rejected_log
    WHERE stream_id = %s AND line_offset BETWEEN %s AND %s
"""

#: The keys of one table's rows between two keys that another table has as well, including rows that
#: are about to be committed: it waits for those. It asks for one key at a time, and so waits for no
#: neighbour, which might wait for this one. Share mode needs only SELECT.
IN_BOTH = """
    SELECT other.stream_id, other.line_offset
    FROM (
        SELECT DISTINCT stream_id, line_offset FROM {table}
        WHERE stream_id = %s AND line_offset BETWEEN %s AND %s
    ) AS own
    STRAIGHT_JOIN {other} AS other
        ON other.stream_id = own.stream_id AND other.line_offset = own.line_offset
    LOCK IN SHARE MODE
"""


def _in_both(table: LiteralString, other: LiteralString) -> tuple[LiteralString, LiteralString]:
    """Return the two statements, from either table to the other."""
    return (
        IN_BOTH.replace("{table}", table).replace("{other}", other),
        IN_BOTH.replace("{table}", other).replace("{other}", table),
    )


CLEAN_AND_REJECTED = _in_both("clean_log", "rejected_log")
#: The same, for the lines of an error log.
ERROR_AND_REJECTED = _in_both("error_log", "rejected_log")
