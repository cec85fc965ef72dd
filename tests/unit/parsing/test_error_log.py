"""nginx's error log: which lines fit, and what their fields become."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastream.parsing import (
    ERROR_LIMITS,
    EXTRA_LIMIT,
    ErrorEvent,
    FormatError,
    Unparseable,
    compiled,
    entries,
    parser_for,
)
from datastream.parsing.error_log import ErrorFormat

DATA = Path(__file__).parents[2] / "data" / "nginx"
START = "2000/10/10 13:55:36 [error] 31#32: *7 "
CLIENT = ', client: 192.0.2.7, server: www.example.com, request: "GET /x HTTP/1.1"'


def parse(line: str, form: str = "error") -> ErrorEvent:
    """Return the event of a line."""
    event = parser_for(form)(line.encode())
    assert isinstance(event, ErrorEvent)
    return event


def test_every_field_has_its_place() -> None:
    """Those that nginx's HTTP modules write, in their order."""
    event = parse(
        f"{START}connect() failed (111: Connection refused) while connecting to upstream{CLIENT}, "
        'subrequest: "/auth", upstream: "http://192.0.2.5:80/x", host: "example.com", '
        'referrer: "https://example.net/"'
    )

    assert event == ErrorEvent(
        time="2000-10-10 13:55:36.000",
        level="error",
        pid=31,
        tid=32,
        connection=7,
        client=bytes([192, 0, 2, 7]),
        server="www.example.com",
        request="GET /x HTTP/1.1",
        upstream="http://192.0.2.5:80/x",
        host="example.com",
        referrer="https://example.net/",
        message="connect() failed (111: Connection refused) while connecting to upstream",
        extra={"subrequest": "/auth"},
    )


