"""A log as a person has it: its lines, and where each begins. Shares no code with the producer."""

from __future__ import annotations

import gzip
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

#: Of a longer line the producer keeps so many bytes: its default for MAX_LINE_BYTES, which the
#: demo leaves alone.
LINE_LIMIT = 1024**2
CHUNK = 1024**2

_GZIP_MAGIC = b"\x1f\x8b"


class Unreadable(Exception):
    """The log cannot be read; the message is one line that says why."""


class Missing(Unreadable):
    """There is no such file."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What a log held at one moment. A log that is being written to holds more by now."""

    lines: int
    #: In bytes, of the plain text. Each of the lines begins below this offset.
    end: int


def measure(log: Path) -> Extent:
    """Return what a log holds now; a last line without a newline counts. Raises Unreadable."""
    with opened(log) as file:
        size = None if is_gzip(log) else log.stat().st_size
        end, newlines, last = 0, 0, b"\n"
        while chunk := file.read(CHUNK if size is None else min(CHUNK, size - end)):
            end += len(chunk)
            newlines += chunk.count(b"\n")
            last = chunk[-1:]
    return Extent(lines=newlines + (last != b"\n"), end=end)


def numbered_lines(log: Path, limit: int = LINE_LIMIT) -> Iterator[tuple[int, bytes]]:
    """Yield each line, up to `limit` bytes of it, with its byte offset. Raises Unreadable."""
    offset = 0
    with opened(log) as file:
        while part := file.readline(limit + 1):
            line, size = part.removesuffix(b"\n")[:limit], len(part)
            while part and not part.endswith(b"\n"):
                part = file.readline(CHUNK)
                size += len(part)
            yield offset, line
            offset += size


@contextmanager
def opened(log: Path) -> Iterator[BinaryIO]:
    """Open a log, plain or gzip. Raises Unreadable, also when a read inside the block fails."""
    try:
        if not stat.S_ISREG(log.stat().st_mode):
            raise Unreadable(f"{log} cannot be read: not a regular file")
        with cast(BinaryIO, gzip.open(log)) if is_gzip(log) else log.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise Missing(f"{log} cannot be read: {error.strerror}") from error
    except PermissionError as error:
        raise Unreadable(f"{log} cannot be read: {error.strerror}{_who_may(log)}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Unreadable(f"{log} is damaged or cut short: {error}") from error
    except OSError as error:
        raise Unreadable(f"{log} cannot be read: {error.strerror or error}") from error


def is_gzip(log: Path) -> bool:
    """Say whether a log is compressed: by its name and by its first bytes. Raises OSError."""
    if log.suffix != ".gz":
        return False
    with log.open("rb") as file:
        return file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC


def _who_may(log: Path) -> str:
    """Return the group whose members may read a log, as the rest of a sentence, or nothing."""
    try:
        if log.stat().st_mode & stat.S_IRGRP:
            return f"; members of the group {log.group()} may read it"
    except (OSError, KeyError):  # the folder is closed to us as well, or the group has no name
        pass
    return ""
