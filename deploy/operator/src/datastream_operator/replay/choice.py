"""Which lines of raw_log are sent once more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from datastream.mysql import Session
from datastream.slices import Slice
from datastream.streams import Stream
from datastream_operator import raw

STREAMS = """
    SELECT stream_id, source, host, path, format, generation FROM log_stream ORDER BY stream_id
"""
LAST = "SELECT MAX(line_offset) FROM raw_log WHERE stream_id = %s"

LINES = """
    SELECT line_offset, flags, {length} FROM raw_log
    WHERE stream_id = %s AND line_offset BETWEEN %s AND %s AND stored_at >= %s
    ORDER BY line_offset LIMIT %s
""".replace("{length}", raw.LENGTH)
REJECTED_LINES = """
    SELECT rejected_log.line_offset, raw_log.flags, {length}
    FROM rejected_log STRAIGHT_JOIN raw_log
        ON raw_log.stream_id = rejected_log.stream_id
        AND raw_log.line_offset = rejected_log.line_offset
    WHERE rejected_log.stream_id = %s AND rejected_log.line_offset BETWEEN %s AND %s
    AND raw_log.stored_at >= %s
    ORDER BY rejected_log.line_offset LIMIT %s
""".replace("{length}", raw.LENGTH)

SET_FORMAT = "UPDATE log_stream SET format = %s WHERE stream_id = %s"

BEGINNING = datetime(1970, 1, 2, tzinfo=UTC)


class Position(NamedTuple):
    """A line of all; lines are sent in this order."""

    stream: int
    offset: int

    def __str__(self) -> str:
        return f"{self.stream:016x}-{self.offset}"


FIRST = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Choice:
    """The lines that are asked for."""

    #: Of this stream alone.
    stream: int | None = None
    #: Those alone that are in rejected_log.
    rejected: bool = False
    #: Those alone that were stored since then.
    since: datetime = BEGINNING
    #: From this line on.
    begin: Position = FIRST
    #: Read as this format; None: as they were read.
    format: str | None = None

    @property
    def is_of_whole_streams(self) -> bool:
        """Whether every line of each stream is among them."""
        return not self.rejected and self.since == BEGINNING


@dataclass(frozen=True, slots=True)
class Part:
    """A stream, and where its last line begins."""

    stream: Stream
    last: int


def parts(session: Session, choice: Choice) -> list[Part]:
    """Return the streams that have lines that are asked for, in order. Raises Unavailable."""
    with session.transaction() as transaction:
        streams = [Stream(*row) for row in transaction.select(STREAMS)]
        found = []
        for stream in streams:
            if (
                choice.stream in (None, stream.stream_id)
                and stream.stream_id >= choice.begin.stream
            ):
                [(last,)] = transaction.select(LAST, (stream.stream_id,))
                if last is not None:
                    found.append(Part(stream, last))
    return found


def groups(session: Session, choice: Choice, part: Part) -> Iterator[list[raw.Line]]:
    """Yield the lines of a stream that are asked for, a slice each. Raises Unavailable."""
    number = part.stream.stream_id
    first = choice.begin.offset if number == choice.begin.stream else 0
    statement = REJECTED_LINES if choice.rejected else LINES
    since = f"{choice.since.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
    return raw.groups(raw.lines(session, number, first, part.last, statement, since))


def piece_of(session: Session, choice: Choice, part: Part, group: list[raw.Line]) -> Slice:
    """Return the slice that a group of lines is. Raises Unavailable."""
    stream = part.stream
    piece = raw.slice_of(session, stream.stream_id, stream, group)
    if choice.format is None:
        return piece
    return replace(piece, stream=replace(stream, format=choice.format), reformat=True)


def set_format(session: Session, stream: Stream, line_format: str) -> None:
    """Write down in which format a stream is, for whoever reads it next. Raises Unavailable."""
    with session.transaction() as transaction:
        transaction.execute(SET_FORMAT, (line_format, stream.stream_id))
