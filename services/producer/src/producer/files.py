"""Log files on disk: which belong together, what identifies one, and how its bytes are read."""

from __future__ import annotations

import glob
import gzip
import os
import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

#: What logrotate and its kin append to a log's name: a number, a date, and `.gz`.
_ROTATION_SUFFIX = re.compile(r"(?:\.\d{1,4}|[.-]\d{4}-?\d\d-?\d\d(?:[.-]\d+)?)?(?:\.gz)?\Z")

#: The first bytes of a gzip file. A plain log may begin with them as well: the name counts too.
_GZIP_MAGIC = b"\x1f\x8b"

#: Bytes at the beginning of a stream, and just before the position, that are fingerprinted.
PREFIX_BYTES = 1024
MARKER_BYTES = 256


def log_path(path: str) -> str:
    """Return the path of the log that a file belongs to: `access.log` for `access.log.2.gz`."""
    return _ROTATION_SUFFIX.sub("", path, count=1) or path


def expand(pattern: str) -> list[str]:
    """Return the absolute paths that a pattern stands for; a plain path stands for itself.

    A path that exists is plain, whatever characters are in it.
    """
    absolute = os.path.abspath(pattern)  # noqa: PTH100 - resolve() would follow symbolic links
    if glob.has_magic(pattern) and not Path(absolute).exists():
        # Path.glob refuses absolute patterns.
        return [path for path in sorted(glob.glob(absolute)) if Path(path).is_file()]  # noqa: PTH207
    return [absolute]


def siblings(path: str) -> list[str]:
    """Return the rotated files of a log that exist, oldest first by their last change."""
    found = []
    try:
        with os.scandir(Path(path).parent) as entries:
            for entry in entries:
                if entry.path != path and log_path(entry.path) == path and entry.is_file():
                    found.append((entry.stat().st_mtime_ns, entry.path))
    except OSError:
        return []  # the folder is missing or closed to us: the log itself tells of that
    return [name for _, name in sorted(found)]


def fingerprint(data: bytes) -> str:
    """Return a hash of some bytes, in hexadecimal."""
    return blake2b(data, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Place:
    """How far a stream was read and confirmed, and how to know its file again by its content."""

    stream_id: int
    #: The log it belongs to: see log_path().
    path: str
    generation: int
    #: Where it was last seen; a first guess only, since inodes are used again.
    device: int
    inode: int
    #: The first byte that is not confirmed; always the beginning of a line.
    position: int
    #: Fingerprint of the first bytes that were sent, and how many these are.
    prefix_length: int
    prefix: str
    #: Fingerprint of up to MARKER_BYTES just before the position. It tells a file that was
    #: truncated and has grown past the position again.
    marker: str
    #: The file was rotated away and read to its end.
    finished: bool = False


class LogFile:
    """One open log file, plain or gzip; offsets are those of the plain bytes."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._raw: BinaryIO = Path(path).open("rb", buffering=0)  # noqa: SIM115 - see close()
        status = os.fstat(self._raw.fileno())
        self.identity = (status.st_dev, status.st_ino)
        self.modified_at = status.st_mtime
        self._gzip: gzip.GzipFile | None = None
        if path.endswith(".gz") and os.pread(self._raw.fileno(), 2, 0) == _GZIP_MAGIC:
            self._gzip = gzip.GzipFile(fileobj=self._raw)

    @property
    def is_complete(self) -> bool:
        """Whether the file cannot grow any more: a gzip file is written once."""
        return self._gzip is not None

    def size(self) -> int | None:
        """Return the number of bytes; None for a closed file or gzip, which does not tell."""
        if self._gzip is not None or self._raw.closed:
            return None
        return os.fstat(self._raw.fileno()).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from an offset on; fewer only at the end.

        Raises OSError, and EOFError for a gzip file that is cut short.
        """
        if self._gzip is None:
            return os.pread(self._raw.fileno(), length, offset)
        if self._gzip.tell() != offset:
            self._gzip.seek(offset)
        return self._gzip.read(length)

    def holds(self, place: Place) -> bool:
        """Say whether this is the file, or a copy of the file, that a place was noted in."""
        length = min(MARKER_BYTES, place.position)
        try:
            if fingerprint(self.read(0, place.prefix_length)) != place.prefix:
                return False  # the cheap part first: the rest of a gzip file is far away
            return fingerprint(self.read(place.position - length, length)) == place.marker
        except (OSError, EOFError):
            return False

    def close(self) -> None:
        """Close the file."""
        self._raw.close()
