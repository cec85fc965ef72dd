"""The lines of raw_log as slices, to be sent once more."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import LiteralString, NamedTuple

from datastream.mysql import Session
from datastream.parsing import ENTRY_BYTES
from datastream.slices import DISGUISED, GREATEST, INCOMPLETE, MOST_BYTES, TRUNCATED, Slice
from datastream.streams import Stream

#: Lines looked up at once, and the most that one slice holds: what a producer sends by default.
PAGE = 1_000
SLICE_BYTES = 256 * 1024
#: The same for lines that were disguised: `::1` is stored as up to thirteen times as much.
DISGUISED_BYTES = SLICE_BYTES // 16

#: The length of a line in its log. A disguised one (flag 4) is stored with another length: it ends
#: where the next one begins.
LENGTH = """
    COALESCE(
        IF(raw_log.flags & 4, (
            SELECT MIN(later.line_offset) - 1 - raw_log.line_offset FROM raw_log AS later
            WHERE later.stream_id = raw_log.stream_id AND later.line_offset > raw_log.line_offset
        ), NULL),
        LENGTH(raw_log.line)
    )
"""
#: Whether a line begins an entry of an error log, as far as SQL need tell.
BEGINS = "raw_log.line LIKE '____/__/__ __:__:__ [%%'"
LINES = """
    SELECT line_offset, flags, {length}, {begins} FROM raw_log
    WHERE stream_id = %s AND line_offset BETWEEN %s AND %s ORDER BY line_offset LIMIT %s
""".replace("{length}", LENGTH).replace("{begins}", BEGINS)
TEXTS = """
    SELECT line_offset, line FROM raw_log
    WHERE stream_id = %s AND line_offset BETWEEN %s AND %s ORDER BY line_offset
"""


class Line(NamedTuple):
    """A row of raw_log, without its text."""

    offset: int
    flags: int
    #: Bytes in the log.
    length: int
    #: It begins an entry of an error log.
    begins: bool | int = False


def lines(
    session: Session,
    stream: int,
    first: int = 0,
    last: int = GREATEST,
    statement: LiteralString = LINES,
    *parameters: str,
) -> Iterator[Line]:
    """Yield the lines of a stream whose offsets are from `first` to `last`. Raises Unavailable.

    `statement` may be another one than LINES, with `parameters` of its own before the last one.
    """
    while True:
        with session.transaction() as transaction:
            key: list[int | str] = [stream, first, last, *parameters, PAGE]
            page = [Line(*row) for row in transaction.select(statement, key)]
        yield from page
        if len(page) < PAGE:
            return
        first = page[-1].offset + 1


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
            if not follows or len(group) == PAGE or size + line.length > most:
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
        if after.begins or after.offset - group[at].offset >= ENTRY_BYTES:
            break
        if group[at].begins:
            return at
    return len(group)


def slice_of(session: Session, stored_as: int, stream: Stream, group: list[Line]) -> Slice:
    """Return a group of lines of the stream `stored_as` as a slice of `stream`.

    Raises Unavailable.
    """
    first, last = group[0].offset, group[-1].offset
    wanted = {line.offset for line in group}
    with session.transaction() as transaction:
        rows = transaction.select(TEXTS, (stored_as, first, last))
        texts = [text for offset, text in rows if offset in wanted]
    body, flags = b"\n".join(texts), group[0].flags
    lengths = tuple(min(line.length, MOST_BYTES) for line in group) if flags & DISGUISED else None
    read_at_ms = time.time_ns() // 1_000_000
    return Slice(stream, first, body, len(texts), flags, read_at_ms, lengths=lengths)
