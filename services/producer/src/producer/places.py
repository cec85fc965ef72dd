"""What is remembered of the logs: how far each stream is confirmed, and which files are known."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b

#: Bytes at the beginning of a stream, and just before the position, that are fingerprinted.
PREFIX_BYTES = 1024
MARKER_BYTES = 256


def fingerprint(data: bytes) -> str:
    """Return a hash of some bytes, in hexadecimal."""
    return blake2b(data, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Place:
    """How far a stream was read and confirmed, and how to know its file again by its content."""

    stream_id: int
    #: The log it belongs to: see datastream.paths.log_path().
    path: str
    generation: int
    #: Where it was last seen. Of several files that hold the place it is this one; but a file that
    #: does not is another one, since inodes are used again.
    device: int
    inode: int
    #: The first byte that is not confirmed; always the beginning of a line.
    position: int
    #: Fingerprint of the first bytes that were read, and how many these are.
    prefix_length: int
    prefix: str
    #: Fingerprint of up to MARKER_BYTES just before the position. It tells a file that was
    #: truncated and has grown past the position again. Empty when no file holds the stream any
    #: more.
    marker: str
    #: There is nothing left to read: its file was rotated and read to its end, or is gone.
    finished: bool = False
    #: How many plain bytes its file held when it was finished; 0 where that is not known. A last
    #: line without its newline is behind the position, and is nothing new.
    length: int = 0
    #: Rotated before anybody asked for the log: not read, unless it is asked for by name. Of a
    #: packed one (its length is 0) nothing is read, however it is unpacked.
    skipped: bool = False
    #: The name of its file when that was closed, outside the log's folders perhaps; empty before.
    file: str = ""

    @property
    def identity(self) -> tuple[int, int]:
        """The file it was last seen in."""
        return self.device, self.inode

    def begins(self, head: bytes) -> bool:
        """Say whether a file with these first PREFIX_BYTES begins as the stream does."""
        return fingerprint(head[: self.prefix_length]) == self.prefix


@dataclass(frozen=True, slots=True)
class State:
    """Everything that outlives the process."""

    places: list[Place] = field(default_factory=list)
    #: What version 1 of the checkpoint knew instead of `logs` and `patterns`: of each log, until
    #: when (Unix time) no file of it can have been missed.
    seen: dict[str, float] = field(default_factory=dict)
    #: The logs of which every rotated file has a place: a file without one is new.
    logs: frozenset[str] = frozenset()
    #: What logs were looked for by: one that is there now and was not then is new.
    patterns: frozenset[str] = frozenset()
    #: The highest generation of each first line that was ever used, by the stream id of the first.
    generations: dict[int, int] = field(default_factory=dict)
