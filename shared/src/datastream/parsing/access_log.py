"""The access log: from a log_format to the parser of its lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, tzinfo
from functools import cached_property
from itertools import takewhile
from typing import NamedTuple, TypeAlias, cast

from datastream.parsing.doubts import doubts
from datastream.parsing.event import Event, Unparseable
from datastream.parsing.fast import fast
from datastream.parsing.fields import LOCAL_TIMES, Fields
from datastream.parsing.json_lines import json_template
from datastream.parsing.log_format import FormatError, LogFormat, Part, Template, template
from datastream.parsing.pattern import (
    End,
    Rules,
    is_one_value,
    line_pattern,
    raw_tries,
    texts,
    tries,
)
from datastream.parsing.proxies import TrustedProxies
from datastream.parsing.remembered import IN_FAST_SOURCE, Remembered
from datastream.parsing.values import UNESCAPE, without_absent_args, without_exponent
from datastream.parsing.variables import COLUMNS, NGINX_TIMES, Kind, kind_of

#: Takes the bytes of one line without its newline, returns its Event or raises Unparseable.
AccessParser: TypeAlias = Callable[[bytes], Event]


class Destination(NamedTuple):
    """Where a part of a line goes."""

    #: Such as `$status`.
    variable: str
    #: What its values are.
    kind: str
    #: The columns, or `extra.NAME`.
    columns: tuple[str, ...]


class Misfit(NamedTuple):
    """The offset at which a line stops fitting, and what should follow there."""

    #: In characters.
    offset: int
    expected: str


#: Where a quote in a value is read as it is, or is never there.
_NO_QUOTES = ("none", "haproxy")
#: How long lines are in bytes that were cut at 2,048, with the newline or without.
_CUT = (2047, 2048)
#: Numbers, which JSON may write with an exponent.
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL, Kind.TIME_SECONDS)


class AccessFormat:
    """A compiled log_format."""

    def __init__(
        self,
        form: LogFormat,
        source: str,
        trusted: TrustedProxies | None = None,
        zone: tzinfo | None = None,
    ) -> None:
        """`source` is the text that the offsets of `form` are counted in. Raises FormatError.

        `zone` is that of the times whose texts name none; UTC if it is None.
        """
        self.escape = form.escape
        self.template = template(form.arguments, source)
        self.variables = tuple(part.variable for part in self.template.parts)
        if set(self.variables).isdisjoint(COLUMNS["time"]):
            times = ", ".join(f"${name}" for name in reversed(NGINX_TIMES))
            raise FormatError(
                f"the format has no time, and a row needs one: add one of {times}",
                source,
                form.arguments[-1].offsets[-1],
            )
        #: What is ambiguous in the format itself, in sentences.
        self.doubts = doubts(self.template, self.escape)
        #: Its name, of a format that has one here.
        self.preset = ""
        self.fields = Fields(self.variables, trusted, zone or UTC)
        has_no_zone = kind_of(self.fields.chosen["time"]) in LOCAL_TIMES
        if zone is not None and not has_no_zone:
            raise FormatError(f"the times of {form.name} have a zone: no other can be given")
        #: Whether the times have no zone and none was given, so that they are taken for UTC.
        self.assumes_utc = has_no_zone and zone is None
        self._believes_nobody = trusted is not None and self.fields.trusted is None
        self._json = json_template(self.template)
        # HAProxy's captures are in most of its lines: none of them is usual.
        parse = self.careful if form.escape == "haproxy" else self._compiled()
        last = self.template.parts[-1]
        #: Whether lines end with the client's bare address: a line that was cut has another one.
        self.ends_with_client = not last.after and last.variable == self.fields.chosen.get("client")
        #: The parser.
        self.parse: AccessParser = _unless_cut(parse) if self.ends_with_client else parse

    def careful(self, line: bytes) -> Event:
        """Parse any line that the format allows. Raises Unparseable."""
        text = line.decode("utf-8", "backslashreplace").removesuffix("\r")
        event = self._read(text)
        if event is None and text[-1:].isspace():
            event = self._read(text.rstrip())
        if event is None:
            raise Unparseable("format" if text.strip() else "empty")
        return event

    def _read(self, text: str) -> Event | None:
        """Return the event of a decoded line, None if it does not fit. Raises Unparseable."""
        found = self.match(text)
        values = self._json.values(text) if found is None and self._json is not None else None
        if values is not None:
            if not self._says_more_than_a_time(values):
                return None
            return self.fields.event(
                {
                    name: None
                    if text is None or self._is_absent(name, text)
                    else self._number(name, text)
                    for name, text in values.items()
                }
            )
        found = found or self._raw_match(text)
        if found is None:
            return None
        return self._event(zip(self.template.parts, found.groups(), strict=True))

    def _says_more_than_a_time(self, values: Mapping[str, str | None]) -> bool:
        """Return whether an object has any key of the format but the time's, where it has others.

        Servers write other messages into the log too, each with a time.
        """
        there = {name for name, text in values.items() if text is not None}
        return bool(there - {self.fields.chosen["time"]}) or len(values) == 1

    def misfit(self, line: bytes) -> Misfit:
        """Return where a line that was rejected stops fitting, and what should follow there."""
        text = line.decode("utf-8", "backslashreplace").removesuffix("\r")
        found = self.match(text) or self._raw_match(text)
        if found is None:
            return misfit(self.template, self.escape, text)
        time = self.fields.chosen["time"]
        return Misfit(found.start(1 + self.variables.index(time)), f"a time, as ${time} writes it")

    def destinations(self) -> list[Destination]:
        """Return what each variable is, and where it goes."""
        return [
            Destination(f"${name}", kind_of(name).value, self.fields.columns_of(name))
            for name in dict.fromkeys(self.variables)
        ]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What else a person should know before lines are read by the format, in sentences."""
        remarks = []
        if "client" not in self.fields.chosen:
            clients = ", ".join(f"${name}" for name in COLUMNS["client"] if name != "remote_peer")
            remarks.append(f"the format has no client, so no row has one: add one of {clients}")
        if self._believes_nobody:
            remarks.append(
                "set_real_ip_from changes nothing: the format has no header by which a proxy "
                "passes addresses on, such as $http_x_forwarded_for"
            )
        if self.assumes_utc:
            remarks.append(
                "its times have no zone and are taken for UTC"
                + (f": name theirs, as in {self.preset} Europe/Paris" if self.preset else "")
            )
        return tuple(remarks)

    def match(self, text: str) -> re.Match[str] | None:
        """Return the match of a decoded line, strict if there is one."""
        for rules in self._tries["\\" in text]:
            found = self._matcher(rules)(text)
            if found is not None:
                return found
        return None

    def _raw_match(self, text: str) -> re.Match[str] | None:
        """Return the match of a decoded line whose writer left quotes within values as they are.

        In a format with a free rest such a quote cannot be told from the end of a field.
        """
        if self.escape in _NO_QUOTES or "rest" in self.variables or '"' not in text:
            return None
        for rules in raw_tries(has_escapes="\\" in text):
            found = self._matcher(rules)(text)
            if found is not None and all(map(is_one_value, found.groups())):
                return found
        return None

    def _event(self, texts: Iterable[tuple[Part, str]]) -> Event:
        """Return the event of the variables' texts as logged. Raises Unparseable("time")."""
        values: dict[str, str | None] = {}
        for part, logged in texts:
            name, text = part.variable, logged
            if part.is_whole_uri and self.escape == "default":
                text = without_absent_args(text)
            if name not in values:
                values[name] = None if self._is_absent(name, text) else self._undo(name, text)
        return self.fields.event(values)

    def _is_absent(self, name: str, text: str) -> bool:
        if name in self._always_kept:
            return False
        if self.escape == "haproxy":
            text = text.strip(" ")  # it writes one behind its captures
        if text == "-" or (not text and self.escape != "default"):
            return True
        return name == "remote_user" and text.strip(" ") == "-"  # of old Jettys

    def _undo(self, name: str, text: str) -> str:
        """Return a value as it was before it was written."""
        if kind_of(name) is Kind.CAPTURES:
            return text  # its escapes are within its items
        return self._number(name, self._unescape(text))

    def _number(self, name: str, text: str) -> str:
        if self._json is not None and kind_of(name) in _NUMBERS:
            return without_exponent(text)
        return text

    @cached_property
    def _unescape(self) -> Callable[[str], str]:
        return UNESCAPE[self.escape]

    @cached_property
    def _always_kept(self) -> frozenset[str]:
        """The variables whose dash is kept: without them a row would say nothing."""
        return frozenset({"remote_addr", "request"})

    @cached_property
    def _tries(self) -> dict[bool, tuple[Rules, ...]]:
        """The rules to read a line by, in this order, by whether it has escapes."""
        template, escape = self.template, self.escape
        return {has: tuple(tries(template, escape, has_escapes=has)) for has in (False, True)}

    def _matcher(self, rules: Rules) -> Callable[[str], re.Match[str] | None]:
        matcher = self._matchers.get(rules)
        if matcher is None:
            pattern = line_pattern(self.template, rules)
            matcher = self._matchers[rules] = re.compile(pattern, re.DOTALL).fullmatch
        return matcher

    @cached_property
    def _matchers(self) -> dict[Rules, Callable[[str], re.Match[str] | None]]:
        return {}

    def _compiled(self) -> AccessParser:
        written = fast(self.template, self.escape, self.fields)
        names: dict[str, object] = {
            "match": re.compile(written.pattern, re.DOTALL).fullmatch,
            "careful": self.careful,
            "trusted": self.fields.trusted,
            "own_times": Remembered(self.fields.time),
            **IN_FAST_SOURCE,
        }
        # The source is made of the names of columns and variables alone; a variable's name is
        # letters, digits and underscores.
        exec(compile(written.source, "<log_format>", "exec"), names)  # noqa: S102
        return cast("AccessParser", names["parse"])


