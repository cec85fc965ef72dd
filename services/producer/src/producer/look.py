"""What the folders of a log hold: its files, what is known of each, and what cannot be read."""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from producer.comparison import Comparison, Findings
from producer.files import Identity, Version, version_of
from producer.folders import Folders, beside, folders_of
from producer.history import Look, Role, Seen
from producer.reader import StreamReader
from producer.settings import Source
from producer.state import KnownStreams

logger = logging.getLogger(__name__)

#: Seconds after which a file that cannot be read, and does not change, is no longer waited for.
GIVE_UP = 60.0


@dataclass(slots=True)
class _File:
    """A file that exists, by its status."""

    path: str
    role: Role
    status: os.stat_result

    @property
    def identity(self) -> Identity:
        return self.status.st_dev, self.status.st_ino

    @property
    def version(self) -> Version:
        return version_of(self.status)

    def age(self) -> tuple[bool, int, str]:
        """Return the sort key of files from old to new: the live one is last."""
        return self.role is Role.LIVE, self.status.st_mtime_ns, self.path


class Troubles:
    """The files of one log that cannot be read, by path, each with the reason in words."""

    def __init__(self, live: str, *, once: bool) -> None:
        """`live` is the path of the log itself; with `once` nothing is tried again."""
        self._live = live
        self._once = once
        self.words: dict[str, str] = {}
        #: Those that can be found, and fail when they are opened or read.
        self._failing: set[str] = set()

    def fails(self, path: str) -> bool:
        """Say whether a file fails when it is opened or read."""
        return path in self._failing

    def found(self, troubles: Mapping[str, OSError]) -> None:
        """Take what a look could not read; whatever else was in trouble before is readable."""
        for path, error in troubles.items():
            self._tell(path, error)
        for path in self.words.keys() - troubles.keys() - self._failing:
            self._end(path)

    def fail(self, path: str, error: OSError) -> None:
        """Note that opening or reading a file failed, until succeed()."""
        self._failing.add(path)
        self._tell(path, error)

    def give_up(self, path: str, error: OSError) -> str:
        """Like fail(), for the caller to log; return why."""
        self._failing.add(path)
        self.words[path] = error.strerror or str(error)
        return self.words[path]

    def succeed(self, path: str) -> None:
        """Note that a file was opened or read."""
        if path in self._failing:
            self._failing.discard(path)
            self._end(path)

    def _tell(self, path: str, error: OSError) -> None:
        trouble = error.strerror or str(error)
        if trouble == self.words.get(path):
            return
        self.words[path] = trouble
        is_live = path == self._live
        words = "Log cannot be read" if is_live else "Rotated files cannot be read"
        if not self._once:
            words += ", waiting for it" if is_live else ", trying again"
        logger.warning(words, extra={"path": path, "error": trouble})

    def _end(self, path: str) -> None:
        if self.words.pop(path, "") and path == self._live:
            logger.info("Log can be read now", extra={"path": path})


