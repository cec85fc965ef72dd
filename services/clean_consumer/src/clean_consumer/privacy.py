"""What is kept of an address and of a query string, where not all of it is to be kept."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

from datastream.parsing import ErrorEvent, Event
from datastream.privacy import Disguise, LineDisguise

AnyEvent: TypeAlias = Event | ErrorEvent
T = TypeVar("T")

#: What `extra` may hold of a line that gives addresses away, by the names of nginx's variables.
ADDRESSES = frozenset(
    [
        "client",
        "remote_addr",
        "binary_remote_addr",
        "realip_remote_addr",
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


def without_address(event: AnyEvent, disguise: Disguise) -> AnyEvent:
    """Return the event with its address disguised, and without those that `extra` holds."""
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
    """Return the event with those texts disguised that may hold anything.

    Of an access log's, what followed the fields of its format. Of an error log's, all but those
    about the site's own servers: server, upstream and host.
    """
    if not isinstance(event, ErrorEvent):
        if event.extra is None or "rest" not in event.extra:
            return event
        rest = _disguised(event.extra["rest"], disguise)
        return event._replace(extra=event.extra | {"rest": rest})
    return event._replace(
        message=_disguised(event.message, disguise),
        request=_disguised(event.request, disguise),
        referrer=_disguised(event.referrer, disguise),
        extra=event.extra and {k: _disguised(v, disguise) for k, v in event.extra.items()},
    )


def _disguised(value: T, disguise: LineDisguise) -> T | str:
    return disguise(value.encode()).decode() if isinstance(value, str) else value


def _is_query(name: str) -> bool:
    return name in QUERIES or name.startswith("arg_")


def _cut(value: T) -> T | str:
    return value.partition("?")[0] if isinstance(value, str) else value
