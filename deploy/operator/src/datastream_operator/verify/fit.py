"""Whether the lines of a stream fit the format that they were parsed by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from datastream.mysql import Session
from datastream.parsing.looks import Looks, is_misfit, looks_of, prefix_missed, shortened
from datastream_operator.text import printable
from datastream_operator.verify.stored import StreamRow

COUNT: LiteralString = "SELECT COUNT(*) FROM {table} WHERE stream_id = %s AND line_offset < %s"
#: A line that goes on with an entry of an error log is in the row of that entry.
REJECTED = f"{COUNT.replace('{table}', 'rejected_log')} AND reason <> 'continued'"
PARSED = (COUNT.replace("{table}", "clean_log"), COUNT.replace("{table}", "error_log"))

#: Lines to tell by, and bytes of each.
LOOKED_AT = 100
SOME_REJECTS = """
    SELECT LEFT(raw_log.line, 4096)
    FROM rejected_log STRAIGHT_JOIN raw_log
        ON raw_log.stream_id = rejected_log.stream_id
        AND raw_log.line_offset = rejected_log.line_offset
    WHERE rejected_log.stream_id = %s AND rejected_log.reason <> 'continued'
    ORDER BY rejected_log.line_offset LIMIT %s
"""
SOME_LINES = """
    SELECT LEFT(line, 4096) FROM raw_log WHERE stream_id = %s ORDER BY line_offset LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Misfit:
    """The lines of a stream do not fit their format, or their fields are in the wrong columns."""

    stream: StreamRow
    parsed: int
    rejected: int
    #: What the lines that do not fit look like.
    looks: Looks

    def __str__(self) -> str:
        form = f"FORMAT is {printable(shortened(self.stream.format))}"
        looks = f"the lines look like {self.looks.words}"
        if is_misfit_whole(self.rejected, self.parsed + self.rejected):
            return f"{self.parsed:,} of {self.parsed + self.rejected:,} parsed: {form}, {looks}"
        return f"with the client in another column: {form}, {looks}"

    @property
    def command(self) -> str:
        """The command that parses them again.

        Where most lines fit, only the others: the format may have changed in the middle.
        """
        is_of_few = self.rejected and self.rejected <= self.parsed
        which = "--rejected " if is_of_few else ""
        return f"datastream replay {which}--stream {self.stream.number:016x} {self.looks.option}"


def is_misfit_whole(rejected: int, lines: int) -> bool:
    """Return the same as is_misfit() for all lines of a log, of which there may be few."""
    return is_misfit(rejected, lines) or rejected == lines > 0


def misfit_of(session: Session, stream: StreamRow, end: int) -> Misfit | None:
    """Return how the lines of a stream below an offset fail to fit; None when they fit.

    Raises Unavailable.
    """
    with session.transaction() as transaction:
        key = stream.number, end
        [(rejected,)] = transaction.select(REJECTED, key)
        parsed = sum(count for table in PARSED for (count,) in transaction.select(table, key))

        def some(statement: LiteralString) -> Sequence[bytes]:
            return [line for (line,) in transaction.select(statement, (stream.number, LOOKED_AT))]

        if is_misfit_whole(rejected, parsed + rejected):
            return Misfit(stream, parsed, rejected, looks_of(some(SOME_REJECTS)))
        looks = prefix_missed(some(SOME_LINES), stream.format)
    return looks and Misfit(stream, parsed, rejected, looks)
