"""The lines of raw_log, read from its packs; and as slices, to be sent once more."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from datastream.mysql import Session
from datastream.packs import MOST_SPAN, Pack
from datastream.parsing import ENTRY_BYTES, begins
from datastream.slices import DISGUISED, GREATEST, INCOMPLETE, MOST_BYTES, TRUNCATED, Slice
from datastream.streams import Stream
from datastream_operator.refused import Refused

#: The most that one slice holds: what a producer sends by default.
SLICE_LINES = 1_000
SLICE_BYTES = 256 * 1024
#: The same for lines that were disguised: `::1` is stored as up to thirteen times as much.
DISGUISED_BYTES = SLICE_BYTES // 16

#: Packs read at once: of 256 KiB of text, compressed, or a line of up to 1 MiB. This bounds memory.
PACKS_AT_ONCE = 64
#: The same for single lines, which may be far from each other.
PACKS_AT_A_LINE = 8
#: Where the last line of a pack ends. An older version did not store it: a disguised line (flag 4),
#: whose length in its log is another than the stored one, ends where the next one begins.
END = """
    COALESCE(
        raw_pack.end_offset,
        IF(raw_pack.flags & 4, (
            SELECT MIN(later.line_offset) - 1 FROM raw_pack AS later
            WHERE later.stream_id = raw_pack.stream_id AND later.line_offset > raw_pack.line_offset
        ), NULL),
        raw_pack.line_offset + LENGTH(raw_pack.body)
    )
"""
#: The pack that a line is in, or before, and those that begin after it. In one statement, since
#: neighbours may be merged meanwhile.
PACKS = """
    (
        SELECT line_offset, flags, {end}, line_count, codec, body, stored_at FROM raw_pack
        WHERE stream_id = %s AND line_offset <= %s ORDER BY line_offset DESC LIMIT 1
    ) UNION ALL (
        SELECT line_offset, flags, {end}, line_count, codec, body, stored_at FROM raw_pack
        WHERE stream_id = %s AND line_offset > %s AND line_offset <= %s
        ORDER BY line_offset LIMIT %s
    )
""".replace("{end}", END)
#: The packs around an offset, also where a row that is not theirs begins among their lines. It
#: reads the keys of up to 1 MiB of single lines of older versions.
AROUND = """
    SELECT line_offset, flags, end_offset, line_count, codec, body, stored_at FROM raw_pack
    WHERE stream_id = %s AND line_offset BETWEEN %s AND %s AND line_count > 1 AND end_offset >= %s
