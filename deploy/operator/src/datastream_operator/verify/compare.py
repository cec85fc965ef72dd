"""Goes through a log and its rows side by side, some thousand lines at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from datastream.how_many import how_many
from datastream.privacy import LineDisguise, skeleton
from datastream.slices import DISGUISED, INCOMPLETE, MOST_BYTES, TRUNCATED, UNTERMINATED
from datastream_operator.lines import Extent, numbered_lines, plain_size
from datastream_operator.verify.stored import PARSED_TABLES, Rows, Stored

#: The most that is compared at once: this bounds the memory, however long the log is.
BLOCK_LINES = 4_000
BLOCK_BYTES = 4 * 1024**2
#: Seconds, in all, to wait for rows on their way. A followed line takes some 0.1 s.
PATIENCE = 3.0
LOOK_EVERY = 0.1

*_FIRST, _LAST = PARSED_TABLES
PARSED = f"{', '.join(_FIRST)} or {_LAST}"


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a log and its rows differ: the words end the sentence "The line …"."""

    words: str
    #: The number of the line at or before which it is, from 1; and its byte offset.
    line: int
    offset: int
    #: Bytes to look at, where there are any.
    in_file: bytes | None = None
    stored: bytes | None = None
    #: Lines at the end are not stored yet, and all before them are.
    is_lag: bool = False

    def __str__(self) -> str:
        return f"line {self.line:,}, byte {self.offset:,}: {self.words}"


@dataclass(slots=True)
class _Block:
    """Neighbouring lines of the file: the number of the first, and each by its offset."""

    number: int
    lines: dict[int, bytes]

    @property
    def first(self) -> int:
        return next(iter(self.lines))

    @property
    def last(self) -> int:
        """The last byte of the last line, or more: a line over the limit is not all here."""
        offset = next(reversed(self.lines))
        return offset + len(self.lines[offset])


