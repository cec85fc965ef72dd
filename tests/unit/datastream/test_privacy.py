"""Addresses and query strings in lines of any kind: found, disguised, and nothing else touched."""

from __future__ import annotations

import json
import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datastream import privacy
from datastream.parsing.values import unmapped
from datastream.privacy import Disguise, LineDisguise, but_hashes, hashed, skeleton, truncated
from parsed import access_parser
from steps import Steps

HASHED = hashed("a key")
BOTH = LineDisguise(truncated, drops_queries=True)
NETWORKS = LineDisguise(truncated, drops_queries=False)
HASHES = LineDisguise(HASHED, drops_queries=False)
QUERIES = LineDisguise(None, drops_queries=True)

#: What lines are made of that are hard to read.
PARTS = (
    *(b"192.0.2.77", b"2001:db8::1", b"1:2:3:4:5:6:7:8", b"::ffff:192.0.2.9", b"::", b":", b"."),
    *(b"1", b"f", b"g", b" ", b"?", b'"', b"\\", b"\\x22", b"%20", b"%", b",", b", ", b"[", b"]"),
    *(b"/", b"Chrome/", b"rv:", b"a=b", b' HTTP/1.1"', b'"GET /', b"\\n", b"\\u0022", b"-"),
    *(b"host:", b"50000", b"\0", b"\xff", b"x", b"https://"),
)
LINES = st.lists(st.sampled_from(PARTS), max_size=14).map(b"".join)


def shown(address: str) -> bytes:
    """Return the text that stands in an address's place."""
    return str(ip_address(HASHED(ip_address(address).packed))).encode()


@pytest.mark.parametrize(
    ("client", "kept"),
    [
        ("192.0.2.77", "192.0.2.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::ffff:192.0.2.77", "192.0.2.0"),
    ],
)
def test_a_truncated_address_is_its_network(client: str, kept: str) -> None:
    """The last byte of IPv4, and all but three groups of IPv6, are gone."""
    assert truncated(ip_address(client).packed) == ip_address(kept).packed


def test_a_hashed_address_is_the_same_each_time_and_no_visitor_s() -> None:
    """Visitors can be counted; the address is one of a range that nobody on the internet has."""
    one, other = hashed("a key"), hashed("another key")
    clients = [ip_address(f"192.0.2.{number}").packed for number in range(256)]
    hidden = [one(client) for client in clients]

    assert hidden == [hashed("a key")(client) for client in clients]
    assert len(set(hidden)) == 256
    assert set(hidden).isdisjoint(map(other, clients))
    assert all(ip_address(client) in ip_network("fd00::/8") for client in hidden)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (
            b"192.0.2.77 - - [10/Oct/2026:13:55:36 +0200]",
            b"192.0.2.0 - - [10/Oct/2026:13:55:36 +0200]",
        ),
        (b"x, client: 192.0.2.77, server: a", b"x, client: 192.0.2.0, server: a"),
        (b"client 2001:db8:1:2::77: gone", b"client 2001:db8:1::: gone"),
        (b'"192.0.2.77, 198.51.100.7,2001:db8::1"', b'"192.0.2.0, 198.51.100.0,2001:db8::"'),
        (
            b'{"ip":"192.0.2.77","v6":"2001:DB8:1:2:3:4:5:6"}',
            b'{"ip":"192.0.2.0","v6":"2001:db8:1::"}',
        ),
        (b"192.0.2.77:8080 [2001:db8:1:2::7]:443", b"192.0.2.0:8080 [2001:db8:1::]:443"),
        (b"2001:db8:1:2:3:4:5:6:50000", b"2001:db8:1:::50000"),
        (b"host:192.0.2.77\txff:2001:db8:1:2::7", b"host:192.0.2.0\txff:2001:db8:1::"),
        (rb"for=\x22192.0.2.77\x22 %20192.0.2.77", rb"for=\x22192.0.2.0\x22 %20192.0.2.0"),
        (rb"\x222001:db8:1:2::7\x22", rb"\x222001:db8:1::\x22"),
        (b"::ffff:192.0.2.77 x", b"::ffff:192.0.2.0 x"),
        (b"::FFFF:c000:24d [::ffff:192.0.2.77]:80", b"::ffff:192.0.2.0 [::ffff:192.0.2.0]:80"),
        (b"::ffff:192.0.2.77:8080", b"::ffff:192.0.2.0:8080"),
        (b"http://192.0.2.77/whois/198.51.100.7", b"http://192.0.2.0/whois/198.51.100.0"),
        (b"\xff192.0.2.77\0 ip_192.0.2.77", b"\xff192.0.2.0\0 ip_192.0.2.0"),
        (b"192.0.2.77.example.com", b"192.0.2.0.example.com"),
    ],
)
def test_addresses_are_found_wherever_they_are(line: bytes, kept: bytes) -> None:
    """Whatever the format is, and whether or not the line fits it."""
    assert NETWORKS(line) == kept


