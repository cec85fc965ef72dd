"""The folders that logs are in: which files may be rotated ones of a log, by their names."""

from __future__ import annotations

import os
import stat
import time
from collections import defaultdict
from collections.abc import Container, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from datastream.paths import log_path, logs_rotated_to
from producer.files import Identity

#: What packers append to a name, after a dot.
PACKED_SUFFIXES = frozenset({"gz", "xz", "bz2", "zst"})
#: Seconds within which a folder may change twice and keep its modification time.
COARSE = 0.05


def folders_of(path: str, rotated_dir: str = "") -> list[str]:
    """Return the folders that hold files of a log: its own, and that of the file it links to.

    With each also `rotated_dir`, relative to it.
    """
    found = []
    for log in dict.fromkeys((path, os.path.realpath(path))):
        folder = os.path.dirname(log)  # noqa: PTH120 - speed
        found.append(folder)
        if rotated_dir:
            found.append(os.path.normpath(Path(folder) / rotated_dir))
    return list(dict.fromkeys(found))


def rotated_files(path: str, rotated_dir: str = "") -> list[str]:
    """Return the rotated files of a log, oldest first by modification time.

    Those that are still being packed come last: what they are made from is beside them.
    """
    folders = Folders()
    names = dict.fromkeys(Path(log).name for log in (path, os.path.realpath(path)))
    found = []
    for folder in folders_of(path, rotated_dir):
        for name in names:
            with suppress(OSError):
                found += folders.rotated(folder, name, is_fresh=True)
    statuses = {}
    for file in dict.fromkeys(found):
        with suppress(OSError):
            statuses[file] = os.stat(file)  # noqa: PTH116 - speed
    files = [file for file, status in statuses.items() if stat.S_ISREG(status.st_mode)]
    return sorted(files, key=lambda f: (beside(f) is not None, statuses[f].st_mtime_ns, f))


def beside(path: str) -> Identity | None:
    """Return the file that a packed one is made from, if it is still beside it.

    An empty one is another: what a packed file is made from stays whole until it is removed.
    """
    plain, _, suffix = path.rpartition(".")
    if suffix not in PACKED_SUFFIXES:
        return None
    try:
        status = os.stat(plain)  # noqa: PTH116 - speed
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status.st_size else None


def files_by_log(files: list[str], logs: Iterable[str]) -> dict[str, list[str]]:
    """Group files by the log that each belongs to.

    A rotated file belongs to the log beside it, if that is one of `files` or of `logs`; else to the
    log that its name stands for (datastream.paths.log_path).
    """
    there = {*files, *logs}
    grouped: dict[str, list[str]] = {}
    for file in files:
        log = file
        while found := _log_beside(log, there):
            log = found  # of a rotated file that is packed it is not yet the log
        grouped.setdefault(log if log != file else log_path(file), []).append(file)
    return grouped


def _log_beside(file: str, there: Container[str]) -> str | None:
    folder, name = os.path.split(file)
    for log in _logs_of(name):
        path = os.path.join(folder, log)  # noqa: PTH118 - speed
        if path in there:
            return path
    return None


@dataclass(slots=True)
class _Listing:
    """The names in a folder, and when that was so."""

    #: When the folder had last changed (nanoseconds), and when that was first seen (monotonic).
    changed_ns: int
    seen_at: float
    #: When the names were read (monotonic).
    listed_at: float
    names: list[str] = field(default_factory=list)
    #: The names that each log may have been rotated to.
    rotated: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


class Folders:
    """The names in the folders of all logs, listed at most once a round.

    A thousand logs in a folder would otherwise list a thousand names each.
    """

    def __init__(self) -> None:
        self._listings: dict[str, _Listing] = {}
        #: When folders have changed, as asked in this round: of each, and of those of a log.
        self._checked: dict[str, int] = {}
        self._checked_together: dict[tuple[str, ...], tuple[int, ...]] = {}
        #: When this round began (monotonic): names that were read since then are fresh.
        self._round_at = time.monotonic()

    def begin_round(self) -> None:
        """Forget what was asked for in the last round."""
        self._round_at = time.monotonic()
        self._checked.clear()
        self._checked_together.clear()

    def changed(self, folders: tuple[str, ...]) -> tuple[int, ...]:
        """Return when folders have last changed, in nanoseconds; 0 for one that does not exist."""
        changed = self._checked_together.get(folders)
        if changed is None:
            changed = tuple(self._changed(folder) for folder in folders)
            self._checked_together[folders] = changed
        return changed

    def rotated(self, folder: str, log: str, *, is_fresh: bool) -> list[str]:
        """Return the paths in a folder that a log of this name may have been rotated to.

        `is_fresh`: as listed in this round. Raises OSError.
        """
        return self._listing(folder, is_fresh=is_fresh).rotated.get(log, [])

    def names(self, folder: str) -> list[str]:
        """Return every path in a folder, as last listed. Raises OSError."""
        return self._listing(folder, is_fresh=False).names

    def _changed(self, folder: str) -> int:
        changed = self._checked.get(folder)
        if changed is None:
            try:
                changed = os.stat(folder).st_mtime_ns  # noqa: PTH116 - speed
            except OSError:
                changed = 0
            self._checked[folder] = changed
        return changed

    def _listing(self, folder: str, *, is_fresh: bool) -> _Listing:
        changed, now = self._changed(folder), time.monotonic()
        listing = self._listings.get(folder)
        seen_at = now
        if listing is not None and listing.changed_ns == changed:
            seen_at = listing.seen_at
            # A change soon after another one may leave the same time.
            is_sure = listing.listed_at - seen_at > COARSE
            if listing.listed_at >= self._round_at or (is_sure and not is_fresh):
                return listing
        listing = _Listing(changed, seen_at, now)
        with os.scandir(folder) as found:
            for file in found:
                listing.names.append(file.path)
                for log in _logs_of(file.name):
                    listing.rotated[log].append(file.path)
        self._listings[folder] = listing
        return listing


@lru_cache(maxsize=65_536)
def _logs_of(name: str) -> tuple[str, ...]:
    """Return the names of the logs that a file may be a rotated one of."""
    return tuple(log for log in logs_rotated_to(name) if log != name)
