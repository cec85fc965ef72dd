"""What the tables hold of a log: its streams, their rows, and what is stored twice."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from pathlib import Path, PurePath
from typing import LiteralString, NamedTuple

from datastream.mysql import Session, Transaction
from datastream.paths import logs_rotated_to, path_text
from datastream.privacy import skeleton
from datastream.slices import DISGUISED, INCOMPLETE
from datastream.streams import stream_id
from datastream_operator.lines import Missing, numbered_lines

STREAMS = """
    SELECT stream_id, path, format, generation FROM log_stream
    WHERE source = %s AND SUBSTRING_INDEX(path, '/', -1) = %s ORDER BY generation
"""
#: The streams of a path, with the beginning of their first line, by which alike ones are found.
BEGINNINGS = """
    SELECT LEFT(line, 1024), log_stream.stream_id, path, format, generation FROM log_stream
    JOIN raw_log ON raw_log.stream_id = log_stream.stream_id AND line_offset = 0
    WHERE source = %s AND path = %s ORDER BY generation
"""
#: Bytes of its log that are read at once of a stream.
BLOCK_BYTES = 4 * 1024**2

FIRST_LINE = "SELECT flags, line FROM raw_log WHERE stream_id = %s AND line_offset = 0"

RAW_ROWS = """
    SELECT line_offset, flags, line FROM raw_log
    WHERE stream_id = %s AND line_offset BETWEEN %s AND %s
"""
#: Not after -1: MariaDB takes that as 0 in a search for the least unsigned number.
RAW_FROM = "SELECT MIN(line_offset) FROM raw_log WHERE stream_id = %s AND line_offset >= %s"

OFFSETS: LiteralString = """
    SELECT line_offset FROM {table} WHERE stream_id = %s AND line_offset BETWEEN %s AND %s
"""
BEHIND: LiteralString = """
    SELECT MIN(line_offset) FROM {table} WHERE stream_id = %s AND line_offset > %s
"""
#: The tables of the clean side: each line of raw_log has one row in one of them.
CLEAN_SIDE: tuple[LiteralString, ...] = ("clean_log", "error_log", "rejected_log")
#: For each, the statement that finds its rows between two offsets.
PARSED_TABLES = {table: OFFSETS.replace("{table}", table) for table in CLEAN_SIDE}
#: For each table, the statement that finds its first row after an offset.
FIRST_BEHIND = {table: BEHIND.replace("{table}", table) for table in ("raw_log", *CLEAN_SIDE)}


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A row of log_stream."""

    number: int
    path: str
    format: str
    generation: int


def find_streams(
    transaction: Transaction, source: str, log: Path, rotated_dir: str = ""
) -> list[StreamRow]:
    """Return the streams that begin as the file at `log` does, by their generation.

    They belong to the log that the file is, or was rotated from: in the same folder, or in the one
    from which ROTATED_DIR leads here. Empty when the tables have nothing of it, or the file is
    missing or empty. Raises Unreadable for a file that exists.
    """
    try:
        first = next(numbered_lines(log), None)
    except Missing:
        return []
    if first is None:
        return []
    folder, name = os.path.split(os.path.abspath(log))  # noqa: PTH100 - as the producer names it
    for log_name in logs_rotated_to(name):
        rows = transaction.select(STREAMS, (source, path_text(log_name)))
        streams = [
            stream for row in rows if _is_kept_in(folder, stream := StreamRow(*row), rotated_dir)
        ]
        found = [s for s in streams if _begins_with(transaction, s, source, first[1])]
        if found:
            return found
    return []


def _is_kept_in(folder: str, stream: StreamRow, rotated_dir: str) -> bool:
    """Return whether a folder has files of a stream: its log, or rotated ones."""
    of_log = str(PurePath(stream.path).parent)
    rotated = os.path.normpath(PurePath(of_log, rotated_dir))
    return path_text(folder) in {of_log, path_text(rotated)}


def _begins_with(transaction: Transaction, stream: StreamRow, source: str, line: bytes) -> bool:
    # The id of a log that is disguised before it is published is a hash of the line's skeleton.
    for named in (line, skeleton(line)):
        if stream.number == stream_id(source, stream.path, named, stream.generation):
            return True
    # The id was made of less: of a line still without its newline, or over the limit.
    stored = next(transaction.select(FIRST_LINE, (stream.number,)), None)
    if stored is None:
        return False
    flags, text = stored
    if flags & DISGUISED and skeleton(text) == skeleton(line):
        return True
    return bool(text == line or (flags & INCOMPLETE and line.startswith(text)))


class RawRow(NamedTuple):
    """A row of raw_log."""

    offset: int
    flags: int
    line: bytes


def beginnings(transaction: Transaction, source: str, path: str) -> list[tuple[bytes, StreamRow]]:
    """Return the streams of a log that have a first line, and the beginning of that line."""
    rows = transaction.select(BEGINNINGS, (source, path))
    return [(line, StreamRow(*stream)) for line, *stream in rows]


