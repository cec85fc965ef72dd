"""The texts of variables in a line, and where each ends."""

from __future__ import annotations

import re

import pytest

from datastream.parsing.log_format import Template, Word, template
from datastream.parsing.pattern import Rules, barred, is_one_value, line_pattern, raw_tries, tries

STRICT, LOOSE = True, False


def cut(text: str) -> Template:
    """Return a format, cut at its variables."""
    return template([Word(text, tuple(range(len(text) + 1)))], text)


def found(text: str, line: str, escape: str) -> tuple[bool, tuple[str, ...]] | None:
    """Return whether numbers and times are such, and the texts of the variables."""
    for rules in tries(cut(text), escape, has_escapes="\\" in line):
        match = re.fullmatch(line_pattern(cut(text), rules), line, re.DOTALL)
        if match is not None:
            return rules.is_strict, match.groups()
    return None


@pytest.mark.parametrize(
    ("text", "line", "is_strict", "texts"),
    [
        # A text grows up to where the rest fits; of several that grow, the last one tries all.
        ("$http_x $status", "a 200 b 404", STRICT, ["a 200 b", "404"]),
        ("$http_x|$http_y|$status", "a|b|c|200", STRICT, ["a", "b|c", "200"]),
        ("$http_x $status|$http_y|", "a 1 2|b|", STRICT, ["a 1", "2", "b"]),
        ("a=$http_x", "a=b c", STRICT, ["b c"]),
        ("a=$http_x", r"a=b\"c", STRICT, [r"b\"c"]),
        ("$http_x|$status", r"a\"|b|200", STRICT, [r"a\"|b", "200"]),
        ("$remote_user [$msec]", '"" [1.5]', STRICT, ['""', "1.5"]),
        ("$remote_user [$msec]", "a [b [1.5]", STRICT, ["a [b", "1.5"]),
        ("$http_x|$http_y", "a|b|c", STRICT, ["a", "b|c"]),
        ("<$http_x>$http_y|", "<Xa>Xb|", STRICT, ["Xa", "Xb"]),
        ('"$http_x" $status', r'"a\"b\\" 200', STRICT, [r"a\"b\\", "200"]),
        ('"$http_x" $http_y|', '"a b" c d|', STRICT, ["a b", "c d"]),
        ('"$http_x" $rest', '"a" b "c', STRICT, ["a", 'b "c']),
        # A word ends at a space, at what follows it, and where a text that grows could begin anew.
        ("$host $pipe", 'Xa"b Xc', STRICT, ['Xa"b', "Xc"]),
        ("$host|$pipe", "XaX|X", STRICT, ["XaX", "X"]),
        ("$host|-$pipe", "a-b|-c", STRICT, ["a-b", "c"]),
        ("$http_x|$host|", "a|b|c|", STRICT, ["a|b", "c"]),
        ("$http_x|-$host;", "a|-b-c;", STRICT, ["a", "b-c"]),
        ("$http_x:$host|", "a:b:c|", STRICT, ["a", "b:c"]),
        ("$http_x: $host|", "a: b c|", STRICT, ["a", "b c"]),
        ("$host:$server_port", "::1:80", STRICT, ["::1", "80"]),
        ("$host:$server_port", "aXb:80", STRICT, ["aXb", "80"]),
        ("$host:$server_port", ":80", STRICT, ["", "80"]),
        ("$http_x|$host:$server_port", "a|bXc:80", STRICT, ["a", "bXc", "80"]),
        ("$host:$pipe", "a:b:c", STRICT, ["a", "b:c"]),
        ("$host:$pipe", ":x", STRICT, ["", "x"]),
        ("$host: $pipe", "a:b: c", STRICT, ["a:b", "c"]),
        ("$session:$pipe", ":x:y", STRICT, [":x", "y"]),
        ("${host}x$pipe", "axb", STRICT, ["a", "b"]),
        # A number is one, or else any word.
        ("$status $pipe", "200 p", STRICT, ["200", "p"]),
        ("$status $pipe", "- p", STRICT, ["-", "p"]),
        ("$status $pipe", " p", STRICT, ["", "p"]),
        ("$status $pipe", "OK p", LOOSE, ["OK", "p"]),
        ('"$http_x" $status', r'"a\"b" OK', LOOSE, [r"a\"b", "OK"]),
        ("$status| $pipe", "20| p", STRICT, ["20", "p"]),
        ("$request_time $pipe", "1. p", STRICT, ["1.", "p"]),
        ("$request_time $pipe", "1.5s p", LOOSE, ["1.5s", "p"]),
        ("${connection}-$pipe|", "1 2-x|", STRICT, ["1 2", "x"]),
        ("${connection}0$pipe|", "100|", STRICT, ["1", "0"]),
        # A local time has its one space; an odd one may have any where that can be told.
        ("[$time_local] $pipe", "[a -0700] p", STRICT, ["a -0700", "p"]),
        ("$time_local $pipe", "a -0700 p", STRICT, ["a -0700", "p"]),
        ("$time_local $pipe", "now p", STRICT, ["now", "p"]),
        ("$time_local|$pipe", "any thing|p", LOOSE, ["any thing", "p"]),
        ("$time_local:$pipe", "13:55:36 -0700:p", STRICT, ["13", "55:36 -0700:p"]),
        ("${time_local}x$pipe", "1 2x3", STRICT, ["1 2", "3"]),
        (
            "$http_x; $time_local|$pipe",
            "Xa; b; 10/Oct -0700|p",
            STRICT,
            ["Xa; b", "10/Oct -0700", "p"],
        ),
        ("$http_x; $time_local|$pipe", "a; b; c d|p", None, []),
        ("$http_x|$time_local|$pipe", "a|b; c|p", LOOSE, ["a", "b; c", "p"]),
        ("$time_local|$pipe", "XX X|p", LOOSE, ["XX X", "p"]),
        # A list has its joints, and no other spaces, where that can be told.
        ("$upstream_status|$pipe", "1, - : 2|p", STRICT, ["1, - : 2", "p"]),
        ("$upstream_status|$pipe", "1, x|p", LOOSE, ["1, x", "p"]),
        ("$upstream_response_time|", "0.1, -, 2.|", STRICT, ["0.1, -, 2."]),
        ('"$upstream_addr"', '"[::1]:80, unix:/x : b"', STRICT, ["[::1]:80, unix:/x : b"]),
        ("$upstream_addr|", "|", STRICT, [""]),
        ("$upstream_addr, $pipe", "a b, c", LOOSE, ["a b", "c"]),
        ("$upstream_addr.$pipe", "a b.c", LOOSE, ["a b", "c"]),
        ("${upstream_addr}x$pipe", "a bxc", LOOSE, ["a b", "c"]),
        ("$http_x, $upstream_addr|", "a, b c|", LOOSE, ["a", "b c"]),
        ("$http_x; $upstream_addr|", "a; b c; d|", STRICT, ["a; b c", "d"]),
        # Behind a text that may hold a space it is found by its shape, as are numbers.
        (
            "$http_host $upstream_addr $upstream_response_time $request_time",
            "a b 192.0.2.9:80, unix:/x : backend 0.001, - : 0.046 0.047",
            STRICT,
            ["a b", "192.0.2.9:80, unix:/x : backend", "0.001, - : 0.046", "0.047"],
        ),
        ("$ssl_cipher $upstream_status", "a 1 502, 200", STRICT, ["a 1", "502, 200"]),
        (
            "$http_x_forwarded_for $upstream_addr $http_x",
            "192.0.2.1, 192.0.2.2 192.0.2.9:80, 192.0.2.8:80 a b",
            STRICT,
            ["192.0.2.1, 192.0.2.2", "192.0.2.9:80, 192.0.2.8:80", "a b"],
        ),
        ("$http_x_forwarded_for|", "a,b ,  c|", STRICT, ["a,b ,  c"]),
        ("$http_x_forwarded_for,$pipe", "a, b,c", STRICT, ["a, b", "c"]),
        # It gives back what must follow, be it a joint.
        ("to: $upstream_addr: $http_x", "to: a:1 : b:2: c : d", STRICT, ["a:1 : b:2", "c : d"]),
        ("$upstream_status, $request_time", "502, 200, 0.5", STRICT, ["502, 200", "0.5"]),
        ("$upstream_addr,$upstream_status,", "a:1, b:2,1, 2,", STRICT, ["a:1, b:2", "1, 2"]),
        ("[$upstream_addr]", "[[::1]:80, [::2]:80]", STRICT, ["[::1]:80, [::2]:80"]),
        ("$upstream_addr\t$status", "a:1, b:2\t200", STRICT, ["a:1, b:2", "200"]),
        ("$upstream_status|", f"{'1, ' * 31}1|", STRICT, [f"{'1, ' * 31}1"]),
        ("$upstream_status|", f"{'1, ' * 32}1|", LOOSE, [f"{'1, ' * 32}1"]),
        ('"$upstream_addr"', '"a b"', LOOSE, ["a b"]),
        # A request outside of quotes ends where one does.
        (
            "$request $http_x $status",
            "GET /a b HTTP/1.1 c 2 3",
            STRICT,
            ["GET /a b HTTP/1.1", "c 2", "3"],
        ),
        ("$request $http_x $status", "GET /a b 200", STRICT, ["GET /a", "b", "200"]),
        ("$request $http_x $status", "a b 200", STRICT, ["a", "b", "200"]),
        ("$request $http_x $status", "- b 200", STRICT, ["-", "b", "200"]),
        ("$http_x $request $status", "a b PUT /x HTTP/2 1", STRICT, ["a b", "PUT /x HTTP/2", "1"]),
        ("$http_x: $request", "a : b: - c", STRICT, ["a ", "b: - c"]),
        ("$http_x: $request", "a: b: -", STRICT, ["a: b", "-"]),
        ("$http_x: $request", "a: b: -: PUT /x HTTP/2", STRICT, ["a: b: -", "PUT /x HTTP/2"]),
        # What is no request leaves the lists what they are.
        (
            "$http_x $upstream_status $pipe $request",
            "a b 1, - p SSH-2.0",
            STRICT,
            ["a b", "1, -", "p", "SSH-2.0"],
        ),
        (
            "$http_x $upstream_addr: $request",
            r"a b c : d:1: \x16 x",
            STRICT,
            ["a b", "c : d:1", r"\x16 x"],
        ),
        # And so does what is no list of addresses.
        (
            "$http_x_forwarded_for $upstream_status $pipe",
            "a b, c d 1, - p",
            STRICT,
            ["a b, c d", "1, -", "p"],
        ),
        # A time is one only where it begins as such.
        (
            "$http_x $time_local $http_y $status",
            "a b 10/Oct/2000:13:55:36 -0700 c 1",
            STRICT,
            ["a b", "10/Oct/2000:13:55:36 -0700", "c", "1"],
        ),
        (
            "$http_x\t$time_iso8601\t$http_y",
            "a\tb\t2000-10-10T13:55:36-07:00\tc",
            STRICT,
            ["a\tb", "2000-10-10T13:55:36-07:00", "c"],
        ),
        ("$http_x $time_iso8601 $http_y", "a b c", LOOSE, ["a", "b", "c"]),
        # A group of servers by its name.
        ("$http_x $upstream_addr $status", "a 3b, 4c 1", STRICT, ["a", "3b, 4c", "1"]),
        # Numbers may stand in columns.
        ("$msec $status $connection|", "1.5    20   3|", STRICT, ["1.5", "20", "3"]),
        ("$host $status", "a  20", None, []),
        # A URI begins with a slash.
        ("$host$request_uri|", "a/b/c|", STRICT, ["a", "/b/c"]),
        ("$http_host$uri $status", "a b/c 200", None, []),
        ("$host:$server_port$uri|", "::1:80/a|", STRICT, ["::1", "80", "/a"]),
        ("$host$request_uri|", "a-b-|", STRICT, ["a-b", "-"]),
        ("$host$request_uri|", "-/a|", STRICT, ["-", "/a"]),
        ("$host:$server_port$uri|", "a:80/b:/c|", STRICT, ["a", "80", "/b:/c"]),
        ("$host:$server_port$uri|", "::1:80/b:80/c|", STRICT, ["::1", "80", "/b:80/c"]),
        ("$http_host:$server_port$uri|", "a:8:80/b:/c|", STRICT, ["a:8", "80", "/b:/c"]),
        ("$host:$server_port|$http_x|", "a:80|b://c|", STRICT, ["a", "80", "b://c"]),
        ("$host:$server_port:$status", "a:80:200", STRICT, ["a", "80", "200"]),
        ("$host:$server_port:$http_x|", "a:80:b:8:c|", STRICT, ["a", "80", "b:8:c"]),
        ("$host:$server_port:$http_x|", "a:b:80:c|", STRICT, ["a:b", "80", "c"]),
        ("$host:$server_port:$http_x|", f"a:{'1' * 21}:b|", LOOSE, ["a", "1" * 21, "b"]),
        ("$host:$server_port:$http_x|", "a::b|", STRICT, ["a", "", "b"]),
        ("$host-$status-$msec", "a-b-200-1.5", STRICT, ["a-b", "200", "1.5"]),
        ("$host:$status:$http_x|", "a:OK:b:c|", LOOSE, ["a", "OK", "b:c"]),
        (
            "$http_x_forwarded_for:$time_local",
            "2001:db8::7:10/Oct/2000:13:55:36 -0700",
            STRICT,
            ["2001:db8::7", "10/Oct/2000:13:55:36 -0700"],
        ),
        (
            "$upstream_addr:$status:$time_iso8601",
            "-:200:2000-10-10T13:55:36-07:00",
            STRICT,
            ["-", "200", "2000-10-10T13:55:36-07:00"],
        ),
        ("$server_protocol/$http_x", "HTTP/1.1/a/b", STRICT, ["HTTP/1.1", "a/b"]),
        ("$server_protocol.$http_x", "HTTP/2.a.b", STRICT, ["HTTP/2", "a.b"]),
        ("$server_protocol/$http_x", "-/a/b", STRICT, ["-", "a/b"]),
        ("$server_protocol  $status", "HTTP/1.1   20", STRICT, ["HTTP/1.1 ", "20"]),
        ("$server_protocol  $status", "HTTP/1.1  20", STRICT, ["HTTP/1.1", "20"]),
        ("$server_protocol $http_x", "HTTP/1.1  a", STRICT, ["HTTP/1.1 ", "a"]),
        ("$host:$server_port$uri|", "a:/b:/c|", STRICT, ["a", "", "/b:/c"]),
        ("$host$uri$is_args$args|", "a/b?c|", STRICT, ["a", "/b?c"]),
        # What does not fit.
        ("a=$http_x", 'a=b"c', None, []),
        ("$http_x|$status", 'a"b|200', None, []),
        ("$http_x [$msec]", '"" [1.5]', None, []),
        ('"$http_x" $status', '"a" b" 200', None, []),
        ("$host|$pipe", 'a"b|c', None, []),
        ("$host:$server_port", 'a"b:80', None, []),
        ("$host $pipe", "a  b", None, []),
        ("$host", "a\rb", None, []),
        ("$remote_addr:$server_port", ":80", None, []),
        ("$remote_addr $pipe", " p", None, []),
        ("$status $pipe", 'a"b p', None, []),
        ("[$time_local] $pipe", "[a] b] p", None, []),
        ("$upstream_addr|", "a b|", None, []),
        ("$upstream_addr|", 'a"b|', None, []),
        ("$upstream_addr|", "a,b|", None, []),
    ],
)
def test_where_a_text_ends(text: str, line: str, is_strict: bool | None, texts: list[str]) -> None:
    """What follows a variable in the format ends its text, if the values can be told from it."""
    expected = None if is_strict is None else (is_strict, tuple(texts))

    assert found(text, line, "default") == expected


