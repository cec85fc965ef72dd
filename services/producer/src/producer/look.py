"""What the folders of a log hold: which files, and what each has to do with the known streams."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from producer.files import Identity, LogFile, Relation, Version, version_of
from producer.folders import Folders, beside, folders_of
from producer.history import Look, Role, Seen
from producer.reader import StreamReader
from producer.state import Entry, KnownStreams

#: Seconds after which a file that cannot be read, and does not change, is counted on no more.
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

    def age(self) -> tuple[bool, int, str]:
        """Return what files are ordered by: the live one is the last."""
        return self.role is Role.LIVE, self.status.st_mtime_ns, self.path


class _Failure(NamedTuple):
    """That a file cannot be read, in this state; since when, and until when not to try again."""

    version: Version
    since: float
    again_at: float


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
        #: Files that cannot be read, until they change.
        self._failed: dict[Identity, _Failure] = {}
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

    def fail(self, version: Version, again_in: float = 0.0) -> None:
        """Note that a file cannot be read, and is not tried again for so many seconds."""
        now = time.monotonic()
        failure = self._failed.get(version[:2])
        since = failure.since if failure is not None and failure.version == version else now
        self._failed[version[:2]] = _Failure(version, since, now + again_in)

    @property
    def is_retry_due(self) -> bool:
        """Whether it is time to try a file again that could not be read."""
        if not self._failed:
            return False
        now = time.monotonic()
        return any(
            failure.again_at < float("inf") and now - max(failure.again_at, failure.since) > GIVE_UP
            for failure in self._failed.values()
        )

    def leave(self, path: str, look: Look) -> None:
        """Note that a file is left alone for as long as it does not change."""
        for seen in look.files:
            if seen.path == path and path in self.there:
                self._left[seen.identity] = self.there[path], replace(seen, is_awaited=True)

    @property
    def is_as_it_was(self) -> bool:
        """Whether every file is as it was at the last look; whether others came is not said."""
        try:
            for path, version in self.there.items():
                if version_of(os.stat(path)) != version:  # noqa: PTH116 - as quick as can be
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
        orphans = any(not p.finished and p.stream_id not in streams for p in known.entries())
        paths, is_whole = self._names(orphans=orphans, is_fresh=is_fresh)
        if only is not None:
            paths = {path: role for path, role in paths.items() if path in only}
        live = self._live() if only is None else None
        files, is_complete = self._files(paths, live)
        looking = _Looking(known, open_files, streams)
        seen = []
        for file in files:
            try:
                found = self._seen(file, looking, is_wanted)
            except FileNotFoundError:
                is_complete = False  # renamed, packed or removed just now
                continue
            except OSError as error:
                if file.role is Role.OTHER:
                    continue
                self.troubles[file.path] = error
                self.fail(version_of(file.status))
                found = self._opaque(file)
            seen.append(replace(found, is_asked=True) if file.path in asked else found)
        looking.close()
        self._forget_files({file.identity for file in files})
        return Look(tuple(seen), is_complete, is_whole)

    def _names(self, *, orphans: bool, is_fresh: bool) -> tuple[dict[str, Role], bool]:
        """Return what may be of the log, by its name; and whether every folder could be listed.

        With `orphans`, files of other names as well.
        """
        paths: dict[str, Role] = {}
        is_whole = self.is_listed = True
        logs = dict.fromkeys((self._path, os.path.realpath(self._path)))
        folders = folders_of(self._path, self._rotated_dir)
        for folder in folders:
            try:
                for log in logs:
                    name = os.path.basename(log)  # noqa: PTH119 - as quick as can be
                    for path in self._folders.rotated(folder, name, is_fresh=is_fresh):
                        paths[path] = Role.ROTATED
                for path in self._folders.names(folder) if orphans else ():
                    paths.setdefault(path, Role.OTHER)
            except OSError as error:
                is_missing = isinstance(error, FileNotFoundError)
                is_whole = False
                self.is_listed = self.is_listed and is_missing
                if not is_missing or folder != folders[0]:  # a log that is missing says enough
                    self.troubles[folder] = error
        for log in logs:
            paths.pop(log, None)
        return paths, is_whole

    def _live(self) -> _File | None:
        """Return the live file; None when there is none, which is a trouble."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - as quick as can be
        except OSError as error:
            self.troubles[self._path] = error
            return None
        if not stat.S_ISREG(status.st_mode):
            self.troubles[self._path] = OSError(errno.EINVAL, "Not a regular file")
            return None
        return _File(self._path, Role.LIVE, status)

    def _files(self, paths: dict[str, Role], live: _File | None) -> tuple[list[_File], bool]:
        """Return the files, oldest first and the live one last, each once whatever its names.

        And whether all of them were there still.
        """
        found = {live.identity: live} if live else {}
        is_complete = True
        if live:
            self.there[live.path] = version_of(live.status)
        for path, role in paths.items():
            try:
                status = os.stat(path)  # noqa: PTH116 - as above
            except FileNotFoundError:
                # Of a link to nowhere, or of a foreign file, nothing is to be had.
                is_complete = is_complete and (role is Role.OTHER or _is_link(path))
                continue
            except OSError as error:
                if role is not Role.OTHER:
                    self.troubles[path] = error
                continue
            if stat.S_ISREG(status.st_mode):
                self.there[path] = version_of(status)
                file = _File(path, role, status)
                found.setdefault(file.identity, file)
        return sorted(found.values(), key=_File.age), is_complete

    def _seen(
        self,
        file: _File,
        looking: _Looking,
        is_wanted: Callable[[str, os.stat_result], bool],
    ) -> Seen:
        """Return a file as the history sees it. Raises OSError."""
        path, role, identity = file.path, file.role, file.identity
        seen = self._remembered(file, looking)
        if seen is not None:
            return seen
        if file.status.st_size == 0:
            return Seen(path, identity, role, is_empty=True)
        made_from = beside(path) if role is Role.ROTATED else None
        if made_from is not None and path.rpartition(".")[0] != self._path:
            return Seen(path, identity, role, part_of=frozenset({made_from}))
        opened = looking.opened(path)
        if opened.identity != identity:
            raise FileNotFoundError(path)
        if opened.is_empty:
            return Seen(path, identity, role, is_empty=True)
        new = Seen(path, identity, role, is_wanted=is_wanted(path, file.status))
        return self._compared(new, opened, looking)

    def _remembered(self, file: _File, looking: _Looking) -> Seen | None:
        """Return what is known of a file without reading it; None if it must be read."""
        path, role, identity = file.path, file.role, file.identity
        version = version_of(file.status)
        reader = looking.open_files.get(identity)
        if reader is not None and not reader.is_lost:
            held = frozenset({reader.stream.stream_id}) if reader.is_known else frozenset[int]()
            return Seen(path, identity, role, holds=held)
        failure = self._failed.get(identity)
        if (
            failure is not None
            and failure.version == version
            and time.monotonic() < failure.again_at
        ):
            return self._opaque(file)
        left = self._left.get(identity)
        if left is not None and left[0] == version:
            return replace(left[1], path=path, role=role)
        settled = self._settled.get(identity)
        if settled is not None and settled[0] == version:
            stream = settled[1]
            if stream in looking.known.by_id and stream not in looking.streams:
                return Seen(path, identity, role, holds=frozenset({stream}))
        return None

    def _opaque(self, file: _File) -> Seen:
        since = self._failed[file.identity].since
        is_given_up = time.monotonic() - since > GIVE_UP
        return Seen(file.path, file.identity, file.role, is_opaque=True, is_given_up=is_given_up)

    def _compared(self, seen: Seen, file: LogFile, looking: _Looking) -> Seen:
        """Compare a file with the known streams and with the files that are open."""
        head = file.head()
        content = _Content(is_awaited=file.is_packed and looking.may_be_made_into(head))
        for entry in looking.known.alike(head):
            self._compare(file, entry, looking, content)
        return replace(
            seen,
            holds=frozenset(content.holds),
            more=frozenset(content.more),
            ends=frozenset(content.ends),
            echoes=frozenset(content.echoes),
            part_of=frozenset(looking.part_of(file, self._path, seen.role)),
            continues=frozenset(looking.continued_by(file, seen.role)),
            is_awaited=content.is_awaited,
        )

    def _compare(self, file: LogFile, entry: Entry, looking: _Looking, content: _Content) -> None:
        """Compare a file with a stream that begins like it, and with what has that already."""
        stream = entry.stream_id
        reader = looking.reader_of(stream)
        if file.is_packed and reader is not None:
            if reader.file.is_deleted:
                content.is_awaited = True
            elif self._is_echo(file, reader):
                content.echoes.add(stream)
            return
        owner = None if reader is not None else self._owner(stream, file, looking)
        match self._relation(file, entry, is_alone=reader is None and owner is None):
            case Relation.ENDS if owner is not None:
                if file.is_part_of(owner):
                    content.echoes.add(stream)
            case Relation.ENDS if reader is None:
                content.ends.add(stream)
            case Relation.HOLDS:
                content.holds.add(stream)
                self._note_more(file, entry, reader, content)

    def _note_more(
        self, file: LogFile, entry: Entry, reader: StreamReader | None, content: _Content
    ) -> None:
        """Note whether a file holds more of a stream than is confirmed."""
        stream = entry.stream_id
        if file.reaches(max(entry.position, entry.length) + 1):
            content.more.add(stream)
        elif reader is None:
            content.echoes.add(stream)
            if entry.finished and entry.identity == file.identity:
                self.settle(file.version, stream)

    def _relation(self, file: LogFile, entry: Entry, *, is_alone: bool) -> Relation:
        """Return what a file holds of a stream; of a packed one it is found out once.

        Alone: no other file is known to have the stream.
        """
        if not file.is_packed:
            return file.relation(entry)
        key = file.version, entry.stream_id, entry.position
        if key not in self._unpacked:
            self._unpacked[key] = file.relation(entry, is_alone=is_alone)
        return self._unpacked[key]

    def _owner(self, stream: int, file: LogFile, looking: _Looking) -> LogFile | None:
        """Return the file that a finished stream is known to be in, if that is another one."""
        for path, version in self.there.items():
            settled = self._settled.get(version[:2])
            if settled == (version, stream) and version[:2] != file.identity:
                with suppress(OSError):
                    return looking.opened(path)
        return None

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


