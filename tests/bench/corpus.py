"""The lines: a sample log, the same bytes in every run."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import NamedTuple

from datastream_operator.sample.lines import Format, generate

SEED = 1


class Log(NamedTuple):
    """A log file that was written, for ever as it is."""

    path: Path
    lines: int
    #: The offset of its last line.
    last: int

    @property
    def line_bytes(self) -> float:
        """The mean length of a line, its newline included."""
        return self.path.stat().st_size / self.lines


def write(path: Path, lines: int, *, form: Format = "combined", skip: int = 0) -> Log:
    """Write that many lines of the sample to a new file, after `skip` that are left out."""
    last = end = 0
    sample = islice(generate(skip + lines, form, SEED), skip, None)
    with path.open("wb") as file:
        for line, _ in sample:
            last = end
            end += file.write(line + b"\n")
    return Log(path, lines, last)
