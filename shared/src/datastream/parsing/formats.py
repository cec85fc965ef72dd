"""Formats by what a person, or a slice, calls them.

    combined                                        a preset
    error Europe/Paris                              nginx's error log, and the zone of its times
    log_format main '$remote_addr …' '…';           the directive, as it stands in nginx.conf
    $remote_addr [$time_local] "$request" $status   the text of one

After all but `error` there may be directives of nginx's realip module, `set_real_ip_from
192.0.2.0/24;`, one for each trusted proxy: then `client` is who is behind them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import lru_cache
from typing import TypeAlias

from datastream.parsing.compiler import AccessFormat
from datastream.parsing.directive import LogFormat, Word, directives, log_format, written
from datastream.parsing.error_log import ErrorFormat
from datastream.parsing.errors import FormatError
from datastream.parsing.event import ErrorEvent, Event
from datastream.parsing.presets import PRESETS
from datastream.parsing.proxies import TrustedProxies, network

#: Takes the bytes of one line without its newline, returns its event or raises Unparseable.
Parser: TypeAlias = Callable[[bytes], Event | ErrorEvent]

#: The name of nginx's error log among the formats.
ERROR = "error"
#: All names, as a person may give them.
NAMES = (*PRESETS, ERROR)

_NAME = re.compile(r"(?!log_format\b) ([a-z_]+) (?: \s+ ([^;]*;.*) )?", re.VERBOSE | re.DOTALL)
_ERROR = re.compile(rf"{ERROR}(?:\s+(\S+))?")
_TRUSTED = "set_real_ip_from"
#: Where a log_format begins. What else an nginx.conf holds, Lua say, need not be readable.
_BEGINS = re.compile(r"^[ \t]*(?P<directive>log_format[ \t]+(?P<name>[^\s;{}]+))", re.MULTILINE)


def parser_for(text: str) -> Parser:
    """Return the parser of a format, as it is written in a setting or in a slice's header.

    A format is compiled once. Raises FormatError when the text is none.
    """
    return compiled(text).parse


@lru_cache(maxsize=64)
def compiled(text: str) -> AccessFormat | ErrorFormat:
    """Return the format that a text is. Raises FormatError."""
    if found := _ERROR.fullmatch(text.strip()):
        return ErrorFormat(found[1] or "")
    form, trusted = _read(text)
    try:
        networks = [network(word.text) for word in trusted]
    except ValueError as error:
        raise FormatError(f"{_TRUSTED}: {error}") from None
    return AccessFormat(form, text, TrustedProxies(networks) if networks else None)


def canonical(text: str) -> str:
    """Return the format as one line, by which parser_for() reads the same. Raises FormatError."""
    compiled(text)
    if _ERROR.fullmatch(text.strip()):
        return " ".join(text.split())
    form, trusted = _read(text)
    name = form.name if _NAME.fullmatch(text.strip()) else written(form)
    return " ".join([name, *(f"{_TRUSTED} {word.text};" for word in trusted)])


def in_configuration(source: str, name: str) -> str:
    """Return the log_format of that name in the text of an nginx.conf, as its directive.

    Of `combined`, which nginx knows without one, the name. Raises FormatError.
    """
    known = []
    for found in _BEGINS.finditer(source):
        if found["name"] == name:
            form = _placed(next(directives(source, found.start("directive"))), source)
            AccessFormat(form, source)  # while the place in the file is known
            return written(form)
        known.append(found["name"])
    if name == "combined":
        return name
    there = f"there are {', '.join(known)}" if known else "there is none"
    raise FormatError(f"no log_format {name} is in it; {there}")


def _read(text: str) -> tuple[LogFormat, list[Word]]:
    """Return the log_format that a text is or names, and the trusted proxies."""
    stripped = text.strip()
    if found := _NAME.fullmatch(stripped):
        if found[1] not in PRESETS:
            raise FormatError(
                f"{found[1]!r} is no format{_meant(found[1])}; there are {', '.join(NAMES)}, and "
                "whole log_format directives"
            )
        preset = PRESETS[found[1]]
        form = LogFormat(found[1], "default", Word(preset, tuple(range(len(preset) + 1))))
        return form, _trusted(list(directives(found[2] or "")), text)
    if not re.match(r"log_format\b", stripped):
        if "$" not in text:
            raise FormatError(
                f"this is no format{_meant(stripped)}: a log_format has variables, such as $status"
            )
        return LogFormat("custom", "default", Word(text, tuple(range(len(text) + 1)))), []
    first, *others = directives(text)
    form = _placed(first, text)
    return form, _trusted(others, text)


def _meant(name: str) -> str:
    """Return the format whose name is near, as the rest of a sentence, or nothing."""
    near = get_close_matches(name.lower(), NAMES, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _placed(words: list[Word], source: str) -> LogFormat:
    """Return the log_format that a directive is; an error is told together with its source."""
    try:
        return log_format(words)
    except FormatError as error:
        raise FormatError(error.message, source, error.place) from None


def _trusted(others: list[list[Word]], source: str) -> list[Word]:
    for words in others:
        if words[0].text != _TRUSTED or len(words) != 2:
            raise FormatError(
                f"after a format only {_TRUSTED} ADDRESS; may stand", source, words[0].places[0]
            )
    return [words[1] for words in others]
