"""The folders that logs are in: which files may be rotated ones of a log, by their names."""

from __future__ import annotations

import os
import stat
import time
from collections import defaultdict
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from glob import has_magic
from pathlib import Path

from datastream.paths import expand, logs_rotated_to
from producer.files import Identity

#: What packers append to a name, behind a dot.
PACKED_SUFFIXES = frozenset({"gz", "xz", "bz2", "zst"})
#: Seconds for which a folder may change without another time of its last change.
COARSE = 0.05
#: Seconds after which a pattern is matched again, whatever its folder says: a link is a file once
#: there is what it points to, and a file server tells of changes late.
MATCH_EVERY = 5.0


def folders_of(path: str, rotated_dir: str = "") -> list[str]:
    """Return the folders that hold files of a log: its own, and that of what it is a link to.

    With each comes the folder that rotated files are moved to, `rotated_dir`, from there on.
    """
    found = []
    for log in dict.fromkeys((path, os.path.realpath(path))):
        folder = os.path.dirname(log)  # noqa: PTH120 - as quick as can be
        found.append(folder)
        if rotated_dir:
            found.append(os.path.normpath(Path(folder) / rotated_dir))
    return list(dict.fromkeys(found))


def rotated_files(path: str, rotated_dir: str = "") -> list[str]:
    """Return the rotated files of a log, oldest first by their last change.

    Those that are being packed come last: what they are made from is beside them.
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
            statuses[file] = os.stat(file)  # noqa: PTH116 - as quick as can be
    files = [file for file, status in statuses.items() if stat.S_ISREG(status.st_mode)]
    return sorted(files, key=lambda f: (beside(f) is not None, statuses[f].st_mtime_ns, f))


def beside(path: str) -> Identity | None:
    """Return the file beside a packed one that it is made from; None where there is none."""
    plain, _, suffix = path.rpartition(".")
    if suffix not in PACKED_SUFFIXES:
        return None
    try:
        status = os.stat(plain)  # noqa: PTH116 - as quick as can be
    except OSError:
        return None
    return status.st_dev, status.st_ino


@dataclass(slots=True)
class _Listing:
    """The names in a folder, and when it had last changed."""

    changed_ns: int
    #: When this time of its last change was first seen, and when the names were read (monotonic).
    seen_at: float
    listed_at: float
    #: Of each log the names that it may have been rotated to.
    rotated: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    names: list[str] = field(default_factory=list)


class Folders:
    """The names in the folders of all logs: each folder is listed once a round.

    A thousand logs in a folder would list a thousand names each.
    """

    def __init__(self) -> None:
        self._listings: dict[str, _Listing] = {}
        #: Of each pattern the files that it stood for.
        self._matches: dict[str, _Listing] = {}
        #: Of this round: when folders have changed, each alone and those of a log.
        self._checked: dict[str, int] = {}
        self._checked_together: dict[tuple[str, ...], tuple[int, ...]] = {}
        #: When this round began (monotonic): names that were read since then are fresh.
        self._round_at = time.monotonic()

    def begin_round(self) -> None:
        """Let what is asked for from now on be as it is from now on."""
        self._round_at = time.monotonic()
        self._checked.clear()
        self._checked_together.clear()

    def changed(self, folders: tuple[str, ...]) -> tuple[int, ...]:
        """Return when folders have changed, in nanoseconds: 0 for one that is not there."""
        changed = self._checked_together.get(folders)
        if changed is None:
            changed = tuple(self._changed(folder) for folder in folders)
            self._checked_together[folders] = changed
        return changed

    def _changed(self, folder: str) -> int:
        changed = self._checked.get(folder)
        if changed is None:
            try:
                changed = os.stat(folder).st_mtime_ns  # noqa: PTH116 - as quick as can be
            except OSError:
                changed = 0
            self._checked[folder] = changed
        return changed

    def matches(self, pattern: str, known: Container[str]) -> list[str]:
        """Return the absolute paths that a pattern stands for: see datastream.paths.expand.

        The answer of before will do for a while, where the folder has not changed since.
        """
        folder = os.path.dirname(os.path.abspath(pattern))  # noqa: PTH100, PTH120 - see expand
        now = time.monotonic()
        changed = -1 if has_magic(folder) else self._changed(folder)
        before = self._matches.get(pattern)
        is_same = before is not None and before.changed_ns == changed > 0
        if before is not None and is_same:
            is_sure = before.listed_at - before.seen_at > COARSE
            if is_sure and now - before.listed_at < MATCH_EVERY:
                return before.names
        seen_at = before.seen_at if before is not None and is_same else now
        names = expand(pattern, known)
        self._matches[pattern] = _Listing(changed, seen_at, now, names=names)
        return names

    def rotated(self, folder: str, log: str, *, is_fresh: bool) -> list[str]:
        """Return the paths in a folder that a log of this name may have been rotated to.

        Fresh: read in this round. Raises OSError.
        """
        return self._listing(folder, is_fresh=is_fresh).rotated.get(log, [])

    def names(self, folder: str) -> list[str]:
        """Return every path in a folder, as it was listed last. Raises OSError."""
        return self._listing(folder, is_fresh=False).names

    def _listing(self, folder: str, *, is_fresh: bool) -> _Listing:
        known = self._listings.get(folder)
        changed = self._changed(folder)
        if known is not None and known.changed_ns == changed:
            # A change soon after another one may have the same time.
            is_sure = known.listed_at - known.seen_at > COARSE
            if known.listed_at >= self._round_at or (is_sure and not is_fresh):
                return known
        now = time.monotonic()
        is_known = known is not None and known.changed_ns == changed
        listing = _Listing(changed, known.seen_at if known and is_known else now, now)
        with os.scandir(folder) as entries:
            for entry in entries:
                listing.names.append(entry.path)
                for log in _logs_of(entry.name):
                    listing.rotated[log].append(entry.path)
        self._listings[folder] = listing
        return listing


@lru_cache(maxsize=65_536)
def _logs_of(name: str) -> tuple[str, ...]:
    """Return the names of the logs that a file may be a rotated one of."""
    return tuple(log for log in logs_rotated_to(name) if log != name)
