"""From a log_format to a parser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias, cast

from datastream.parsing.directive import LogFormat
from datastream.parsing.errors import FormatError
from datastream.parsing.escapes import UNESCAPE
from datastream.parsing.event import Event, Unparseable
from datastream.parsing.fast import fast
from datastream.parsing.fields import Fields
from datastream.parsing.json_lines import json_template
from datastream.parsing.misfit import Misfit, misfit
from datastream.parsing.pattern import Rules, is_one_value, line_pattern, raw_tries, tries
from datastream.parsing.proxies import TrustedProxies
from datastream.parsing.remembered import (
    Remembered,
    remembered_address,
    remembered_host,
    remembered_list_of_decimal,
    remembered_list_of_text,
)
from datastream.parsing.template import template
from datastream.parsing.values import email_domain, epoch_time, iso_time, utc_time
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

        Beside a rest that may be anything nobody can tell such a quote from the end of a field.
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


#: What the source of a fast parser names.
_NAMES: Mapping[str, Any] = {
    "Event": Event,
    "Unparseable": Unparseable,
    "addresses": Remembered(remembered_address),
    "email_domain": email_domain,
    "epoch_times": Remembered(epoch_time),
    "hosts": Remembered(remembered_host),
    "iso_times": Remembered(iso_time),
    "local_times": Remembered(utc_time),
    # Lists of one, the same object each time: a new one for each line would cost the garbage
    # collector more than all else that the line costs.
    "lists_of_decimal": Remembered(remembered_list_of_decimal),
    "lists_of_status": {str(status): [status] for status in range(100, 1000)},
    "lists_of_text": Remembered(remembered_list_of_text),
    "new": tuple.__new__,
    "statuses": {str(status): status for status in range(100, 1000)},
}