@dataclass(slots=True)
class _Content:
    """What a file holds: see Seen."""

    is_awaited: bool
    holds: set[int] = field(default_factory=set)
    more: set[int] = field(default_factory=set)
    ends: set[int] = field(default_factory=set)
    echoes: set[int] = field(default_factory=set)


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

    def reader_of(self, stream: int) -> StreamReader | None:
        """Return what reads a stream, from a file that holds it."""
        reader = self.streams.get(stream)
        return None if reader is None or reader.is_lost else reader

    def opened(self, path: str) -> LogFile:
        """Return a file, open until the end of the look. Raises OSError."""
        if path not in self._opened:
            self._opened[path] = LogFile(path)
        return self._opened[path]

    def may_be_made_into(self, head: bytes) -> bool:
        """Say whether a deleted file without a stream begins like a packed one."""
        return any(
            head.startswith(reader.file.head()[: len(head)])
            for reader in self.open_files.values()
            if not reader.is_known and reader.file.is_deleted and not reader.file.is_empty
        )

    def part_of(self, file: LogFile, live: str, role: Role) -> set[Identity]:
        """Return the files of which a rotated one may be a copy."""
        if role is not Role.ROTATED or file.is_packed:
            return set()
        return {other.identity for other in self._others(file, live) if file.is_part_of(other)}

    def continued_by(self, file: LogFile, role: Role) -> set[Identity]:
        """Return the deleted files with all of which a file begins."""
        if role is Role.OTHER or file.is_packed:
            return set()
        return {
            identity
            for identity, reader in self.open_files.items()
            if reader.file.is_deleted and not reader.file.is_empty and reader.file.is_part_of(file)
        }

    def _others(self, file: LogFile, live: str) -> Iterator[LogFile]:
        """Yield the files of which another one may be a copy: those that are read, or new."""
        for reader in self.open_files.values():
            if not reader.is_lost:
                yield reader.file
        for path, other in list(self._opened.items()):
            if other is not file and path != live and not other.is_packed:
                yield other
        try:
            status = os.stat(live)  # noqa: PTH116 - as above
            former = self.open_files.get((status.st_dev, status.st_ino))
            if former is None or former.is_lost:  # what it holds now is new
                yield self.opened(live)
        except OSError:
            return

    def close(self) -> None:
        """Close every file that was opened."""
        for file in self._opened.values():
            file.close()


def _is_link(path: str) -> bool:
    with suppress(OSError):
        return Path(path).is_symlink()
    return False
