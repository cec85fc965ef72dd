"""FORMAT=auto: which of the formats that have a name lines are in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from datastream.parsing.event import ErrorEvent, Unparseable
from datastream.parsing.formats import NAMES, parser_for

#: The setting that asks for this.
AUTO = "auto"
#: Fewer lines than these are too few to tell by.
FEWEST_LINES = 10
#: More are not looked at.
MOST_LINES = 1_000


class Detected(NamedTuple):
    """The format that most lines are in, and how sure that is."""

    name: str
    #: How many lines fit it, of how many.
    fit: int
    lines: int
    #: The next best format, and how many lines fit that one.
    next_name: str
    next_fit: int

    @property
    def is_sure(self) -> bool:
        """Whether more than half of the lines fit, and more than fit any other format."""
        return self.fit > self.lines / 2 and self.fit > self.next_fit

    def __str__(self) -> str:
        share = f"{self.fit:,} of the first {self.lines:,} lines fit"
        return f"{self.name}: {share}; the next best, {self.next_name}, fits {self.next_fit:,}"


def detect(lines: Sequence[bytes]) -> Detected:
    """Return the format that most of the lines fit.

    A line whose client is no address fits half-way: it may be another format's that is shifted by
    a word. Of formats that fit alike the first of NAMES is returned, and is not sure.
    """
    lines = lines[:MOST_LINES]
    marks = {name: [_mark(name, line) for line in lines] for name in NAMES}
    ranking = sorted(NAMES, key=lambda name: -sum(marks[name]))
    first, second = ranking[:2]
    fits = {name: sum(mark > 0 for mark in marks[name]) for name in (first, second)}
    if sum(marks[first]) > sum(marks[second]) and fits[first] == fits[second]:
        # They fit half-way what fits the first one fully.
        fits[second] = sum(mark == _FULL for mark in marks[second])
    return Detected(first, fits[first], len(lines), second, fits[second])


_FULL, _HALF = 1.0, 0.5


def _mark(name: str, line: bytes) -> float:
    try:
        event = parser_for(name)(line)
    except Unparseable:
        return 0
    is_whole = isinstance(event, ErrorEvent) or event.client is not None
    return _FULL if is_whole else _HALF
