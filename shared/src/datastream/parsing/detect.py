"""FORMAT=auto: which of the named formats lines are in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from datastream.how_many import how_many
from datastream.parsing.entries import entries
from datastream.parsing.event import ErrorEvent, Event, Unparseable
from datastream.parsing.formats import (
    ERROR,
    LAST_RESORTS,
    MOST_PREFIXES,
    NAMES,
    PRESETS,
    canonical,
    parser_for,
)
from datastream.parsing.json_keys import json_keys
from datastream.parsing.prefix import PREFIXES, Prefix
from datastream.parsing.servers import REFUSED, bears_mark, is_site_name, refused
from datastream.parsing.values import packed_address

#: The setting that asks for this.
AUTO = "auto"
#: The fewest lines to tell by.
FEWEST_LINES = 10
#: The most lines to look at.
SAMPLE_LINES = 1_000
#: Formats that no line of another log_format fits that people write.
_PLAIN = ("combined", "common", "main", ERROR)
#: The share from which a format is certain: every log has a few odd lines.
_CERTAIN = 0.98


class Detected(NamedTuple):
    """The format that most lines are in, and how sure that is."""

    #: With its prefixes in front: `rfc3164 combined`.
    name: str
    #: How many lines fit it, of how many.
    fit: int
    lines: int
    #: The next best format, and how many lines fit that one.
    next_name: str
    next_fit: int
    #: How many others have its shape, but make no sense: see docs/formats.md.
    half_way: int
    #: Where a server wrote the lines that is refused: why, and what to do.
    refusal: str = ""
    #: Where the lines are JSON objects that no format surely reads: their keys, and a log_format
    #: with a variable at each.
    keys: tuple[str, ...] = ()
    suggestion: str = ""

    @property
    def is_sure(self) -> bool:
        """Whether more than half of the lines fit, and more than fit any other format."""
        return not self.refusal and self.fit > self.lines / 2 and self.fit > self.next_fit

    @property
    def is_plain(self) -> bool:
        """Whether every line fits a format whose lines no other writes: a few tell it."""
        return self.is_sure and self.fit == self.lines and self.name.split()[-1] in _PLAIN

    @property
    def sureness(self) -> str:
        """How sure that is, in a word or two: `certain`, `likely` or `a guess`."""
        if not self.is_sure:
            return "a guess"
        is_certain = self.fit >= self.lines * _CERTAIN and self.lines >= FEWEST_LINES
        return "certain" if is_certain else "likely"

    def __str__(self) -> str:
        if self.refusal:
            return self.refusal
        share, next_share = (_share(fit, self.lines) for fit in (self.fit, self.next_fit))
        half_way = (
            f"; {self.half_way:,} have its shape, but no address as their client, or another "
            "value that is none of its place"
        )
        return (
            f"{self.name} fits {share} of the first {how_many(self.lines, 'line')}; "
            f"the next best, {self.next_name}, fits {next_share}{half_way if self.half_way else ''}"
        )


def _share(part: int, whole: int) -> str:
    """Return a share in words: `all` and `none` only where that is exact."""
    if not part:
        return "none"
    return "all" if part == whole else f"{part * 1000 // whole / 10:.1f} %"


def detect(lines: Sequence[bytes]) -> Detected:
    """Return the format that most of the lines fit, with the prefixes that most of them have.

    A line fits only if it makes sense; one that does not may be another format's, shifted by a
    word. A last resort has only the lines that fit it better than all formats before it. Of formats
    that fit equally the first of NAMES is returned, and is not sure.
    """
    behind, prefixes = _without_prefixes(lines[:SAMPLE_LINES])
    if server := refused([line for line in behind if line is not None]):
        return Detected(server, 0, len(behind), "", 0, 0, REFUSED[server].message)
    fits = {name: [_fit(name, line) for line in behind] for name in NAMES}
    for at in [] if prefixes else _continued(lines[:SAMPLE_LINES]):
        fits[ERROR][at] = _WHOLE
    for at in range(len(behind)):
        best = max(fits[name][at] for name in NAMES if name not in LAST_RESORTS)
        for name in LAST_RESORTS:
            if fits[name][at] <= best:
                fits[name][at] = _NOT
            best = max(best, fits[name][at])
    whole = {name: found.count(_WHOLE) for name, found in fits.items()}
    half = {name: found.count(_HALF_WAY) for name, found in fits.items()}
    first, second, *_ = sorted(NAMES, key=lambda name: (-whole[name], -half[name]))
    named = {name: " ".join([*prefixes, name]) for name in (first, second)}
    found = Detected(
        named[first], whole[first], len(behind), named[second], whole[second], half[first]
    )
    return found if found.is_sure else _by_keys(found, behind, prefixes)


def _by_keys(found: Detected, lines: Sequence[bytes | None], prefixes: Sequence[str]) -> Detected:
    """Return the log_format that the keys of JSON lines tell, or else what was found before."""
    keys = json_keys(lines)
    if keys is None:
        return found
    named = " ".join([*prefixes, keys.directive])
    if keys.is_usual:
        form = canonical(keys.directive)
        fit = sum(_fit(form, line) == _WHOLE for line in lines)
        by_keys = Detected(" ".join([*prefixes, form]), fit, len(lines), found.name, found.fit, 0)
        if by_keys.is_sure:
            return by_keys
    return found._replace(keys=keys.keys, suggestion=named)


def _without_prefixes(lines: Sequence[bytes]) -> tuple[list[bytes | None], list[str]]:
    """Return what is behind the prefixes that more than half of the lines have, and their names.

    A line without them is None.
    """
    found: list[bytes | None] = list(lines)
    names: list[str] = []
    while len(names) < MOST_PREFIXES:
        for name, prefix in PREFIXES.items():
            stripped = [_stripped(prefix, line) for line in found]
            if sum(is_there for is_there, _ in stripped) * 2 > len(found):
                names.append(name)
                found = [line for _, line in stripped]
                break
        else:
            break
    return found, names


def _stripped(prefix: Prefix, line: bytes | None) -> tuple[bool, bytes | None]:
    """Return whether a line has a prefix, and what is behind it, if that is a whole line."""
    try:
        behind = None if line is None else prefix.strip(line)
    except Unparseable:
        return True, None
    return behind is not None, behind


_NOT, _HALF_WAY, _WHOLE = range(3)


#: What stands where an entry of several lines ends.
_END = b"client: "


def _continued(lines: Sequence[bytes]) -> list[int]:
    """Return the places of the lines that surely go on with an entry of an error log."""
    offsets = [0, *accumulate(len(line) + 1 for line in lines)]
    places = {offset: at for at, offset in enumerate(offsets)}
    found = [entry for entry in entries(zip(offsets, lines, strict=False)) if _END in entry.text]
    return [places[offset] for entry in found for offset in entry.continued]


def _fit(name: str, line: bytes | None) -> int:
    if line is None:
        return _NOT
    try:
        event = parser_for(name)(line)
    except Unparseable:
        return _NOT
    if isinstance(event, ErrorEvent):
        return _WHOLE
    if not bears_mark(name, event, line):
        return _NOT
    begins_with_host = PRESETS.get(name, "").startswith(("$server_name", "$host "))
    has_host = not begins_with_host or _begins_with_host(line)
    return _WHOLE if has_host and _makes_sense(event) else _HALF_WAY


#: What requests are told apart by, which is no host and no user: 32 hexadecimal digits, or a UUID.
_IDENTIFIER = re.compile(r"[0-9A-Fa-f-]{32,}")
#: A name, or an address in brackets, and a port. A number, a date and a dash are no name.
_HOST = re.compile(
    r"""
    (?! [0-9.]+ (?: : | \Z) | [0-9]{4}-[0-9]{2}-[0-9]{2} | -\Z )
    (?: [0-9A-Za-z_.-]+ | \[[0-9A-Fa-f:.]+\] ) (?: :[0-9]+ )?
    """,
    re.VERBOSE,
)
#: What the client of a server on a unix socket is.
_LOCAL = ("", "unix:", "None")
#: What no session or user holds: several words, a bracket.
_ODD = re.compile(r"[\s\[\]]")
#: What may be an address in a word.
_ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*")

#: What begins a referrer: its scheme, or a path.
_REFERRER = re.compile(r"[A-Za-z][0-9A-Za-z+.-]*:|/|\Z")
#: Columns whose odd values are in `extra`.
_NUMBERS = ("status", "size", "request_time")


def _begins_with_host(line: bytes) -> bool:
    word = line.partition(b" ")[0].decode(errors="replace")
    return _HOST.fullmatch(word) is not None and _IDENTIFIER.fullmatch(word) is None


def _makes_sense(event: Event) -> bool:
    """Return whether each value can be what its place says."""
    extra = event.extra or {}
    if event.client is None and extra.get("client", "") not in _LOCAL:
        return False
    if not extra.keys().isdisjoint(_NUMBERS) or not _REFERRER.match(event.referrer or ""):
        return False
    chain = extra.get("http_x_forwarded_for", ())
    if isinstance(chain, list) and not any(map(_is_forwarded, chain)):
        return False
    words = [word for word in (event.session, event.user) if word]
    if _IDENTIFIER.fullmatch(event.user or ""):
        return False
    if any(_ODD.search(word) or _holds_address(word) for word in words):
        return False
    return not event.session or not is_site_name(event.session)


def _is_forwarded(entry: str) -> bool:
    return packed_address(entry) is not None or entry.lower() in ("", "unknown")


def _holds_address(word: str) -> bool:
    return any(packed_address(found) for found in _ADDRESS.findall(word))
