"""What is kept of addresses and of query strings."""

from __future__ import annotations

from clean_consumer import privacy
from datastream.parsing import ErrorEvent, Event, parser_for
from datastream.privacy import LineDisguise, truncated
from parsed import access_parser

LINE = (
    b'%s - - [10/Oct/2026:13:55:36 +0200] "GET /x?token=secret HTTP/1.1" 200 512'
    b' "https://example.org/?q=secret" "example/1.0"'
)


def event(client: str = "192.0.2.77") -> Event:
    """Return the event of a line from this client."""
    return access_parser("combined")(LINE % client.encode())


def test_without_the_address_nothing_else_gives_it_away() -> None:
    """What is no address is dropped, and so are the headers that proxies add."""
    odd = event("client.example.net")
    extra: dict[str, object] = {
        "client": "client.example.net",
        "http_x_forwarded_for": "192.0.2.7",
        "pipe": ".",
    }

    kept = privacy.without_address(event(), truncated)
    bare = privacy.without_address(odd, truncated)
    rest = privacy.without_address(odd._replace(extra=extra), truncated)

    assert kept == event()._replace(client=bytes([192, 0, 2, 0]))
    assert odd.extra == {"client": "client.example.net"}
    assert bare == odd._replace(extra=None)
    assert rest.extra == {"pipe": "."}


def test_what_follows_the_fields_of_a_format_holds_no_address() -> None:
    """The rest of a line is text of any sort: addresses are looked for in it."""
    line = (LINE % b"192.0.2.7") + b' "203.0.113.9, 198.51.100.3" 0.005'
    found = access_parser("combined_plus")(line)
    assert found.extra is not None

    kept = privacy.without_traces(found, LineDisguise(truncated, drops_queries=False))

    assert found.extra["rest"] == '"203.0.113.9, 198.51.100.3" 0.005'
    assert kept.extra == {"rest": '"203.0.113.0, 198.51.100.0" 0.005'}


def test_a_line_of_an_error_log_is_treated_alike() -> None:
    """Its address, its request, its upstream and its referrer."""
    line = (
        b"2026/10/10 13:55:36 [error] 17#18: *9 no luck?, client: 192.0.2.77, server: example.com,"
        b' request: "GET /x?token=secret HTTP/1.1", upstream: "http://192.0.2.1/x?token=secret",'
        b' host: "example.com", referrer: "https://example.org/?q=secret"'
    )
    error = parser_for("error UTC")(line)
    assert isinstance(error, ErrorEvent)

    kept = privacy.without_query(privacy.without_address(error, truncated))

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


def test_the_texts_of_an_error_log_hold_no_address_and_no_query() -> None:
    """The message, whose words go on after a query, the request, and what has no column."""
    line = (
        b'2026/10/10 13:55:36 [error] 17#18: *9 open() "/srv/x?a=1" failed for 192.0.2.77? no,'
        b' client: 192.0.2.77, server: 192.0.2.1, request: "GET /192.0.2.78?a=1 HTTP/1.1",'
        b' upstream: "http://192.0.2.1/x", host: "192.0.2.1"'
    )
    error = parser_for("error UTC")(line)
    assert isinstance(error, ErrorEvent)
    disguise = LineDisguise(truncated, drops_queries=True)

    kept = privacy.without_traces(error._replace(extra={"a": "192.0.2.7", "b": 1}), disguise)

    assert kept == error._replace(
        message='open() "/srv/x" failed for 192.0.2.0 no',
        request="GET /192.0.2.0 HTTP/1.1",
        extra={"a": "192.0.2.0", "b": 1},
    )
    assert privacy.without_traces(event(), disguise) == event()
