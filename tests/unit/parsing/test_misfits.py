"""Where a line stops fitting its log_format, and what is told of a format itself."""

from __future__ import annotations

import pytest

from datastream.parsing.access_log import Destination, Misfit
from parsed import access_format

QUOTED = '$msec "$request" $status'
NONE = "log_format x escape=none '$msec|$http_referer|$status';"
JSON = 'log_format x escape=json \'{"t":$msec,"r":"$http_referer"}\';'


@pytest.mark.parametrize(
    ("text", "fitting", "rest", "expected"),
    [
        ("ab$msec;", "a", "x971211336.250;", "'b'"),
        ("ab$msec;", "a", "", "'b'"),
        ("ab$msec;", "", "971211336.250;", "'ab'"),
        ("$status $msec", "", "", "' ' after $status"),
        ("$status [$msec]", "200 [971211336.250", "", "']' after $msec"),
        ("$msec $status $connection|", "971211336.250 OK 7", "", "'|' after $connection"),
        ("$status $msec", "200 971211336.250", " 8", "the end of the line"),
        (QUOTED, '971211336.250 "GET /" 200', " 7", "the end of the line"),
        (QUOTED, '971211336.250 "GET /', '"', "'\" ' after $request"),
        (QUOTED, '971211336.250 "GET / 200', "", "'\" ' after $request"),
        (QUOTED, r'971211336.250 "GET \"/ 200', "", "'\" ' after $request"),
        (QUOTED, r'971211336.250 "GET \"/" 200', " x", "the end of the line"),
        (QUOTED, "971211336.250", " GET / 200", "' \"' after $msec"),
        ("$msec $host:$server_port", "971211336.250 ", "example.com 80", "':' after $host"),
        ("$msec $http_x|$host|", "971211336.250 a b|c", " d|", "'|' after $host"),
        ("$msec $http_x|$host|", "971211336.250 ", "a b", "'|' after $http_x"),
        (
            "$msec $upstream_status|",
            "971211336.250 502, 404",
            " 200|",
            "'|' after $upstream_status",
        ),
        ("$status $msec é", "\\xff x", "", "' é' after $msec"),
        (NONE, "971211336.250|", "a", "'|' after $http_referer"),
        (f"{NONE[:-2]}|';", '971211336.250|a"b|200', "", "'|' after $status"),
        (f"{NONE[:-2]}|';", "971211336.250|a\\|200", "", "'|' after $status"),
        ("$msec $remote_addr", "971211336.250 ", "", "the end of the line after $remote_addr"),
        (JSON, '{"t":971211336.250', ',"x":"a"}', '\',"r":"\' after $msec'),
        (JSON, '{"t":971211336.250,"r":"a\\"b}', "", "'\"}' after $http_referer"),
    ],
)
@pytest.mark.parametrize("end", ["", "\r"])
def test_where_a_line_stops_fitting(
    text: str, fitting: str, rest: str, expected: str, end: str
) -> None:
    """It is the furthest place that any reading of the line comes to."""
    line = f"{fitting}{rest}{end}".encode().replace(rb"\xff", b"\xff")

    assert access_format(text).misfit(line) == Misfit(len(fitting), expected)


@pytest.mark.parametrize(
    ("text", "before", "time", "after"),
    [
        ("$status [$msec]", "200 [", "now", "]"),
        ("$msec $status", "", "now", " 200"),
        ("$time_local, $status", "", "31/Feb/2000:13:55:36 -0700", ", 200"),
        ('$status $time_iso8601 "$http_referer"', "200 ", "now", ' "a"b"'),
        ("$status $time_local $msec|", "200 10/Oct/2000:13:55:36 -0700 ", "now", "|\r"),
    ],
)
def test_a_line_that_fits_has_no_time(text: str, before: str, time: str, after: str) -> None:
    """The place of the variable that fills the column is told."""
    form = access_format(text)
    found = form.misfit(f"{before}{time}{after}".encode())

    assert found == Misfit(len(before), f"a time, as ${form.fields.chosen['time']} writes it")


def test_where_each_variable_goes() -> None:
    """A variable is told once, with what its values are, and the columns or the key of `extra`."""
    form = access_format("$msec $status $status $request_uri $upstream_response_time $pipe")

    assert form.destinations() == [
        Destination("$msec", "epoch seconds", ("time",)),
        Destination("$status", "integer", ("status",)),
        Destination("$request_uri", "text", ("url", "scheme", "host", "path", "query")),
        Destination(
            "$upstream_response_time",
            "upstream list of numbers",
            ("upstream_time", "extra.upstream_response_time"),
        ),
        Destination("$pipe", "word", ("extra.pipe",)),
    ]
