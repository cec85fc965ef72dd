"""What the folders of a log hold: which files, and what each has to do with the known streams."""

from __future__ import annotations

import os
import stat
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from datastream.paths import logs_rotated_to
from producer.files import Identity, LogFile, Relation, Version, version_of
from producer.history import Look, Role, Seen
from producer.known import KnownStreams
from producer.places import Place
from producer.reader import StreamReader

#: What packers append to a name.
PACKED_SUFFIXES = frozenset({".gz", ".xz", ".bz2", ".zst"})
#: Seconds for which a folder may change without another time of its last change.
COARSE = 0.05


@lru_cache(maxsize=65_536)
def _logs_of(name: str) -> tuple[str, ...]:
    """Return the names of the logs that a file may be a rotated one of."""
    return tuple(log for log in logs_rotated_to(name) if log != name)


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
        self._checked: dict[str, int] = {}
        #: Changes whenever the names of a folder were read anew.
        self._round_at = time.monotonic()

    def begin_round(self) -> None:
        """Let what is asked for from now on be as it is from now on."""
        self._round_at = time.monotonic()
        self._checked.clear()

    def changed(self, folder: str) -> int:
        """Return when a folder has changed, in nanoseconds: 0 when there is none."""
        changed = self._checked.get(folder)
        if changed is None:
            try:
                changed = Path(folder).stat().st_mtime_ns
            except OSError:
                changed = 0
            self._checked[folder] = changed
        return changed

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
        changed = self.changed(folder)
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


def folders_of(path: str, rotated_dir: str = "") -> list[str]:
    """Return the folders that hold files of a log: its own, that of what it is a link to, both
    with what rotated files are moved to, from there on.
    """
    found = []
    for log in dict.fromkeys((path, os.path.realpath(path))):
        folder = str(Path(log).parent)
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
    return sorted(files, key=lambda f: (_beside(f) is not None, statuses[f].st_mtime_ns, f))


@dataclass(slots=True)
class _File:
    """A file that exists, by its status."""

    path: str
    role: Role
    status: os.stat_result

    @property
    def identity(self) -> Identity:
        return self.status.st_dev, self.status.st_ino


