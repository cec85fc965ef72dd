"""Several files of one log are one history: each is a stream of its own."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from datastream.mysql import Session
from datastream.paths import expand, logs_rotated_to
from datastream.privacy import LineDisguise
from datastream_operator.lines import Extent, Missing, measure, opened
from datastream_operator.text import printable
from datastream_operator.verify.compare import differences
from datastream_operator.verify.tables import Stored, StreamRow, find_streams


@dataclass(frozen=True, slots=True)
class Logs:
    """What the producer was told of its logs."""

    source: str
    #: Where rotated files are, from the folder of each log on; empty: beside it.
    rotated_dir: str
    #: What it did to the lines that are flagged so.
    disguise: LineDisguise | None


#: What a packed copy has behind the name of the file that it is made from.
_SUFFIXES = (".gz", ".xz", ".bz2", ".zst")


def files_of(patterns: Iterable[str], rotated_dir: str = "") -> list[Path]:
    """Return the files that some paths and patterns stand for, of each log the oldest first.

    Not the packed copy of one that is there as well. With ROTATED_DIR, logs of one name are sorted
    together, in whichever folders they are. Raises Missing when there is none.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        files = expand(pattern)
        if not files:
            raise Missing(f"{printable(pattern)}: no file matches")
        found |= dict.fromkeys(files)
    copies = {path + suffix for path in found for suffix in _SUFFIXES}

    def order(log: Path) -> tuple[str, str, float]:
        folder = "" if rotated_dir else str(log.parent)
        return folder, min(logs_rotated_to(log.name), key=len), _modified_at(log)

    return sorted(map(Path, found.keys() - copies), key=order)


def stream_of(
    session: Session,
    logs: Logs,
    log: Path,
    extent: Extent,
    taken: Container[StreamRow],
) -> StreamRow | None:
    """Return the stream that a file is: of those that begin alike, the one that agrees furthest.

    A stream that another file is, which is in `taken`, it is not. Raises Unreadable, Unavailable.
    """
    with session.transaction() as transaction:
        found = find_streams(transaction, logs.source, log, logs.rotated_dir)
    streams = [stream for stream in found if stream not in taken]
    if len(streams) < 2:
        return next(iter(streams), None)
    return _furthest(session, log, extent, streams, logs.disguise)


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