@pytest.mark.parametrize(
    "line",
    [
        b"Mozilla/5.0 (X11; rv:1.8.1.13) Chrome/120.0.0.9 Edg/120.0.2210.91",
        b'"Opera/1.2.3.4"',
        b"1.3.6.1.4.1 1.2.3.4.5 v1.2.3.4 300.1.1.1 1.2.3",
        b"10/Oct/2026:13:55:36 00:11:22:33:44:55 13:55:36.123",
        b"Some::Module::Name std::string 4bf92f3577b34da6",
        b"",
    ],
)
def test_what_is_no_address_stays(line: bytes) -> None:
    """Versions, times, names of modules and hardware addresses."""
    assert NETWORKS(line) == HASHES(line) == line


def test_a_hash_is_that_of_the_clean_side_and_reads_as_an_address() -> None:
    """In brackets where a port or the like would run into it."""
    v4 = shown("192.0.2.77")

    assert ip_address(v4.decode()) in ip_network("fd00::/8")
    assert HASHES(b"192.0.2.77 - -") == v4 + b" - -"
    assert HASHES(b"2001:db8::1,") == shown("2001:db8::1") + b","
    assert HASHES(b"192.0.2.77:80 http://192.0.2.77/") == b"[%b]:80 http://[%b]/" % (v4, v4)
    assert HASHES(b"fd00::1") == shown("fd00::1")  # a visitor within a site


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b'"GET /x?token=secret HTTP/1.1" 200', b'"GET /x HTTP/1.1" 200'),
        (b'"GET /x?token=my secret HTTP/1.1" 200', b'"GET /x HTTP/1.1" 200'),
        (b'"GET /a b?c=1 d HTTP/1.1" 200', b'"GET /a b HTTP/1.1" 200'),
        (b'"https://example.org/?q=my, secret" "UA"', b'"https://example.org/" "UA"'),
        (rb'"GET /x?q=\x22secret\x22 HTTP/1.0" 200', b'"GET /x HTTP/1.0" 200'),
        (rb'{"r":"GET /x?q=\"se cret\" HTTP/2.0","u":"/x?1"}', b'{"r":"GET /x HTTP/2.0","u":"/x"}'),
        (b"GET /x?a=1,2 HTTP/1.1", b"GET /x HTTP/1.1"),
        (b"no luck?, client: a", b"no luck, client: a"),
        (b'open() "/srv/x?y" failed (what? no)', b'open() "/srv/x" failed (what no)'),
        (
            b'"Mozilla/5.0 (bot; http://example.com/?a=1) x"',
            b'"Mozilla/5.0 (bot; http://example.com/ x"',
        ),
        (b'"GET /x?cut', b'"GET /x'),
        (b'"GET /x HTTP/1.1" "-"', b'"GET /x HTTP/1.1" "-"'),
    ],
)
def test_query_strings_are_dropped(line: bytes, kept: bytes) -> None:
    """A request keeps its version; an escaped quote is part of the query, and does not end it."""
    assert QUERIES(line) == kept


def in_docker(line: bytes) -> bytes:
    """Return a line in a record of Docker's json-file."""
    text = json.dumps(f"{line.decode('latin-1')}\n")
    return b'{"log":%b,"stream":"stdout","time":"2026-11-29T17:40:03.1Z"}' % text.encode()


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (
            rb'2001:db8::7 - - "GET /x?a=b c HTTP/1.1" 200 5 "https://example.org/?q=\x22" "UA"',
            rb'fd0 - - "GET /x HTTP/1.1" 200 5 "https://example.org/" "UA"',
        ),
        (rb'{"ip":"192.0.2.77","u":"/x?\"1\" 2","a":""}', rb'{"ip":"fd0","u":"/x","a":""}'),
        (b'198.51.100.7 "/a?b" "UA <x>"', b'fd0 "/a" "UA <x>"'),
    ],
)
def test_a_line_in_a_record_of_docker(line: bytes, kept: bytes) -> None:
    """It is disguised as the line that it is; the record stays one."""
    disguise = LineDisguise(lambda _client: b"\xfd" + bytes(15), drops_queries=True)
    record = in_docker(line)
    found = json.loads(disguise(record))

    assert found.pop("log") == f"{kept.replace(b'fd0', b'fd00::').decode()}\n"
    assert record.endswith(json.dumps(found, separators=(",", ":")).removeprefix("{").encode())
    own = b'{"log":"GET /x?a b HTTP/1.1","n":1}'
    assert BOTH(own) == b'{"log":"GET /x HTTP/1.1","n":1}'
    untouched = b'{"log":"a \\u003cb\\u003e \\\\x22 \\"c\\"\\u0009\\r\\n","stream":"stdout"}'
    assert BOTH(untouched) == untouched
    for end in range(len(record)):
        assert QUERIES(record).startswith(QUERIES(record[:end], is_cut=True))


