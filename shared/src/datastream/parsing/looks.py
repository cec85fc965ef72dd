"""What lines that do not fit their format look like, for people: a message names the mend."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from datastream.parsing.detect import FEWEST_LINES, detect
from datastream.parsing.event import Unparseable
from datastream.parsing.formats import is_error_log, parser_for, split_prefixes

#: A stream does not fit once more than one line in this many is rejected, and FEWEST_LINES are:
#: every log has a few odd lines.
ONE_IN = 20
#: The most characters of a format in a message: a log_format may be long.
_SHOWN = 60


class Looks(NamedTuple):
    """What most of some lines look like."""

    #: As the end of the sentence "they look like …".
    words: str
    #: The format that reads them; empty where none that has a name does.
    format: str = ""

    @property
    def option(self) -> str:
        """The option of `datastream replay` that reads them so, with an ellipsis to fill in."""
        return "--format " + (self.quoted or "'…'")

    @property
    def quoted(self) -> str:
        """The format as a shell reads it; empty where there is none."""
        if "'" in self.format:
            return shlex.quote(self.format)
        return f"'{self.format}'" if self.format else ""


def is_misfit(rejected: int, lines: int) -> bool:
    """Return whether so many rejects among so many lines mean that the format is the wrong one."""
    return rejected >= FEWEST_LINES and rejected * ONE_IN > lines


def looks_of(lines: Sequence[bytes]) -> Looks:
    """Return what most of the lines look like: a format, JSON, or nothing that is known."""
    found = detect(lines)
    if found.refusal:
        return Looks(f"those of {found.name}, which has to write another format")
    if found.is_sure:
        named, directive, _ = found.name.partition("log_format ")
        return Looks(f"{named}JSON" if directive else named, found.name)
    if sum(map(_is_object, lines)) * 2 > len(lines):
        return Looks("JSON")
    prefixes, _ = split_prefixes(found.name)
    if prefixes:
        return Looks(f"{' '.join(prefixes)} and an unknown format behind it")
    return Looks("no format that has a name")


def prefix_missed(lines: Sequence[bytes], form: str) -> Looks | None:
    """Return what lines look like that fit a format only with their client in a wrong place.

    That is where something stands in front of them that the format does not name. None where the
    format is right, as far as can be told.
    """
    if not lines or is_error_log(form) or split_prefixes(form)[0]:
        return None
    if sum(_is_without_client(line, form) for line in lines) * 2 <= len(lines):
        return None
    found = looks_of(lines)
    return found if found.format and split_prefixes(found.format)[0] else None


def shortened(form: str) -> str:
    """Return a format as a message names it."""
    return form if len(form) <= _SHOWN else f"{form[: _SHOWN - 1]}…"


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _is_without_client(line: bytes, form: str) -> bool:
    try:
        return parser_for(form)(line).client is None
    except Unparseable:
        return False
