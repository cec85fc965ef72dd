"""What the tables hold of one log, asked in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, LiteralString

from datastream.mysql import Session
from datastream_operator.lines import Extent, Missing
from datastream_operator.verify.fit import Misfit, misfit_of
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
    GROUP BY path ORDER BY requests DESC, path LIMIT 1000
"""
STATUSES = """
    SELECT status, COUNT(*) AS requests FROM clean_log WHERE stream_id = %s
    GROUP BY status ORDER BY requests DESC, status
"""
LAST_REJECTS = """
    SELECT raw_log.stored_at, rejected_log.reason, raw_log.line
    FROM rejected_log JOIN raw_log USING (stream_id, line_offset)
    WHERE rejected_log.stream_id = %s AND rejected_log.reason <> 'continued'
    ORDER BY rejected_log.line_offset DESC LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class RowCounts:
    """The numbers of rows of a log's lines."""

    raw: int = 0
    clean: int = 0
    rejected: int = 0
    errors: int = 0

    @property
    def parsed(self) -> int:
        """How many lines fit their format, in whichever table they are."""
        return self.clean + self.errors

    def hold(self, lines: int) -> bool:
        """Say whether there are as many raw rows as lines, and as many parsed or rejected ones."""
        return self.raw == lines == self.parsed + self.rejected


class LogTables(Stored):
    """The rows of one file; of a file without a stream there are none."""

    def __init__(self, session: Session, stream: StreamRow | None) -> None:
        super().__init__(session, stream)
        self.stream = stream

    def counts(self, end: int) -> RowCounts:
        """Count the rows of the lines that begin below the byte offset `end`."""
        return RowCounts(
            raw=self._count(RAW_COUNT, end),
            clean=self._count(CLEAN_COUNT, end),
            rejected=sum(self.rejected(end).values()),
            errors=self._count(ERROR_COUNT, end),
        )

    def rejected(self, end: int) -> dict[str, int]:
        """Count the rejects among those lines by reason."""
        return dict(self._select(REJECTED_COUNTS, end))

    def rejects(self) -> dict[int, str]:
        """Return the reason of every reject by the line's offset."""
        return dict(self._select(REJECTS))

    def misfit(self, end: int) -> Misfit | None:
        """Return how the lines below a byte offset fail to fit their format; None when they fit."""
        return None if self.stream is None else misfit_of(self._session, self.stream, end)

    def clean_row(self, offset: int) -> tuple[object, ...] | None:
        """Return the row of a parsed line: its values in the order of an Event's fields."""
        return next(iter(self._select(CLEAN_ROW, offset)), None)

    def top_paths(self) -> list[tuple[str | None, int]]:
        """Return the paths that were requested most, with the number of requests."""
        return self._select(TOP_PATHS)

    def statuses(self) -> list[tuple[int | None, int]]:
        """Return the most frequent statuses, with the number of requests."""
        return self._select(STATUSES)

    def last_rejects(self, number: int) -> list[tuple[datetime, str, bytes]]:
        """Return the last rejects, the latest first: when it was stored, reason and text."""
        return self._select(LAST_REJECTS, number)

    def _count(self, statement: LiteralString, end: int) -> int:
        return int(self._select(statement, end)[0][0])

    def _select(self, statement: LiteralString, *parameters: int) -> list[Any]:
        with self._session.transaction() as transaction:
            return list(transaction.select(statement, (self._number, *parameters)))


class Tables:
    """The rows of each file of a subject."""

    def __init__(self, by_file: dict[Path, LogTables]) -> None:
        self.by_file = by_file

    @classmethod
    def of(cls, session: Session, subject: Subject, files: Iterable[Path] | None = None) -> Tables:
        """Find the stream of each of the files, or of those that the subject stands for now.

        Of the generations that began like a file it is the last, but for those of younger files.
        Raises Unreadable if a file exists and cannot be read, and Unavailable.
        """
        try:
            ordered = subject.files() if files is None else list(files)
        except Missing:
            ordered = []
        taken: set[StreamRow] = set()
        found = {}
        with session.transaction() as transaction:
            for file in reversed(ordered):
                streams = find_streams(transaction, subject.source, file)
                stream = next((s for s in reversed(streams) if s not in taken), None)
                if stream is not None:
                    taken.add(stream)
                found[file] = LogTables(session, stream)
        return cls({file: found[file] for file in ordered})

    @property
    def streams(self) -> list[StreamRow]:
        """The streams of the files; a file that is not stored has none."""
        return [its.stream for its in self.by_file.values() if its.stream is not None]

    def counts(self, extents: Mapping[Path, Extent]) -> RowCounts:
        """Count the rows of the lines that the files had at those extents."""
        counted = [self.by_file[file].counts(extent.end) for file, extent in extents.items()]
        return RowCounts(
            raw=sum(one.raw for one in counted),
            clean=sum(one.clean for one in counted),
            rejected=sum(one.rejected for one in counted),
            errors=sum(one.errors for one in counted),
        )

    def last_rejects(self, number: int) -> list[tuple[str, bytes]]:
        """Return reason and text of the last rejects that were stored, the latest first."""
        found = [row for tables in self.by_file.values() for row in tables.last_rejects(number)]
        found.sort(key=lambda row: row[0], reverse=True)
        return [(reason, line) for _, reason, line in found[:number]]
