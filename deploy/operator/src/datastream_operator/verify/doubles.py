"""Streams whose lines another stream of the same log holds as well: a file that was sent twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, zip_longest

from datastream.mysql import Session
from datastream.slices import INCOMPLETE
from datastream_operator.verify.tables import RawRow, StreamRow, beginnings, raw_rows

#: Bytes of each stream that are compared first, of those whose first lines are equal.
HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Double:
    """A stream, all of whose lines another one holds, at the same offsets."""

    stream: StreamRow
    other: StreamRow
    lines: int


def doubles(session: Session, source: str, streams: Iterable[StreamRow]) -> Iterator[Double]:
    """Yield what is stored twice: a stream that is a file, and another one that is none.

    `streams` are those that files account for. Of two streams the one with fewer lines is the
    double; of two with as many, the one that is no file. Lines that are all alike tell nothing:
    they may be of two files, such as those of a health check without a time. Raises Unavailable.
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
    """Say whether two rows are the same line of one log; of either the beginning may be there."""
    if one.offset != other.offset:
        return False
    short, long = sorted((one, other), key=lambda row: len(row.line))
    is_beginning = bool(short.flags & INCOMPLETE) and long.line.startswith(short.line)
    return one.line == other.line or is_beginning
