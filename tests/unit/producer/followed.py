"""Logs under test, with everything that they have handed out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from datastream.slices import Slice
from producer.folders import Folders
from producer.log import Log
from producer.open_files import OpenFiles
from producer.settings import SliceLimits, Source
from producer.state import Entry, Generations
from producer.tailer import Tailer

SLICE_LIMITS = SliceLimits(slice_lines=1_000, slice_bytes=65_536, line_bytes=65_536)
FOLLOW = Source("test", "combined", SLICE_LIMITS)
ONCE = Source("test", "combined", SLICE_LIMITS, once=True)
LONG_AGO = 1_000_000.0


def set_clock(patch: pytest.MonkeyPatch, clock: object) -> None:
    """Let whatever follows logs take the time from a clock."""
    for module in ("tailer", "schedule", "log", "open_files", "look", "reader", "folders"):
        patch.setattr(f"producer.{module}.time", clock)


class FreshFolders(Folders):
    """The folders of a single log, which begins a round itself whenever it looks at them."""

    def changed(self, folders: tuple[str, ...]) -> tuple[int, ...]:
        """Return when folders have last changed, as it is now."""
        self.begin_round()
        return super().changed(folders)


def log_of(
    path: Path,
    source: Source = FOLLOW,
    entries: Iterable[Entry] = (),
    *,
    is_new: bool = False,
    changed_since: float | None = None,
    generations: Generations | None = None,
) -> Log:
    """Return a log that is alone in the world."""
    return Log(
        OpenFiles(
            str(path),
            source,
            entries,
            generations=generations or Generations({}),
            folders=FreshFolders(),
            is_new=is_new,
            changed_since=changed_since,
        )
    )


class Followed:
    """A log under test, with everything that it has handed out."""

    def __init__(
        self,
        path: Path,
        source: Source = FOLLOW,
        entries: Sequence[Entry] = (),
        listed: Sequence[str] = (),
        *,
        is_new: bool = False,
        generations: Generations | None = None,
    ) -> None:
        self.generations = generations or Generations({})
        self.log = log_of(path, source, entries, is_new=is_new, generations=self.generations)
        self.log.files.ask_for([str(path), *listed])
        self.settle()
        self.slices: list[Slice] = []

    @classmethod
    def of(cls, log: Log) -> Followed:
        """Return a log that is there already."""
        followed = cls.__new__(cls)
        followed.log, followed.slices, followed.generations = log, [], Generations({})
        followed.settle()
        return followed

    def settle(self) -> None:
        """Look until it is decided what is what, as the tailer does; read nothing."""
        for _ in range(20):
            self.log.files.is_undecided = True
            self.log.files.look()
            if not self.log.files.is_undecided:
                return
        raise AssertionError("looks never agree")

    def read(self, at_most: int = 1_000) -> list[bytes]:
        """Hand out and confirm what there is; return the lines of that."""
        lines = []
        while at_most > 0:
            handed = self.log.next()
            if handed is None and self.log.files.is_undecided:
                continue
            if handed is None:
                break
            at_most -= 1
            reader, slice_ = handed
            reader.confirm()
            self.log.files.note(reader)
            self.slices.append(slice_)
            lines += slice_.body.split(b"\n")
        return lines

    def restarted(
        self, path: Path, source: Source = FOLLOW, listed: Sequence[str] = ()
    ) -> Followed:
        """Return the log as the next process finds it."""
        return Followed(
            path,
            source,
            self.log.files.known.entries(),
            listed,
            is_new=self.log.files.is_sighted,
            generations=self.generations,
        )

    @property
    def lines(self) -> dict[tuple[int, int], bytes]:
        """What was handed out by its key; nothing may be handed out differently again."""
        lines: dict[tuple[int, int], bytes] = {}
        for slice_ in self.slices:
            for offset, line in slice_.numbered():
                assert lines.setdefault((slice_.stream.stream_id, offset), line) == line
        return lines

    @property
    def streams(self) -> list[int]:
        """The streams of what was handed out, each once, in order."""
        return list(dict.fromkeys(slice_.stream.stream_id for slice_ in self.slices))


def append(path: Path, *lines: bytes) -> None:
    """Append whole lines to a file."""
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))


def rotated(path: Path, suffix: int | str = 1) -> Path:
    """Return the path of a rotated file."""
    return path.with_name(f"{path.name}.{suffix}")


def all_lines(tailer: Tailer) -> list[bytes]:
    """Hand out and confirm everything, until there is no more for now, in quiet logs either."""
    tailer._schedule.disturb()
    lines = []
    for slice_ in tailer.slices():
        if slice_ is None:
            break
        tailer.confirm()
        lines += slice_.body.split(b"\n")
    return lines