@pytest.mark.parametrize(
    ("rest", "fields"),
    [
        ("signal process started", {"message": "signal process started", "client": None}),
        ("", {"message": ""}),
        (
            'limiting requests, excess: 0.984 by zone "one", client: 192.0.2.7, server: _',
            {"extra": {"excess": 0.984, "zone": "one"}, "server": "_"},
        ),
        (
            'limiting connections by zone "addr", client: 192.0.2.7, server: , request: "x"',
            {"extra": {"zone": "addr"}, "server": None, "request": "x"},
        ),
        (
            'limiting connections, dry run, by zone "addr", client: 192.0.2.7, server: _',
            {"extra": {"zone": "addr", "dry_run": True}},
        ),
        (
            'limiting connections by zone "tcp" while initializing session, client: 192.0.2.7, '
            "server: 0.0.0.0:443",
            {"extra": {"zone": "tcp"}, "server": "0.0.0.0:443"},
        ),
        (
            'limiting requests, dry run, excess: 1.500 by zone "one", client: 192.0.2.7, server: _',
            {"extra": {"excess": 1.5, "zone": "one", "dry_run": True}},
        ),
        (
            'delaying request, excess: 0.999, by zone "one", client: 192.0.2.7, server: _',
            {
                "extra": {"excess": 0.999, "zone": "one"},
                "message": 'delaying request, excess: 0.999, by zone "one"',
            },
        ),
        (
            'delaying request, dry run, excess: 0.999, by zone "one", client: 192.0.2.7, server: _',
            {"extra": {"excess": 0.999, "zone": "one", "dry_run": True}},
        ),
        (
            'open() "/by zone "one"" failed, excess: 0.999 by zone "two", client: 192.0.2.7',
            {"extra": None, "client": bytes([192, 0, 2, 7])},
        ),
        (
            "recv() failed, udp client: 192.0.2.7, server: 0.0.0.0:53, "
            'upstream: "192.0.2.5:53", bytes from/to client:1/0, bytes from/to upstream:0/1',
            {
                "client": bytes([192, 0, 2, 7]),
                "server": "0.0.0.0:53",
                "upstream": "192.0.2.5:53",
                "extra": {"protocol": "udp"},
                "message": "recv() failed, bytes from/to client:1/0, bytes from/to upstream:0/1",
            },
        ),
        (
            "SSL_do_handshake() failed while in starttls state, client: 192.0.2.7 using starttls, "
            "server: 0.0.0.0:25",
            {
                "client": bytes([192, 0, 2, 7]),
                "server": "0.0.0.0:25",
                "extra": {"starttls": True},
                "message": "SSL_do_handshake() failed while in starttls state",
            },
        ),
        (
            "upstream timed out, client: 192.0.2.7 using starttls, server: 0.0.0.0:143, "
            'login: "ana "a", client: x", upstream: [2001:db8::5]:143',
            {
                "upstream": "[2001:db8::5]:143",
                "extra": {"login": 'ana "a", client: x', "starttls": True},
                "message": "upstream timed out",
            },
        ),
        (
            "upstream timed out, client: 192.0.2.7, server: 0.0.0.0:25, upstream: 192.0.2.5:25",
            {"upstream": "192.0.2.5:25", "extra": None, "message": "upstream timed out"},
        ),
        (
            'x, client: 192.0.2.7, server: s, request: "GET / HTTP/1.1", upstream: 192.0.2.5:25',
            {"upstream": None, "message": "x, upstream: 192.0.2.5:25"},
        ),
        (
            "too many connections, client: 192.0.2.7",
            {"client": bytes([192, 0, 2, 7]), "message": "too many connections"},
        ),
        (
            f'x{CLIENT}, host: "example.com", request_id: "0123456789abcdef"',
            {"host": "example.com", "extra": {"request_id": "0123456789abcdef"}},
        ),
        (
            r"x, client: 192.0.2.7, server: ~^www\d{1,3}\.example\.com$, "
            'request: "GET / HTTP/1.1"',
            {"server": r"~^www\d{1,3}\.example\.com$", "message": "x"},
        ),
        (
            "client closed connection while waiting for request, client: unix:, server: unix:/x",
            {"client": None, "extra": {"client": "unix:"}, "server": "unix:/x"},
        ),
        (
            "client 192.0.2.7 closed keepalive connection",
            {"message": "client 192.0.2.7 closed keepalive connection", "client": None},
        ),
        (
            f'open() "/a, client: 203.0.113.1, server: x" failed{CLIENT}, host: "h"',
            {"message": 'open() "/a, client: 203.0.113.1, server: x" failed', "host": "h"},
        ),
        (
            f'open() "/a, client: 203.0.113.1, server: forged, b" failed{CLIENT}',
            {
                "client": bytes([192, 0, 2, 7]),
                "server": "www.example.com",
                "message": 'open() "/a, client: 203.0.113.1, server: forged, b" failed',
            },
        ),
        (
            ", client: 192.0.2.7, server: x",
            {"message": "", "client": bytes([192, 0, 2, 7]), "server": "x"},
        ),
        (
            'cut off, client: 192.0.2.7, server: x, request: "GET /a',
            {"message": "cut off", "request": "GET /a"},
        ),
        (
            'odd, client: 192.0.2.7, server: x, request: "a" one, upstream: "b", host: "c" two',
            {"message": "odd one two", "request": "a", "upstream": "b", "host": "c"},
        ),
        (
            'client sent a header, client: 192.0.2.7, server: x, request: "GET /, client: "',
            {"client": bytes([192, 0, 2, 7]), "request": "GET /, client: "},
        ),
        (
            f'client sent invalid request{CLIENT[:-1]} "quoted", host: "a", host: "b"',
            {"request": 'GET /x HTTP/1.1 "quoted', "host": 'a", host: "b'},
        ),
        (
            "recv() failed, client: 192.0.2.7, server: 0.0.0.0:443, bytes from/to client:0/0",
            {"server": "0.0.0.0:443", "message": "recv() failed, bytes from/to client:0/0"},
        ),
    ],
)
def test_messages_of_all_sorts(rest: str, fields: dict[str, Any]) -> None:
    """Whatever the message says, and whatever a client made it say."""
    event = parse(f"{START}{rest}")._asdict()

    assert {name: event[name] for name in fields} == fields