class Looker:
    """Looks at the files of one log."""

    def __init__(self, path: str, folders: Folders, rotated_dir: str = "") -> None:
        """`rotated_dir` is where rotated files go to, from the log's folder on; empty: nowhere."""
        self._path = path
        self._folders = folders
        self._rotated_dir = rotated_dir
        #: What is known of files for as long as they do not change: their streams where there is
        #: nothing to read, and what a packed one, which takes long to read, holds of a stream.
        self._settled: dict[Identity, tuple[Version, int]] = {}
        self._unpacked: dict[tuple[Version, int, int], Relation] = {}
        #: Files that cannot be read on, until they change.
        self._failed: dict[Identity, Version] = {}
        #: Files that lack the end of what was read, and are left alone until they change.
        self._left: dict[Identity, tuple[Version, Seen]] = {}
        #: Of the last look: why files cannot be read, by path, and every file that was there.
        self.troubles: dict[str, OSError] = {}
        self.there: dict[str, Version] = {}
        #: Every folder that exists could be listed.
        self.is_listed = True

    def settle(self, version: Version, stream: int) -> None:
        """Note that there is nothing to read in a file, of a stream, for as long as it is so."""
        self._settled[version[:2]] = version, stream

    def fail(self, version: Version) -> None:
        """Note that a file cannot be read on for as long as it is so."""
        self._failed[version[:2]] = version

    def leave(self, path: str, look: Look) -> None:
        """Note that a file is left alone for as long as it does not change."""
        for seen in look.files:
            if seen.path == path and path in self.there:
                self._left[seen.identity] = self.there[path], replace(seen, is_awaited=True)

    @property
    def is_as_it_was(self) -> bool:
        """Whether every file is as it was at the last look; whether others came is not said."""
        try:
            return all(
                version_of(os.stat(path)) == version  # noqa: PTH116 - as quick as can be
                for path, version in self.there.items()
            )
        except OSError:
            return False

    def look(
        self,
        known: KnownStreams,
        readers: Iterable[StreamReader],
        is_wanted: Callable[[str, os.stat_result], bool],
        *,
        asked: Collection[str],
        only: Collection[str] | None,
        is_fresh: bool,
    ) -> Look:
        """Return what is there. `is_wanted` says whether a rotated file may be read.

        `asked`: the files that were asked for by name.
        `only`: nothing but these files is of interest, and not the live one.
        Fresh: the folders are listed again, unless that was done in this round.
        """
        self.troubles, self.there = {}, {}
        open_files = {reader.file.identity: reader for reader in readers}
        streams = {r.stream.stream_id: r for r in open_files.values() if r.is_known}
        orphans = any(not p.finished and p.stream_id not in streams for p in known.places())
        files, is_complete, is_whole = self._list(only, orphans, is_fresh)
        looking = _Looking(known, open_files, streams)
        seen = []
        for file in files:
            try:
                found = self._seen(file, looking, is_wanted)
            except FileNotFoundError:
                is_complete = False  # renamed, packed or removed just now
                continue
            except OSError as error:
                self.troubles[file.path] = error
                found = Seen(file.path, file.identity, file.role, is_opaque=True)
            seen.append(replace(found, is_asked=True) if file.path in asked else found)
        looking.close()
        self._forget_files({file.identity for file in files})
        return Look(tuple(seen), is_complete, is_whole)

    def _list(
        self, only: Collection[str] | None, orphans: bool, is_fresh: bool
    ) -> tuple[list[_File], bool, bool]:
        """Return the files, oldest first and the live one last; each once, whatever its names."""
        paths: dict[str, Role] = {}
        is_complete = is_whole = self.is_listed = True
        logs = dict.fromkeys((self._path, os.path.realpath(self._path)))
        folders = folders_of(self._path, self._rotated_dir)
        for folder in folders:
            try:
                for log in logs:
                    for path in self._folders.rotated(folder, Path(log).name, is_fresh=is_fresh):
                        paths[path] = Role.ROTATED
                if orphans:
                    for path in self._folders.names(folder):
                        paths.setdefault(path, Role.OTHER)
            except FileNotFoundError as error:
                if folder != folders[0]:
                    self.troubles[folder] = error
                is_whole = False
            except OSError as error:
                self.troubles[folder] = error
                is_whole = self.is_listed = False
        for log in logs:
            paths.pop(log, None)
        if only is not None:
            paths = {path: role for path, role in paths.items() if path in only}
        found: dict[Identity, _File] = {}
        try:
            status = os.stat(self._path)  # noqa: PTH116 - as quick as can be
            if only is not None:
                pass
            elif not stat.S_ISREG(status.st_mode):
                self.troubles[self._path] = OSError(22, "Not a regular file")
            else:
                live = _File(self._path, Role.LIVE, status)
                self.there[self._path] = version_of(status)
                found[live.identity] = live
        except OSError as error:
            if only is None:
                self.troubles[self._path] = error
        for path, role in paths.items():
            try:
                status = os.stat(path)  # noqa: PTH116 - as above
            except OSError:
                # Of a link to nowhere, or of a foreign file, nothing is to be had.
                is_complete = is_complete and (role is Role.OTHER or Path(path).is_symlink())
                continue
            if stat.S_ISREG(status.st_mode):
                self.there[path] = version_of(status)
                file = _File(path, role, status)
                found.setdefault(file.identity, file)
        ordered = sorted(
            found.values(),
            key=lambda f: (f.role is Role.LIVE, f.status.st_mtime_ns, f.path),
        )
        return ordered, is_complete, is_whole

    def _seen(
        self,
        file: _File,
        looking: _Looking,
        is_wanted: Callable[[str, os.stat_result], bool],
    ) -> Seen:
        """Return a file as the history sees it. Raises OSError."""
        version = version_of(file.status)
        path, identity, role = file.path, file.identity, file.role
        if identity in looking.open_files:
            reader = looking.open_files[identity]
            held = frozenset({reader.stream.stream_id}) if reader.is_known else frozenset()
            if not reader.is_lost:
                return Seen(path, identity, role, holds=held)
        if self._failed.get(identity) == version:
            return Seen(path, identity, role, is_opaque=True)
        settled = self._settled.get(identity)
        if settled is not None and settled[0] == version and settled[1] in looking.known.by_id:
            stream = settled[1]
            if stream not in looking.streams:
                return Seen(path, identity, role, holds=frozenset({stream}))
        left = self._left.get(identity)
        if left is not None and left[0] == version:
            return replace(left[1], path=path, role=role)
        if file.status.st_size == 0:
            return Seen(path, identity, role, is_empty=True)
        if role is Role.ROTATED:
            beside = _beside(path)
            if beside is not None:  # what it is made from is still there
                return Seen(path, identity, role, part_of=frozenset({beside}))
        opened = looking.opened(path)
        if opened.identity != identity:
            raise FileNotFoundError(path)
        if opened.is_empty:
            return Seen(path, identity, role, is_empty=True)
        return self._compared(
            Seen(path, identity, role, is_wanted=is_wanted(path, file.status)), opened, looking
        )

    def _compared(self, seen: Seen, file: LogFile, looking: _Looking) -> Seen:
        """Compare a file with the known streams and with the files that are open."""
        holds, more, ends, echoes = set(), set(), set(), set()
        head = file.head()
        is_awaited = file.is_packed and any(
            head.startswith(reader.file.head()[: len(head)])
            for reader in looking.open_files.values()
            if not reader.is_known and reader.file.is_deleted and not reader.file.is_empty
        )
        alike = looking.known.alike(head)
        for place in alike:
            stream = place.stream_id
            reader = looking.streams.get(stream)
            if reader is not None and not reader.is_lost:
                if file.is_packed and reader.file.is_deleted:
                    is_awaited = True
                elif file.is_packed and self._is_echo(file, reader):
                    echoes.add(stream)
                if file.is_packed:
                    continue
            relation = self._relation(file, place)
            if relation is Relation.HOLDS:
                holds.add(stream)
                if file.reaches(max(place.position, place.length) + 1):
                    more.add(stream)
                    continue
                if reader is None:
                    echoes.add(stream)
                if place.finished and place.identity == file.identity:
                    self.settle(file.version, stream)
            elif relation is Relation.ENDS:
                ends.add(stream)
        continues: set[Identity] = set()
        if seen.role is not Role.OTHER and not file.is_packed:
            continues = {
                identity
                for identity, reader in looking.open_files.items()
                if reader.file.is_deleted
                and not reader.file.is_empty
                and reader.file.is_part_of(file)
            }
        part_of: set[Identity] = set()
        if seen.role is Role.ROTATED and not file.is_packed:
            part_of = {
                other.identity
                for other in looking.others(file, self._path)
                if file.is_part_of(other)
            }
        return Seen(
            seen.path,
            seen.identity,
            seen.role,
            is_wanted=seen.is_wanted,
            holds=frozenset(holds),
            more=frozenset(more),
            ends=frozenset(ends),
            echoes=frozenset(echoes),
            part_of=frozenset(part_of),
            continues=frozenset(continues),
            is_awaited=is_awaited,
        )

    def _relation(self, file: LogFile, place: Place) -> Relation:
        """Return what a file holds of a stream; of a packed one it is found out once."""
        if not file.is_packed:
            return file.relation(place)
        key = file.version, place.stream_id, place.position
        if key not in self._unpacked:
            self._unpacked[key] = file.relation(place)
        return self._unpacked[key]

    def _is_echo(self, file: LogFile, reader: StreamReader) -> bool:
        """Say whether a file that is read begins with all that a packed one holds."""
        key = file.version, reader.stream.stream_id, -1
        if key not in self._unpacked:
            is_part = file.is_part_of(reader.file)
            self._unpacked[key] = Relation.HOLDS if is_part else Relation.DIFFERS
        return self._unpacked[key] is Relation.HOLDS

    def _forget_files(self, there: set[Identity]) -> None:
        """Forget what is known of files that are not there any more."""
        for identity in self._settled.keys() - there:
            del self._settled[identity]
        for identity in self._failed.keys() - there:
            del self._failed[identity]
        for identity in self._left.keys() - there:
            del self._left[identity]
        for key in [key for key in self._unpacked if key[0][:2] not in there]:
            del self._unpacked[key]


