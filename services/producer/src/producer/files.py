"""Log files on disk, plain or packed: reading their bytes, and recognising their streams."""

from __future__ import annotations

import errno
import os
import resource
import stat
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from datastream.packed import HEAD_BYTES, READABLE, CutShort, PackedFile, packing_of
from producer.state import MARKER_BYTES, PREFIX_BYTES, Entry, fingerprint

#: Device and inode: the file, whatever its name.
Identity = tuple[int, int]
#: Device, inode, size on disk and modification time (nanoseconds): while it is the same, so is
#: the content.
Version = tuple[int, int, int, int]


def allow_many_files() -> None:
    """Raise the limit of open files to the maximum: rotated files stay open until they are read.

    The default of 1,024 is low for programs that use select(), which this one does not.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # not permitted, or not that many
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def version_of(status: os.stat_result) -> Version:
    """Return the version of the file that a status describes."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class Relation(Enum):
    """What a file has to do with a stream."""

    #: It holds the stream up to its position.
    HOLDS = "holds"
    #: It begins like the stream, and ends or cannot be read before the position.
    ENDS = "ends"
    DIFFERS = "differs"


class LogFile:
    """One open log file, plain or packed; offsets are in plain bytes."""

    def __init__(self, path: str) -> None:
        """Open a file.

        Raises OSError, also if it is not a regular file (a pipe would block) or packed in a way
        that is not supported.
        """
        self.path = path
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - speed
            raise OSError(errno.EINVAL, "Not a regular file", path)
        self._raw: BinaryIO = open(path, "rb", buffering=0)  # noqa: PTH123, SIM115 - see close()
        self._packed: PackedFile | None = None
        #: It was empty so far, so that it is unknown whether it is packed.
        self._is_untold = True
        try:
            status = os.fstat(self._raw.fileno())
            self.identity: Identity = (status.st_dev, status.st_ino)
            self._tell_packing()
        except OSError:
            self._raw.close()
            raise

    @property
    def is_packed(self) -> bool:
        """Whether it is packed. Raises OSError if it is so in a way that is not supported."""
        if self._is_untold:
            self._tell_packing()
        return self._packed is not None

    @property
    def version(self) -> Version:
        """The version it has now. Raises OSError."""
        return version_of(os.fstat(self._raw.fileno()))

    @property
    def is_deleted(self) -> bool:
        """Whether it no longer has a name in any folder."""
        with suppress(OSError):
            return os.fstat(self._raw.fileno()).st_nlink == 0
        return False

    @property
    def name_now(self) -> str:
        """Its current path, wherever it was moved; the former one if that is unknown."""
        with suppress(OSError):
            name = str(Path(f"/proc/self/fd/{self._raw.fileno()}").readlink())
            if name.startswith("/") and not self.is_deleted:
                return name
        return self.path

    @property
    def descriptor(self) -> int:
        """The open file descriptor."""
        return self._raw.fileno()

    def size(self) -> int | None:
        """Return the number of plain bytes; None if unknown, for a closed or a packed file."""
        if self._packed is not None:
            return None
        try:
            return os.fstat(self._raw.fileno()).st_size
        except (ValueError, OSError):  # closed, possibly by another thread
            return None

    def modified_at(self) -> float:
        """Return when it was last modified (Unix time); 0 if that is unknown."""
        with suppress(OSError):
            return os.fstat(self._raw.fileno()).st_mtime
        return 0.0

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from an offset on; fewer only at the end. Raises OSError."""
        if self.is_packed and self._packed is not None:
            return self._packed.read(offset, length)
        return os.pread(self._raw.fileno(), length, offset)

    @property
    def is_empty(self) -> bool:
        """Whether it is empty; false if it cannot be read."""
        try:
            return not self.read(0, 1)
        except OSError:
            return False

    def head(self) -> bytes:
        """Return the first PREFIX_BYTES, or fewer if there are no more; none if it fails."""
        try:
            return self.read(0, PREFIX_BYTES)
        except OSError:
            return b""

    def relation(self, entry: Entry, *, is_alone: bool = False) -> Relation:
        """Return what this file holds of the stream of an entry.

        `is_alone`: no other file holds it. Then less of a packed file must be unpacked.
        """
        if not entry.marker:
            return Relation.DIFFERS  # no file holds it
        try:
            if not entry.begins(self.read(0, entry.prefix_length)):
                return Relation.DIFFERS  # before reading far into a packed file
            if self._is_surely(entry, is_alone=is_alone):
                return Relation.HOLDS
            length = min(MARKER_BYTES, entry.position)
            before = self.read(entry.position - length, length)
        except OSError:
            return Relation.ENDS if entry.prefix_length == PREFIX_BYTES else Relation.DIFFERS
        if len(before) < length:
            return Relation.ENDS
        return Relation.HOLDS if fingerprint(before) == entry.marker else Relation.DIFFERS

    def reaches(self, position: int) -> bool:
        """Say whether there is a byte before a position that can be read."""
        try:
            return position == 0 or self.read(position - 1, 1) != b""
        except OSError:
            return False

    def is_part_of(self, other: LogFile) -> bool:
        """Say whether another file begins with the whole content of this one."""
        try:
            head = self.head()
            if other.head()[: len(head)] != head:
                return False  # before reading far into a packed file
            end, tail = self._end()
            return other.reaches(end) and other.read(end - len(tail), len(tail)) == tail
        except OSError:
            return False

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def _tell_packing(self) -> None:
        head = os.pread(self._raw.fileno(), HEAD_BYTES, 0)
        if not head:
            return
        packing = packing_of(head, Path(self.path).name)
        if packing is None and head[:2] == b"\x1f\x8b" and self.path.endswith(".gz"):
            raise OSError(errno.EIO, "Damaged: it has no gzip header", self.path)
        if packing is not None and packing not in READABLE:
            raise OSError(errno.EINVAL, f"Packed by {packing}, which is not read", self.path)
        self._is_untold = False
        self._packed = None if packing is None else PackedFile(self._raw, packing)

    def _is_surely(self, entry: Entry, *, is_alone: bool) -> bool:
        """Say whether a packed file certainly holds a finished stream, without unpacking it all."""
        if not self.is_packed or not entry.finished or entry.prefix_length < PREFIX_BYTES:
            return False
        length = self._gzip_length()
        if length < 0:
            return entry.identity == self.identity
        is_as_long = length == (entry.length or entry.position) % 2**32
        return is_as_long and (is_alone or entry.identity == self.identity)

    def _gzip_length(self) -> int:
        """Return the plain length, modulo 2**32, from the gzip trailer; -1 if it is not gzip."""
        if os.pread(self._raw.fileno(), 2, 0) != b"\x1f\x8b":
            return -1
        size = os.fstat(self._raw.fileno()).st_size
        return int.from_bytes(os.pread(self._raw.fileno(), 4, max(0, size - 4)), "little")

    def _end(self) -> tuple[int, bytes]:
        """Return the plain length, and up to MARKER_BYTES at the end. Raises OSError."""
        if not self.is_packed:
            end = os.fstat(self._raw.fileno()).st_size
            length = min(end, MARKER_BYTES)
            return end, self.read(end - length, length)
        end, tail = 0, b""
        with suppress(CutShort):
            while chunk := self.read(end, 1024**2):
                end += len(chunk)
                tail = (tail + chunk[-MARKER_BYTES:])[-MARKER_BYTES:]
        return end, tail
