"""What is kept of addresses and of query strings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clean_consumer import privacy
from clean_consumer.enrichment import Enrichment, enrichment
from clean_consumer.rows import parse
from clean_consumer.settings import EnrichmentSettings
from datastream.config import Environment
from datastream.parsing import EXTRA_LIMIT, LIMITS, ErrorEvent, Event, parser_for
from datastream.privacy import LineDisguise, hashed, truncated
from datastream.slices import Slice
from datastream.streams import Stream
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


TIME = "[10/Oct/2026:13:55:36 +0200]"
REQUEST = f'{TIME} "GET /x HTTP/1.1" 200 512'
#: What stands before a line that another program passes on.
PREFIXES = (
    *("Sep 15 16:13:00 web1 nginx[2869]: ", "<190>Sep  5 16:13:00 web1 nginx: ", "web1  | "),
    *("2026-10-10T13:55:36.123Z stdout F ", "<34>1 2026-10-10T13:55:36Z web1 nginx 7 - - "),
    *("www.example.com ", "ADDR - ", "- ADDR ", "[ADDR] ", "web1: ADDR: ", " ", ""),
)
#: Formats, and their lines with the visitor's address wherever one may be. In the place of an
#: upstream server it is BARE: with a port it would be one.
LINES = (
    ("combined", f'ADDR - - {REQUEST} "-" "curl"'),
    ("combined", f'ADDR ADDR - {REQUEST} "-" "curl"'),
    ("combined", f'192.0.2.1 - ADDR {REQUEST} "-" "curl"'),
    ("combined", f'192.0.2.1 - - ADDR - {REQUEST} "-" "curl"'),
    ("combined", f'ADDR - ana@ADDR {REQUEST} "-" "curl"'),
    ("combined", f'192.0.2.1 - - {TIME} "ADDR" 200 512 "-" "curl"'),
    ("combined", f'192.0.2.1 - - {TIME} "GET / HTTP/1.1" ADDR 512 "-" "curl"'),
    ("common", f"ADDR - - {REQUEST}"),
    ("main", f'ADDR - - {REQUEST} "-" "-" "198.51.100.3, ADDR"'),
    ("combined_plus", f'ADDR - - {REQUEST} "-" "-" "ADDR, ADDR" 0.005 ADDR'),
    ("host_combined", f'www.example.com ADDR - - {REQUEST} "-" "-"'),
    ("vhost_combined", f'www.example.com:443 ADDR - - {REQUEST} "-" "-"'),
    ("upstreaminfo", f'ADDR - - {REQUEST} "-" "-" 3 0.1 [ADDR] [] BARE, BARE 0, 5 0.1 200 a3c1'),
    ("upstreaminfo", f'ADDR - - {REQUEST} "-" "-" ADDR 0.1 [] [] 192.0.2.5:80 5 ADDR 200 ADDR'),
    (
        '$remote_addr $time_local "$http_x_custom" "$http_cookie" "$upstream_addr" $request_id',
        f'ADDR {TIME[1:-1]} "for=ADDR;by=x" "a=ADDR; b" "192.0.2.5:80, BARE : BARE" ADDR',
    ),
    (
        'log_format x escape=json \'{"t":$msec,"c":"$remote_addr","x":"$http_x"}\';',
        '{"t":971211336.250,"c":"ADDR","x":"[\\"ADDR\\",{\\"a\\":\\"ADDR\\"}]"}',
    ),
    ("$msec $http_x_forwarded_for - $remote_user [$host]", "971211336.250 ADDR, ADDR - ADDR [h]"),
    ('$msec "$my_map" "$request"', '971211336.250 "ADDR" "GET /whois/ADDR HTTP/1.1"'),
    (
        "error",
        "2026/10/10 13:55:36 [error] 1#1: *9 no luck with ADDR, client: ADDR, server: example.com,"
        ' request: "GET /whois/ADDR HTTP/1.1", upstream: "http://192.0.2.5:80/whois/ADDR",'
        ' host: "example.com", referrer: "https://example.com/ADDR"',
    ),
    ("error", "2026/10/10 13:55:36 [info] 1#1: *9 ADDR closed keepalive, client: x ADDR"),
)
VISITORS = st.one_of(
    st.integers(1, 255).map(lambda number: IPv4Address(f"203.0.113.{number}")),
    st.integers(1, 2**64 - 1).map(lambda number: IPv6Address((0x20010DB8 << 96) + number)),
)
SPELLINGS = ("%s", "%s", "[%s]", "[%s]:51234", "::ffff:%s")


def texts_in(value: object) -> Iterator[str]:
    """Yield all texts within a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from (str(name), *texts_in(item))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)


