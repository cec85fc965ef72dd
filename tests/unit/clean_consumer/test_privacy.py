"""What is kept of addresses and of query strings."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from clean_consumer import privacy
from datastream.parsing import ErrorEvent, Event, parser_for
from parsed import access_parser

LINE = (
    b'%s - - [10/Oct/2026:13:55:36 +0200] "GET /x?token=secret HTTP/1.1" 200 512'
    b' "https://example.org/?q=secret" "example/1.0"'
)


def event(client: str = "192.0.2.77") -> Event:
    """Return the event of a line from this client."""
    return access_parser("combined")(LINE % client.encode())


@pytest.mark.parametrize(
    ("client", "kept"),
    [
        ("192.0.2.77", "192.0.2.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::ffff:192.0.2.77", "::"),
    ],
)
def test_a_truncated_address_is_its_network(client: str, kept: str) -> None:
    """The last byte of IPv4, and all but three groups of IPv6, are gone."""
    assert privacy.truncated(ip_address(client).packed) == ip_address(kept).packed


def test_a_hashed_address_is_the_same_each_time_and_no_visitor_s() -> None:
    """Visitors can be counted; the address is one of a range that nobody on the internet has."""
    one, other = privacy.hashed("a key"), privacy.hashed("another key")
    clients = [ip_address(f"192.0.2.{number}").packed for number in range(256)]
    hidden = [one(client) for client in clients]

    assert hidden == [privacy.hashed("a key")(client) for client in clients]
    assert len(set(hidden)) == 256
    assert set(hidden).isdisjoint(map(other, clients))
    assert all(ip_address(client) in ip_network("fd00::/8") for client in hidden)


def test_without_the_address_nothing_else_gives_it_away() -> None:
    """What is no address is dropped, and so are the headers that proxies add."""
    odd = event("client.example.net")
    extra: dict[str, object] = {
        "client": "client.example.net",
        "http_x_forwarded_for": "192.0.2.7",
        "pipe": ".",
    }

    kept = privacy.without_address(event(), privacy.truncated)
    bare = privacy.without_address(odd, privacy.truncated)
    rest = privacy.without_address(odd._replace(extra=extra), privacy.truncated)

    assert kept == event()._replace(client=bytes([192, 0, 2, 0]))
    assert odd.extra == {"client": "client.example.net"}
    assert bare == odd._replace(extra=None)
    assert rest.extra == {"pipe": "."}


def test_a_line_of_an_error_log_is_treated_alike() -> None:
    """Its address, its request, its upstream and its referrer; the message stays."""
    line = (
        b"2026/10/10 13:55:36 [error] 17#18: *9 no luck?, client: 192.0.2.77, server: example.com,"
        b' request: "GET /x?token=secret HTTP/1.1", upstream: "http://192.0.2.1/x?token=secret",'
        b' host: "example.com", referrer: "https://example.org/?q=secret"'
    )
    error = parser_for("error UTC")(line)
    assert isinstance(error, ErrorEvent)

    kept = privacy.without_query(privacy.without_address(error, privacy.truncated))

    assert kept == error._replace(
        client=bytes([192, 0, 2, 0]),
        request="GET /x",
        upstream="http://192.0.2.1/x",
        referrer="https://example.org/",
    )


def test_without_queries_every_text_ends_at_its_question_mark() -> None:
    """URL, referrer and what has no column; the other columns stay."""
    extra: dict[str, object] = {
        "args": "token=secret",
        "request": "BREW /x?token=secret HTCPCP/1.0",
        "cut": ["url"],
    }

    kept = privacy.without_query(event()._replace(extra=extra))

    assert kept == event()._replace(
        url="/x",
        query=None,
        referrer="https://example.org/",
        extra={"request": "BREW /x", "cut": ["url"]},
    )
    assert privacy.without_query(event()).extra is None