"""

BEGINNING = datetime(1970, 1, 2, tzinfo=UTC)


class Line(NamedTuple):
    """A line of raw_log."""

    offset: int
    flags: int
    #: Bytes in the log.
    length: int
    #: As it is stored.
    text: bytes


class _Row(NamedTuple):
    """A row of raw_pack."""

    stream: int
    pack: Pack
    #: When it was stored, UTC.
    stored_at: datetime

    @property
    def reach(self) -> int:
        """The offset after which other packs may have lines.

        A single line of an older version may hold the beginning of another log's.
        """
        return self.pack.end if self.pack.line_count > 1 else self.pack.line_offset

    def lines(self) -> list[Line]:
        """Return its lines. Raises Refused when it is damaged."""
        pack = self.pack
        try:
            found = pack.lines()
        except ValueError as error:
            place = f"stream {self.stream:016x}, byte {pack.line_offset:,}"
            raise Refused(f"raw_pack cannot be read: {place}: {error}") from error
        ends = [*(offset - 1 for offset, _ in found[1:]), pack.end]
        return [
            Line(offset, pack.flags, end - offset, text)
            for (offset, text), end in zip(found, ends, strict=True)
        ]


def lines(
    session: Session,
    stream: int,
    first: int = 0,
    last: int = GREATEST,
    since: datetime = BEGINNING,
) -> Iterator[Line]:
    """Yield the lines of a stream whose offsets are from `first` to `last`, in order.

    Of packs stored before `since` there are none. Raises Refused and Unavailable.
    """
    around = _around(session, stream, first)
    while True:
        rows = _rows(session, stream, first, last, PACKS_AT_ONCE)
        is_last = sum(_begin(row) > first for row in rows) < PACKS_AT_ONCE
        # Those that begin after the last one may have lines among its own.
        until = last if is_last else _begin(rows[-1])
        rows = sorted({_begin(row): row for row in [*around, *rows]}.values(), key=_begin)
        yield from _in_order([row for row in rows if row.stored_at >= since], first, until)
        if is_last:
            return
        first = until + 1
        around = [row for row in rows if row.pack.line_count > 1 and row.pack.end >= first]


def _in_order(rows: list[_Row], first: int, last: int) -> Iterator[Line]:
    """Yield the lines from `first` to `last` of packs that are in order and may overlap."""
    waiting: list[Line] = []
    for row in rows:
        at = bisect_left(waiting, _begin(row), key=_offset)
        yield from waiting[:at]
        lines = [line for line in row.lines() if first <= line.offset <= last]
        waiting = sorted([*waiting[at:], *lines], key=_offset)
    yield from waiting


def lines_at(
    session: Session, stream: int, offsets: Iterable[int], since: datetime = BEGINNING
) -> Iterator[Line]:
    """Yield the lines of a stream at some offsets, which are in order; those that are there.

    Of packs stored before `since` there are none. Raises Refused and Unavailable.
    """
    rows: list[_Row] = []
    row, its = None, dict[int, Line]()
    for offset in offsets:
        if not rows or offset > rows[-1].reach:
            rows = _rows(session, stream, offset, GREATEST, PACKS_AT_A_LINE)
        at = bisect_right(rows, offset, key=_begin) - 1
        if at >= 0 and row is not rows[at]:
            row = rows[at]
            its = {line.offset: line for line in row.lines()}
        if at >= 0 and offset in its:
            if rows[at].stored_at >= since:
                yield its[offset]
            continue
        around = [row for row in _around(session, stream, offset) if row.stored_at >= since]
        yield from islice(_in_order(around, offset, offset), 1)


def _begin(row: _Row) -> int:
    return row.pack.line_offset


def _offset(line: Line) -> int:
    return line.offset


def _around(session: Session, stream: int, offset: int) -> list[_Row]:
    """Return the packs of several lines that reach over an offset, in order."""
    with session.transaction() as transaction:
        key = stream, max(0, offset - MOST_SPAN), offset, offset
        return _as_rows(stream, transaction.select(AROUND, key))


def _rows(session: Session, stream: int, first: int, last: int, most: int) -> list[_Row]:
    with session.transaction() as transaction:
        found = transaction.select(PACKS, (stream, first, stream, first, last, most))
        return _as_rows(stream, found)


def _as_rows(stream: int, found: Iterable[tuple[Any, ...]]) -> list[_Row]:
    rows = [_Row(stream, Pack(*pack), stored_at.replace(tzinfo=UTC)) for *pack, stored_at in found]
    return sorted(rows, key=_begin)


def chain(session: Session, stream: int, first: int, stop: int = GREATEST) -> Iterator[Line]:
    """Yield adjoining lines from `first` to before `stop`, as one log has them.

    Rows in between, of another log that claims the same stream, are skipped.
    """
    expected, is_certain = first, True
    for line in lines(session, stream, first, stop - 1):
        if line.offset < expected:
            continue
        if is_certain and line.offset > expected:
            return
        yield line
        expected = line.offset + line.length + 1
        # The length of a line over the limit is not known.
        is_certain = not line.flags & TRUNCATED


def groups(found: Iterable[Line]) -> Iterator[list[Line]]:
    """Group lines into slices: consecutive, of bounded size, with equal flags.

    Entries of an error log are not torn.
    """
    group: list[Line] = []
    size = 0
    for line in found:
        if group:
            last = group[-1]
            follows = (
                line.offset == last.offset + last.length + 1
                and line.flags == last.flags
                and not line.flags & INCOMPLETE
            )
            most = DISGUISED_BYTES if line.flags & DISGUISED else SLICE_BYTES
            if not follows or len(group) == SLICE_LINES or size + line.length > most:
                whole = _whole(group, line) if follows else len(group)
                yield group[:whole]
                group = group[whole:]
                size = sum(kept.length + 1 for kept in group)
        group.append(line)
        size += line.length + 1
    if group:
        yield group


def _whole(group: list[Line], after: Line) -> int:
    """Return how many lines of a group to send before the rest and the line after it.

    All of them, unless `after` goes on with an entry that begins among them.
    """
    for at in range(len(group) - 1, 0, -1):
        if begins(after.text) or after.offset - group[at].offset >= ENTRY_BYTES:
            break
        if begins(group[at].text):
            return at
    return len(group)


def slice_of(stream: Stream, group: list[Line]) -> Slice:
    """Return a group of lines as a slice of `stream`, read now."""
    flags = group[0].flags
    body = b"\n".join(line.text for line in group)
    lengths = tuple(min(line.length, MOST_BYTES) for line in group) if flags & DISGUISED else None
    read_at_ms = time.time_ns() // 1_000_000
    return Slice(stream, group[0].offset, body, len(group), flags, read_at_ms, lengths=lengths)
