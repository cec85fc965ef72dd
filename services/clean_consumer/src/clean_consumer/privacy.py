"""Disguises the addresses of an event, and drops its query strings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias, TypeVar

from datastream.parsing import ERROR_LIMITS, LIMITS, ErrorEvent, Event
from datastream.privacy import Disguise, LineDisguise

AnyEvent: TypeAlias = Event | ErrorEvent
T = TypeVar("T")
#: From the bytes of a text to what is kept of them; LineDisguise says more.
Search: TypeAlias = Callable[..., bytes]

#: The variables of nginx whose values in `extra` give addresses away.
ADDRESSES = frozenset(
    [
        "client",
        "remote_addr",
        "binary_remote_addr",
        "realip_remote_addr",
        "the_real_ip",
        "proxy_protocol_addr",
        "proxy_add_x_forwarded_for",
        "http_forwarded",
        "http_x_forwarded_for",
        "http_x_real_ip",
        "http_x_client_ip",
        "http_x_cluster_client_ip",
        "http_x_envoy_external_address",
        "http_x_original_forwarded_for",
        "http_client_ip",
        "http_fastly_client_ip",
        "http_true_client_ip",
        "http_cf_connecting_ip",
    ]
)
QUERIES = frozenset({"args", "query_string"})

#: Where any text may be: what a client sent, and what belongs to another field in a line that fits
#: its format half-way.
_ANY_TEXT = ("session", "user", "email_domain")
#: The columns of the request. They are searched where the client's address is missing: the fields
#: of such a line may be shifted, and its address stand anywhere.
_REQUEST = (
    *("method", "url", "scheme", "host", "path", "query", "http_version"),
    *("referrer", "user_agent"),
)
#: The variables whose addresses are the site's own servers'.
_OWN = frozenset(
    {"server_addr", "proxy_protocol_server_addr", "server_name", "host", "http_host", "proxy_host"}
)
#: An upstream server, which has a port. An address without one is something else.
_UPSTREAM = re.compile(rb"(?:[0-9.]+|\[[0-9A-Fa-f]*:[0-9A-Fa-f:.]*\]):[0-9]+")


def without_address(event: AnyEvent, disguise: Disguise) -> AnyEvent:
    """Return the event with its address disguised, and without the addresses in `extra`."""
    client = None if event.client is None else disguise(event.client)
    extra = event.extra
    if extra is not None and not ADDRESSES.isdisjoint(extra):
        extra = {name: value for name, value in extra.items() if name not in ADDRESSES} or None
    return event._replace(client=client, extra=extra)


def without_query(event: AnyEvent) -> AnyEvent:
    """Return the event with every text cut at its question mark: URL, referrer, `extra`.

    Not the message of an error log, in which more may follow: see without_traces().
    """
    extra: dict[str, object] | None = None
    if event.extra is not None:
        kept = {name: _cut(value) for name, value in event.extra.items() if not _is_query(name)}
        extra = kept or None
    referrer = _cut(event.referrer)
    if isinstance(event, Event):
        return event._replace(url=_cut(event.url), query=None, referrer=referrer, extra=extra)
    request, upstream = _cut(event.request), _cut(event.upstream)
    return event._replace(request=request, upstream=upstream, referrer=referrer, extra=extra)


def without_traces(event: AnyEvent, disguise: LineDisguise) -> AnyEvent:
    """Return the event with the texts disguised that may hold anything.

    Of an access log session, user and `extra`, and where the client's address is missing all texts.
    Of an error log all texts. What is about the site's own servers stays: variables in `extra` of
    a line with a client; of an error log server, host, and the server in `upstream`.

    Query strings are dropped from what followed the fields of a format, and from an error log.
    """
    if isinstance(event, ErrorEvent):
        return _error_without_traces(event, disguise)
    is_bare = event.session is None and event.user is None and event.extra is None
    if event.client is not None and is_bare:
        return event  # most lines: this costs them little
    names = _ANY_TEXT if event.client is not None else _ANY_TEXT + _REQUEST
    columns = _disguised_columns(event, names, LIMITS, disguise.addresses)
    if event.extra is not None:
        columns["extra"] = {
            name: _disguised(value, _search_in(event, name, disguise))
            for name, value in event.extra.items()
        }
    return event._replace(**columns) if columns else event


def _error_without_traces(event: ErrorEvent, disguise: LineDisguise) -> ErrorEvent:
    columns = _disguised_columns(event, ("message", "request", "referrer"), ERROR_LIMITS, disguise)
    if event.upstream is not None:
        scheme, mark, rest = event.upstream.partition("://")
        server, slash, path = rest.partition("/")
        path = _text(slash + path, _in_part(event, "upstream", disguise))
        columns["upstream"] = f"{scheme}{mark}{server}{path}"[: ERROR_LIMITS["upstream"]]
    if event.extra is not None:
        columns["extra"] = {name: _disguised(v, disguise) for name, v in event.extra.items()}
    return event._replace(**columns)


def _disguised_columns(
    event: AnyEvent, names: Iterable[str], limits: Mapping[str, int], search: Search
) -> dict[str, Any]:
    """Return those of the columns that hold a text, disguised. A hash may make one too long."""
    texts = ((name, getattr(event, name)) for name in names)
    return {
        name: _text(text, _in_part(event, name, search))[: limits[name]]
        for name, text in texts
        if text is not None
    }


def _search_in(event: Event, name: str, disguise: LineDisguise) -> Search:
    """Return how a variable in `extra` is searched."""
    if event.client is not None and name in _OWN:
        return _nothing
    if event.client is not None and name == "upstream_addr":
        return lambda text: text if _UPSTREAM.fullmatch(text) else disguise.addresses(text)
    return _in_part(event, name, disguise if name == "rest" else disguise.addresses)


def _in_part(event: AnyEvent, name: str, search: Search) -> Search:
    """Return how a text is searched, which may have been cut within an address."""
    cut = (event.extra or {}).get("cut")
    is_cut = isinstance(cut, list) and name in cut
    return partial(search, is_cut=True) if is_cut else search


def _nothing(text: bytes) -> bytes:
    return text


def _text(text: str, search: Search) -> str:
    return search(text.encode()).decode()


def _disguised(value: object, search: Search) -> object:
    """Return a value of JSON with what a search finds in its texts replaced."""
    if isinstance(value, list):
        return [_disguised(item, search) for item in value]
    return _text(value, search) if isinstance(value, str) else value


def _is_query(name: str) -> bool:
    return name in QUERIES or name.startswith("arg_")


def _cut(value: T) -> T | str:
    return value.partition("?")[0] if isinstance(value, str) else value
