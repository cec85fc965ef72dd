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
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from datastream.parsing.access_log import AccessFormat
from datastream.parsing.error_log import ErrorFormat
from datastream.parsing.event import ErrorEvent, Event
from datastream.parsing.log_format import (
    FormatError,
    LogFormat,
    Word,
    directives,
    log_format,
    written,
)
from datastream.parsing.proxies import TrustedProxies, network

_COMMON = '$remote_addr $session $remote_user [$time_local] "$request" $status $body_bytes_sent'
_MAIN = _COMMON.replace("$session", "-")
_REFERRER_AND_AGENT = '"$http_referer" "$http_user_agent"'

#: The text of each format, as in a log_format. `$session` is the ident field of Apache, which nginx
#: writes as a dash.
PRESETS: Mapping[str, str] = MappingProxyType(
    {
        "combined": f"{_COMMON} {_REFERRER_AND_AGENT}",
        "common": _COMMON,
        "main": f'{_MAIN} {_REFERRER_AND_AGENT} "$http_x_forwarded_for"',
        "upstreaminfo": (
            f"{_MAIN} {_REFERRER_AND_AGENT} $request_length $request_time "
            "[$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr "
            "$upstream_response_length $upstream_response_time $upstream_status $req_id"
        ),
        "vhost_combined": f"$server_name:$server_port {_COMMON} {_REFERRER_AND_AGENT}",
        "proxy": f"{_COMMON} -",
        "host_combined": f"$server_name {_COMMON} {_REFERRER_AND_AGENT}",
        "combined_plus": f"{_COMMON} {_REFERRER_AND_AGENT} $rest",
        "common_plus": f"{_COMMON} $rest",
    }
)

#: Formats that lines of others fit too: with a word too many, or with fields in the rest.
LAST_RESORTS = ("host_combined", "combined_plus", "common_plus")

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
            form = _log_format(next(directives(source, found.start("directive"))), source)
            AccessFormat(form, source)  # while the offset in the file is known
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
    form = _log_format(first, text)
    return form, _trusted(others, text)


def _meant(name: str) -> str:
    """Return the format whose name is near, as the rest of a sentence, or nothing."""
    near = get_close_matches(name.lower(), NAMES, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _log_format(words: list[Word], source: str) -> LogFormat:
    """Return the log_format that a directive is. Raises FormatError, which shows the source."""
    try:
        return log_format(words)
    except FormatError as error:
        raise FormatError(error.message, source, error.offset) from None


def _trusted(others: list[list[Word]], source: str) -> list[Word]:
    for words in others:
        if words[0].text != _TRUSTED or len(words) != 2:
            raise FormatError(
                f"after a format only {_TRUSTED} ADDRESS; may stand", source, words[0].offsets[0]
            )
    return [words[1] for words in others]
