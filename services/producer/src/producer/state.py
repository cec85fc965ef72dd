"""What the producer remembers of its logs: an entry for each stream, and the generations used."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from datastream.streams import Stream, stream_id

#: Bytes at the beginning of a stream, and just before the position, that are fingerprinted.
PREFIX_BYTES = 1024
MARKER_BYTES = 256
#: What no FORMAT meant before it meant `auto`.
FORMER_FORMAT = "combined"


def fingerprint(data: bytes) -> str:
    """Return a hash of some bytes, in hexadecimal."""
    return blake2b(data, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """How far a stream is confirmed, and how to recognise its file by its content.

    The fields are the keys of the checkpoint file.
    """

    stream_id: int
    #: The log it belongs to: see datastream.paths.log_path().
    path: str
    generation: int
    #: The file in which it was last seen. A hint only, since inodes are reused: it decides between
    #: several files that all hold the stream.
    device: int
    inode: int
    #: The first byte that is not confirmed; always the beginning of a line.
    position: int
    #: Length and fingerprint of the first bytes, as far as they were read.
    prefix_length: int
    prefix: str
    #: Fingerprint of up to MARKER_BYTES just before the position. It detects a file that was
    #: truncated and has grown past the position again. Empty when no file holds the stream.
    marker: str
    #: There is nothing left to read: the file was rotated and read to its end, or is gone.
    finished: bool = False
    #: Plain bytes of the file when it was finished; 0 if unknown. A last line without its newline
    #: lies behind the position and does not count as new.
    length: int = 0
    #: Rotated before the log was first configured: not read unless it is named in LOG_PATH. Of a
    #: packed file (`length` is 0) nothing is read, even after it is unpacked.
    skipped: bool = False
    #: The path of its file when that was closed, possibly outside the log's folders; empty before.
    file: str = ""

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode of the file in which it was last seen."""
        return self.device, self.inode

    def begins(self, head: bytes) -> bool:
        """Say whether a file with these first PREFIX_BYTES begins as the stream does."""
        return fingerprint(head[: self.prefix_length]) == self.prefix


@dataclass(frozen=True, slots=True)
class State:
    """Everything that outlives the process."""

    entries: list[Entry] = field(default_factory=list)
    #: Only from version 1 of the checkpoint, in place of `logs` and `patterns`: for each log, until
    #: when (Unix time) no file of it was missed.
    seen: dict[str, float] = field(default_factory=dict)
    #: The logs whose rotated files all have an entry: a file without one is new.
    logs: frozenset[str] = frozenset()
    #: The patterns of the last run: a log that they did not match then is new.
    patterns: frozenset[str] = frozenset()
    #: The highest generation ever used, by the stream id of generation 0.
    generations: dict[int, int] = field(default_factory=dict)
    #: By log: the format that `auto` found, and the source where that is one of its own.
    formats: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    #: The format that FORMAT=auto found, which stays; empty: none yet, or FORMAT names one. None:
    #: the checkpoint was begun by a version to which no FORMAT meant FORMER_FORMAT.
    format: str | None = ""


class Generations:
    """The highest generation used for each first line, across all logs of a source.

    Kept as long as the checkpoint exists: reusing a generation would give two lines one key.
    """

    def __init__(self, highest: dict[int, int]) -> None:
        """`highest` is by the stream id of generation 0, as in State."""
        #: Replaced and never mutated: a State holds it as it was.
        self.highest = highest

    def note(self, first: int, generation: int) -> None:
        """Note that a generation is used."""
        self.highest = {**self.highest, first: generation}


class KnownStreams:
    """The known streams of one log, oldest first, with the entry of each."""

    def __init__(
        self,
        source: str,
        log: str,
        line_format: str,
        entries: Iterable[Entry],
        generations: Generations,
    ) -> None:
        self._source = source
        self._log = log
        #: That of new streams.
        self.format = line_format
        self._entries = {entry.stream_id: entry for entry in entries}
        self._generations = generations

    @property
    def by_id(self) -> Mapping[int, Entry]:
        """Every entry, by its stream id."""
        return self._entries

    def entries(self) -> list[Entry]:
        """Return every entry."""
        return list(self._entries.values())

    def note(self, entry: Entry) -> None:
        """Add an entry, or replace that of its stream."""
        self._entries[entry.stream_id] = entry

    def finish(self, entry: Entry, length: int = 0) -> None:
        """Note that a stream is read to its end; its file holds `length` plain bytes."""
        self.note(replace(entry, finished=True, length=length))

    def forget(self, stream: int) -> None:
        """Remove the entry of a stream. Its generation is never reused."""
        del self._entries[stream]

    def alike(self, head: bytes) -> list[Entry]:
        """Return the entries of streams that begin like a file with these first PREFIX_BYTES."""
        by_length: dict[int, list[Entry]] = defaultdict(list)
        for entry in self._entries.values():
            if entry.prefix_length <= len(head):
                by_length[entry.prefix_length].append(entry)
        alike = []
        for length, entries in by_length.items():
            prefix = fingerprint(head[:length])
            alike += [entry for entry in entries if entry.prefix == prefix]
        return alike

    def new(self, first_line: bytes) -> Stream:
        """Return a new stream that begins with a line, with the next unused generation."""
        first = stream_id(self._source, self._log, first_line, 0)
        highest = self._generations.highest.get(first, -1)
        # A checkpoint of version 1 has entries but no generations.
        largest = max((entry.generation for entry in self._entries.values()), default=-1)
        for generation in range(largest, highest, -1):
            if stream_id(self._source, self._log, first_line, generation) in self._entries:
                highest = generation
                break
        self._generations.note(first, highest + 1)
        number = stream_id(self._source, self._log, first_line, highest + 1)
        return self._stream(number, self._log, highest + 1)

    def stream(self, entry: Entry) -> Stream:
        """Return the stream of an entry."""
        return self._stream(entry.stream_id, entry.path, entry.generation)

    def _stream(self, number: int, log: str, generation: int) -> Stream:
        host = socket.gethostname()
        return Stream(number, self._source, host, log, self.format, generation)
