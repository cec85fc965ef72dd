"""Formats, as a setting or a slice's header names or writes them.

    combined                                        a preset
    error Europe/Paris                              nginx's error log, and the zone of its times
    cherrypy Europe/Paris                           a preset whose times have no zone, and theirs
    log_format main '$remote_addr …' '…';           the directive, as it stands in nginx.conf
    $remote_addr [$time_local] "$request" $status   the text of one

In front of any of them may stand the name of what carries the lines, as of prefix.py:
`rfc3164 combined`.

After all but `error` there may be directives of nginx's realip module, `set_real_ip_from
192.0.2.0/24;`, one for each trusted proxy: then `client` is the address behind them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import tzinfo
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from datastream.parsing.access_log import AccessFormat
from datastream.parsing.apache import in_nginx_words, is_apache
from datastream.parsing.error_log import ErrorFormat, zone
from datastream.parsing.event import ErrorEvent, Event
from datastream.parsing.log_format import (
    FormatError,
    LogFormat,
    Word,
    log_format,
    written,
)
from datastream.parsing.nginx_conf import directives
from datastream.parsing.prefix import PREFIXES, PrefixedFormat
from datastream.parsing.proxies import TrustedProxies, network
from datastream.parsing.servers import BUNDLES, REFUSED, SERVERS

_COMMON = '$remote_addr $session $remote_user [$time_local] "$request" $status $body_bytes_sent'
_MAIN = _COMMON.replace("$session", "-")
_REFERRER_AND_AGENT = '"$http_referer" "$http_user_agent"'

#: The text of each format, as a log_format or its text. `$session` is the ident field of Apache,
#: which nginx writes as a dash.
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
        **BUNDLES,
        **SERVERS,
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
#: The most prefixes in front of a line: a container's syslog in a log of Compose has two.
MOST_PREFIXES = 3

_NAME = re.compile(
    r"""
    (?!log_format\b) (?P<name> [a-z_]+ )
    (?: \s+ (?!set_real_ip_from\b) (?P<zone> [A-Za-z0-9/_+:-]+ ) )?
    (?: \s+ (?P<others> [^;]*;.* ) )?
    """,
    re.VERBOSE | re.DOTALL,
)
_SYSLOG = "what comes by syslog is rfc3164 or rfc5424, in front of a format: rfc3164 combined"
_APACHE = "Apache writes combined, common or vhost_combined"
_CONTAINERS = "a container's log is cri, in front of a format, as in cri combined"
#: What people call formats that have other names here, or none.
_CALLED: Mapping[str, str] = MappingProxyType(
    {
        "haproxy": "HAProxy's httplog is haproxy_http, its httplog clf haproxy_clf",
        "nginx": "nginx writes combined unless its nginx.conf names a log_format, often main; auto "
        "finds out which",
        "json": "auto knows the usual keys; else FORMAT takes the directive, log_format json "
        'escape=json \'{"time":"$time_iso8601","client":"$remote_addr",…}\';',
        "rsyslog": _SYSLOG,
        "syslog": _SYSLOG,
        "docker": "Docker's files are docker_json, what Compose prints is compose, each in front "
        "of a format, as in docker_json combined",
        "kubernetes": _CONTAINERS,
        "k8s": _CONTAINERS,
        "containerd": _CONTAINERS,
        "ingress": "the ingress controller of Kubernetes writes upstreaminfo",
        "apache": _APACHE,
        "apache2": _APACHE,
        "httpd": _APACHE,
        "clf": "the Common Log Format is common",
    }
)
_ERROR = re.compile(rf"{ERROR}(?:\s+(\S+))?")
_PREFIXED = re.compile(rf"\s*({'|'.join(PREFIXES)})(?:\s+(.*))?", re.DOTALL)
_TRUSTED = "set_real_ip_from"


def parser_for(text: str) -> Parser:
    """Return the parser of a format, as it is written in a setting or in a slice's header.

    Each format is compiled once. Raises FormatError when the text is none.
    """
    return compiled(text).parse


def has_entries(text: str) -> bool:
    """Say whether several lines may be one entry: in an error log, without a prefix."""
    return text.partition(" ")[0] == ERROR


@lru_cache(maxsize=64)
def compiled(text: str) -> AccessFormat | ErrorFormat | PrefixedFormat:
    """Return the format that a text is. Raises FormatError."""
    names, text = split_prefixes(text)
    form: AccessFormat | ErrorFormat | PrefixedFormat = _unprefixed(text)
    for name in reversed(names):
        form = PrefixedFormat(PREFIXES[name], form)
    return form


def _unprefixed(text: str) -> AccessFormat | ErrorFormat:
    if found := _ERROR.fullmatch(text.strip()):
        return ErrorFormat(found[1] or "")
    read = _read(text)
    try:
        networks = [network(word.text) for word in read.trusted]
    except ValueError as error:
        raise FormatError(f"{_TRUSTED}: {error}") from None
    trusted = TrustedProxies(networks) if networks else None
    form = AccessFormat(read.form, text, trusted, read.zone)
    if _NAME.fullmatch(text.strip()):
        form.doubts = ()  # docs/formats.md has them: nobody can change these formats
        form.preset = text.split()[0]
    return form


def canonical(text: str) -> str:
    """Return the format as one line that parser_for() reads as the same. Raises FormatError."""
    compiled(text)
    names, text = split_prefixes(text)
    if _ERROR.fullmatch(text.strip()):
        return " ".join([*names, *text.split()])
    read = _read(text)
    found = _NAME.fullmatch(text.strip())
    name = " ".join(filter(None, found.group("name", "zone"))) if found else written(read.form)
    return " ".join([*names, name, *(f"{_TRUSTED} {word.text};" for word in read.trusted)])


def split_prefixes(text: str) -> tuple[list[str], str]:
    """Return the names of the prefixes that a format begins with, and the format behind them.

    Raises FormatError when there is none behind them, or too many in front.
    """
    names: list[str] = []
    while found := _PREFIXED.fullmatch(text):
        names.append(found[1])
        if not found[2]:
            raise FormatError(
                f"{found[1]} is what stands in front of lines: name their format behind it, as in "
                f"{found[1]} combined"
            )
        if len(names) > MOST_PREFIXES:
            raise FormatError(f"there are more than {MOST_PREFIXES} prefixes in front of it")
        text = found[2]
    return names, text


def is_error_log(text: str) -> bool:
    """Return whether a format is that of an error log, behind prefixes or not.

    Raises FormatError, but not for a text that parser_for() takes.
    """
    return _ERROR.fullmatch(split_prefixes(text)[1].strip()) is not None


def ends_with_client(text: str) -> bool:
    """Return whether the lines of a format end with the client's bare address.

    Of such a line that was cut another address may be left. Raises FormatError.
    """
    form = _unprefixed(split_prefixes(text)[1])
    return isinstance(form, AccessFormat) and form.ends_with_client


class _Read(NamedTuple):
    """What the text of a format says."""

    form: LogFormat
    #: The trusted proxies.
    trusted: list[Word]
    #: Of its times, where the text names one.
    zone: tzinfo | None = None


def _read(text: str) -> _Read:
    """Return what a text says. Raises FormatError."""
    stripped = text.strip()
    _refuse_called(stripped)
    found = _NAME.fullmatch(stripped)
    if found and (found["name"] in PRESETS or not found["zone"]):
        name, zone_name, others = found.group("name", "zone", "others")
        if name in REFUSED:
            raise FormatError(REFUSED[name].message)
        if name == ERROR:
            raise FormatError("after error only a time zone may stand, as in error Europe/Paris")
        if name not in PRESETS:
            raise FormatError(
                f"{name!r} is no format{_meant(name)}; there are auto, {', '.join(NAMES)}, and "
                "whole log_format directives"
            )
        trusted = _trusted(_words(others or ""), text)
        return _Read(_preset(name), trusted, zone(zone_name) if zone_name else None)
    if not re.match(r"log_format\b", stripped):
        if is_apache(text):
            raise FormatError(_for_apache(text))
        if "$" not in text:
            raise FormatError(
                f"this is no format{_meant(stripped)}: a log_format has variables, such as $status"
            )
        return _Read(_in_plain_text("custom", text), [])
    first, *rest = _words(text)
    form = _log_format(first, text)
    return _Read(form, _trusted(rest, text))


def _preset(name: str) -> LogFormat:
    text = PRESETS[name]
    if text.startswith("log_format "):
        return _log_format(_words(text)[0], text)
    return _in_plain_text(name, text)


def _words(text: str) -> list[list[Word]]:
    """Return the words of each directive."""
    return [directive.words for directive in directives(text)]


def _in_plain_text(name: str, text: str) -> LogFormat:
    """Return the log_format of a text that no escape of nginx.conf is undone in."""
    return LogFormat(name, "default", (Word(text, tuple(range(len(text) + 1))),))


def _refuse_called(text: str) -> None:
    """Raise FormatError where a format is called by another name than that it has here."""
    first = text.partition(" ")[0]
    if first.lower() in _CALLED:
        raise FormatError(f"{first!r} is no format: {_CALLED[first.lower()]}")


def _for_apache(text: str) -> str:
    """Return in words what reads the lines of a LogFormat of Apache."""
    form = in_nginx_words(text)
    names = [name for name in NAMES if PRESETS.get(name) == form]
    try:
        reads = f"FORMAT={names[0] if names else canonical(form)} reads its lines"
    except FormatError as error:
        reads = f"written as a log_format it would be {form}, but {error}"
    return (
        f"this is the syntax of Apache's LogFormat, and a format is written as nginx does; {reads}"
    )


def _meant(text: str) -> str:
    """Return the format or prefix whose name is near, as the rest of a sentence, or nothing."""
    first, *others = text.split() or [""]
    if others and others[0] in NAMES:
        return f" ({first} is no prefix; there are {', '.join(PREFIXES)})"
    near = get_close_matches(text.lower(), (*NAMES, *PREFIXES), n=1)
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
