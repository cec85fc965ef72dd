"""The log formats: from the bytes of a line to an Event."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from datastream.parsing.event import EXTRA_LIMIT, LIMITS, Event, Unparseable
from datastream.parsing.request import split_request
from datastream.parsing.values import email_domain, number, packed_address, utc_time

#: Takes the bytes of one line without its newline, returns its Event or raises Unparseable.
Parser: TypeAlias = Callable[[bytes], Event]

# What every format begins with.
_COMMON_FIELDS = r"""
    ([^ ]+)                    # client: an address, a host name, "unix:"
    [ ] ([^ ]+)                # session: the ident field
    [ ] ( "" | {user} )        # user: spaces are allowed; Apache writes "" for an empty name
    [ ] \[ ([^\[\]"]*+) \]     # time
    [ ] " ({quoted}) "         # request
    [ ] ([0-9]+|-)             # status
    [ ] ([0-9]+|-)             # size
"""

# What follows, up to the end of the line; so no line fits two formats.
_TAILS = {
    "combined": r'[ ] " ({quoted}) " [ ] " ({quoted}) "',  # referrer, user agent
    "common": "",
    "proxy": r"[ ] -",
}

# A backslash escapes the character after it, which may be a quote. Most lines have no backslash,
# and on those the plain patterns say the same as the others, in a third of the time.
#
# A match takes time in proportion to the line, be it hostile: a quoted text can end at one place
# only and is never tried shorter (`*+`); the user grows a character at a time, never past a quote
# that is not escaped, and each try at the time after it stops at the next bracket.
_PLAIN = {
    "user": r'[^"]*?',
    "quoted": r'[^"]*+',
}
_ESCAPED = {
    "user": r'[^"\\]*? (?: \\. [^"\\]*? )*?',
    "quoted": r'[^"\\]*+ (?: \\. [^"\\]*+ )*+',
}

_MOST_STATUS = 2**16 - 1
_MOST_SIZE = 2**63 - 1

# Where each limited field is in an Event.
_LIMIT_AT = tuple((Event._fields.index(column), limit) for column, limit in LIMITS.items())


def _parser(tail: str) -> Parser:
    pattern = _COMMON_FIELDS + tail + r"\r?"
    match_plain, match_escaped = (
        re.compile(pattern.format(**texts), re.VERBOSE | re.DOTALL).fullmatch
        for texts in (_PLAIN, _ESCAPED)
    )

    def parse(line: bytes) -> Event:
        text = line.decode("utf-8", "backslashreplace")
        found = match_escaped(text) if "\\" in text else match_plain(text)
        if found is None:
            raise Unparseable("format" if text.strip() else "empty")
        return _event(found.groups())

    return parse


def _event(fields: tuple[str, ...]) -> Event:
    """Turn the texts that a pattern found into an Event; raise Unparseable("time")."""
    client, session, user, time, request, status, size = fields[:7]
    referrer, user_agent = fields[7:] or ("-", "-")
    domain = email_domain(user) if "@" in user else None
    method, url, scheme, host, path, query, http_version = split_request(request)
    event = Event(
        utc_time(time),
        packed_address(client),
        None if session == "-" else session,
        None if user == "-" else "" if user == '""' else user,
        domain is not None,
        domain,
        method,
        url,
        scheme,
        host,
        path,
        query,
        http_version,
        number(status, _MOST_STATUS),
        number(size, _MOST_SIZE),
        None,
        None,
        None if referrer == "-" else referrer,
        None if user_agent == "-" else user_agent,
        None,
    )
    odd = {}
    if event.client is None:
        odd["client"] = client
    if method is None:
        odd["request"] = request
    if event.status is None and status != "-":
        odd["status"] = status
    if event.size is None and size != "-":
        odd["size"] = size
    return _with_extra(event, odd) if odd or _is_over_a_limit(event) else event


def _is_over_a_limit(event: Event) -> bool:
    row: tuple[Any, ...] = event  # by place: by name takes twice as long, and every line pays
    for index, limit in _LIMIT_AT:
        text = row[index]
        if text is not None and len(text) > limit:
            return True
    return False


def _with_extra(event: Event, odd: dict[str, str]) -> Event:
    """Cut what is over its limit, and put that fact and the odd texts into `extra`."""
    columns = {
        column: text[:limit]
        for column, limit in LIMITS.items()
        if (text := getattr(event, column)) is not None and len(text) > limit
    }
    extra: dict[str, object] = {name: text[:EXTRA_LIMIT] for name, text in odd.items()}
    cut = [*columns, *(name for name, text in odd.items() if len(text) > EXTRA_LIMIT)]
    if cut:
        extra["cut"] = cut
    return event._replace(**columns, extra=extra)


#: The parser of each format, by the name that a source's settings give.
FORMATS: Mapping[str, Parser] = MappingProxyType(
    {name: _parser(tail) for name, tail in _TAILS.items()}
)


def best_format(lines: Sequence[bytes]) -> tuple[str, int]:
    """Return the name of the format that parses most of the lines, and how many it parses.

    When two do equally well, or none parses any (then the count is 0), the first in FORMATS wins.
    """
    parsed = {name: sum(_parses(parse, line) for line in lines) for name, parse in FORMATS.items()}
    name = max(parsed, key=parsed.__getitem__)
    return name, parsed[name]


def _parses(parse: Parser, line: bytes) -> bool:
    try:
        parse(line)
    except Unparseable:
        return False
    return True
