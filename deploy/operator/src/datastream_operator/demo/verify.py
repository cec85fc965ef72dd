"""Compares the tables with the log itself: nothing here asks the services."""

from __future__ import annotations

import gzip
import ipaddress
import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pymysql.cursors import SSCursor

from datastream.slices import TRUNCATED, UNTERMINATED
from datastream.streams import stream_id
from datastream_operator import sample
from producer.files import LogFile, log_path

if TYPE_CHECKING:
    from datastream_operator.demo.progress import Run
    from datastream_operator.demo.running import Pipeline

#: The producer's default for MAX_LINE_BYTES, which the demo leaves alone.
LINE_LIMIT = 1024**2
#: Rows of a sample that are compared with its truth, field by field.
COMPARED = 1_000

STREAMS = "SELECT stream_id, generation FROM log_stream WHERE source = %s AND path = %s"
RAW_COUNT = "SELECT COUNT(*) FROM raw_log WHERE stream_id = %s"
CLEAN_COUNT = "SELECT COUNT(*) FROM clean_log WHERE stream_id = %s"
REJECTED_COUNTS = "SELECT reason, COUNT(*) FROM rejected_log WHERE stream_id = %s GROUP BY reason"
MATCHED_COUNT = """
    SELECT
        (SELECT COUNT(*) FROM raw_log JOIN clean_log USING (stream_id, line_offset)
         WHERE raw_log.stream_id = %s)
      + (SELECT COUNT(*) FROM raw_log JOIN rejected_log USING (stream_id, line_offset)
         WHERE raw_log.stream_id = %s)
"""
RAW_LINES = """
    SELECT line_offset, flags, line FROM raw_log WHERE stream_id = %s ORDER BY line_offset
"""
CLEAN_ROW = """
    SELECT
        clean_log.time, INET6_NTOA(clean_log.client), clean_log.session, clean_log.user,
        clean_log.is_email, clean_log.email_domain, clean_log.method, clean_log.url,
        clean_log.scheme, clean_log.host, clean_log.path, clean_log.query,
        clean_log.http_version, clean_log.status, clean_log.size, clean_log.referrer,
        user_agent.user_agent, clean_log.extra
    FROM clean_log LEFT JOIN user_agent USING (user_agent_id)
    WHERE clean_log.stream_id = %s AND clean_log.line_offset = %s
"""
TOP_PATHS = """
    SELECT path, COUNT(*) AS requests FROM clean_log WHERE stream_id = %s
    GROUP BY path ORDER BY requests DESC, path LIMIT 5
"""
STATUSES = """
    SELECT status, COUNT(*) AS requests FROM clean_log WHERE stream_id = %s
    GROUP BY status ORDER BY requests DESC, status LIMIT 8
"""


@dataclass(slots=True)
class Findings:
    """What the tables hold of a log, and how that differs from the log."""

    lines: int = 0
    raw: int = 0
    parsed: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    top_paths: list[tuple[str | None, int]] = field(default_factory=list)
    statuses: list[tuple[int | None, int]] = field(default_factory=list)
    #: Rows compared with the truth of a sample; None for a log that has none.
    compared: int | None = None
    #: Each difference in words; none when all is as it must be.
    differences: list[str] = field(default_factory=list)

    @property
    def is_exact(self) -> bool:
        """Whether the tables hold the log, exactly."""
        return not self.differences


def verify(pipeline: Pipeline, run: Run) -> Findings:
    """Compare the tables with the log, of which `run.size` bytes must have been read."""
    subject = pipeline.subject
    found = Findings()
    with pipeline.connect() as connection:
        stream = find_stream(connection, subject.source, subject.log)
        _compare_lines(connection, stream, subject.log, run.size, found)
        with connection.cursor() as cursor:
            _count_rows(cursor, stream, found)
            if subject.is_sample:
                _compare_with_truth(cursor, stream, subject.log, found)
    return found


def has_arrived(pipeline: Pipeline, lines: int) -> bool:
    """Say whether there are as many rows as lines, raw ones and others."""
    with pipeline.connect() as connection, connection.cursor() as cursor:
        stream = find_stream(connection, pipeline.subject.source, pipeline.subject.log)
        cursor.execute(RAW_COUNT, (stream,))
        raw = _number(cursor)
        cursor.execute(CLEAN_COUNT, (stream,))
        parsed = _number(cursor)
        cursor.execute(REJECTED_COUNTS, (stream,))
        return raw >= lines and raw == parsed + sum(count for _, count in cursor.fetchall())


def find_stream(connection: Any, source: str, log: Path) -> int | None:  # noqa: ANN401 - PyMySQL's
    """Return the id of the log's stream: of the generations that began like it, the last."""
    path = log_path(str(log))
    try:
        first = next(_numbered_lines(log), None)
    except FileNotFoundError:
        return None
    if first is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(STREAMS, (source, path))
        known = {generation: stream for stream, generation in cursor.fetchall()}
    ids = [
        stream
        for generation, stream in sorted(known.items())
        if stream == stream_id(source, path, first[1], generation)
    ]
    return ids[-1] if ids else None


def count_lines(log: Path) -> int:
    """Return the number of lines of a log, a last one without a newline included."""
    lines, last = 0, b"\n"
    with opened(log) as file:
        while chunk := file.read(1024**2):
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    return lines + (last != b"\n")


