"""Formats that are JSON objects, and lines that write the same object differently."""

from __future__ import annotations

import pytest

from datastream.parsing.json_lines import JsonTemplate, json_template
from datastream.parsing.log_format import Word, template


def compiled(text: str) -> JsonTemplate | None:
    """Return the text of a format as a JSON object."""
    return json_template(template([Word(text, tuple(range(len(text) + 1)))], text))


@pytest.mark.parametrize(
    "text",
    [
        "$msec $status",
        '["$msec"]',
        '"$msec"',
        "$msec",
        '{"t":"$msec"',
        '{"t":"$msec" "s":$status}',
        '{"a\\"b":"$msec","c":$status,"d":"}',
        "[" * 100_000 + "$msec" + "]" * 100_000,
    ],
)
def test_what_is_no_object_is_no_format_of_json(text: str) -> None:
    """Its lines have one spelling."""
    assert compiled(text) is None


def test_a_key_may_hold_a_raw_tab() -> None:
    """What writes the log is nginx, which does not ask whether it is JSON."""
    form = compiled('{"a\tb":"$msec"}')

    assert form is not None
    assert form.values('{"a\tb": 1.5}') == form.values('{"a\\tb": 1.5}') == {"msec": "1.5"}


FORMAT = (
    '{"t":$msec,"s":"$status","r":{"q":"$request","l":["$pipe",$connection]},"h":"$scheme://$host",'
    '"p":"port $server_port","again":"$msec","a\\"b":"$args","fixed":[1],"f":"<$http_x>"}'
)
VARIABLES = "msec status request pipe connection scheme host server_port args http_x"
NOTHING = dict.fromkeys(VARIABLES.split())


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("{}", {}),
        ('{"new":1}', {}),
        ('{"t":1700000000.1230,"s":404}', {"msec": "1700000000.1230", "status": "404"}),
        ('{"s":1e3}', {"status": "1e3"}),
        ('{"t":1,"again":2}', {"msec": "1"}),
        ('{"again":2}', {"msec": "2"}),
        ('{"t":null,"again":2}', {"msec": "2"}),
        ('{"s":null}', {}),
        ('{"s":true}', {"status": "true"}),
        ('{"s":""}', {"status": ""}),
        ('{"s":{"x":[1,"y"]}}', {"status": '{"x": ["1", "y"]}'}),
        ('{"s":"a\nb"}', {"status": "a\nb"}),
        ('{"s":"\\ud83d\\ude00 \\ud83d"}', {"status": "\U0001f600 \\ud83d"}),
        ('{"r":{"q":"GET /\\"x"}}', {"request": 'GET /"x'}),
        ('{"r":{"l":["p",7]}}', {"pipe": "p", "connection": "7"}),
        ('{"r":{"l":["p"]}}', {"pipe": "p"}),
        ('{"r":{"l":["p",7,8]},"x":9}', {"pipe": "p", "connection": "7"}),
        ('{"r":{"l":{"0":"p"}}}', {}),
        ('{"r":["q"]}', {}),
        ('{"r":"q"}', {}),
        ('{"h":"https://[::1]:80/"}', {"scheme": "https", "host": "[::1]:80/"}),
        ('{"h":"https:"}', {}),
        ('{"h":null}', {}),
        ('{"p":"port 80"}', {"server_port": "80"}),
        ('{"p":"port x"}', {"server_port": "x"}),
        ('{"p":"80"}', {}),
        ('{"a\\"b":"c"}', {"args": "c"}),
        ('{"p":"port \\\\"}', {"server_port": "\\"}),
        ('{"f":"<a\\"b\\\\>"}', {"http_x": 'a"b\\'}),
        ('{"f":"a"}', {}),
        (' { "s" : "x" } ', {"status": "x"}),
    ],
)
def test_a_variable_is_found_where_the_format_has_it(
    line: str, values: dict[str, str | None]
) -> None:
    """It is None where it is not there, or is not what the format has there."""
    form = compiled(FORMAT)

    assert form is not None
    assert form.values(line) == {**NOTHING, **values}


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "1", "null", '"t"', '{"t":1} x', "{'t':1}", "[" * 100_000]
)
def test_a_line_that_is_no_object_has_no_values(line: str) -> None:
    """It may yet fit the format's own spelling."""
    form = compiled('{"t":"$msec"}')

    assert form is not None
    assert form.values(line) is None


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ('{"s":[502, 200],"a":["192.0.2.9:80","x"]}', ("502, 200", "192.0.2.9:80, x")),
        ('{"s":["502, 200"],"a":["x"]}', ("502, 200", "x")),
        ('{"a":[],"s":[]}', ("", "")),
        ('{"a":[null, "x"],"s":[null]}', ("-", "-, x")),
        ('{"a":"x","s":7}', (None, None)),
    ],
)
def test_a_list_of_one_variable_holds_all_its_items(
    line: str, values: tuple[str | None, ...]
) -> None:
    """For each server there is one."""
    form = compiled('{"s":[$upstream_status],"a":["$upstream_addr"]}')

    assert form is not None
    found = form.values(line)
    assert found is not None
    assert tuple(found.values()) == values


def test_several_variables_in_one_text_are_of_their_kinds() -> None:
    """A list behind a text is found whole."""
    form = compiled('{"m":"$http_host $upstream_addr $upstream_status $request_time"}')

    assert form is not None
    assert form.values('{"m":"a b 192.0.2.9:80, 192.0.2.10:80 502, OK 0.001"}') == {
        "http_host": "a",
        "upstream_addr": "b",
        "upstream_status": "192.0.2.9:80, 192.0.2.10:80 502, OK",
        "request_time": "0.001",
    }
    assert form.values('{"m":"a b 192.0.2.9:80, 192.0.2.10:80 502, 200 0.001"}') == {
        "http_host": "a b",
        "upstream_addr": "192.0.2.9:80, 192.0.2.10:80",
        "upstream_status": "502, 200",
        "request_time": "0.001",
    }