class _Looking:
    """What one look compares with, and the files that it has opened."""

    def __init__(
        self,
        known: KnownStreams,
        open_files: dict[Identity, StreamReader],
        streams: dict[int, StreamReader],
    ) -> None:
        self.known = known
        self.open_files = open_files
        self.streams = streams
        self._opened: dict[str, LogFile] = {}

    def opened(self, path: str) -> LogFile:
        """Return a file, open until the end of the look. Raises OSError."""
        if path not in self._opened:
            self._opened[path] = LogFile(path)
        return self._opened[path]

    def others(self, file: LogFile, live: str) -> Iterator[LogFile]:
        """Yield the files of which another one may be a copy: those that are read, or new."""
        for reader in self.open_files.values():
            if not reader.is_lost:
                yield reader.file
        for path, other in list(self._opened.items()):
            if other is not file and path != live:
                yield other
        try:
            status = os.stat(live)  # noqa: PTH116 - as above
            if (status.st_dev, status.st_ino) not in self.open_files:
                yield self.opened(live)
        except OSError:
            return

    def close(self) -> None:
        """Close every file that was opened."""
        for file in self._opened.values():
            file.close()


def _beside(path: str) -> Identity | None:
    """Return the file beside a packed one that it is made from; None where there is none."""
    plain, suffix = os.path.splitext(path)
    if suffix not in PACKED_SUFFIXES:
        return None
    try:
        status = os.stat(plain)  # noqa: PTH116 - as above
    except OSError:
        return None
    return status.st_dev, status.st_ino
