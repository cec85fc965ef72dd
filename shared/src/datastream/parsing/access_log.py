"""The access log: from a log_format to the parser of its lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property
from itertools import takewhile
from typing import NamedTuple, TypeAlias, cast

from datastream.parsing.event import Event, Unparseable
from datastream.parsing.fast import fast
from datastream.parsing.fields import Fields
from datastream.parsing.json_lines import json_template
from datastream.parsing.log_format import FormatError, LogFormat, Template, template
from datastream.parsing.pattern import (
    Rules,
    closed_texts,
    is_one_value,
    line_pattern,
    raw_tries,
    tries,
)
from datastream.parsing.proxies import TrustedProxies
from datastream.parsing.remembered import IN_FAST_SOURCE
from datastream.parsing.values import UNESCAPE
from datastream.parsing.variables import COLUMNS, kind_of

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
    """The offset in a line up to which it fits, and what should follow there."""

    #: In characters.
    offset: int
    expected: str


class AccessFormat:
    """A compiled log_format."""

    def __init__(self, form: LogFormat, source: str, trusted: TrustedProxies | None = None) -> None:
        """`source` is the text that the offsets of `form` are counted in. Raises FormatError."""
        self.escape = form.escape
        self.template = template(form.template, source)
        self.variables = tuple(part.variable for part in self.template.parts)
        if set(self.variables).isdisjoint(COLUMNS["time"]):
            times = ", ".join(f"${name}" for name in reversed(COLUMNS["time"]))
            raise FormatError(
                f"the format has no time, and a row needs one: add one of {times}",
                source,
                form.template.offsets[-1],
            )
        self.fields = Fields(self.variables, trusted)
        self._json = json_template(self.template)
        #: The parser.
        self.parse: AccessParser = self._compiled()

    def careful(self, line: bytes) -> Event:
        """Parse a line of any sort that the format allows. Raises Unparseable."""
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
            return self.fields.event(
                {name: None if self._is_absent(name, v) else v for name, v in values.items()}
            )
        found = found or self._raw_match(text)
        if found is None:
            return None
        return self._event(zip(self.variables, found.groups(), strict=True))

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

    def match(self, text: str) -> re.Match[str] | None:
        """Return the match of a decoded line, strict if there is one."""
        for rules in tries(self.escape, has_escapes="\\" in text):
            found = self._matcher(rules)(text)
            if found is not None:
                return found
        return None

    def _raw_match(self, text: str) -> re.Match[str] | None:
        """Return the match of a decoded line whose writer left quotes within values as they are.

        Beside a rest that may be anything, such a quote cannot be told from the end of a field.
        """
        if self.escape == "none" or "rest" in self.variables or '"' not in text:
            return None
        for rules in raw_tries(has_escapes="\\" in text):
            found = self._matcher(rules)(text)
            if found is not None and all(map(is_one_value, found.groups())):
                return found
        return None

    def _event(self, texts: Iterable[tuple[str, str]]) -> Event:
        """Return the event of the variables' texts as logged. Raises Unparseable("time")."""
        unescape = UNESCAPE[self.escape]
        values: dict[str, str | None] = {}
        for name, text in texts:
            if name not in values:
                values[name] = None if self._is_absent(name, text) else unescape(text)
        return self.fields.event(values)

    def _is_absent(self, name: str, text: str | None) -> bool:
        if text is None or name in self._always_kept:
            return text is None
        return text == "-" or (not text and self.escape != "default")

    @cached_property
    def _always_kept(self) -> frozenset[str]:
        """The variables of which a dash is kept: without them a row would say nothing."""
        chosen = self.fields.chosen
        return frozenset(chosen[column] for column in ("client", "request") if column in chosen)

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
            **IN_FAST_SOURCE,
        }
        # The source is made of the names of columns and variables alone; a variable's name is
        # letters, digits and underscores.
        exec(compile(written.source, "<log_format>", "exec"), names)  # noqa: S102
        return cast("AccessParser", names["parse"])


def misfit(template: Template, escape: str, text: str) -> Misfit:
    """Return where a decoded line that does not fit stops fitting."""
    furthest = Misfit(-1, "")
    for rules in tries(escape, has_escapes="\\" in text):
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
    closed = closed_texts(template.parts, rules)[fit]
    held = re.compile(closed, re.DOTALL).match(text, offset) if closed is not None else None
    if held is not None:
        offset = held.end()
    after = f"{part.after!r} after" if part.after else "the end of the line after"
    return Misfit(offset, f"{after} ${part.variable}")
