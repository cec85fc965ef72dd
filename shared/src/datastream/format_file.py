"""The log_format of a name, in a configuration of nginx: a file and those that it includes."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from datastream.parsing import FormatError
from datastream.parsing.nginx_conf import Directive, directives

#: Where a log_format may stand. A file that is read by itself may be one that `http {}` includes.
_ANYWHERE = ((), ("http",), ("stream",))
#: nginx has it built in, for `http {}`.
_BUILT_IN = "combined"


class _Found(NamedTuple):
    """A log_format of a configuration."""

    name: str
    #: The directive as it stands there.
    text: str
    is_of_stream: bool


def format_in(path: Path, name: str) -> str:
    """Return the log_format of that name as its directive, or `combined`, which needs none.

    One of `http {}` goes before one of `stream {}`. An include is relative to the folder of `path`.
    Raises OSError when that file cannot be read, and FormatError when there is no such log_format,
    when nginx could not read what stands before it, and when a file includes itself. A file that is
    included and cannot be read is an error only where the log_format is in no other.
    """
    configuration = _Configuration(path)
    known: dict[str, _Found] = {}
    for found in configuration.formats():
        if found.name == name and not found.is_of_stream:
            return found.text
        known.setdefault(found.name, found)
    if name == _BUILT_IN:
        return name
    if configuration.unread:
        unread = "; ".join(configuration.unread)
        raise FormatError(f"no log_format {name} is in what could be read; {unread}")
    if name in known:
        return known[name].text
    there = f"there are {', '.join(known)}" if known else "there is none"
    raise FormatError(f"no log_format {name} is in it; {there}")


def names_in(path: Path) -> list[str]:
    """Return the names of the log_formats of a configuration, each once, in its order.

    Raises OSError and FormatError as format_in() does.
    """
    return list(dict.fromkeys(found.name for found in _Configuration(path).formats()))


class _File(NamedTuple):
    """A file of a configuration, and its text."""

    path: Path
    text: str
    #: The blocks in which it is included, the outermost first.
    blocks: tuple[str, ...]
    #: The paths of itself and of the files by which it is included, without links.
    chain: tuple[str, ...]

    def directives(self) -> Iterator[Directive]:
        """Yield each directive. Raises FormatError, which names the file."""
        try:
            yield from directives(self.text)
        except FormatError as error:
            raise self.error(error.message, error.offset or 0) from None

    def error(self, message: str, offset: int) -> FormatError:
        """Return an error at this offset, which names the file and the line."""
        return FormatError(f"{self.place(offset)}: {message}", self.text, offset)

    def place(self, offset: int) -> str:
        """Return the file and the line of an offset."""
        line = self.text.count("\n", 0, offset) + 1
        return f"{self.path}:{line}"


class _Configuration:
    """A file, and those that it includes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        #: Why files that are included could not be read.
        self.unread: list[str] = []

    def formats(self) -> Iterator[_Found]:
        """Yield each log_format, in the order in which nginx reads them."""
        return self._formats(_file(self._path, (), ()))

    def _formats(self, file: _File) -> Iterator[_Found]:
        for directive in file.directives():
            within = (*file.blocks, *directive.blocks)
            name, *arguments = (word.text for word in directive.words)
            if within not in _ANYWHERE or not arguments:
                continue
            if name == "log_format":
                text = file.text[directive.start : directive.end]
                yield _Found(arguments[0], text, is_of_stream=within == ("stream",))
            elif name == "include":
                for path in _paths(self._path.parent, arguments[0]):
                    yield from self._included(path, file, within, directive.start)

    def _included(
        self, path: Path, by: _File, blocks: tuple[str, ...], at: int
    ) -> Iterator[_Found]:
        """Yield those of a file that is included at an offset of another one."""
        if os.path.realpath(path) in by.chain:
            raise by.error(f"{path} includes itself", at)
        try:
            included = _file(path, blocks, by.chain)
        except OSError as error:
            self.unread.append(f"{by.place(at)} includes {path}: {error.strerror}")
            return
        yield from self._formats(included)


def _file(path: Path, blocks: tuple[str, ...], above: tuple[str, ...]) -> _File:
    """Return a file that is included in these blocks, by the files above. Raises OSError."""
    # What is no UTF-8 is read as it is in a line of a log.
    text = path.read_text(encoding="utf-8", errors="backslashreplace")
    # Path.resolve raises where links go round.
    return _File(path, text, blocks, (*above, os.path.realpath(path)))


def _paths(folder: Path, pattern: str) -> list[Path]:
    """Return the files that an include names; a pattern may name none."""
    path = os.path.join(folder, pattern)  # noqa: PTH118 - glob takes a text
    if not any(char in pattern for char in "*?["):
        return [Path(path)]
    return [Path(found) for found in sorted(glob.glob(path))]  # noqa: PTH207 - it may be absolute
