"""Reads a log by a format, and counts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from datastream.parsing import Unparseable, compiled

#: Lines that do not fit and are shown.
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that does not fit."""

    #: From 1.
    number: int
    #: Where it begins in the log, in bytes.
    offset: int
    reason: str
    text: str
    #: Up to where it fits, in characters, and what should follow there.
    place: int
    expected: str


@dataclass(slots=True)
class Checked:
    """What a log came to."""

    format: str
    lines: int = 0
    parsed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    first_rejected: list[Rejected] = field(default_factory=list)
    #: How long the parsing took.
    seconds: float = 0.0

    @property
    def rejected(self) -> int:
        """How many lines do not fit."""
        return self.lines - self.parsed

    @property
    def lines_per_second(self) -> int:
        """How many lines were parsed in a second, reading the log included."""
        return round(self.lines / self.seconds) if self.seconds else 0


def check(lines: Iterable[tuple[int, bytes]], form: str) -> Checked:
    """Parse each line, which comes with its offset, and count."""
    compiled_form = compiled(form)
    parse = compiled_form.parse
    checked = Checked(form)
    began = time.perf_counter()
    for number, (offset, line) in enumerate(lines, 1):
        checked.lines = number
        try:
            parse(line)
        except Unparseable as error:
            checked.reasons[error.reason] += 1
            if len(checked.first_rejected) < SHOWN:
                found = compiled_form.misfit(line)
                text = line.decode("utf-8", "backslashreplace")
                checked.first_rejected.append(
                    Rejected(number, offset, error.reason, text, found.place, found.expected)
                )
        else:
            checked.parsed += 1
    checked.seconds = time.perf_counter() - began
    return checked