def opened(log: Path) -> BinaryIO:
    """Open a log for reading, plain or gzip, as the producer tells the two apart."""
    return log.open("rb") if is_plain(log) else gzip.open(log)  # type: ignore[return-value]


def is_plain(log: Path) -> bool:
    """Say whether a log is a plain file, whose size is that of its lines."""
    with closing(LogFile(str(log))) as file:
        return not file.is_complete


def _numbered_lines(log: Path) -> Iterator[tuple[int, bytes]]:
    """Yield each line, up to the limit of its length, with its byte offset."""
    offset = 0
    with opened(log) as file:
        while part := file.readline(LINE_LIMIT + 1):
            line, size = part.removesuffix(b"\n")[:LINE_LIMIT], len(part)
            while part and not part.endswith(b"\n"):
                part = file.readline(LINE_LIMIT)
                size += len(part)
            yield offset, line
            offset += size


def _compare_lines(
    connection: Any,  # noqa: ANN401 - PyMySQL's
    stream: int | None,
    log: Path,
    size: int,
    found: Findings,
) -> None:
    """Compare raw_log with the log, line by line; a line that began after `size` may be missing."""
    grows = is_plain(log)
    with connection.cursor(SSCursor) as cursor:
        cursor.execute(RAW_LINES, (stream,))
        rows = iter(cursor)
        row = next(rows, None)
        for offset, line in _numbered_lines(log):
            if row is None and grows and offset >= size:
                break
            found.lines += 1
            if row is None or row[0] > offset:
                _differ(found, f"the line at byte {offset} is not in raw_log")
                continue
            if row[0] < offset:
                _differ(found, f"raw_log has a line at byte {row[0]}, where none begins")
                row = next(rows, None)
                continue
            if not _is_same(line, row):
                _differ(found, f"the line at byte {offset} is another one in raw_log")
            row = next(rows, None)
        if row is not None:
            _differ(found, f"raw_log has a line at byte {row[0]}, behind the end of the log")
        for _ in rows:
            pass


def _is_same(line: bytes, row: tuple[int, int, bytes]) -> bool:
    _, flags, stored = row
    # What had no newline when it was read may have gone on since.
    return line == stored or (bool(flags & (UNTERMINATED | TRUNCATED)) and line.startswith(stored))


def _differ(found: Findings, what: str) -> None:
    if len(found.differences) < 10:
        found.differences.append(what)
    elif len(found.differences) == 10:
        found.differences.append("and more of that kind")


def _count_rows(cursor: Any, stream: int | None, found: Findings) -> None:  # noqa: ANN401 - PyMySQL's
    cursor.execute(RAW_COUNT, (stream,))
    found.raw = _number(cursor)
    cursor.execute(CLEAN_COUNT, (stream,))
    found.parsed = _number(cursor)
    cursor.execute(REJECTED_COUNTS, (stream,))
    found.rejected = dict(cursor.fetchall())
    cursor.execute(MATCHED_COUNT, (stream, stream))
    matched = _number(cursor)
    cursor.execute(TOP_PATHS, (stream,))
    found.top_paths = list(cursor.fetchall())
    cursor.execute(STATUSES, (stream,))
    found.statuses = list(cursor.fetchall())
    rejected = sum(found.rejected.values())
    if found.raw != found.lines:
        found.differences.append(f"{found.lines:,} lines, but {found.raw:,} rows in raw_log")
    if found.parsed + rejected != found.lines:
        found.differences.append(
            f"{found.lines:,} lines, but {found.parsed:,} in clean_log and {rejected:,} in "
            "rejected_log"
        )
    if matched != found.raw:
        found.differences.append(
            f"of {found.raw:,} raw rows, {matched:,} have a counterpart of the same key"
        )


def _compare_with_truth(cursor: Any, stream: int | None, log: Path, found: Findings) -> None:  # noqa: ANN401 - PyMySQL's
    """Compare the rejects with the junk of the sample, and some rows field by field."""
    junk: Counter[str] = Counter()
    events = []
    for truth in sample.read_truth(log):
        if truth.reject is None:
            events.append(truth.offset)
        else:
            junk[truth.reject] += 1
    if dict(junk) != found.rejected:
        found.differences.append(f"the sample has {dict(junk)} junk, not {found.rejected}")
    chosen = set(random.Random(0).sample(events, min(COMPARED, len(events))))  # noqa: S311 - a fair sample
    truths = (truth for truth in sample.read_truth(log) if truth.offset in chosen)
    found.compared = 0
    for truth in islice(truths, COMPARED):
        cursor.execute(CLEAN_ROW, (stream, truth.offset))
        row = cursor.fetchone()
        found.compared += 1
        if truth.event is None or row is None:
            _differ(found, f"the line at byte {truth.offset} has no row in clean_log")
            continue
        for name, expected, stored in zip(
            truth.event._fields, truth.event, _comparable(row), strict=True
        ):
            if expected != stored:
                _differ(
                    found,
                    f"the line at byte {truth.offset} has {name} {stored!r}, not {expected!r}",
                )


def _comparable(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a row of clean_log as the truth file writes its values."""
    time, client, *others, agent, extra = row
    others[2] = bool(others[2])
    return (
        f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03d}",
        str(ipaddress.ip_address(client)) if client else None,
        *others,
        agent,
        json.loads(extra) if extra else None,
    )


def _number(cursor: Any) -> int:  # noqa: ANN401 - PyMySQL's
    row = cursor.fetchone()
    return int(row[0])
