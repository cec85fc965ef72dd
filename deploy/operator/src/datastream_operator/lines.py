"""A log as a person has it: its lines, and the offset of each.

It shares no code with the producer, except for unpacking.
"""

from __future__ import annotations

import io
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO, cast

from datastream.packed import HEAD_BYTES, READABLE, PackedFile, packing_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Bytes that the producer keeps of a longer line: its default for MAX_LINE_BYTES, which the demo
#: does not change.
LINE_LIMIT = 1024**2
CHUNK = 1024**2

#: Its name in messages.
STANDARD_INPUT = "standard input"


class Unreadable(Exception):
    """The log cannot be read; the message is one line that says why."""


class OtherPacking(Unreadable):
    """The log is packed in a way that is not read here."""


class Missing(Unreadable):
    """There is no such file."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What a log held at one moment. A log that is being written to may hold more now."""

    lines: int
    #: Bytes of plain text. Each of the lines begins below this offset.
    end: int


def measure(log: Path) -> Extent:
    """Return what a log holds now; a last line without a newline counts. Raises Unreadable."""
    with opened(log) as file:
        size = None if isinstance(file.raw, _Unpacked) else log.stat().st_size
        end, newlines, last = 0, 0, b"\n"
        while chunk := file.read(CHUNK if size is None else min(CHUNK, size - end)):
            end += len(chunk)
            newlines += chunk.count(b"\n")
            last = chunk[-1:]
    return Extent(lines=newlines + (last != b"\n"), end=end)


def numbered_lines(log: Path, limit: int = LINE_LIMIT) -> Iterator[tuple[int, bytes]]:
    """Yield each line, up to `limit` bytes of it, with its byte offset. Raises Unreadable."""
    with opened(log) as file:
        yield from numbered(file, limit)


def numbered(file: BinaryIO, limit: int = LINE_LIMIT) -> Iterator[tuple[int, bytes]]:
    """Yield the remaining lines of an opened log, as numbered_lines() does. Raises OSError."""
    offset = 0
    while part := file.readline(limit + 1):
        line, size = part.removesuffix(b"\n")[:limit], len(part)
        while part and not part.endswith(b"\n"):
            part = file.readline(CHUNK)
            size += len(part)
        yield offset, line
        offset += size


def plain_size(log: Path) -> int:
    """Return how many bytes of plain text a log holds now. Raises Unreadable."""
    with opened(log) as file:
        is_packed = isinstance(file.raw, _Unpacked)
        return measure(log).end if is_packed else log.stat().st_size


@contextmanager
def opened(log: Path) -> Iterator[io.BufferedReader[io.RawIOBase]]:
    """Open a log as plain text. Raises Unreadable, also if a read inside the block fails."""
    try:
        if not stat.S_ISREG(log.stat().st_mode):
            raise Unreadable(f"{log} cannot be read: not a regular file")
        with log.open("rb", buffering=0) as raw, _plain(raw, log.name, str(log)) as file:
            yield file
    except FileNotFoundError as error:
        raise Missing(f"{log} cannot be read: {error.strerror}") from error
    except PermissionError as error:
        raise Unreadable(f"{log} cannot be read: {error.strerror}{_who_may(log)}") from error
    except OSError as error:
        raise Unreadable(f"{log} cannot be read: {error.strerror or error}") from error


@contextmanager
def standard_input() -> Iterator[BinaryIO]:
    """Yield what is piped in, as plain text. Raises Unreadable, as opened() does."""
    if sys.stdin is None:  # as Python has it where it is closed
        raise Unreadable(f"{STANDARD_INPUT} cannot be read: it is closed")
    piped = cast("io.BufferedReader", sys.stdin.buffer)
    try:
        # All of it, however little a pipe has at first: a part of a magic is none.
        head = piped.read(HEAD_BYTES)
        # A terminal's end comes once.
        rest = piped if len(head) == HEAD_BYTES else io.BytesIO()
        if packing_of(head) is None:
            with io.BufferedReader(_Resumed(head, rest), CHUNK) as plain:
                yield plain
            return
        # Unpacking seeks back where there is damage, and a pipe cannot seek.
        with TemporaryFile(buffering=0) as raw:
            raw.write(head)
            shutil.copyfileobj(rest, raw)
            with _plain(raw, "", STANDARD_INPUT) as file:
                yield file
    except OSError as error:
        raise Unreadable(f"{STANDARD_INPUT} cannot be read: {error.strerror or error}") from error


@contextmanager
def _plain(raw: io.FileIO, name: str, called: str) -> Iterator[io.BufferedReader[io.RawIOBase]]:
    """Yield a file's plain text. Raises OtherPacking."""
    raw.seek(0)
    packing = packing_of(raw.read(HEAD_BYTES), name)
    raw.seek(0)
    if packing is not None and packing not in READABLE:
        raise OtherPacking(
            f"{called} is packed by {packing}, which is not read: unpack it, or pack it by "
            "gzip, xz, bzip2 or zstd"
        )
    plain: io.RawIOBase = raw
    if packing is not None:
        plain = _Unpacked(PackedFile(raw, packing))
    with io.BufferedReader(plain, CHUNK) as file:
        yield file


class _Resumed(io.RawIOBase):
    """A file of which the first bytes are read already, from its beginning."""

    def __init__(self, head: bytes, rest: io.BufferedReader | io.BytesIO) -> None:
        self._head = io.BytesIO(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        part = self._head.read(len(view)) or self._rest.read1(len(view))
        view[: len(part)] = part
        return len(part)


class _Unpacked(io.RawIOBase):
    """A packed file, read as its plain text."""

    def __init__(self, file: PackedFile) -> None:
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        plain = self._file.read(self._position, len(memoryview(buffer)))
        memoryview(buffer)[: len(plain)] = plain
        self._position += len(plain)
        return len(plain)


def _who_may(log: Path) -> str:
    """Return the group whose members may read a log, as the rest of a sentence, or nothing."""
    try:
        if log.stat().st_mode & stat.S_IRGRP:
            return f"; members of the group {log.group()} may read it"
    except (OSError, KeyError):  # the folder is closed to us as well, or the group has no name
        pass
    return ""
