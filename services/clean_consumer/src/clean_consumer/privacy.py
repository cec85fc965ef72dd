"""What is kept of an address and of a query string, where not all of it is to be kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Any, TypeAlias

from datastream.parsing import ErrorEvent, Event

AnyEvent: TypeAlias = Event | ErrorEvent

#: From an address, 4 or 16 bytes, to what is stored in its place, 4 or 16 bytes.
Disguise: TypeAlias = Callable[[bytes], bytes]

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
        "http_true_client_ip",
        "http_cf_connecting_ip",
    ]
)
QUERIES = frozenset({"args", "query_string"})
#: IPv6 addresses for use within a site (RFC 4193): no visitor on the internet has one.
_LOCAL = b"\xfd"


def truncated(client: bytes) -> bytes:
    """Return the network of an address: the first 24 bits of IPv4, the first 48 of IPv6."""
    if len(client) == 4:
        return client[:3] + bytes(1)
    return client[:6] + bytes(10)


def hashed(key: str) -> Disguise:
    """Return what puts an IPv6 address of fd00::/8 in an address's place, always the same one.

    Whoever does not have the key cannot find the address again by trying all of them.
    """
    secret = sha256(key.encode()).digest()

    @lru_cache(maxsize=4096)
    def disguise(client: bytes) -> bytes:
        return _LOCAL + blake2b(client, key=secret, digest_size=15).digest()

    return disguise


def without_address(event: AnyEvent, disguise: Disguise) -> AnyEvent:
    """Return the event with its address disguised, and without those that `extra` holds."""
    client = None if event.client is None else disguise(event.client)
    extra = event.extra
    if extra is not None and not ADDRESSES.isdisjoint(extra):
        extra = {name: value for name, value in extra.items() if name not in ADDRESSES} or None
    return event._replace(client=client, extra=extra)


def without_query(event: AnyEvent) -> AnyEvent:
    """Return the event with every text cut at its question mark: URL, referrer, `extra`.

    The message of an error log is kept as it is.
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


def _is_query(name: str) -> bool:
    return name in QUERIES or name.startswith("arg_")


def _cut(value: Any) -> Any:  # noqa: ANN401 - a text, or anything else as it is
    return value.partition("?")[0] if isinstance(value, str) else value