@pytest.mark.parametrize(
    ("text", "line", "texts"),
    [
        ('"$http_x" $status|', '"a" b" 200|', ['a" b', "200"]),
        ('"$http_x" $status', '"a\\" 200', ["a\\", "200"]),
        ("a=$http_x", 'a=b"c\\', ['b"c\\']),
        ("$http_x|$http_y|", 'a"|b\\|', ['a"', "b\\"]),
        ("$http_x|$rest|", "a|b|c|", ["a", "b|c"]),
    ],
)
def test_without_escapes_a_text_may_hold_a_quote(text: str, line: str, texts: list[str]) -> None:
    """And a backslash is one character like any other."""
    assert found(text, line, "none") == (STRICT, tuple(texts))


@pytest.mark.parametrize("escape", ["json", "none"])
@pytest.mark.parametrize(
    ("text", "line", "texts"),
    [
        ("$server_protocol $http_x $status", "HTTP/1.1  200", ["HTTP/1.1", "", "200"]),
        ("$server_protocol $status", "HTTP/1.1  200", ["HTTP/1.1 ", "200"]),
        ('"$server_protocol" $status', '"HTTP/1.1 " 200', ["HTTP/1.1 ", "200"]),
    ],
)
def test_a_blank_behind_the_protocol_may_be_an_empty_value_s(
    escape: str, text: str, line: str, texts: list[str]
) -> None:
    """Only where nginx writes nothing for a missing value, and never before a status."""
    assert found(text, line, escape) == (STRICT, tuple(texts))