@cache
def disguising(how: str) -> Enrichment:
    """Return an enrichment; to make one takes far longer than to read a line with it."""
    settings = Environment({"PRIVACY_ADDRESSES": how, "PRIVACY_KEY": "a key"})
    return enrichment(EnrichmentSettings.read(settings))


@pytest.mark.parametrize("how", ["truncated", "hashed"])
@given(
    visitor=VISITORS,
    line=st.sampled_from(LINES),
    prefix=st.sampled_from(PREFIXES),
    spelling=st.sampled_from(SPELLINGS),
)
def test_no_text_of_a_row_holds_a_visitor_s_address(
    how: str, visitor: IPv4Address | IPv6Address, line: tuple[str, str], prefix: str, spelling: str
) -> None:
    """Wherever it stood in a line, whether the line fits its format or half-way."""
    form, text = line
    if isinstance(visitor, IPv6Address) and "ffff" in spelling:
        spelling = "%s"
    written = (prefix + text).replace("ADDR", spelling.replace("%s", str(visitor)))
    written = written.replace("BARE", str(visitor))
    stream = Stream(9, "test", "host", "/var/log/access.log", form, 0)
    slice_ = Slice(stream, 0, written.encode(), 1, 0, read_at_ms=0)

    found = asdict(parse(slice_, disguising(how))) | {"slice": None}

    assert str(visitor) not in "\n".join(texts_in(found))
    assert visitor.packed not in [value for row in found["clean"] for value in row]


def test_the_site_s_own_servers_stay_where_the_line_is_whole() -> None:
    """What has a port in a list of upstream servers, and what nginx says of itself."""
    extra: dict[str, object] = {
        "upstream_addr": ["192.0.2.5:8080", "[2001:db8::5]:80", "unix:/run/x", None, "203.0.113.9"],
        "server_addr": "192.0.2.10",
        "http_host": "192.0.2.10:80",
        "connection": 7,
    }
    whole = event()._replace(extra=extra, url="/192.0.2.7", user="192.0.2.7")
    shifted = whole._replace(client=None)
    disguise = LineDisguise(truncated, drops_queries=False)

    kept = privacy.without_traces(whole, disguise)
    shifted_kept = privacy.without_traces(shifted, disguise)

    assert isinstance(kept, Event)
    assert isinstance(shifted_kept, Event)
    assert (kept.url, kept.user) == ("/192.0.2.7", "192.0.2.0")
    upstreams = ["192.0.2.5:8080", "[2001:db8::5]:80", "unix:/run/x", None, "203.0.113.0"]
    assert kept.extra == extra | {"upstream_addr": upstreams}
    assert (shifted_kept.url, shifted_kept.user) == ("/192.0.2.0", "192.0.2.0")
    assert shifted_kept.extra == {
        "upstream_addr": [
            *("192.0.2.0:8080", "[2001:db8::]:80", "unix:/run/x", None, "203.0.113.0"),
        ],
        "server_addr": "192.0.2.0",
        "http_host": "192.0.2.0:80",
        "connection": 7,
    }


def test_a_text_that_was_cut_within_an_address_ends_before_it() -> None:
    """And one that hashes make longer keeps to its limit."""
    long = "x" * (LIMITS["user"] - 8) + " 192.0.2"
    cut: dict[str, object] = {"http_x": "y" * (EXTRA_LIMIT - 11) + " 2001:db8:1", "cut": ["http_x"]}
    found = event()._replace(user=long, extra=cut | {"cut": ["user", "http_x"]})
    many = event()._replace(user="192.0.2.77 " * 23)

    kept = privacy.without_traces(found, LineDisguise(truncated, drops_queries=False))
    hashes = privacy.without_traces(many, LineDisguise(hashed("a key"), drops_queries=False))

    assert isinstance(kept, Event)
    assert isinstance(hashes, Event)
    assert kept.user == long.removesuffix("192.0.2")
    assert kept.extra == {"http_x": "y" * (EXTRA_LIMIT - 11) + " ", "cut": ["user", "http_x"]}
    assert len(hashes.user or "") == LIMITS["user"]
    assert "192.0.2.77" not in str(hashes.user)


def test_queries_that_are_dropped_are_dropped_whole() -> None:
    """The search for addresses leaves their question marks, at which the texts are cut."""
    extra: dict[str, object] = {"request": "BREW /x?token=my secret HTCPCP/1.0"}
    shifted = event()._replace(client=None, url="/x?token=my secret", extra=extra)
    made = enrichment(EnrichmentSettings.read(Environment({"PRIVACY_QUERIES": "drop"})))

    found: privacy.AnyEvent = shifted
    for keep in made.private:
        found = keep(found)

    assert isinstance(found, Event)
    assert (found.url, found.extra) == ("/x", {"request": "BREW /x"})
