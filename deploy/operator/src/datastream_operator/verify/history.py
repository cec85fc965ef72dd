"""Several files of one log are one history: each is a stream of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from datastream.mysql import Session
from datastream.paths import expand, log_path
from datastream.privacy import LineDisguise
from datastream_operator.lines import Extent, Missing, measure, opened
from datastream_operator.text import printable
from datastream_operator.verify.compare import differences
from datastream_operator.verify.tables import Stored, StreamRow, find_streams


def files_of(patterns: Iterable[str]) -> list[Path]:
    """Return the files that some paths and patterns stand for, of each log the oldest first.

    Not the packed copy of one that is there as well. Raises Missing when there is none.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        files = expand(pattern)
        if not files:
            raise Missing(f"{printable(pattern)}: no file matches")
        found |= dict.fromkeys(files)
    logs = [path for path in found if path.removesuffix(".gz") not in found or path[-3:] != ".gz"]
    return sorted(map(Path, logs), key=lambda log: (log_path(str(log)), _modified_at(log)))


def stream_of(
    session: Session,
    source: str,
    log: Path,
    extent: Extent,
    taken: set[int],
    disguise: LineDisguise | None = None,
) -> StreamRow | None:
    """Return the stream that a file is: of those that begin alike, the one that agrees furthest.

    A stream that another file is, which is in `taken`, it is not. Raises Unreadable, Unavailable.
    """
    with session.transaction() as transaction:
        streams = [
            stream
            for stream in find_streams(transaction, source, log)
            if stream.number not in taken
        ]
    if len(streams) < 2:
        return next(iter(streams), None)
    return _furthest(session, log, extent, streams, disguise)


def _furthest(
    session: Session,
    log: Path,
    extent: Extent,
    streams: Sequence[StreamRow],
    disguise: LineDisguise | None,
) -> StreamRow:
    def agreement(stream: StreamRow) -> float:
        found = differences(Stored(session, stream), log, extent, patience=0, disguise=disguise)
        first = next(found, None)
        return float("inf") if first is None else first.offset

    return max(streams, key=agreement)  # of several the oldest: files come oldest first too


@dataclass(frozen=True, slots=True)
class Look:
    """A file as it was when it was first looked at: which one, and what it held."""

    log: Path
    extent: Extent
    #: In bytes, as it is on disk.
    size: int
    device: int
    inode: int

    @classmethod
    def at(cls, log: Path) -> Look:
        """Look at a file now. Raises Unreadable."""
        with opened(log):
            status = log.stat()
        return cls(log, measure(log), status.st_size, status.st_dev, status.st_ino)

    def is_over(self) -> bool:
        """Say whether another file is there by now, or less of this one."""
        with suppress(OSError):
            status = self.log.stat()
            is_shorter = status.st_size < self.size
            return is_shorter or (status.st_dev, status.st_ino) != (self.device, self.inode)
        return True


def _modified_at(log: Path) -> float:
    with suppress(OSError):  # what is wrong with it is told when it is read
        return log.stat().st_mtime
    return 0.0