def test_an_odd_value_needs_no_escapes_either() -> None:
    """It is read after those that are what their variables' values are."""
    assert found('"$http_x" $status', '"a" b" OK', "none") == (LOOSE, ('a" b', "OK"))


@pytest.mark.parametrize(
    ("text", "line", "texts"),
    [
        ('"$http_x" $status', '"a"b" 200', ('a"b', "200")),
        ('"$http_x" $status', r'"a"b\" 200', ('a"b\\', "200")),
        ('"$http_x"x"$http_y"', r'"a\"x"b"x"c"d"', (r'a\"x"b', 'c"d')),
        ('"$http_x"x$http_y', '"a\\"x"b"xc\\', (r'a\"x"b', "c\\")),
        ('"$http_x" $status', '"a"b" OK', None),
        ('"$http_x" $status', r'"a\"b"c" OK', None),
    ],
)
def test_raw_quotes_within_values(text: str, line: str, texts: tuple[str, ...] | None) -> None:
    """A backslash escapes a quote if the line can be read so; a number must be one."""
    matches = (
        re.fullmatch(line_pattern(cut(text), rules), line, re.DOTALL)
        for rules in raw_tries(has_escapes="\\" in line)
    )

    assert next((match.groups() for match in matches if match), None) == texts


def test_the_first_parts_of_a_line() -> None:
    """Each ends where it does in the whole line."""
    form = cut("<$http_x> $status $http_y|$pipe")
    rules = Rules("default", is_strict=True, has_escapes=False)
    line = "<a> b> 200 c|p"
    ends = []
    for parts in range(1, 5):
        match = re.match(line_pattern(form, rules, parts), line, re.DOTALL)
        ends.append(match and match[0])

    assert ends == ["<a> ", "<a> b> 200 ", "<a> b> 200 c|", line]
    whole = re.fullmatch(line_pattern(form, rules), line, re.DOTALL)
    assert whole is not None
    assert whole.groups() == ("a> b", "200", "c", "p")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$host $pipe|$status", ["", "", ""]),
        ("$http_x|$host;$http_y, $pipe $status", ["", "|", "|", ",", ","]),
        ("$host:$server_port|$pipe", ["|", "", ""]),
        ("$host:$server_port$uri|$pipe", ["/", "", "", "|"]),
        ("[$host:$server_port] $pipe", ["", "", ""]),
        ("$host:$pipe|$status", ["", "", ""]),
    ],
)
def test_what_no_word_holds(text: str, expected: list[str]) -> None:
    """What the text before it that grows ends with, and what ends a number behind it."""
    rules = Rules("default", is_strict=True, has_escapes=False)

    assert barred(cut(text), rules) == expected


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("", True),
        ("a", True),
        ('a"b', True),
        ('a "b" c', True),
        ('"a" "b"', True),
        ('"', True),
        ('a"', True),
        ('"a', True),
        ('a" 1 "b', False),
        ('a" "b', False),
        ('a"|"b', False),
        ('a"b "c', True),
        ('"a" b" "c', False),
        ('a [x="y"] b', True),
        ('a" b', True),
        ('a" b"', True),
        ('"a "b" c" d', True),
        ('"a "b" c" d" "e', False),
        ('a" b"c "d', False),
        ('a "b "c" d" e "f', True),
        ('a "b" c" d "e', False),
        ('a"" "b', False),
    ],
)
def test_a_text_with_raw_quotes_is_one_value_or_several(text: str, is_one: bool) -> None:
    """It is several where a quote closes what nothing opened, and another opens after it."""
    assert is_one_value(text) is is_one
