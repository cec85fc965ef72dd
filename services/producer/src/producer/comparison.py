"""What a file has in common with the known streams and with the files that are open."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from producer.files import Identity, LogFile, Relation, Version
from producer.history import Role, Seen
from producer.reader import StreamReader
from producer.state import Entry, KnownStreams


@dataclass(slots=True)
class Findings:
    """What was found out about a version of a file, and need not be found out again."""

    #: The stream that it holds, with nothing left to read.
    settled: int | None = None
    #: It lacks the end of what was read, and is left alone: how it was seen.
    left: Seen | None = None
    #: Since when it cannot be read, and when to try again (monotonic).
    failed_since: float | None = None
    retry_at: float = 0.0
    #: What a packed file, which takes long to read, holds: by stream and position; -1 for whether
    #: the file of that stream begins with all of it.
    relations: dict[tuple[int, int], Relation] = field(default_factory=dict)


@dataclass(slots=True)
class _Content:
    """What a file holds, in the terms of Seen."""

    is_awaited: bool
    holds: set[int] = field(default_factory=set)
    more: set[int] = field(default_factory=set)
    ends: set[int] = field(default_factory=set)
    echoes: set[int] = field(default_factory=set)


class Comparison:
    """Compares the files of one look. Whatever it opens is open until close()."""

    def __init__(
        self,
        known: KnownStreams,
        readers: Iterable[StreamReader],
        findings: defaultdict[Version, Findings],
        there: Mapping[str, Version],
    ) -> None:
        """Take what to compare with: `there` are versions by path; to `findings` it adds."""
        self._known = known
        self._findings = findings
        self._there = there
        self.readers = {reader.file.identity: reader for reader in readers}
        self._streams = {
            stream: reader
            for reader in self.readers.values()
            if (stream := reader.stream_id) is not None
        }
        self._opened: dict[str, LogFile] = {}

    @property
    def has_orphans(self) -> bool:
        """Whether the file of a stream that is not finished is not open."""
        return any(
            not entry.finished and entry.stream_id not in self._streams
            for entry in self._known.entries()
        )

    def is_unread(self, stream: int) -> bool:
        """Say whether a stream is known and no open file has it."""
        return stream in self._known.by_id and stream not in self._streams

    def opened(self, path: str) -> LogFile:
        """Return a file, opened once. Raises OSError."""
        if path not in self._opened:
            self._opened[path] = LogFile(path)
        return self._opened[path]

    def compared(self, seen: Seen, file: LogFile, live: str) -> Seen:
        """Return how a file is seen, with what it holds; `live` is the path of the live file."""
        head = file.head()
        content = _Content(is_awaited=file.is_packed and self._may_be_made_into(head))
        for entry in self._known.alike(head):
            self._compare(file, entry, content)
        return replace(
            seen,
            holds=frozenset(content.holds),
            more=frozenset(content.more),
            ends=frozenset(content.ends),
            echoes=frozenset(content.echoes),
            part_of=frozenset(self._part_of(file, live, seen.role)),
            continues=frozenset(self._continued_by(file, seen.role)),
            is_awaited=content.is_awaited,
        )

    def close(self) -> None:
        """Close every file that was opened."""
        for file in self._opened.values():
            file.close()

    def _compare(self, file: LogFile, entry: Entry, content: _Content) -> None:
        """Compare a file with a stream that begins alike, and with the file that already has it."""
        stream = entry.stream_id
        reader = self._reader_of(stream)
        if file.is_packed and reader is not None:
            if reader.file.is_deleted:
                content.is_awaited = True
            elif self._is_echo(file, reader, stream):
                content.echoes.add(stream)
            return
        owner = None if reader is not None else self._owner(stream, file)
        match self._relation(file, entry, is_alone=reader is None and owner is None):
            case Relation.ENDS if owner is not None:
                if file.is_part_of(owner):
                    content.echoes.add(stream)
            case Relation.ENDS if reader is None:
                content.ends.add(stream)
            case Relation.HOLDS:
                content.holds.add(stream)
                self._add_more(file, entry, content, is_read=reader is not None)

    def _reader_of(self, stream: int) -> StreamReader | None:
        """Return the reader whose file holds a stream; None without one."""
        reader = self._streams.get(stream)
        return None if reader is None or reader.is_lost else reader

    def _add_more(self, file: LogFile, entry: Entry, content: _Content, *, is_read: bool) -> None:
        """Note whether a file holds more of a stream than is confirmed."""
        if file.reaches(max(entry.position, entry.length) + 1):
            content.more.add(entry.stream_id)
        elif not is_read:
            content.echoes.add(entry.stream_id)
            if entry.finished and entry.identity == file.identity:
                self._findings[file.version].settled = entry.stream_id

    def _relation(self, file: LogFile, entry: Entry, *, is_alone: bool) -> Relation:
        """Return what a file holds of a stream; for a packed one it is found out only once.

        `is_alone`: no other file is known to have the stream.
        """
        if not file.is_packed:
            return file.relation(entry)
        relations = self._findings[file.version].relations
        key = entry.stream_id, entry.position
        if key not in relations:
            relations[key] = file.relation(entry, is_alone=is_alone)
        return relations[key]

    def _is_echo(self, file: LogFile, reader: StreamReader, stream: int) -> bool:
        """Say whether an open file begins with all that a packed one holds."""
        relations = self._findings[file.version].relations
        key = stream, -1
        if key not in relations:
            is_part = file.is_part_of(reader.file)
            relations[key] = Relation.HOLDS if is_part else Relation.DIFFERS
        return relations[key] is Relation.HOLDS

    def _owner(self, stream: int, file: LogFile) -> LogFile | None:
        """Return the other file that is known to hold a finished stream; None without one."""
        for path, version in self._there.items():
            findings = self._findings.get(version)
            if findings and findings.settled == stream and version[:2] != file.identity:
                with suppress(OSError):
                    return self.opened(path)
        return None

    def _may_be_made_into(self, head: bytes) -> bool:
        """Say whether a packed file begins like a deleted one without a stream."""
        return any(
            head.startswith(reader.file.head()[: len(head)])
            for reader in self.readers.values()
            if not reader.is_known and reader.file.is_deleted and not reader.file.is_empty
        )

    def _part_of(self, file: LogFile, live: str, role: Role) -> set[Identity]:
        """Return the files of which a rotated one may be a copy."""
        if role is not Role.ROTATED or file.is_packed:
            return set()
        return {other.identity for other in self._others(file, live) if file.is_part_of(other)}

    def _continued_by(self, file: LogFile, role: Role) -> set[Identity]:
        """Return the deleted files whose whole content a file begins with."""
        if role is Role.OTHER or file.is_packed:
            return set()
        return {
            identity
            for identity, reader in self.readers.items()
            if reader.file.is_deleted and not reader.file.is_empty and reader.file.is_part_of(file)
        }

    def _others(self, file: LogFile, live: str) -> Iterator[LogFile]:
        """Yield the files of which another may be a copy: those being read, and new ones."""
        for reader in self.readers.values():
            if not reader.is_lost:
                yield reader.file
        for path, other in list(self._opened.items()):
            if other is not file and path != live and not other.is_packed:
                yield other
        try:
            status = os.stat(live)  # noqa: PTH116 - speed
            former = self.readers.get((status.st_dev, status.st_ino))
            if former is None or former.is_lost:  # what it holds now is new
                yield self.opened(live)
        except OSError:
            return