class _Missing:
    """Consecutive lines without a row."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._count = 0
        self._first: tuple[int, int, bytes] = (0, 0, b"")

    def add(self, number: int, offset: int, line: bytes) -> None:
        if not self._count:
            self._first = number, offset, line
        self._count += 1

    def end(self, *, is_lag: bool) -> Iterator[Difference]:
        """Yield what was missing up to here, if anything."""
        if self._count:
            number, offset, line = self._first
            lines = (
                "the line is"
                if self._count == 1
                else f"{how_many(self._count, 'line')} from here on are"
            )
            words = "not yet in" if is_lag else "not in"
            others = "the last of the file" if is_lag else "though later lines are"
            self._count = 0
            yield Difference(
                f"{lines} {words} {self._table}, {others}", number, offset, line, is_lag=is_lag
            )


def differences(
    stored: Stored,
    log: Path,
    extent: Extent,
    patience: float = PATIENCE,
    seen: Callable[[int], None] = lambda _offset: None,
    disguise: LineDisguise | None = None,
) -> Iterator[Difference]:
    """Yield where a log and its rows differ; nothing when the tables hold the log exactly.

    What the log held at `extent` must be stored. What was written to it since may be; if it is, it
    must be equal. `patience` is how many seconds in all to wait for rows on their way; `seen` is
    called with the offset that was reached; `disguise` is what the producer did to lines flagged
    as disguised. Raises Unreadable and Unavailable.
    """
    raw, parsed = _Missing("raw_log"), _Missing(PARSED)
    end, number = -1, 1
    for block in _blocks(log):
        rows, patience = _look(stored, block, extent, end + 1, patience)
        yield from _differing(block, rows, extent, raw, parsed, disguise)
        end, number = block.last, block.number + len(block.lines)
        seen(end)
    yield from raw.end(is_lag=True)
    yield from parsed.end(is_lag=True)
    for offset, table in stored.behind(end):
        if offset >= plain_size(log):
            words = f"{table} has a row behind the end of the file"
            yield Difference(words, number, offset)


def _blocks(log: Path) -> Iterator[_Block]:
    block, size = _Block(1, {}), 0
    # One more byte tells a line over the limit from one just as long.
    for offset, line in numbered_lines(log, MOST_BYTES + 1):
        if len(block.lines) == BLOCK_LINES or size > BLOCK_BYTES:
            yield block
            block, size = _Block(block.number + len(block.lines), {}), 0
        block.lines[offset] = line
        size += len(line)
    if block.lines:
        yield block


def _look(
    stored: Stored, block: _Block, extent: Extent, first: int, patience: float
) -> tuple[Rows, float]:
    """Return the rows from `first` to the end of a block, and how much patience is left."""
    begin = time.monotonic()
    expected = {offset for offset in block.lines if offset < extent.end}
    while True:
        rows = stored.rows(first, block.last)
        left = patience - (time.monotonic() - begin)
        if (expected <= rows.raw.keys() and expected <= rows.parsed.keys()) or left <= 0:
            return rows, max(left, 0.0)
        time.sleep(LOOK_EVERY)


def _differing(
    block: _Block,
    rows: Rows,
    extent: Extent,
    raw: _Missing,
    parsed: _Missing,
    disguise: LineDisguise | None,
) -> Iterator[Difference]:
    number = block.number
    for offset in sorted(block.lines.keys() | rows.raw.keys() | rows.parsed.keys()):
        line, tables = block.lines.get(offset), rows.parsed.get(offset, [])
        row = rows.raw.get(offset)
        if line is None:
            names = " and ".join((["raw_log"] if row else []) + tables)
            words = f"{names} has a row from here on, where no line begins"
            yield Difference(words, number, offset, stored=row[1] if row else None)
            continue
        here = number, offset, line
        number += 1
        kept, row = _as_kept(line, row, disguise)
        if row and not _is_beginning(row, kept, offset, extent):
            yield from raw.end(is_lag=False)
            if not _holds(row, kept, offset, extent):
                words = _differing_words(row, line)
                yield Difference(words, *here, stored=row[1])
        elif offset < extent.end:
            raw.add(*here)
        yield from _differing_tables(tables, here, extent, parsed)


def _differing_tables(
    tables: list[str], here: tuple[int, int, bytes], extent: Extent, parsed: _Missing
) -> Iterator[Difference]:
    if tables:
        yield from parsed.end(is_lag=False)
    elif here[1] < extent.end:
        parsed.add(*here)
    if len(tables) > 1:
        yield Difference(f"the line has a row in {' and in '.join(tables)}", *here)


def _as_kept(
    line: bytes, row: tuple[int, bytes] | None, disguise: LineDisguise | None
) -> tuple[bytes, tuple[int, bytes] | None]:
    """Return a line and its row as they compare: both disguised if the row is."""
    if row is None or disguise is None or not row[0] & DISGUISED:
        return line, row
    kept = disguise(line, is_cut=row[0] & INCOMPLETE == UNTERMINATED)
    return (kept if kept == row[1] else disguise(line)), row


def _differing_words(row: tuple[int, bytes], line: bytes) -> str:
    """Return in words how a row differs from a line that it does not hold."""
    flags, stored = row
    if flags & DISGUISED and skeleton(line) == skeleton(stored):
        return (
            "raw_log holds the line as PRIVACY_BEFORE=lake left it, but PRIVACY_ADDRESSES, _KEY or"
            " _QUERIES were not what they are here"
        )
    return "raw_log holds another line"


def _is_beginning(row: tuple[int, bytes], line: bytes, offset: int, extent: Extent) -> bool:
    """Return whether a row is only the beginning of a line that was complete at `extent`."""
    flags, stored = row
    return (
        flags & INCOMPLETE == UNTERMINATED
        and len(stored) < len(line)
        and line.startswith(stored)
        and offset + len(stored) < extent.end
    )


def _holds(row: tuple[int, bytes], line: bytes, offset: int, extent: Extent) -> bool:
    """Return whether a row holds a line, which may have grown since either read it."""
    flags, stored = row
    if flags & TRUNCATED:
        # A disguise may also drop the end of a cut line.
        is_longer = len(line) > len(stored) or flags & DISGUISED
        return bool(is_longer) and line.startswith(stored)
    if flags & UNTERMINATED:
        return line.startswith(stored)
    is_last = offset + len(line) >= extent.end
    return line == stored or (is_last and stored.startswith(line))
