r"""What carries a line: syslog, a container runtime or Compose write something in front of it.

    rfc3164     Nov 29 17:40:03 web1 nginx[2869]: LINE
    cri         2026-11-29T17:40:03.123456789Z stdout F LINE
    docker_json {"log":"LINE\n","stream":"stdout","time":"2026-11-29T17:40:03.123456789Z"}

Nothing of it becomes a column: the line's own time stands, and all the bytes are in raw_log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeAlias

from datastream.parsing.access_log import Destination, Misfit
from datastream.parsing.event import ErrorEvent, Event, Unparseable

#: Takes a line, returns the bytes behind its prefix; None when the line does not begin with it.
#: Raises Unparseable("truncated") for a part of a line that was too long for its carrier.
Strip: TypeAlias = Callable[[bytes], bytes | None]


class Prefix(NamedTuple):
    """Something that stands in front of a line."""

    strip: Strip
    #: One, as a line has it.
    example: str


class LineFormat(Protocol):
    """What a compiled format can do."""

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is ambiguous in the format itself, in sentences."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What else a person should know of it, in sentences."""

    @property
    def parse(self) -> Callable[[bytes], Event | ErrorEvent]:
        """The parser: returns the event of a line, or raises Unparseable."""

    def misfit(self, line: bytes) -> Misfit:
        """Return where a line that was rejected stops fitting, and what should follow there."""

    def destinations(self) -> list[Destination]:
        """Return what each part of a line is, and where it goes."""


#: What the patterns below are made of.
_PIECES = {
    b"date": rb"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    b"clock": rb"[0-9]{2}:[0-9]{2}:[0-9]{2}",
    b"zone": rb"(?:Z|[+-][0-9]{2}:?[0-9]{2})",
    b"day": rb"[A-Z][a-z]{2}[ ](?:[ ]?[0-9]|[0-9]{2})",
    # A name ends in no colon, which ends the tag: nginx is told to write none by `nohostname`, and
    # writes an empty one while it starts.
    b"host": rb"[ ]++ (?!stdout[ ]|stderr[ ]) [^ ]++ (?<!:) [ ]++",
    b"tag": rb"[^ :\[\]]++ (?:\[[^ \]]*+\])?+ : (?:[ ]|\Z)",
    # What rsyslog makes of a tag that came without a colon.
    b"bare_tag": rb"[A-Za-z][^ :.\[\]]*+ (?:[ ]|\Z)",
    # A line that stands for several is none that can be counted.
    b"not_repeated": rb"(?! message [ ] repeated [ ] [0-9]++ [ ] times: )",
    b"end": rb"(?:[ ]|\Z)",
}
_TIMES = {
    b"bsd": rb"%(day)b [ ] %(clock)b (?:\.[0-9]{1,9}+)?+" % _PIECES,
    b"iso": rb"%(date)b T %(clock)b (?:[.,][0-9]{1,9}+)?+ %(zone)b" % _PIECES,
    b"rsyslog": rb"%(date)b T %(clock)b (?:\.[0-9]{6})?+ %(zone)b" % _PIECES,
    b"stamp": rb"%(date)b T %(clock)b \.[0-9]{9} %(zone)b %(end)b (?!stdout[ ]|stderr[ ])"
    % _PIECES,
}

#: What each begins with; a group holds the F or P of CRI, for a full line or a part of one.
_PATTERNS: Mapping[str, bytes] = MappingProxyType(
    {
        name: pattern % (_PIECES | _TIMES)
        for name, pattern in {
            "rfc3164": rb"""
                (?: <[0-9]{1,3}> )?+
                (?: (?: %(bsd)b (?: %(host)b | [ ]++ ) | %(iso)b %(host)b ) %(tag)b
                  | (?: %(bsd)b | %(rsyslog)b ) %(host)b %(bare_tag)b
                ) %(not_repeated)b
            """,
            # After the time: host, program, process, kind of message. rsyslog keeps the blank in
            # front of a message that came in the older form.
            "rfc5424": rb"""
                (?: <[0-9]{1,3}> )?+ 1 [ ] (?: %(iso)b | - ) [ ] (?: [^ ]++ [ ] ){4}+
                (?: - | (?: \[ [^ \]="]++ (?: [ ] [^ \]="]++="(?:[^"\\]++|\\.)*+" )*+ \] )++ )
                (?: [ ] (?: [ ](?!-) )?+ | \Z ) (?: \xef\xbb\xbf )?+
            """,
            "heroku": rb"%(iso)b [ ] (?:app|heroku) \[[^ \]]++\] : %(end)b",
            "journald": rb"""
                (?: %(bsd)b
                  | %(iso)b
                  | [A-Z][a-z]{2} [ ] %(date)b [ ] %(clock)b [ ] [^ ]++
                  | [0-9]{9,11} \.[0-9]{6}
                  | \[ [ ]*+ [0-9]++ \.[0-9]++ [ <>0-9.]*+ \]
                )
                (?: %(host)b | [ ]++ ) %(tag)b %(not_repeated)b
            """,
            "cri": rb"%(iso)b [ ] (?:stdout|stderr) [ ] ([FP]) (?: :[^ ]*+ )?+ %(end)b",
            # Coloured or not. An address and a bar begin lines of other formats.
            "compose": rb"""
                (?: \x1b\[ [0-9;]*+ m )?+ (?! [0-9.]++[ ] ) [0-9A-Za-z][0-9A-Za-z_.-]*+ [ ]++ \|
                %(end)b (?: \x1b\[ [0-9;]*+ m )?+ (?: %(stamp)b )?+
            """,
            "timestamp": rb"%(stamp)b",
        }.items()
    }
)


