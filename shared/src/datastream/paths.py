"""Log files by name: which belong together, and under which path their lines are known."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

#: What logrotate and its kin append to a log's name: a number, a date and time, and `.gz`. It is
#: never the whole name.
_ROTATION_SUFFIX = re.compile(
    r"(?<=[^/])(?:\.\d{1,4}|[.-]\d{4}-?\d\d-?\d\d(?:[.-]?\d+)*)?(?:\.gz)?\Z"
)


def log_path(path: str) -> str:
    """Return the path of the log that a file belongs to: `access.log` for `access.log.2.gz`."""
    return _ROTATION_SUFFIX.sub("", path, count=1)


def printable(path: str) -> str:
    """Return a path as text that can be sent and stored, also where it is not UTF-8."""
    return os.fsencode(path).decode(errors="backslashreplace")


def expand(pattern: str) -> list[str]:
    """Return the absolute paths that a pattern stands for; a plain path stands for itself.

    A path that exists is plain, whatever characters are in it.
    """
    absolute = os.path.abspath(pattern)  # noqa: PTH100 - resolve() would follow symbolic links
    if glob.has_magic(pattern) and not Path(absolute).exists():
        # Path.glob refuses absolute patterns.
        return [path for path in sorted(glob.glob(absolute)) if Path(path).is_file()]  # noqa: PTH207
    return [absolute]