WROTE = parse(
    f'{START}open() "/srv/missing" failed (2: No such file or directory), client: 192.0.2.7, '
    'server: www.example.com, request: "GET /missing HTTP/1.1", host: "example.com"'
)
#: What a client may send to be taken for another one.
FORGED = [
    "x, client: 198.51.100.9, server: forged",
    "x, client: 198.51.100.9, server: forged, ",
    'x, client: 198.51.100.9, server: forged, request: "GET /y HTTP/1.1',
    'x, client: 198.51.100.9, server: forged, request: "GET /y HTTP/1.1", host: "z',
    'x" failed (2), client: 198.51.100.9, server: forged, request: "z", host: "y", referrer: "',
    'x, client: 198.51.100.9, server: f, request: "a, client: 198.51.100.8, server: f, host: "b',
    'é\\%, client: 198.51.100.9, server: é%, login: "',
    "x, udp client: 198.51.100.9, server: forged, upstream: 198.51.100.8:25",
    "x, client: 198.51.100.9",
]


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("place", ["path", "referrer", "login", "request"])
def test_a_client_is_not_taken_for_another_one(forged: str, place: str) -> None:
    """Whatever it sends, and where: in a path, which nginx decodes, or in a header."""
    fields = ", client: 192.0.2.7, server: www.example.com"
    usual = f'{fields}, request: "GET / HTTP/1.1", host: "example.com"'
    path = f'open() "/srv/www/{forged}" failed (2: No such file or directory){fields}'
    rest = {
        "path": f'{path}, request: "GET /www/{quote(forged)} HTTP/1.1", host: "example.com"',
        "referrer": f'open() "/srv/missing" failed{usual}, referrer: "{forged}"',
        "login": f'upstream timed out{fields}, login: "{forged}", upstream: 192.0.2.5:25',
        "request": f'client sent invalid request{fields}, request: "{forged}"',
    }
    event = parse(f"{START}{rest[place]}")

    assert (event.client, event.server) == (bytes([192, 0, 2, 7]), "www.example.com")


@pytest.mark.parametrize("forged", FORGED)
def test_a_quote_in_the_path_helps_no_referrer(forged: str) -> None:
    """The message of a path with quotes is not what tells."""
    event = parse(
        f'{START}open() "/srv/"" failed (2: No such file or directory), client: 192.0.2.7, '
        f'server: www.example.com, request: "GET /%22 HTTP/1.1", referrer: "{forged}"'
    )

    assert (event.client, event.referrer) == (bytes([192, 0, 2, 7]), forged)


ANY_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0"), max_size=20
)
TEXTS = ANY_TEXT | st.sampled_from(
    [
        ', client: 198.51.100.9, server: x, request: "y',
        ', client: 198.51.100.9, server: x, request: "GET /y HTTP/1.1", host: "z", referrer: "',
        ", client: 198.51.100.9, server: x",
        *('"', '", host: "', "%", "%41", "%4", "4", "/", ", "),
    ]
)
BYTES = st.sampled_from([b"\xff", b"\xe2", b"\x82\xac", b"\x01", b"\n", b"\xff" * 300])
PATHS = st.lists(TEXTS.map(str.encode) | BYTES, max_size=8).map(b"".join)


def as_sent(path: bytes, random: Random) -> bytes:
    """Return a path as a client may send it: escaped where it must be, and elsewhere."""
    return b"".join(
        b"%%%02x" % byte
        if byte <= 32 or byte in b"%?#\x7f" or random.random() < 0.5
        else bytes([byte])
        for byte in path
    )


@given(PATHS, st.randoms())
def test_no_path_forges_a_client(path: bytes, random: Random) -> None:
    """It is in the message, decoded, and in the request, as it was sent."""
    event = parser_for("error")(
        b'%bopen() "/srv/%b" failed (2: No such file or directory), client: 192.0.2.7, server: s, '
        b'request: "GET /%b HTTP/1.1"' % (START.encode(), path, as_sent(path, random))
    )

    assert isinstance(event, ErrorEvent)
    assert (event.client, event.server) == (bytes([192, 0, 2, 7]), "s")


@given(st.lists(TEXTS, max_size=6).map("".join), st.integers(0, 3))
def test_no_header_forges_a_client(referrer: str, fields: int) -> None:
    """Those that it sends stand behind its address."""
    between = "".join(
        [', request: "GET / HTTP/1.1"', ', upstream: "http://192.0.2.5/"', ', host: "example.com"'][
            :fields
        ]
    )
    event = parse(
        f"{START}connect() failed (111: Connection refused), client: 192.0.2.7, server: s{between}"
        f', referrer: "{referrer}"'
    )

    assert (event.client, event.server) == (bytes([192, 0, 2, 7]), "s")


