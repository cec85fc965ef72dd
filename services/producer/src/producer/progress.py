"""Shows how far a log is read: a bar on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from tqdm import tqdm

from datastream.slices import Slice

logger = logging.getLogger(__name__)

#: Seconds between two log lines.
TELL_EVERY = 10.0


class Progress(Protocol):
    """Is told what was published."""

    def add(self, piece: Slice) -> None:
        """Count a slice."""


class _Bar:
    def __init__(self, bar: Any) -> None:  # noqa: ANN401 - tqdm ships no types
        self._bar = bar
        self._lines = 0

    def add(self, piece: Slice) -> None:
        self._lines += piece.lines
        self._bar.set_postfix_str(f"{self._lines:,} lines", refresh=False)
        self._bar.update(piece.end - piece.position + (not piece.flags))


class _Telling:
    def __init__(self) -> None:
        self._lines = 0
        self._told_at = time.monotonic()

    def add(self, piece: Slice) -> None:
        self._lines += piece.lines
        now = time.monotonic()
        if now - self._told_at >= TELL_EVERY:
            self._told_at = now
            logger.info("Publishing", extra={"lines": self._lines})


@contextmanager
def shown(total_bytes: int, *, once: bool) -> Iterator[Progress]:
    """Give what shows the progress of reading `total_bytes`; a bar only when reading once."""
    if not (once and sys.stderr.isatty()):
        yield _Telling()
        return
    with tqdm(
        total=total_bytes or None, unit="B", unit_scale=True, desc="Publishing", dynamic_ncols=True
    ) as bar:
        yield _Bar(bar)