class Looker:
    """Looks at the files of one log."""

    def __init__(self, path: str, folders: Folders, source: Source) -> None:
        """`folders` are those of all logs."""
        self._path = path
        self._folders = folders
        self._rotated_dir = source.rotated_dir
        self._findings: defaultdict[Version, Findings] = defaultdict(Findings)
        #: The folders that hold the log's files, and when they had last changed at the last look.
        self.folders = tuple(folders_of(path, source.rotated_dir))
        self.changed: tuple[int, ...] = ()
        #: When the last look was, or it was found that nothing has changed since (monotonic).
        self.looked_at = float("-inf")
        #: The files that were asked for by name, and those of them that were not found yet.
        self.asked: set[str] = set()
        self.missing: set[str] = set()
        self.troubles = Troubles(path, once=source.once)
        #: Why files could not be read at the last look, by path, and every file that existed then.
        self._unreadable: dict[str, OSError] = {}
        self.there: dict[str, Version] = {}
        #: Every existing folder could be listed.
        self.is_listed = True

    def ask_for(self, files: Iterable[str]) -> bool:
        """Note that these files are to be read; return whether any was not asked for before."""
        new = set(files) - self.asked
        self.asked |= new
        self.missing |= new - {self._path}
        return bool(new)

    def settle(self, version: Version, stream: int) -> None:
        """Note that a file holds a stream and nothing is left to read, until it changes."""
        self._findings[version].settled = stream

    def fail(self, version: Version, retry_in: float = 0.0) -> None:
        """Note that a file cannot be read; it is tried again after so many seconds."""
        now = time.monotonic()
        findings = self._findings[version]
        if findings.failed_since is None:
            findings.failed_since = now
        findings.retry_at = now + retry_in

    def leave(self, path: str, look: Look) -> None:
        """Note that a file of a look is left alone until it changes."""
        for seen in look.files:
            if seen.path == path and path in self.there:
                self._findings[self.there[path]].left = replace(seen, is_awaited=True)

    def has_changed(self) -> bool:
        """Say whether names in the folders have changed since the last look."""
        return self.changed != self._folders.changed(self.folders)

    @property
    def is_as_it_was(self) -> bool:
        """Whether every file is as it was at the last look, and none is to be tried again."""
        now = time.monotonic()
        for findings in self._findings.values():
            since = findings.failed_since
            if since is not None and now - max(findings.retry_at, since) > GIVE_UP:
                return False
        try:
            for path, version in self.there.items():
                if version_of(os.stat(path)) != version:  # noqa: PTH116 - speed
                    return False
        except OSError:
            return False
        return True

    def look(
        self,
        known: KnownStreams,
        readers: Iterable[StreamReader],
        is_wanted: Callable[[str, os.stat_result], bool],
        *,
        only_asked: bool,
        is_fresh: bool,
    ) -> Look:
        """Return what is there.

        `is_wanted` says whether a rotated file that holds no known stream may be read. With
        `only_asked`, all files but those that were asked for are ignored, the live one too.
        `is_fresh`: list the folders again, unless that was done in this round.
        """
        self.looked_at = time.monotonic()
        self.folders = tuple(folders_of(self._path, self._rotated_dir))
        self.changed = self._folders.changed(self.folders)
        self._unreadable, self.there = {}, {}
        with closing(Comparison(known, readers, self._findings, self.there)) as comparison:
            paths, is_whole = self._names(orphans=comparison.has_orphans, is_fresh=is_fresh)
            if only_asked:
                paths = {path: role for path, role in paths.items() if path in self.asked}
            live = None if only_asked else self._live()
            files, is_complete = self._files(paths, live)
            seen = []
            for file in files:
                try:
                    found = self._seen(file, comparison, is_wanted)
                except FileNotFoundError:
                    is_complete = False  # renamed, packed or removed just now
                    continue
                except OSError as error:
                    if file.role is Role.OTHER:
                        continue
                    self._unreadable[file.path] = error
                    self.fail(file.version)
                    found = self._opaque(file)
                seen.append(replace(found, is_asked=True) if file.path in self.asked else found)
        for version in self._findings.keys() - self.there.values():
            del self._findings[version]
        self.missing -= self.there.keys()
        self.troubles.found(self._unreadable)
        return Look(tuple(seen), is_complete, is_whole)

    def _names(self, *, orphans: bool, is_fresh: bool) -> tuple[dict[str, Role], bool]:
        """Return the paths that may belong to the log, and whether every folder could be listed.

        With `orphans`, files of any name.
        """
        paths: dict[str, Role] = {}
        is_whole = self.is_listed = True
        logs = dict.fromkeys((self._path, os.path.realpath(self._path)))
        for folder in self.folders:
            try:
                for log in logs:
                    name = os.path.basename(log)  # noqa: PTH119 - speed
                    for path in self._folders.rotated(folder, name, is_fresh=is_fresh):
                        paths[path] = Role.ROTATED
                for path in self._folders.names(folder) if orphans else ():
                    paths.setdefault(path, Role.OTHER)
            except OSError as error:
                is_missing = isinstance(error, FileNotFoundError)
                is_whole = False
                self.is_listed = self.is_listed and is_missing
                if not is_missing or folder != self.folders[0]:  # a log that is missing says so
                    self._unreadable[folder] = error
        for log in logs:
            paths.pop(log, None)
        return paths, is_whole

    def _live(self) -> _File | None:
        """Return the live file; None when there is none, which is a trouble."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - speed
        except OSError as error:
            self._unreadable[self._path] = error
            return None
        if not stat.S_ISREG(status.st_mode):
            self._unreadable[self._path] = OSError(errno.EINVAL, "Not a regular file")
            return None
        return _File(self._path, Role.LIVE, status)

    def _files(self, paths: dict[str, Role], live: _File | None) -> tuple[list[_File], bool]:
        """Return the files, oldest first, each once even if it has several names.

        Also whether all of them still exist.
        """
        found = {live.identity: live} if live else {}
        is_complete = True
        if live:
            self.there[live.path] = live.version
        for path, role in paths.items():
            try:
                status = os.stat(path)  # noqa: PTH116 - speed
            except FileNotFoundError:
                # A dangling link, or a file of something else, does not matter.
                is_complete = is_complete and (role is Role.OTHER or _is_link(path))
                continue
            except OSError as error:
                if role is not Role.OTHER:
                    self._unreadable[path] = error
                continue
            if stat.S_ISREG(status.st_mode):
                file = _File(path, role, status)
                self.there[path] = file.version
                found.setdefault(file.identity, file)
        return sorted(found.values(), key=_File.age), is_complete

    def _seen(
        self,
        file: _File,
        comparison: Comparison,
        is_wanted: Callable[[str, os.stat_result], bool],
    ) -> Seen:
        """Return a file as the history sees it. Raises OSError."""
        path, role, identity = file.path, file.role, file.identity
        remembered = self._remembered(file, comparison)
        if remembered is not None:
            return remembered
        if file.status.st_size == 0:
            return Seen(path, identity, role, is_empty=True)
        made_from = beside(path) if role is Role.ROTATED else None
        if made_from is not None and path.rpartition(".")[0] != self._path:
            return Seen(path, identity, role, part_of=frozenset({made_from}))
        opened = comparison.opened(path)
        if opened.identity != identity:
            raise FileNotFoundError(path)
        if opened.is_empty:
            return Seen(path, identity, role, is_empty=True)
        new = Seen(path, identity, role, is_wanted=is_wanted(path, file.status))
        return comparison.compared(new, opened, self._path)

    def _remembered(self, file: _File, comparison: Comparison) -> Seen | None:
        """Return what is known of a file without reading it; None if it must be read."""
        path, role, identity = file.path, file.role, file.identity
        reader = comparison.readers.get(identity)
        if reader is not None and not reader.is_lost:
            held = frozenset[int]() if reader.stream_id is None else frozenset({reader.stream_id})
            return Seen(path, identity, role, holds=held)
        findings = self._findings.get(file.version)
        if findings is None:
            return None
        if findings.failed_since is not None and time.monotonic() < findings.retry_at:
            return self._opaque(file)
        if findings.left is not None:
            return replace(findings.left, path=path, role=role)
        if findings.settled is None or not comparison.is_unread(findings.settled):
            return None
        return Seen(path, identity, role, holds=frozenset({findings.settled}))

    def _opaque(self, file: _File) -> Seen:
        since = self._findings[file.version].failed_since or 0.0
        is_given_up = time.monotonic() - since > GIVE_UP
        return Seen(file.path, file.identity, file.role, is_opaque=True, is_given_up=is_given_up)


def _is_link(path: str) -> bool:
    with suppress(OSError):
        return Path(path).is_symlink()
    return False