def _unless_cut(parse: AccessParser) -> AccessParser:
    """Return a parser that refuses lines that may have been cut on their way through syslog."""

    def parse_whole(line: bytes) -> Event:
        event = parse(line)
        if len(line) in _CUT:
            raise Unparseable("truncated")
        return event

    return parse_whole


def misfit(template: Template, escape: str, text: str) -> Misfit:
    """Return where a decoded line that does not fit stops fitting."""
    furthest = Misfit(-1, "")
    for rules in tries(template, escape, has_escapes="\\" in text):
        found = _misfit(template, rules, text)
        if found.offset > furthest.offset:
            furthest = found
    return furthest


def _misfit(template: Template, rules: Rules, text: str) -> Misfit:
    if not text.startswith(template.before):
        same = takewhile(lambda pair: pair[0] == pair[1], zip(text, template.before, strict=False))
        offset = sum(1 for _ in same)
        return Misfit(offset, repr(template.before[offset:]))
    fit, offset = 0, len(template.before)
    for parts in range(len(template.parts), 0, -1):
        found = re.compile(line_pattern(template, rules, parts), re.DOTALL).match(text)
        if found is not None:
            fit, offset = parts, found.end()
            break
    if fit == len(template.parts):
        return Misfit(offset, "the end of the line")
    part = template.parts[fit]
    value = texts(template.parts, rules)[fit]
    is_growing = value.end is End.FIRST
    held = None if is_growing else re.compile(value.pattern, re.DOTALL).match(text, offset)
    if held is not None:
        offset = held.end()
    after = f"{part.after!r} after" if part.after else "the end of the line after"
    return Misfit(offset, f"{after} ${part.variable}")
