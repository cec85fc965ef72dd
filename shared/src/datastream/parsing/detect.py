"""FORMAT=auto: which of the formats that have a name lines are in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from datastream.parsing.event import ErrorEvent, Unparseable
from datastream.parsing.formats import LAST_RESORTS, NAMES, parser_for

#: The setting that asks for this.
AUTO = "auto"
#: Fewer lines than these are too few to tell by.
FEWEST_LINES = 10
#: More are not looked at.
SAMPLE_LINES = 1_000
#: From this share on a format is certain: a few odd lines are in every log.
_CERTAIN = 0.98


class Detected(NamedTuple):
    """The format that most lines are in, and how sure that is."""

    name: str
    #: How many lines fit it, of how many.
    fit: int
    lines: int
    #: The next best format, and how many lines fit that one.
    next_name: str
    next_fit: int
    #: How many fit, and have an address as their client.
    whole: int

    @property
    def is_sure(self) -> bool:
        """Whether more than half of the lines fit, and more than fit any other format."""
        return self.fit > self.lines / 2 and self.fit > self.next_fit

    @property
    def sureness(self) -> str:
        """How sure that is, in a word or two: `certain`, `likely` or `a guess`."""
        if not self.is_sure:
            return "a guess"
        is_certain = self.whole >= self.lines * _CERTAIN and self.lines >= FEWEST_LINES
        return "certain" if is_certain else "likely"

    def __str__(self) -> str:
        share, next_share = (_share(fit, self.lines) for fit in (self.fit, self.next_fit))
        return (
            f"{self.name} fits {share} of the first {self.lines:,} lines; "
            f"the next best, {self.next_name}, fits {next_share}"
        )


def _share(part: int, whole: int) -> str:
    """Return a share in words: all and none only where it is just that."""
    if not part:
        return "none"
    return "all" if part == whole else f"{part * 1000 // whole / 10:.1f} %"


def detect(lines: Sequence[bytes]) -> Detected:
    """Return the format that most of the lines fit.

    A line whose client is no address fits half-way: it may be another format's that is shifted by
    a word. A last resort has only the lines that fit it better than all formats before it. Of
    formats that fit alike the first of NAMES is returned, and is not sure.
    """
    lines = lines[:SAMPLE_LINES]
    fits = {name: [_fit(name, line) for line in lines] for name in NAMES}
    for at in range(len(lines)):
        best = max(fits[name][at] for name in NAMES if name not in LAST_RESORTS)
        for name in LAST_RESORTS:
            if fits[name][at] <= best:
                fits[name][at] = _NOT
            best = max(best, fits[name][at])
    whole = {name: found.count(_WHOLE) for name, found in fits.items()}
    any_way = {name: len(lines) - found.count(_NOT) for name, found in fits.items()}
    first, second, *_ = sorted(NAMES, key=lambda name: (-whole[name], -any_way[name]))
    next_fit = whole[second] if whole[first] else any_way[second]
    return Detected(first, any_way[first], len(lines), second, next_fit, whole[first])


#: A name, or an address in brackets, and a port.
_HOST = re.compile(r"(?![0-9.]+(?::|\Z))(?:[0-9A-Za-z_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")

_NOT, _HALF_WAY, _WHOLE = range(3)


def _fit(name: str, line: bytes) -> int:
    try:
        event = parser_for(name)(line)
    except Unparseable:
        return _NOT
    if isinstance(event, ErrorEvent):
        return _WHOLE
    # A word too many in front: an address where the host is, or dashes in the user.
    is_shifted = (event.user or "").strip(" -") == "" and event.user not in (None, "")
    if name in ("host_combined", "vhost_combined"):
        word = line.partition(b" ")[0].decode(errors="replace")
        is_shifted = is_shifted or _HOST.fullmatch(word) is None
    return _WHOLE if event.client and not is_shifted else _HALF_WAY
