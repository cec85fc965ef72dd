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
    fits = {name: [_fit(name, line) for line in lines] for name in NAMES}
    whole = {name: found.count(_WHOLE) for name, found in fits.items()}
    any_way = {name: len(lines) - found.count(_NOT) for name, found in fits.items()}
    first, second, *_ = sorted(NAMES, key=lambda name: (-whole[name], -any_way[name]))
    next_fit = whole[second] if whole[first] else any_way[second]
    return Detected(first, any_way[first], len(lines), second, next_fit)


_WHOLE, _HALF_WAY, _NOT = "whole", "half-way", "not"


def _fit(name: str, line: bytes) -> str:
    try:
        event = parser_for(name)(line)
    except Unparseable:
        return _NOT
    return _WHOLE if isinstance(event, ErrorEvent) or event.client else _HALF_WAY