def raw_rows(session: Session, stream: StreamRow, size: int | None = None) -> Iterator[RawRow]:
    """Yield the rows of a stream in order of offset, all or those below `size` bytes.

    Raises Unavailable.
    """
    begin = 0
    while size is None or begin < size:
        with session.transaction() as transaction:
            [(first,)] = transaction.select(RAW_FROM, (stream.number, begin))
            if first is None or (size is not None and first >= size):
                return
            last = first + (size or BLOCK_BYTES) - 1
            rows = transaction.select(RAW_ROWS, (stream.number, first, last))
            slice_ = sorted(RawRow(*row) for row in rows)
        yield from slice_
        begin = last + 1


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of some neighbouring lines, by their offsets."""

    #: Flags and line.
    raw: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    #: The names of the tables of the clean side that have a row.
    parsed: dict[int, list[str]] = field(default_factory=dict)


class Stored:
    """The rows of one stream; with no stream there are none."""

    def __init__(self, session: Session, stream: StreamRow | None) -> None:
        self._session = session
        self._number = None if stream is None else stream.number

    def rows(self, first: int, last: int) -> Rows:
        """Return the rows whose offsets are from `first` to `last`. Raises Unavailable."""
        key = self._number, first, last
        rows = Rows()
        with self._session.transaction() as transaction:
            for offset, flags, line in transaction.select(RAW_ROWS, key):
                rows.raw[offset] = flags, line
            for table, between in PARSED_TABLES.items():
                for (offset,) in transaction.select(between, key):
                    rows.parsed.setdefault(offset, []).append(table)
        return rows

    def behind(self, offset: int) -> list[tuple[int, str]]:
        """Return the first row after an offset, and its table, for every table that has one."""
        with self._session.transaction() as transaction:
            return sorted(
                (first, table)
                for table, statement in FIRST_BEHIND.items()
                for (first,) in transaction.select(statement, (self._number, offset))
                if first is not None
            )


# --- streams whose lines another stream of the same log also holds: a file that was sent twice

#: Bytes that are compared first of streams whose first lines are equal.
HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Double:
    """A stream whose lines another one also holds, at the same offsets."""

    stream: StreamRow
    other: StreamRow
    lines: int


def doubles(session: Session, source: str, streams: Iterable[StreamRow]) -> Iterator[Double]:
    """Yield what is stored twice: by a stream that has a file, and by another that has none.

    `streams` are those with files. Of two streams the one with fewer lines is the double; of two
    with equally many, the one without a file. Lines that are all alike prove nothing: they may be
    of two files, such as those of a health check without a time. Raises Unavailable.
    """
    found = {stream.number: stream for stream in streams}
    for path in sorted({stream.path for stream in found.values()}):
        with session.transaction() as transaction:
            begun = beginnings(transaction, source, path)
        by_line = groupby(sorted(begun, key=_first_line), key=_first_line)
        for _, group in by_line:
            alike = [stream for _, stream in group]
            files = [stream for stream in alike if stream.number in found]
            others = [stream for stream in alike if stream.number not in found]
            yield from _among(session, files, others)


def _first_line(beginning: tuple[bytes, StreamRow]) -> bytes:
    return beginning[0]


def _among(session: Session, files: list[StreamRow], others: list[StreamRow]) -> Iterator[Double]:
    """Yield the doubles of some streams whose first lines are equal."""
    if not files or not others:
        return
    heads = {stream: list(raw_rows(session, stream, HEAD_BYTES)) for stream in files}
    for other in others:
        head = list(raw_rows(session, other, HEAD_BYTES))
        for file in files:
            if all(map(_is_same, head, heads[file])):
                double = _double(session, file, other)
                if double is not None:
                    yield double
                    break


def _double(session: Session, file: StreamRow, other: StreamRow) -> Double | None:
    """Compare two streams line by line, up to the end of the shorter one."""
    lines, texts = 0, set[bytes]()
    stream = other
    for of_file, of_other in zip_longest(raw_rows(session, file), raw_rows(session, other)):
        if of_file is None or of_other is None:
            stream = other if of_other is None else file
            break
        if not _is_same(of_file, of_other):
            return None
        lines += 1
        if len(texts) < 2:
            texts.add(of_file.line)
    if len(texts) < 2:
        return None
    return Double(stream, file if stream is other else other, lines)


def _is_same(one: RawRow, other: RawRow) -> bool:
    """Return whether two rows are the same line of one log; either may be only its beginning."""
    if one.offset != other.offset:
        return False
    short, long = sorted((one, other), key=lambda row: len(row.line))
    is_beginning = bool(short.flags & INCOMPLETE) and long.line.startswith(short.line)
    return one.line == other.line or is_beginning