@settings(deadline=None)
@given(LINES | LINES.map(in_docker))
@example(b"\\2001:db8::1")
@example(b"192.0.2.77[")
@example(rb"\x22192.0.2.77:2001:db8::1")
@example(b"192.0.2.77::ffff:192.0.2.9")
@example(b"::192.0.2.77host:")
@example(b'"?"::ffff:192.0.2.9')
def test_done_twice_is_done_once_and_the_skeleton_stays(line: bytes) -> None:
    """What was disguised is not disguised again; whichever disguise it was, it is the same line."""
    for drops in (True, False):
        for first, second in ((truncated, truncated), (HASHED, but_hashes(HASHED)), (None, None)):
            kept = LineDisguise(first, drops_queries=drops)(line)

            assert LineDisguise(second, drops_queries=drops)(kept) == kept
            assert skeleton(kept) == skeleton(line)


@settings(deadline=None)
@given(st.binary())
def test_any_bytes(line: bytes) -> None:
    """No line is too odd, and no newline comes out of one."""
    assert BOTH(line).count(b"\n") <= line.count(b"\n")
    assert b"?" not in BOTH(line)


@settings(deadline=None)
@given(st.ip_addresses(), st.sampled_from(["%b -", "client: %b,", '"%b"', "[%b]:80", "for=%b;"]))
def test_no_address_is_left(address: object, around: str) -> None:
    """Each in its usual spelling and usual surroundings."""
    line = around.replace("%b", str(address)).encode()

    assert HASHES(line) == around.encode().replace(b"%b", shown(str(address)))


@settings(deadline=None)
@given(LINES | LINES.map(in_docker), st.integers(0, 200))
def test_the_beginning_of_a_line_is_the_beginning_of_what_is_kept(line: bytes, end: int) -> None:
    """So that the whole line may replace its beginning."""
    assert QUERIES(line).startswith(QUERIES(line[:end], is_cut=True))


@pytest.mark.parametrize("fragment", [b"192.0.2", b"192.0.2.", b"2001:db8:1", b"2001:db8:1:2:3:4"])
def test_half_an_address_is_not_kept(fragment: bytes) -> None:
    """At the end of a line that was cut; a whole one is disguised."""
    assert HASHES(b"a " + fragment, is_cut=True) == b"a "
    assert HASHES(b"a 192.0.2.77", is_cut=True) == b"a " + shown("192.0.2.77")
    assert HASHES(b"took 0.123", is_cut=True) == b"took 0.123"


@pytest.mark.parametrize(
    "repeated", [*PARTS, b"1.", b"1:", b"f:", b"::1", b'"a', b"?,", b"1.1.1.1:"]
)
@pytest.mark.parametrize(
    "name", ["_IPV4", "_RUN", "_VALUES", "_VALUES_OF_CUT", "_QUERY", "_RECORD"]
)
def test_a_hostile_line_takes_steps_in_proportion(name: str, repeated: bytes) -> None:
    """Each pattern is tried from every place where the one before ended: counted, not timed."""
    pattern = getattr(privacy, name)

    def steps(times: int) -> int:
        text = (repeated * times).decode("latin-1")
        counted = Steps(pattern.pattern.decode("latin-1"), pattern.flags & ~re.ASCII)
        place = 0
        while place < len(text):
            found = counted.end(text, place)
            place = place + 1 if found is None or found == place else found
        return counted.taken

    one, two, four = (steps(20 * times) for times in (1, 2, 4))
    assert four - two <= 2.5 * (two - one) + 100


#: How a client may be written, around its address.
SPELLED = ("%s", "[%s]", "[%s]:51234", '"%s"', '"[%s]:51234"')


@settings(deadline=None)
@given(
    st.ip_addresses(),
    st.sampled_from(SPELLED),
    st.booleans(),
    st.sampled_from([truncated, HASHED]),
)
@example(ip_address("203.0.113.9"), "%s", True, truncated)
def test_a_disguised_line_s_client_is_the_disguised_client(
    address: IPv4Address | IPv6Address, spelled: str, is_mapped: bool, disguise: Disguise
) -> None:
    """Whichever of the two is done first, and however the address is spelled."""
    text = f"::ffff:{address}" if is_mapped and isinstance(address, IPv4Address) else str(address)
    rest = b' - - [10/Oct/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 512'
    line = spelled.replace("%s", text).encode() + rest
    parse = access_parser("common")
    client = parse(line).client

    assert client is not None
    assert client == unmapped(address.packed)
    assert parse(LineDisguise(disguise, drops_queries=False)(line)).client == disguise(client)


def test_the_hash_of_an_address_within_ipv6_is_that_of_the_address() -> None:
    """So all visitors of a server that listens to both are told apart, and each is one."""
    mapped, alone = ip_address("::ffff:192.0.2.77").packed, ip_address("192.0.2.77").packed

    assert HASHED(mapped) == HASHED(alone)
    assert but_hashes(HASHED)(mapped) == HASHED(alone)
    assert truncated(mapped) == truncated(alone)
    assert HASHES(b"::ffff:192.0.2.77 - -") == shown("192.0.2.77") + b" - -"
