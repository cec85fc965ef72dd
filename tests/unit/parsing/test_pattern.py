"""The texts of variables in a line, and where each ends."""

from __future__ import annotations

import re

import pytest

from datastream.parsing.log_format import Template, Word, template
from datastream.parsing.pattern import Rules, is_one_value, line_pattern, openers, raw_tries, tries

STRICT, LOOSE = True, False


def cut(text: str) -> Template:
    """Return a format, cut at its variables."""
    return template(Word(text, tuple(range(len(text) + 1))), text)


def found(text: str, line: str, escape: str) -> tuple[bool, tuple[str, ...]] | None:
    """Return whether numbers and times are such, and the texts of the variables."""
    for rules in tries(escape, has_escapes="\\" in line):
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
        ("$http_x; $time_local|$pipe", "Xa; b; c -0700|p", STRICT, ["Xa; b", "c -0700", "p"]),
        ("$http_x; $time_local|$pipe", "a; b; c d|p", None, []),
        ("$http_x|$time_local|$pipe", "a|b; c|p", LOOSE, ["a", "b; c", "p"]),
        ("$time_local|$pipe", "XX X|p", LOOSE, ["XX X", "p"]),
        # A list has its joints, and no other spaces, where that can be told.
        ("$upstream_status|$pipe", "1, - : 2|p", STRICT, ["1, - : 2", "p"]),
        ("$upstream_status|$pipe", "1, x|p", LOOSE, ["1, x", "p"]),
        ("$upstream_response_time|", "0.1, -, 2.|", STRICT, ["0.1, -, 2."]),
        ('"$upstream_addr"', '"[::1]:80, unix:/x : b"', STRICT, ["[::1]:80, unix:/x : b"]),
        ("$upstream_addr|", "|", STRICT, [""]),
        ("$upstream_addr, $pipe", "a b, c", STRICT, ["a b", "c"]),
        ("$upstream_addr.$pipe", "a b.c", STRICT, ["a b", "c"]),
        ("${upstream_addr}x$pipe", "a bxc", STRICT, ["a b", "c"]),
        ("$http_x, $upstream_addr|", "a, b c|", STRICT, ["a", "b c"]),
        ("$http_x; $upstream_addr|", "a; b c; d|", STRICT, ["a; b c", "d"]),
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


def test_what_follows_the_text_before_that_grows() -> None:
    """No closed text may hold its beginning."""
    rules = Rules("default", is_strict=True, has_escapes=False)

    assert openers(cut("$host $pipe|$status"), rules) == ["", "", ""]
    assert openers(cut("$http_x|$host;$http_y, $pipe $status"), rules) == [
        *("", "|", "|", ", ", ", "),
    ]


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
