"""nginx's error log: which lines fit, and what their fields become."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

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
    parser_for,
)
from datastream.parsing.error_log import ErrorFormat

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
