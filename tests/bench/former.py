"""How the producer looked at a quiet log before it told by the length of a file that it is quiet.

Each time it asked which file has the log's name, tried to read the next slice together with the
bytes before it, and to cut one. Written anew after that producer, with its calls and no others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

#: Seconds between two looks, bytes that were compared, and those for which room was made.
LOOK_EVERY = 0.02
COMPARED = 256
SLICE_BYTES = 256 * 1024
LINE_BYTES = 64 * 1024
#: Seconds without growth after which a file that was replaced was done with.
ROTATED_QUIET = 60.0


def share_of_a_core(logs: Sequence[Path], seconds: float) -> float:
    """Return the share of a core that the former looks at quiet logs take.

    It is the core's own: for as long as a look lasts there is no other.
    """
    with ExitStack() as stack:
        followed = [stack.enter_context(closing(_Log(path))) for path in logs]
        begin, cpu, looks = time.monotonic(), time.thread_time(), 0
        while time.monotonic() - begin < seconds:
            for log in followed:
                if log.next() is not None:
                    raise ValueError(f"{log.path} was to be quiet")
            time.sleep(LOOK_EVERY)  # as the former producer did between two looks
            looks += 1
        used = time.thread_time() - cpu
    return used / (used + looks * LOOK_EVERY)


class _Log:
    """The live file of a log, and no rotated ones."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._live = _Reader(path)
        self._troubles: dict[str, str] = {}
        self._looked_at = 0.0
        self._scanned_at = time.time()
        self._seen_at = 0.0
        self._is_scanned = True

    def close(self) -> None:
        self._live.close()

    @property
    def readers(self) -> list[_Reader]:
        return [self._live]

    def next(self) -> bytes | None:
        """Return the next slice; None when there is no more for now."""
        before: list[_Reader] | None = None
        while before != self.readers:
            self._look()
            self._identify()
            before = self.readers
            for reader in before:
                slice_ = self._next_of(reader)
                if slice_ is not None:
                    return slice_
        return None

    def _look(self) -> None:
        self._looked_at = time.time()
        status = Path(self.path).stat()
        if self._live.identity != (status.st_dev, status.st_ino):
            raise ValueError(f"{self.path} was to stay")
        self._troubles.pop(self.path, None)
        if not self._is_scanned and self._looked_at - self._scanned_at >= 1.0:
            self._is_scanned = True

    def _identify(self) -> None:
        if any(self._first_line(reader) is not None for reader in self.readers):
            raise ValueError(f"{self.path} was to be known")

    def _first_line(self, reader: _Reader) -> bytes | None:
        return None if reader.is_known else b""

    def _next_of(self, reader: _Reader) -> bytes | None:
        is_over = self._is_over(reader)
        slice_ = reader.next(may_pause=True)
        if slice_ is None and is_over and not reader.is_paused:
            raise ValueError(f"{self.path} was to be live")
        if reader is self._live and slice_ is None and not reader.is_paused:
            self._saw_all()
        return slice_

    def _is_over(self, reader: _Reader) -> bool:
        is_quiet = time.monotonic() - reader.grew_at > ROTATED_QUIET
        return reader is not self._live and is_quiet

    def _saw_all(self) -> None:
        if self._is_scanned and all(reader.is_known for reader in self.readers):
            self._seen_at = max(self._seen_at, self._looked_at - 2.0)


class _Reader:
    """Reads one file from its end on."""

    def __init__(self, path: Path) -> None:
        self._raw = path.open("rb", buffering=0)
        status = os.fstat(self._raw.fileno())
        self.identity = status.st_dev, status.st_ino
        self.is_known = True
        self.is_paused = False
        self.grew_at = self.caught_up_at = time.monotonic()
        self._unread = status.st_size
        self._pending = b""
        self._skipping = False
        self._tail = self._read(max(0, self._unread - COMPARED), min(COMPARED, self._unread))

    def close(self) -> None:
        self._raw.close()

    def next(self, *, may_pause: bool) -> bytes | None:
        """Return the next slice; None when there is no more for now."""
        begin = self._unread
        self.is_paused = False
        while not self.is_paused and not self._is_enough() and self._fill():
            self.is_paused = may_pause and self._skipping and self._unread > begin
        return self._cut()

    def _is_enough(self) -> bool:
        pending = self._pending
        return len(pending) > SLICE_BYTES and (b"\n" in pending or len(pending) > LINE_BYTES)

    def _fill(self) -> bool:
        length = max(SLICE_BYTES, len(self._pending))
        before = len(self._tail)
        data = self._read(self._unread - before, before + length)
        if data[:before] != self._tail:
            raise ValueError("the file was to stay as it is")
        chunk = data[before:]
        if not chunk:
            self.caught_up_at = time.monotonic()
            return False
        self._pending += chunk
        self._unread += len(chunk)
        return True

    def _read(self, offset: int, length: int) -> bytes:
        return os.pread(self._raw.fileno(), length, offset)

    def _cut(self) -> bytes | None:
        if self._skipping:
            return None
        end = self._pending.rfind(b"\n", 0, SLICE_BYTES + 1)
        if end < 0:
            end = self._pending.find(b"\n")
        return None if end < 0 else self._pending[:end]
