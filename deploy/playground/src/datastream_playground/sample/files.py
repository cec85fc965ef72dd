"""Writing samples, and reading their truth."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from datastream_playground.sample.lines import Expected, Format, Truth, generate

#: Seconds between two bursts of lines, unless the lines themselves come more rarely.
BURST = 0.1
#: Lines kept in memory at most.
CHUNK = 2_000

_encode = json.JSONEncoder(separators=(",", ":")).encode


class UnfinishedLine(Exception):
    """The log to append to ends in an unfinished line."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What was written: how many lines, how many bytes of log, and the junk lines by reason."""

    lines: int
    bytes: int
    reasons: Mapping[str, int]

    @property
    def junk(self) -> int:
        """How many of the lines are to be rejected."""
        return sum(self.reasons.values())


def truth_path(log: Path) -> Path:
    """Return the path of the truth about the sample at `log`."""
    return log.with_name(f"{log.name}.truth.jsonl")


def read_truth(log: Path) -> Iterator[Truth]:
    """Read the truth about the sample at `log`, line by line."""
    with truth_path(log).open("rb") as stored:
        for row in stored:
            values = json.loads(row)
            offset, reject = values.pop("offset"), values.pop("reject")
            yield Truth(offset, reject, None if reject else Expected(**values))


def write(
    path: Path,
    lines: int,
    log_format: Format,
    seed: int,
    rate: float | None = None,
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> Summary:
    """Write a sample of that many lines, and its truth beside it.

    Without `rate` both files are replaced atomically, the truth first. With it lines are appended
    to the file at `path`, that many a second, until there are enough or `stopping()` is true; the
    truth of each burst is written before its lines. Raises UnfinishedLine and OSError.
    """
    if rate is None:
        return _write_whole(path, generate(lines, log_format, seed))
    with path.open("ab") as log:
        end = _end_of_whole_lines(path)
        # The truth of a log that was removed says nothing about this one.
        with truth_path(path).open("ab" if end else "wb") as truth:
            sample = generate(lines, log_format, seed, end)
            return _append_at(rate, _Writer(log, truth), sample, lines, stopping)


class _Writer:
    """A log and its truth, open for writing."""

    def __init__(self, log: BinaryIO, truth: BinaryIO) -> None:
        self._log = log
        self._truth = truth
        self._lines = 0
        self._bytes = 0
        self._reasons: Counter[str] = Counter()

    def add(self, sample: Iterator[tuple[bytes, Truth]], lines: int) -> int:
        """Write the next lines of the sample; return how many there were."""
        texts: list[bytes] = []
        rows: list[str] = []
        for text, (offset, reject, event) in islice(sample, lines):
            texts.append(text)
            known = {} if event is None else event._asdict()
            rows.append(_encode({"offset": offset, "reject": reject, **known}))
            if reject is not None:
                self._reasons[reject] += 1
        if texts:
            self._truth.write("\n".join([*rows, ""]).encode())
            self._truth.flush()
            self._bytes += self._log.write(b"\n".join([*texts, b""]))
            self._log.flush()
            self._lines += len(texts)
        return len(texts)

    def summary(self) -> Summary:
        """Return what was written so far."""
        return Summary(self._lines, self._bytes, dict(self._reasons))


def _write_whole(path: Path, sample: Iterator[tuple[bytes, Truth]]) -> Summary:
    truth = truth_path(path)
    unfinished = {file: file.with_name(f".{file.name}.{os.getpid()}.tmp") for file in (truth, path)}
    try:
        with unfinished[path].open("wb") as new_log, unfinished[truth].open("wb") as new_truth:
            writer = _Writer(new_log, new_truth)
            while writer.add(sample, CHUNK):
                pass
        for file, temporary in unfinished.items():
            temporary.replace(file)
    finally:
        for temporary in unfinished.values():
            temporary.unlink(missing_ok=True)
    return writer.summary()


def _end_of_whole_lines(log: Path) -> int:
    """Return the size of a log, in which the last line must be whole."""
    with log.open("rb") as stored:
        size = stored.seek(0, os.SEEK_END)
        if size:
            stored.seek(size - 1)
            if stored.read(1) != b"\n":
                raise UnfinishedLine(
                    f"the last line of {log} is unfinished, so nothing was appended"
                )
    return size


def _append_at(
    rate: float,
    writer: _Writer,
    sample: Iterator[tuple[bytes, Truth]],
    lines: int,
    stopping: Callable[[], bool],
) -> Summary:
    interval = max(BURST, 1 / rate)
    start = time.monotonic()
    written = burst = 0
    # Each burst is due at its own time from the start, so a late one delays none after it.
    while written < lines and _wait_until(start + burst * interval, stopping):
        burst += 1
        due = min(lines, round(burst * interval * rate))
        while written < due and not stopping():
            written += writer.add(sample, min(due - written, CHUNK))
    return writer.summary()


def _wait_until(deadline: float, stopping: Callable[[], bool]) -> bool:
    """Wait until the deadline; return False if stopped before it."""
    while not stopping():
        left = deadline - time.monotonic()
        if left <= 0:
            return True
        time.sleep(min(left, BURST))
    return False
