"""The request line: its method, target and version, and the parts of the target."""

from __future__ import annotations

import re
from typing import TypeAlias

#: method, url, scheme, host, path, query, http_version: fields of an Event, in its order.
RequestFields: TypeAlias = tuple[
    str | None, str | None, str | None, str | None, str | None, str | None, str | None
]

_NO_REQUEST: RequestFields = (None, None, None, None, None, None, None)

_REQUEST_LINE = re.compile(
    r"""
    ((?!-[ ])[!#$%&'*+.^_`|~0-9A-Za-z-]++)  # method: a token; a dash is none
    [ ]++ (.*[^ ])                          # target: all that is between, spaces too
    [ ]++ HTTP/([0-9](?:\.[0-9])?) [ ]*+    # version: some servers write "2" for "2.0"
    """,
    re.VERBOSE | re.DOTALL,
)

# HTTP/0.9 has no version to tell a request by, so the method and the target must.
_SIMPLE_REQUEST_LINE = re.compile(
    r"""
    (GET)                                                      # the only method it has
    [ ]++ ( (?: / | [A-Za-z][A-Za-z0-9+.-]*+ :// ) [^ ]*+ )    # target: a path or a whole URL
    [ ]*+
    """,
    re.VERBOSE,
)

_ABSOLUTE_URL = re.compile(
    r"""
    ([A-Za-z][A-Za-z0-9+.-]*+) ://    # scheme
    ([^/?\#]*+)                       # authority: user:password@host:port
    ([^?]*+)                          # path
    (?: \? (.*+) )?                   # query
    """,
    re.VERBOSE | re.DOTALL,
)


def split_request(text: str) -> RequestFields:
    """Split a request line, the text between the quotes, into the fields of an Event.

    All of them are None when the text is no HTTP request line: empty, binary, another protocol.
    """
    if found := _REQUEST_LINE.fullmatch(text):
        method, target, version = found.groups()
    elif found := _SIMPLE_REQUEST_LINE.fullmatch(text):
        method, target = found.groups()
        version = "0.9"
    else:
        return _NO_REQUEST

    return method, target, *split_target(target, method), version


def split_target(
    target: str, method: str | None = None
) -> tuple[str | None, str | None, str | None, str | None]:
    """Split a request target into scheme, host, path and query; what is missing is None."""
    if target[:1] == "/":
        path, mark, query = target.partition("?")
        return None, None, path, query if mark else None
    if absolute := _ABSOLUTE_URL.fullmatch(target):
        scheme, authority, path, found_query = absolute.groups()
        return scheme.lower(), host_of(authority), path or None, found_query
    if method == "CONNECT":
        return None, host_of(target), None, None
    return None, None, None, None  # "*", or something with no known parts


def is_absolute(target: str) -> bool:
    """Return whether a request target is a URL with scheme and host."""
    return _ABSOLUTE_URL.fullmatch(target) is not None


def host_of(authority: str) -> str | None:
    """Return the host of `user:password@host:port`, in lower case; None when it is empty."""
    host = authority.rpartition("@")[2]
    if host.startswith("["):  # an IPv6 address, which has colons of its own
        return host[1:].partition("]")[0].lower() or None
    return host.partition(":")[0].lower() or None
