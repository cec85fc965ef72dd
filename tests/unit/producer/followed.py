"""Logs under test, with everything that they have handed out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from datastream.slices import Slice
from producer.log import Log, Source
from producer.places import Place
from producer.reader import Limits
from producer.tailer import Tailer

LIMITS = Limits(slice_lines=1_000, slice_bytes=65_536, line_bytes=65_536)
FOLLOW = Source("test", "combined", LIMITS)
ONCE = Source("test", "combined", LIMITS, once=True)
LONG_AGO = 1_000_000.0


class Followed:
    """A log under test, with everything that it has handed out."""

    def __init__(
        self,
        path: Path,
        source: Source = FOLLOW,
        places: Sequence[Place] = (),
        seen_at: float = 0.0,
        listed: Sequence[str] = (),
    ) -> None:
        self.log = Log(str(path), source, places)
        self.log.take_up(seen_at or time.time(), listed)
        self.pieces: list[Slice] = []

    def read(self, at_most: int = 1_000) -> list[bytes]:
        """Hand out and confirm what there is; return the lines of that."""
        lines = []
        for _ in range(at_most):
            handed = self.log.next()
            if handed is None:
                break
            reader, piece = handed
            reader.confirm()
            self.log.note(reader)
            self.pieces.append(piece)
            lines += piece.body.split(b"\n")
        return lines

    def restarted(self, path: Path, source: Source = FOLLOW, since: float = 0.0) -> Followed:
        """Return the log as the next process finds it."""
        return Followed(path, source, self.log.places(), since or self.log.seen_at)

    @property
    def lines(self) -> dict[tuple[int, int], bytes]:
        """What was handed out by its key; nothing may be handed out differently again."""
        lines: dict[tuple[int, int], bytes] = {}
        for piece in self.pieces:
            for offset, line in piece.numbered():
                assert lines.setdefault((piece.stream.stream_id, offset), line) == line
        return lines

    @property
    def streams(self) -> list[int]:
        """The streams of what was handed out, each once, in order."""
        return list(dict.fromkeys(piece.stream.stream_id for piece in self.pieces))


def append(path: Path, *lines: bytes) -> None:
    """Append whole lines to a file."""
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))


def rotated(path: Path, suffix: int | str = 1) -> Path:
    """Return the path of a rotated file."""
    return path.with_name(f"{path.name}.{suffix}")


def all_lines(tailer: Tailer) -> list[bytes]:
    """Hand out and confirm everything, until there is no more for now."""
    lines = []
    for piece in tailer.slices():
        if piece is None:
            break
        tailer.confirm()
        lines += piece.body.split(b"\n")
    return lines
