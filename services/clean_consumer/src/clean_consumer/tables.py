"""The tables of lines, and the statements on them."""

from __future__ import annotations

from typing import LiteralString, NamedTuple

from datastream.mysql import Literal, binary, json_text, number, text


class LineTable(NamedTuple):
    """A table whose key is the identity of a line."""

    name: str
    add: LiteralString
    #: Of the columns that `add` names.
    literals: tuple[Literal, ...]
    remove: LiteralString


ADD_CLEAN = """
    INSERT INTO clean_log (
        stream_id, line_offset, parser_version, flags,
        time, client, session, user, is_email, email_domain,
        method, url, scheme, host, path, query, http_version,
        status, size, request_time, upstream_time,
        referrer_id, user_agent_id, country, city, asn, file_type, extra
    ) VALUES {values}
    ON DUPLICATE KEY UPDATE line_offset = line_offset
"""
CLEAN_LITERALS = (
    *(number, number, number, number),
    *(text, binary, text, text, number, text),
    *(text, text, text, text, text, text, text),
    *(number, number, number, number),
    *(number, number, text, text, number, text, json_text),
)

ADD_ERRORS = """
    INSERT INTO error_log (
        stream_id, line_offset, parser_version, flags,
        time, level, pid, tid, connection, client, server,
        request, upstream, host, referrer, message, extra
    ) VALUES {values}
    ON DUPLICATE KEY UPDATE line_offset = line_offset
"""
ERROR_LITERALS = (
    *(number, number, number, number),
    *(text, text, number, number, number, binary, text),
    *(text, text, text, text, text, json_text),
)

ADD_REJECTED = """
    INSERT INTO rejected_log (stream_id, line_offset, parser_version, flags, reason)
    VALUES {values}
    ON DUPLICATE KEY UPDATE line_offset = line_offset
"""
REJECTED_LITERALS = (number, number, number, number, text)

CLEAN = LineTable(
    "clean_log",
    ADD_CLEAN,
    CLEAN_LITERALS,
    "DELETE FROM clean_log WHERE stream_id = %s AND line_offset = %s",
)
ERRORS = LineTable(
    "error_log",
    ADD_ERRORS,
    ERROR_LITERALS,
    "DELETE FROM error_log WHERE stream_id = %s AND line_offset = %s",
)
REJECTED = LineTable(
    "rejected_log",
    ADD_REJECTED,
    REJECTED_LITERALS,
    "DELETE FROM rejected_log WHERE stream_id = %s AND line_offset = %s",
)
#: In the order in which they are written.
TABLES = (CLEAN, ERRORS, REJECTED)

#: The rows of all tables between two keys; each is named by its place in TABLES.
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

#: The keys of one table's rows between two keys that another table has as well, rows that are about
#: to be committed there included: it waits for those. It asks for them one by one and by key, so
#: that it waits for no neighbour, which might wait for this one. Share mode needs SELECT alone.
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
    """Return the statements that look from either table into the other one."""
    return (
        IN_BOTH.replace("{table}", table).replace("{other}", other),
        IN_BOTH.replace("{table}", other).replace("{other}", table),
    )


CLEAN_AND_REJECTED = _in_both("clean_log", "rejected_log")
#: The same, for the lines of an error log.
ERROR_AND_REJECTED = _in_both("error_log", "rejected_log")
