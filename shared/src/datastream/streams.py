"""The identity of a log: which stream a line belongs to, on any machine and in any run."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Stream:
    """One generation of one log file, from its first byte to its rotation."""

    #: 64 bits, unsigned: see stream_id().
    stream_id: int
    #: The permanent name of the log.
    source: str
    #: The machine that read it; for people, not part of the identity.
    host: str
    #: The configured path: rotated siblings (`access.log.1`) count as their log (`access.log`).
    path: str
    #: The format its lines are in, as datastream.parsing.parser_for() reads it.
    format: str
    #: Counts the files that started with the same first line under the same path.
    generation: int


def stream_id(source: str, path: str, first_line: bytes, generation: int) -> int:
    """Return the 64-bit id of a stream: the same for the same log, on any machine, in any run.

    It is a hash and not a number handed out, so that a log which is read again after its
    checkpoint was lost gives its lines the keys they already have.
    """
    digest = blake2b(digest_size=8)
    for part in (source.encode(), path.encode(errors="surrogateescape"), first_line):
        digest.update(len(part).to_bytes(8))  # a length before each: "a"+"bc" is not "ab"+"c"
        digest.update(part)
    digest.update(generation.to_bytes(8))
    return int.from_bytes(digest.digest())
