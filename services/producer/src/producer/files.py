"""Log files on disk: which belong together, and how the bytes of one are read."""

from __future__ import annotations

import errno
import gzip
import os
import resource
import stat
import zlib
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from datastream.paths import log_path
from producer.places import MARKER_BYTES, Place, fingerprint

#: The first bytes of a gzip file. A plain log may begin with them as well: the name counts too.
_GZIP_MAGIC = b"\x1f\x8b"

#: Device and inode: which file it is, whatever its name.
Identity = tuple[int, int]


def allow_many_files() -> None:
    """Let this process open as many files as it may: each file of a history is open until read.

    The usual limit is 1,024, kept low for the sake of programs that use select(), as this does not.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # not here, or not that many
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Sibling(NamedTuple):
    """A rotated file of a log."""

    modified_at: float
    path: str
    identity: Identity
    #: The file it is made from is still beside it: it is not whole yet.
    is_being_packed: bool


def siblings(path: str) -> list[Sibling]:
    """Return the rotated files of a log that exist, oldest first by their last change.

    Those of a symbolic link are beside the link or beside what it points to. Raises OSError.
    """
    found = set()
    for log in {path, os.path.realpath(path)}:
        with os.scandir(Path(log).parent) as entries:
            names = {entry.path for entry in entries if log_path(entry.path) == log}
        for name in names - {log}:
            with suppress(FileNotFoundError):  # packed or removed just now
                status = Path(name).stat()
                is_being_packed = name.endswith(".gz") and name.removesuffix(".gz") in names
                identity = (status.st_dev, status.st_ino)
                if stat.S_ISREG(status.st_mode):
                    found.add(Sibling(status.st_mtime, name, identity, is_being_packed))
    return sorted(found)


class LogFile:
    """One open log file, plain or gzip; offsets are those of the plain bytes."""

    def __init__(self, path: str) -> None:
        """Open a file. Raises OSError, also for what is no regular file: a pipe would hang."""
        self.path = path
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise OSError(errno.EINVAL, "Not a regular file", path)
        self._raw: BinaryIO = Path(path).open("rb", buffering=0)  # noqa: SIM115 - see close()
        try:
            status = os.fstat(self._raw.fileno())
            magic = os.pread(self._raw.fileno(), len(_GZIP_MAGIC), 0)
        except OSError:
            self._raw.close()
            raise
        is_gzip = path.endswith(".gz") and magic == _GZIP_MAGIC
        self.identity: Identity = (status.st_dev, status.st_ino)
        self._gzip = gzip.GzipFile(fileobj=self._raw) if is_gzip else None

    @property
    def is_complete(self) -> bool:
        """Whether the file cannot grow any more: a gzip file is written once."""
        return self._gzip is not None

    def size(self) -> int | None:
        """Return the number of bytes; None for a closed file or gzip, which does not tell."""
        if self._gzip is not None:
            return None
        try:
            return os.fstat(self._raw.fileno()).st_size
        except ValueError:  # closed, perhaps while another thread asks
            return None

    def modified_at(self) -> float:
        """Return when it was last changed (Unix time)."""
        return os.fstat(self._raw.fileno()).st_mtime

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from an offset on; fewer only at the end. Raises OSError."""
        if self._gzip is None:
            return os.pread(self._raw.fileno(), length, offset)
        try:
            if self._gzip.tell() != offset:
                self._gzip.seek(offset)
            return self._gzip.read(length)
        except (EOFError, zlib.error) as error:
            raise OSError(errno.EIO, f"Damaged or cut short: {error}", self.path) from error

    def holds(self, place: Place) -> bool:
        """Say whether this is the file, or a copy of the file, that a place was noted in."""
        length = min(MARKER_BYTES, place.position)
        try:
            if not place.begins(self.read(0, place.prefix_length)):
                return False  # the cheap part first: the rest of a gzip file is far away
            return fingerprint(self.read(place.position - length, length)) == place.marker
        except OSError:
            return False

    def reaches(self, position: int) -> bool:
        """Say whether there are bytes, which can be read, up to a position."""
        try:
            return position == 0 or self.read(position - 1, 1) != b""
        except OSError:
            return False

    def close(self) -> None:
        """Close the file."""
        self._raw.close()