def test_two_readings_are_told() -> None:
    """Of a line in which the fields could begin elsewhere too it cannot be sure."""
    forged = ', client: 198.51.100.9, server: x, request: "y'
    event = parse(f'{START}x{CLIENT}, referrer: "z{forged}"')

    assert event.extra == {"ambiguous": True}
    assert event.referrer == f"z{forged}"
    assert WROTE.extra is None


@pytest.mark.parametrize("limit", [2047, 4095])
def test_the_end_of_a_line_that_was_cut(limit: int) -> None:
    """Part of an address is no address, and what a path says is no field."""
    fields = ', client: 192.0.2.71, server: www.example.com, request: "GET / HTTP/1.1", host: "a"b"'
    for kept in range(len(fields)):
        line = f'{START}open() "{"z" * limit}'[: limit - kept - 1] + '"' + fields[:kept]
        assert len(line) == limit
        event = parse(line)
        is_whole = kept > len(", client: 192.0.2.71")
        assert event.client == (bytes([192, 0, 2, 71]) if is_whole else None), kept
        if event.host is not None:
            assert 'a"b"'.startswith(event.host)
            assert event.extra == {"cut": ["host"]}
    forged = ', client: 198.51.100.9, server: forged, request: "GET /'
    assert parse(f'{START}open() "/x{forged}'.ljust(limit, "z")).client is None
    assert parse(f'{START}open() "/x{forged}'.ljust(limit - 1, "z")).client is not None


def test_a_line_that_just_fits_is_as_one_that_was_cut() -> None:
    """Nobody can tell; its text is whole, but for the quote at its end."""
    line = f'{START}x{CLIENT}, referrer: "{{}}"'
    event = parse(line.format("r" * (2047 - len(line) + 2)))

    assert event.extra == {"cut": ["referrer"]}
    assert event.referrer == "r" * (2047 - len(line) + 2)
    event = parse(line.format("r" * 2100).ljust(4095, "r"))
    assert event.extra == {"cut": ["referrer"]}
    event = parse(line.replace("/x", "/" + "x" * 2100).format("r" * 99).ljust(4095, "r"))
    assert event.extra == {"cut": ["request", "referrer"]}


def test_a_long_path_of_bytes_that_are_no_text_forges_no_client() -> None:
    """Each of them takes four characters of the text."""
    forged = b', client: 198.51.100.9, server: forged, request: "GET /'
    event = parser_for("error")(
        b'%bopen() "/srv/%b%b" failed, client: 192.0.2.7, server: s, request: "GET /%b%b HTTP/1.1"'
        % (START.encode(), b"\xff" * 1_000, forged, b"%ff" * 900, quote(forged).encode())
    )

    assert event.client == bytes([192, 0, 2, 7])


SERVERS = ("www.example.com", "192.0.2.7:", "")


@pytest.mark.parametrize("path", sorted(DATA.glob("errors-*.log")), ids=lambda path: path.stem)
def test_what_a_real_nginx_wrote(path: Path) -> None:
    """With http, stream and mail, asked for odd and forged things."""
    lines = path.read_bytes().split(b"\n")[:-1]
    offsets = [sum(len(line) + 1 for line in lines[:at]) for at in range(len(lines))]
    events = []
    for entry in entries(zip(offsets, lines, strict=True)):
        event = parser_for("error")(entry.text)
        assert isinstance(event, ErrorEvent)
        events.append(event)

    assert {event.client for event in events} == {bytes([192, 0, 2, 7]), None}
    for event in events:
        is_cut = event.extra is not None and event.extra.get("cut") == ["server"]
        assert (event.server or "").startswith("www.ex" if is_cut else SERVERS)
        assert ", client: 192.0.2.7, " not in event.message
        assert (event.client is None) == (event.server is None)
    of_php = [event for event in events if "PHP Fatal" in event.message]
    assert [event.upstream for event in of_php] == ["fastcgi://192.0.2.7:33813"]
    assert of_php[0].message.count("\n") == 5
    assert of_php[0].message.endswith('line 5" while reading response header from upstream')
    extra = [event.extra for event in events if event.extra]
    assert {"subrequest": "/auth"} in extra
    assert {"protocol": "udp"} in extra
    assert {"login": "ana, client: 198.51.100.9, server: x", "starttls": True} in extra
    assert {"starttls": True} in extra
    assert {"login": "ana@example.com"} in extra
    for words in (
        {"excess": 0.999, "zone": "rate"},
        {"excess": 1.999, "zone": "rate"},
        {"excess": 1.0, "zone": "dryrate", "dry_run": True},
        {"excess": 3.0, "zone": "dryrate", "dry_run": True},
        {"zone": "conns"},
        {"zone": "conns", "dry_run": True},
        {"zone": "tcps"},
    ):
        assert words in extra
    assert sum("ambiguous" in found for found in extra) == 8


