"""What the tables hold of one log, asked in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, LiteralString

from datastream.mysql import Session
from datastream_operator.verify.stored import Stored, StreamRow, find_streams
from datastream_playground.demo.subject import Subject

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
    """The numbers of rows of a log's lines."""

    raw: int = 0
    parsed: int = 0
    rejected: int = 0

    def hold(self, lines: int) -> bool:
        """Say whether there are as many raw rows as lines, and as many parsed or rejected ones."""
        return self.raw == lines == self.parsed + self.rejected


class LogTables(Stored):
    """The rows of one log; of a log without a stream there are none."""

    def __init__(self, session: Session, stream: StreamRow | None) -> None:
        super().__init__(session, stream)
        self.stream = stream

    @classmethod
    def of(cls, session: Session, subject: Subject) -> LogTables:
        """Find the log's stream: of the generations that began like it, the last.

        Raises Unreadable if the log exists and cannot be read, and Unavailable.
        """
        with session.transaction() as transaction:
            streams = find_streams(transaction, subject.source, subject.log)
        return cls(session, streams[-1] if streams else None)

    def counts(self, end: int) -> RowCounts:
        """Count the rows of the lines that begin below the byte offset `end`."""
        return RowCounts(
            raw=self._count(RAW_COUNT, end),
            parsed=self._count(CLEAN_COUNT, end) + self._count(ERROR_COUNT, end),
            rejected=sum(self.rejected(end).values()),
        )

    def rejected(self, end: int) -> dict[str, int]:
        """Count the rejects among those lines by reason."""
        return dict(self._select(REJECTED_COUNTS, end))

    def rejects(self) -> dict[int, str]:
        """Return the reason of every reject by the line's offset."""
        return dict(self._select(REJECTS))

    def clean_row(self, offset: int) -> tuple[Any, ...] | None:
        """Return the row of a parsed line: its values in the order of an Event's fields."""
        return next(iter(self._select(CLEAN_ROW, offset)), None)

    def top_paths(self) -> list[tuple[str | None, int]]:
        """Return the paths that were requested most, with the number of requests."""
        return self._select(TOP_PATHS)

    def statuses(self) -> list[tuple[int | None, int]]:
        """Return the most frequent statuses, with the number of requests."""
        return self._select(STATUSES)

    def last_rejects(self, number: int) -> list[tuple[str, bytes]]:
        """Return reason and text of the last rejects, the latest first."""
        return self._select(LAST_REJECTS, number)

    def _count(self, statement: LiteralString, end: int) -> int:
        return int(self._select(statement, end)[0][0])

    def _select(self, statement: LiteralString, *parameters: int) -> list[Any]:
        with self._session.transaction() as transaction:
            return list(transaction.select(statement, (self._number, *parameters)))
