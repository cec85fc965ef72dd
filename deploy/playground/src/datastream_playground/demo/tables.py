"""What the tables hold of one log, asked in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from datastream.mysql import Transaction
from datastream_operator.verify.stored import StreamRow, find_streams

RAW_COUNT = "SELECT COUNT(*) FROM raw_log WHERE stream_id = %s AND line_offset < %s"
CLEAN_COUNT = "SELECT COUNT(*) FROM clean_log WHERE stream_id = %s AND line_offset < %s"
ERROR_COUNT = "SELECT COUNT(*) FROM error_log WHERE stream_id = %s AND line_offset < %s"
REJECTED_COUNTS = """
    SELECT reason, COUNT(*) FROM rejected_log WHERE stream_id = %s AND line_offset < %s
    GROUP BY reason
"""
REJECTS = "SELECT line_offset, reason FROM rejected_log WHERE stream_id = %s"
CLEAN_ROW = """
    SELECT
        clean_log.time, INET6_NTOA(clean_log.client), clean_log.session, clean_log.user,
        clean_log.is_email, clean_log.email_domain, clean_log.method, clean_log.url,
        clean_log.scheme, clean_log.host, clean_log.path, clean_log.query,
        clean_log.http_version, clean_log.status, clean_log.size, clean_log.request_time,
        clean_log.upstream_time, referrer.referrer,
        user_agent.user_agent, clean_log.extra
    FROM clean_log
    LEFT JOIN referrer USING (referrer_id)
    LEFT JOIN user_agent USING (user_agent_id)
    WHERE clean_log.stream_id = %s AND clean_log.line_offset = %s
"""
TOP_PATHS = """
    SELECT path, COUNT(*) AS requests FROM clean_log WHERE stream_id = %s
    GROUP BY path ORDER BY requests DESC, path LIMIT 5
"""
STATUSES = """
    SELECT status, COUNT(*) AS requests FROM clean_log WHERE stream_id = %s
    GROUP BY status ORDER BY requests DESC, status LIMIT 6
"""
LAST_REJECTS = """
    SELECT rejected_log.reason, raw_log.line
    FROM rejected_log JOIN raw_log USING (stream_id, line_offset)
    WHERE rejected_log.stream_id = %s
    ORDER BY rejected_log.line_offset DESC LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class RowCounts:
    """How many rows there are of a log's lines."""

    raw: int = 0
    parsed: int = 0
    rejected: int = 0

    def hold(self, lines: int) -> bool:
        """Say whether there are as many rows as lines, raw ones and others."""
        return self.raw == lines == self.parsed + self.rejected


def find_stream(connection: Connection[Cursor], source: str, log: Path) -> StreamRow | None:
    """Return the stream that the file at `log` is: of the generations that began like it, the last.

    None when the tables have nothing of it. Raises Unreadable for a file that is there.
    """
    with connection.cursor() as cursor:
        streams = find_streams(Transaction(cursor), source, log)
    return streams[-1] if streams else None


class LogTables:
    """The rows of one stream; with no stream there are none."""

    def __init__(self, connection: Connection[Cursor], stream: StreamRow | None) -> None:
        self._connection = connection
        self._number = None if stream is None else stream.number

    def counts(self, end: int) -> RowCounts:
        """Count the rows of the lines that begin below the byte offset `end`."""
        return RowCounts(
            raw=self._count(RAW_COUNT, end),
            parsed=self._count(CLEAN_COUNT, end) + self._count(ERROR_COUNT, end),
            rejected=sum(self.rejected(end).values()),
        )

    def rejected(self, end: int) -> dict[str, int]:
        """Count the rejects among those lines by reason."""
        return dict(_rows(self._connection, REJECTED_COUNTS, self._number, end))

    def rejects(self) -> dict[int, str]:
        """Return the reason of every reject by the line's offset."""
        return dict(_rows(self._connection, REJECTS, self._number))

    def clean_row(self, offset: int) -> tuple[Any, ...] | None:
        """Return the row of a line in clean_log: its values in the order of an Event's fields."""
        return next(iter(_rows(self._connection, CLEAN_ROW, self._number, offset)), None)

    def top_paths(self) -> list[tuple[str | None, int]]:
        """Return the paths that were requested most, with the number of requests."""
        return _rows(self._connection, TOP_PATHS, self._number)

    def statuses(self) -> list[tuple[int | None, int]]:
        """Return the most frequent statuses, with the number of requests."""
        return _rows(self._connection, STATUSES, self._number)

    def last_rejects(self, number: int) -> list[tuple[str, bytes]]:
        """Return reason and text of the last rejects, the latest first."""
        return _rows(self._connection, LAST_REJECTS, self._number, number)

    def _count(self, statement: LiteralString, end: int) -> int:
        return int(_rows(self._connection, statement, self._number, end)[0][0])


def _rows(
    connection: Connection[Cursor], statement: LiteralString, *parameters: int | str | None
) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