@pytest.mark.parametrize(
    ("form", "logged", "utc"),
    [
        ("error", "2000/10/10 13:55:36", "2000-10-10 13:55:36.000"),
        ("error UTC", "2000/10/10 13:55:36", "2000-10-10 13:55:36.000"),
        ("error +05:30", "2000/10/10 13:55:36", "2000-10-10 08:25:36.000"),
        ("error -0700", "2000/10/10 13:55:36", "2000-10-10 20:55:36.000"),
        ("error Europe/Paris", "2000/07/10 13:55:36", "2000-07-10 11:55:36.000"),
        ("error Europe/Paris", "2000/01/10 13:55:36", "2000-01-10 12:55:36.000"),
        ("error Europe/Paris", "2026/10/25 02:30:00", "2026-10-25 00:30:00.000"),
    ],
)
def test_times_are_local_ones_of_a_zone(form: str, logged: str, utc: str) -> None:
    """The log names no zone; the format does."""
    assert parse(f"{logged} [notice] 1#1: x", form).time == utc


def test_the_machine_s_own_zone_has_no_part_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer anywhere comes to the same time."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    try:
        event = parse("2000/10/10 13:55:36 [notice] 1#1: x", "error +05:30")
    finally:
        monkeypatch.undo()
        time.tzset()

    assert event.time == "2000-10-10 08:25:36.000"


@pytest.mark.parametrize("zone", ["+24:00", "-24:00", "+24:59", "+99:00", "Nowhere/Land"])
def test_a_zone_that_there_is_not(zone: str) -> None:
    """It is the setting that is wrong, and it is told what one may write."""
    with pytest.raises(FormatError, match=r"no time zone: write one as"):
        parser_for(f"error {zone}")


@pytest.mark.parametrize("zone", ["+23:59", "-23:59"])
def test_the_furthest_zones(zone: str) -> None:
    """Any offset of less than a day is one."""
    assert parse("2000/10/10 12:00:00 [notice] 1#1: x", f"error {zone}").time.startswith("2000-10-")


def test_zones_are_known_where_the_system_has_none() -> None:
    """A small image or host may have no zone files; the library brings its own."""
    code = (
        "from datastream.parsing import parser_for\n"
        "print(parser_for('error Europe/Paris')(b'2000/07/10 13:55:36 [error] 1#1: x').time)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONTZPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "2000-07-10 11:55:36.000\n"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "empty"),
        (" \r", "empty"),
        ("PHP message: second line of a message", "format"),
        ("2000/10/10 13:55:36 [error]", "format"),
        ("2000/10/10 13:55:36 [error] x: y", "format"),
        ("2000/02/31 13:55:36 [error] 1#1: x", "time"),
        ("0000/10/10 13:55:36 [error] 1#1: x", "time"),
        ("0999/12/31 23:59:59 [error] 1#1: x", "time"),
    ],
)
def test_what_does_not_fit(line: str, reason: str) -> None:
    """The reasons are those of every format."""
    with pytest.raises(Unparseable) as caught:
        parser_for("error")(line.encode())
    assert (caught.value.reason, caught.value.__context__) == (reason, None)


