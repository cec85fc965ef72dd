"""Log files by name: which belong together, and under which path their lines are known."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Container

#: What rotation by default appends to a log's name: a number, or a date and time; and the suffix
#: of a packing that is read. It is never the whole name. Streams are named by what is left: what
#: this takes off today it must always take off.
_ROTATION_SUFFIX = re.compile(
    r"(?<=[^/])(?:\.\d{1,4}|[.-]\d{4}-?\d\d-?\d\d(?:[.-]?\d)*)?(?:\.(?:gz|xz|bz2|zst))?\Z"
)

#: Suffixes of packings, read or not. One alone is enough, but for `.br`: www.example.com.br is
#: another site's log than www.example.com.
_SUFFIX = r"\.(?:gz|xz|bz2|zst|zstd|lz4|lzo|lz|lzma|Z|zip|7z|rar)"
_SUFFIXES = rf"(?:{_SUFFIX}|\.br)*"
_BY = r"[-._~@+:]"
_YEAR = r"(?:19|20)\d\d"
_MONTH = r"(?:0[1-9]|1[0-2]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6})"
_DAY = r"(?:0[1-9]|[12]\d|3[01])"
#: A date with a year of four digits and anything after it, the year and a month or week, or Unix
#: time. No other digits: `app-10.0.0.12.log` is a log of its own, and so is `app-100231.log`.
_DATE = (
    rf"(?:{_YEAR}{_BY}?{_MONTH}{_BY}?{_DAY}|{_DAY}{_BY}?{_MONTH}{_BY}?{_YEAR}"
    rf"|{_MONTH}{_BY}?{_DAY}{_BY}?{_YEAR}|{_YEAR}{_BY}?[Ww]?[0-5]\d|[12]\d{{9}})"
    r"(?:[-._~@+:Tt]?\d)*[Zz]?"
)
#: Behind a log's whole name other digits are a stamp as well, if there are at least six.
_AFTER_NAME = rf"(?:\.\d{{1,4}}|{_BY}(?:{_DATE}|\d{{6,}}))"
_BEFORE_EXTENSION = rf"(?:\.\d{{1,3}}|{_BY}{_DATE})"

#: What stands behind the name of a log, also of one that is packed while it is written.
_AFTER = re.compile(rf"(?:{_SUFFIX})?{_AFTER_NAME}{_SUFFIXES}|{_SUFFIX}")
_BETWEEN = re.compile(rf"{_BEFORE_EXTENSION}(?P<extension>\.[^.]+){_SUFFIXES}")


def log_path(path: str) -> str:
    """Return the path of the log that a file belongs to: `access.log` for `access.log.2.gz`.

    Of names that only certain settings of logrotate give, it is the file's own: see
    is_rotation_of().
    """
    return _ROTATION_SUFFIX.sub("", path, count=1)


def is_rotation_of(name: str, log_name: str) -> bool:
    """Say whether a file is, by its name, a rotated one of a log; both are names without folders.

    All that logrotate can be told to call it: a number or a date behind the log's name or before
    its extension, any separator, packed in any way.
    """
    if name == log_name or not log_name:
        return False
    if log_path(name) == log_name:
        return True
    if name.startswith(log_name) and _AFTER.fullmatch(name, len(log_name)):
        return True
    stem, dot, extension = log_name.rpartition(".")
    between = _BETWEEN.fullmatch(name, len(stem)) if stem and name.startswith(stem) else None
    return between is not None and between["extension"] == dot + extension


def logs_rotated_to(name: str) -> list[str]:
    """Return the names of the logs that a file may belong to, surest first: log_path()'s answer.

    Each other one is a log that the file may be a rotated one of, if there is such a log. `name` is
    without its folder.
    """
    found = {log_path(name): None}
    stems = [name[:end] for end in range(1, len(name)) if re.match(_BY, name[end])]
    found |= {stem: None for stem in stems if is_rotation_of(name, stem)}
    for stem in stems:
        between = _BETWEEN.fullmatch(name, len(stem))
        if between is not None:
            found[stem + between["extension"]] = None
    return list(found)


def path_text(path: str) -> str:
    """Return a path as text that can be sent and stored, also where it is not UTF-8."""
    return os.fsencode(path).decode(errors="backslashreplace")


def expand(pattern: str, known: Container[str] = ()) -> list[str]:
    """Return the absolute paths that a pattern stands for; a plain path stands for itself.

    A path that exists is plain, whatever characters are in it. What a pattern matches is left out
    when it is no file, unless it is `known`.
    """
    absolute = os.path.abspath(pattern)  # noqa: PTH100 - resolve() would follow symbolic links
    # os.path: Path.exists raises where a folder may not be searched, or a name is too long for one.
    if glob.has_magic(pattern) and not os.path.exists(absolute):  # noqa: PTH110
        # Path.glob refuses absolute patterns; a path is built for none of a thousand files.
        paths = sorted(glob.glob(absolute))  # noqa: PTH207
        return [path for path in paths if path in known or os.path.isfile(path)]  # noqa: PTH113
    return [absolute]
