"""From a log_format to a parser."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any, TypeAlias, cast

from datastream.parsing.directive import LogFormat
from datastream.parsing.errors import FormatError
from datastream.parsing.escapes import UNESCAPE
from datastream.parsing.event import Event, Unparseable
from datastream.parsing.fast import fast, target_parts
from datastream.parsing.fields import Fields
from datastream.parsing.pattern import Rules, line_pattern, tries
from datastream.parsing.proxies import TrustedProxies
from datastream.parsing.request import host_of
from datastream.parsing.template import template
from datastream.parsing.values import email_domain, epoch_time, iso_time, utc_time
from datastream.parsing.variables import COLUMNS

#: Takes the bytes of one line without its newline, returns its Event or raises Unparseable.
AccessParser: TypeAlias = Callable[[bytes], Event]


class AccessFormat:
    """A compiled log_format."""

    def __init__(self, form: LogFormat, source: str, trusted: TrustedProxies | None = None) -> None:
        """`source` is the text that the places of `form` are in. Raises FormatError."""
        self.escape = form.escape
        self.template = template(form.template, source)
        self.variables = tuple(piece.variable for piece in self.template.pieces)
        if set(self.variables).isdisjoint(COLUMNS["time"]):
            times = ", ".join(f"${name}" for name in reversed(COLUMNS["time"]))
            raise FormatError(
                f"the format has no time, and a row needs one: add one of {times}",
                source,
                form.template.places[-1],
            )
        self.fields = Fields(self.variables, trusted)
        #: The parser.
        self.parse: AccessParser = self._compiled()

    def careful(self, text: str) -> Event:
        """Parse a line of any sort that the format allows, decoded. Raises Unparseable."""
        text = text.removesuffix("\r")
        found = self.match(text)
        if found is None:
            raise Unparseable("format" if text.strip() else "empty")
        return self.event(found.groups(), UNESCAPE[self.escape])

    def match(self, text: str) -> re.Match[str] | None:
        """Return the match of a decoded line, strict if there is one."""
        for rules in tries(self.escape, has_escapes="\\" in text):
            found = self._matcher(rules)(text)
            if found is not None:
                return found
        return None

    def event(self, texts: tuple[str, ...], unescape: Callable[[str], str]) -> Event:
        """Return the event of the variables' texts, which are in the order of the format.

        Raises Unparseable("time").
        """
        values: dict[str, str | None] = {}
        for name, text in zip(self.variables, texts, strict=True):
            if name not in values:
                is_absent = text == "-" or (not text and self.escape != "default")
                is_kept = name in self._always_kept
                values[name] = None if is_absent and not is_kept else unescape(text)
        return self.fields.event(values)

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
        names: dict[str, Any] = {
            "match": re.compile(written.pattern, re.DOTALL).fullmatch,
            "careful": self.careful,
            "trusted": self.fields.trusted,
            **_NAMES,
        }
        # The source is made of the names of columns and variables alone; a variable's name is
        # letters, digits and underscores.
        exec(compile(written.source, "<log_format>", "exec"), names)  # noqa: S102
        return cast("AccessParser", names["parse"])


class _Times(dict[str, str]):
    """Times by their texts, the last few thousand: a log repeats its seconds."""

    def __init__(self, convert: Callable[[str], str]) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, text: str) -> str:
        if len(self) >= 4096:
            self.clear()
        time = self[text] = self._convert(text)
        return time


#: What the source of a fast parser names.
_NAMES: Mapping[str, Any] = {
    "AF_INET": AF_INET,
    "AF_INET6": AF_INET6,
    "Event": Event,
    "Unparseable": Unparseable,
    "email_domain": email_domain,
    "epoch_times": _Times(epoch_time),
    "host_of": lru_cache(maxsize=4096)(host_of),
    "inet_pton": inet_pton,
    "iso_times": _Times(iso_time),
    "local_times": _Times(utc_time),
    "new": tuple.__new__,
    "target_parts": target_parts,
}