def _behind(pattern: re.Pattern[bytes], line: bytes) -> bytes | None:
    found = pattern.match(line)
    if found is None:
        return None
    if found.lastindex and found[1] == b"P":
        raise Unparseable("truncated")
    return line[found.end() :]


def _docker_json(line: bytes) -> bytes | None:
    try:
        record = json.loads(line.decode("utf-8", "surrogateescape"))
        is_record = isinstance(record, dict) and record.keys() >= {"log", "stream", "time"}
        text = record["log"] if is_record else None
        held = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    if held is not None and not held.endswith(b"\n"):
        raise Unparseable("truncated")
    return held and held[:-1]


_EXAMPLES = {
    "rfc3164": "Nov 29 17:40:03 web1 nginx[2869]: ",
    "rfc5424": "<190>1 2026-11-29T17:40:03.123456+01:00 web1 nginx 2869 - - ",
    "heroku": "2026-11-29T17:40:03.123456+00:00 app[web.1]: ",
    "journald": "Sun 2026-11-29 17:40:03 UTC web1 nginx[2869]: ",
    "cri": "2026-11-29T17:40:03.123456789Z stdout F ",
    "compose": "web-1  | ",
    "docker_json": '{"log":"',
    "timestamp": "2026-11-29T17:40:03.123456789Z ",
}

_STRIPS: Mapping[str, Strip] = {
    name: partial(_behind, re.compile(pattern, re.VERBOSE | re.DOTALL))
    for name, pattern in _PATTERNS.items()
}

#: By name. Where a line may have either of two, the first is what `auto` says.
PREFIXES: Mapping[str, Prefix] = MappingProxyType(
    {name: Prefix(_STRIPS.get(name, _docker_json), example) for name, example in _EXAMPLES.items()}
)


class PrefixedFormat:
    """The format of lines that stand behind a prefix."""

    def __init__(self, prefix: Prefix, inner: LineFormat) -> None:
        self.inner = inner
        #: What is ambiguous in the format itself, in sentences.
        self.doubts = inner.doubts
        #: What else a person should know of it, in sentences.
        self.remarks = inner.remarks
        self._prefix = prefix
        self._parse_inner = inner.parse

    def parse(self, line: bytes) -> Event | ErrorEvent:
        """Return the event of the line behind the prefix. Raises Unparseable."""
        behind = self._prefix.strip(line)
        if behind is None:
            raise Unparseable("format" if line.strip() else "empty")
        return self._parse_inner(behind)

    def misfit(self, line: bytes) -> Misfit:
        """Return where a line that was rejected stops fitting, and what should follow there."""
        try:
            behind = self._prefix.strip(line)
        except Unparseable:
            return Misfit(0, "a whole line: this is one part of a long one")
        if behind is None:
            return Misfit(0, f"what {self._prefix.example!r} is an example of")
        found = self.inner.misfit(behind)
        return found._replace(offset=_offset(line, behind, found.offset))

    def destinations(self) -> list[Destination]:
        """Return what each part of the line behind the prefix is, and where it goes."""
        return self.inner.destinations()


_HELD = re.compile(r'"log"\s*+:\s*+"')
_CHARACTER = re.compile(r"\\u[0-9A-Fa-f]{4}|\\.|.", re.DOTALL)


def _offset(line: bytes, behind: bytes, offset: int) -> int:
    """Return the offset in a line of an offset in what is behind its prefix, in characters."""
    text = line.decode("utf-8", "backslashreplace")
    held = None if line.endswith(behind) else _HELD.search(text)
    if held is None:
        return len(text) - len(behind.decode("utf-8", "backslashreplace")) + offset
    place = held.end()
    for _ in range(offset):
        found = _CHARACTER.match(text, place)
        place = found.end() if found else place
    return place