def test_the_earliest_year_that_a_column_holds() -> None:
    """It is none too early."""
    assert parse("1000/01/01 00:00:00 [error] 1#1: x").time == "1000-01-01 00:00:00.000"


def test_a_line_end_of_another_system_is_no_part_of_the_message() -> None:
    """Nor is one that stands before something else taken away."""
    assert parse(f"{START}one\rtwo\r").message == "one\rtwo"
    assert parse(f"{START}x{CLIENT}\r").request == "GET /x HTTP/1.1"


@pytest.mark.parametrize(
    ("line", "place", "expected"),
    [
        ("PHP message: x", 0, "a time"),
        ("2000/10/10 13:55:36 error", 19, "a level"),
        ("2000/10/10 13:55:36 [error] x: y", 27, "process and thread"),
        ("2000/10/10 13:55:36 [error] 1#1: x", 0, "a time"),
    ],
)
def test_where_a_line_stops_fitting(line: str, place: int, expected: str) -> None:
    """The place and what should follow there; of one that fits and has no time, the time."""
    form = compiled("error")
    assert isinstance(form, ErrorFormat)
    found = form.misfit(line.encode())

    assert (found.offset, found.expected.startswith(expected)) == (place, True)


def test_a_damaged_line_is_told_too() -> None:
    """Bytes that are no text count as they are shown."""
    assert compiled("error").misfit(b"\xff") == compiled("error").misfit(b"x")


def test_each_column_says_what_it_holds() -> None:
    """For those who choose a format: what stands in the line, and the column that it goes to."""
    named = compiled("error").destinations()

    assert [(each.variable, each.kind, each.columns) for each in named] == [
        (column, "", (column,)) for column in ErrorEvent._fields if column != "extra"
    ]


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_any_bytes_are_an_event_or_a_reject(message: bytes, request: bytes) -> None:
    """Every text can be stored, and keeps to its limit."""
    line = START.encode() + message + b', client: 192.0.2.7, server: , request: "' + request
    for tail in (b"", b'"', b'", host: "x"'):
        event = parser_for("error")((line + tail).replace(b"\n", b""))
        for text in event:
            if isinstance(text, str):
                text.encode("utf-8")


def test_long_texts_are_cut_and_it_is_said_which() -> None:
    """As in the other table."""
    long = "x" * 9000
    event = parse(
        f'{START}{long}, client: {long}, server: {long}, request: "{long}", host: "{long}"'
    )

    assert event.extra is not None
    assert event.extra["cut"] == ["server", "request", "host", "message", "client"]
    assert len(str(event.extra["client"])) == EXTRA_LIMIT
    assert len(event.message) == ERROR_LIMITS["message"]


def test_texts_at_their_limit_are_not_cut() -> None:
    """Of a longer one what else is known of the line is kept."""
    message, client = "x" * ERROR_LIMITS["message"], "c" * EXTRA_LIMIT
    rest = f', client: {client}, server: s, request: "r", subrequest: "sub"'
    fits = parse(f"{START}{message}{rest}")
    cut = parse(f"{START}{message}y{rest}")
    odd = parse(f"{START}{message}, client: {client}d, server: s")

    assert fits.extra == {"client": client, "subrequest": "sub"}
    assert cut.extra == {"client": client, "subrequest": "sub", "cut": ["message"]}
    assert cut.message == fits.message == message
    assert odd.extra == {"client": client, "cut": ["client"]}


def test_a_huge_line_of_fields_is_no_work() -> None:
    """Were the time to grow with the square of the line, this would take hours."""
    for part in (', client: 192.0.2.7, server: x, request: "', ', host: "', ', client: "', "*1 "):
        parse(START + part * 100_000)


@pytest.mark.parametrize(
    "client", ["203.0.113.9", "::ffff:203.0.113.9", "203.0.113.9:51234", "[::ffff:cb00:7109]:443"]
)
def test_a_client_in_another_spelling_is_the_same_client(client: str) -> None:
    """As in an access log."""
    event = parser_for("error")(
        f"2026/10/10 13:55:36 [info] 1#1: *9 closed, client: {client}, server: x".encode()
    )

    assert event.client == bytes([203, 0, 113, 9])
    assert event.extra is None
