"""Lines as other servers, older ones and other tools write them: what fits in a person's eyes fits.

Each odd value stands in its place in a line of every format that has the field, and changes no
other column. All of them are made up.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import pytest

from datastream.parsing import PRESETS, Event, Unparseable, detect
from datastream.parsing.servers import BUNDLES, SERVERS
from parsed import access_format, access_parser

#: What stands in a line that has nothing odd.
USUAL = {
    "remote_addr": "192.0.2.7",
    "session": "-",
    "remote_user": "-",
    "time_local": "10/Oct/2000:13:55:36 +0330",
    "request": "GET /a?b=c HTTP/1.1",
    "status": "200",
    "body_bytes_sent": "512",
    "http_referer": "https://www.example.com/",
    "http_user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
    "http_x_forwarded_for": "-",
    "server_name": "www.example.com",
    "server_port": "443",
    "host": "www.example.com",
    "request_length": "312",
    "request_time": "0.042",
    "proxy_upstream_name": "shop-web-80",
    "proxy_alternative_upstream_name": "",
    "upstream_addr": "192.0.2.5:8080",
    "upstream_response_length": "512",
    "upstream_response_time": "0.040",
    "upstream_status": "200",
    "req_id": "a3c1",
    "rest": '"-" 0.042 "www.example.com"',
}
COMBINED = PRESETS["combined"]
#: The presets of Apache and of nginx alone; test_other_servers.py has those of others.
OWN = [name for name in PRESETS if name not in {**SERVERS, **BUNDLES}]
FORMATS = {
    **{name: PRESETS[name] for name in OWN},
    "main and times": PRESETS["main"] + " $request_time $upstream_response_time",
    "main and names": PRESETS["main"] + ' "$host" rt=$request_time urt="$upstream_response_time"',
    "combined and host": f"{COMBINED} $host",
    "combined and dash": f'{COMBINED} "-"',
    "pipes": '$remote_addr|$remote_user|$time_local|"$request"|$status|"$http_user_agent"',
}


class Odd(NamedTuple):
    """A value in a line, and the columns that it alone changes."""

    variable: str
    logged: str
    columns: dict[str, Any]


def request(method: str, url: str, version: str = "1.1", **others: object) -> dict[str, Any]:
    """Return the columns of a request for a path."""
    path, mark, query = url.partition("?")
    columns = {"method": method, "url": url, "path": path, "query": query if mark else None}
    return {**columns, "http_version": version, **others}


def no_request(text: str) -> dict[str, Any]:
    """Return the columns of what is no request line."""
    names = ("method", "url", "scheme", "host", "path", "query", "http_version")
    return {**dict.fromkeys(names), "extra": {"request": text}}


def no_address(text: str) -> dict[str, Any]:
    """Return the columns of a client that is no address."""
    return {"client": None, "extra": {"client": text}}


V6 = bytes.fromhex("20010db8000000000000000000000007")
TEXTS = {
    # As they stand between the quotes, and what they are.
    "": "",
    "-": None,
    " ": " ",
    "x": "x",
    r"a \"quoted\" word": 'a "quoted" word',
    r"a \x22quoted\x22 word": 'a "quoted" word',
    r"C:\\dir\\": "C:\\dir\\",
    r"tab\tnewline\n": "tab\tnewline\n",
    r"\xC3\xA9\xE2\x82\xAC": "é€",
    r"\xff\xFE": r"\xff\xfe",
    "tab\tand \x01 control \x7f": "tab\tand \x01 control \x7f",
    "\0": "\0",
    "é€😀": "é€😀",
    'a "quoted" word': 'a "quoted" word',
    '"quoted"': '"quoted"',
    'a"b': 'a"b',
    'ends with one"': 'ends with one"',
    '"begins with one': '"begins with one',
    '5" screen': '5" screen',
    'a="b" c="d"': 'a="b" c="d"',
    '("x")': '("x")',
    "C:\\dir\\": "C:\\dir\\",
    "%22%20": "%22%20",
    "' OR 1=1; --": "' OR 1=1; --",
    "<script>alert('x')</script>": "<script>alert('x')</script>",
    "() { :; }; echo": "() { :; }; echo",
    "${jndi:ldap://192.0.2.9/x}": "${jndi:ldap://192.0.2.9/x}",
    "[x] {y} | z": "[x] {y} | z",
    "x" * 900: "x" * 900,
}
ODD = [
    *(Odd("http_user_agent", text, {"user_agent": value}) for text, value in TEXTS.items()),
    *(Odd("http_referer", text, {"referrer": value}) for text, value in TEXTS.items()),
    Odd("remote_addr", "198.51.100.255", {"client": bytes([198, 51, 100, 255])}),
    Odd("remote_addr", "2001:db8::7", {"client": V6}),
    Odd("remote_addr", "2001:DB8:0:0:0:0:0:7", {"client": V6}),
    Odd("remote_addr", "::ffff:192.0.2.7", {"client": bytes([192, 0, 2, 7])}),
    Odd("remote_addr", "fe80::1%eth0", no_address("fe80::1%eth0")),
    Odd("remote_addr", "unix:", no_address("unix:")),
    Odd("remote_addr", "dial-7.example.net", no_address("dial-7.example.net")),
    Odd("remote_addr", "under_score.example.net", no_address("under_score.example.net")),
    Odd("remote_addr", "192.0.2.7:51234", {"client": bytes([192, 0, 2, 7])}),
    Odd("remote_addr", "[2001:db8::7]:51234", {"client": V6}),
    Odd("remote_addr", "-", no_address("-")),
    Odd("session", "ana", {"session": "ana"}),
    Odd("session", "Xy12AbCd34EfGh5", {"session": "Xy12AbCd34EfGh5"}),
    Odd("session", "unknown", {"session": "unknown"}),
    Odd("remote_user", "ana", {"user": "ana"}),
    Odd("remote_user", "ana lopez", {"user": "ana lopez"}),
    Odd("remote_user", '""', {"user": ""}),
    Odd("remote_user", '"ana"', {"user": '"ana"'}),
    Odd("remote_user", '"ana lopez"', {"user": '"ana lopez"'}),
    Odd("remote_user", 'a"b', {"user": 'a"b'}),
    Odd("remote_user", r"\x22ana\x22", {"user": '"ana"'}),
    Odd("remote_user", r"EXAMPLE\\ana", {"user": r"EXAMPLE\ana"}),
    Odd("remote_user", r"EXAMPLE\ana", {"user": r"EXAMPLE\ana"}),
    Odd("remote_user", "CN=ana [x],O=example", {"user": "CN=ana [x],O=example"}),
    Odd("remote_user", "josé", {"user": "josé"}),
    Odd(
        "remote_user",
        "Ana.Lopez+x@Example.ORG",
        {"user": "Ana.Lopez+x@Example.ORG", "is_email": True, "email_domain": "example.org"},
    ),
    *(
        Odd("time_local", f"10/{month}/2000:13:55:36 +0000", {"time": f"{at} 13:55:36.000"})
        for month, at in {
            "Jan": "2000-01-10",
            "Feb": "2000-02-10",
            "Mar": "2000-03-10",
            "Apr": "2000-04-10",
            "May": "2000-05-10",
            "Jun": "2000-06-10",
            "Jul": "2000-07-10",
            "Aug": "2000-08-10",
            "Sep": "2000-09-10",
            "Nov": "2000-11-10",
            "Dec": "2000-12-10",
        }.items()
    ),
    Odd("time_local", "10/Oct/2000:13:55:36 +0330", {"time": "2000-10-10 10:25:36.000"}),
    Odd("time_local", "10/Oct/2000:13:55:36 -0930", {"time": "2000-10-10 23:25:36.000"}),
    Odd("time_local", "10/Oct/2000:13:55:36 +1245", {"time": "2000-10-10 01:10:36.000"}),
    Odd("time_local", "29/Feb/2000:23:59:59 -0000", {"time": "2000-02-29 23:59:59.000"}),
    Odd("time_local", "10/Oct/2000:13:55:36.123 +0000", {"time": "2000-10-10 13:55:36.123"}),
    Odd("time_local", "10/Oct/2000:13:55:36.123456 +0000", {"time": "2000-10-10 13:55:36.123"}),
    Odd("request", "GET / HTTP/1.0", request("GET", "/", "1.0")),
    Odd("request", "GET / HTTP/2", request("GET", "/", "2")),
    Odd("request", "POST /login HTTP/2.0", request("POST", "/login", "2.0")),
    Odd("request", "PROPFIND /dav/ HTTP/1.1", request("PROPFIND", "/dav/")),
    Odd("request", "M-SEARCH /x HTTP/1.1", request("M-SEARCH", "/x")),
    Odd("request", "get /x HTTP/1.1", request("get", "/x")),
    Odd("request", "GET /", request("GET", "/", "0.9")),
    Odd("request", "GET /a b c HTTP/1.1", request("GET", "/a b c")),
    Odd("request", "GET  /a  HTTP/1.1", request("GET", "/a")),
    Odd("request", "GET /a HTTP/1.1 ", request("GET", "/a")),
    Odd("request", "GET /?q=? HTTP/1.1", request("GET", "/?q=?")),
    Odd("request", "GET /? HTTP/1.1", request("GET", "/?")),
    Odd("request", "GET /a?b=[c]&d={e}|f HTTP/1.1", request("GET", "/a?b=[c]&d={e}|f")),
    Odd("request", "GET /%E0%80 HTTP/1.1", request("GET", "/%E0%80")),
    Odd("request", "GET /é€😀 HTTP/1.1", request("GET", "/é€😀")),
    Odd("request", "GET /\t\x01\0 HTTP/1.1", request("GET", "/\t\x01\0")),
    Odd("request", r"GET /\xC3\xA9 HTTP/1.1", request("GET", "/é")),
    Odd("request", r"GET /\"a\" HTTP/1.1", request("GET", '/"a"')),
    Odd("request", r"GET /\x22a\x22 HTTP/1.1", request("GET", '/"a"')),
    Odd("request", r"GET /a\\b HTTP/1.1", request("GET", r"/a\b")),
    Odd("request", r"GET /a\ HTTP/1.1", request("GET", "/a\\")),
    Odd("request", 'GET /"a" HTTP/1.1', request("GET", '/"a"')),
    Odd("request", 'GET /a"b HTTP/1.1', request("GET", '/a"b')),
    Odd("request", 'GET /a" HTTP/1.1', request("GET", '/a"')),
    Odd("request", 'GET /a" b HTTP/1.1', request("GET", '/a" b')),
    Odd("request", 'GET /?a="b c"&d="e" HTTP/1.1', request("GET", '/?a="b c"&d="e"')),
    Odd("request", 'GET /x.html" HTTP/1.0', request("GET", '/x.html"', "1.0")),
    Odd("request", "GET /" + "x" * 1500 + " HTTP/1.1", request("GET", "/" + "x" * 1500)),
    Odd(
        "request",
        "GET http://WWW.Example.com:80/x?y HTTP/1.0",
        request("GET", "/x?y", "1.0")
        | {"url": "http://WWW.Example.com:80/x?y", "scheme": "http", "host": "www.example.com"},
    ),
    Odd("request", "", no_request("")),
    Odd("request", "-", no_request("-")),
    Odd("request", " ", no_request(" ")),
    Odd("request", "quit", no_request("quit")),
    Odd("request", r"\x16\x03\x01\x02", no_request("\x16\x03\x01\x02")),
    Odd("request", "\x16\x03\x01\x02", no_request("\x16\x03\x01\x02")),
    Odd("request", r"\n", no_request("\n")),
    Odd("request", '\x03"', no_request('\x03"')),
    Odd("request", "SSH-2.0-x", no_request("SSH-2.0-x")),
    Odd("request", "t3 12.1.2", no_request("t3 12.1.2")),
    Odd("status", "499", {"status": 499}),
    Odd("status", "999", {"status": 999}),
    Odd("status", "000", {"status": 0}),
    Odd("status", "-", {"status": None}),
    Odd("body_bytes_sent", "-", {"size": None}),
    Odd("body_bytes_sent", "0", {"size": 0}),
    Odd("body_bytes_sent", "5368709120", {"size": 5368709120}),
    Odd("http_x_forwarded_for", "", {}),
    Odd(
        "http_x_forwarded_for",
        "192.0.2.9, 198.51.100.3",
        {"extra": {"http_x_forwarded_for": ["192.0.2.9", "198.51.100.3"]}},
    ),
    Odd(
        "http_x_forwarded_for",
        'a "quoted" word',
        {"extra": {"http_x_forwarded_for": ['a "quoted" word']}},
    ),
    Odd("server_name", "_", {"host": "_", "extra": {}}),
    Odd("request_time", "0.000", {"request_time": 0.0}),
    Odd("request_time", "60.001", {"request_time": 60.001}),
    Odd("request_time", "-", {"request_time": None}),
    *(
        Odd(
            "upstream_response_time",
            text,
            {"upstream_time": total, "extra": {"upstream_response_time": items}},
        )
        for text, total, items in [
            ("0.001, 0.040", 0.041, [0.001, 0.04]),
            ("0.001 : 0.040", 0.041, [0.001, 0.04]),
            ("0.001, -", 0.001, [0.001, None]),
            ("5", 5.0, [5.0]),
        ]
    ),
    *(
        Odd("upstream_addr", text, {"extra": {"upstream_addr": items}})
        for text, items in [
            ("[2001:db8::5]:8080", ["[2001:db8::5]:8080"]),
            ("unix:/run/app.sock", ["unix:/run/app.sock"]),
            ("192.0.2.5:80, 192.0.2.6:80", ["192.0.2.5:80", "192.0.2.6:80"]),
            ("shop-backend", ["shop-backend"]),
        ]
    ),
    Odd("upstream_status", "502, 200", {"extra": {"upstream_status": [502, 200]}}),
    Odd("upstream_status", "000", {"extra": {"upstream_status": [0]}}),
]


def written(name: str, **values: str) -> str:
    """Return a line of a format, usual but for these values."""
    template = access_format(FORMATS[name]).template
    return template.before + "".join(
        {**USUAL, **values}[part.variable] + part.after for part in template.parts
    )


def in_lines() -> list[Any]:
    """Return each odd value with each format that it can stand in."""
    return [
        pytest.param(name, odd, id=f"{name}-{odd.variable}-{at}")
        for name in FORMATS
        for at, odd in enumerate(ODD)
        if fits(name, odd)
    ]


def fits(name: str, odd: Odd) -> bool:
    """Return whether the value may stand in a line of the format."""
    variables = access_format(FORMATS[name]).variables
    has_raw_quote = '"' in re.sub(r'\\.|^""$', "", odd.logged) or odd.logged.endswith("\\")
    return odd.variable in variables and not ("rest" in variables and has_raw_quote)


def columns_of(event: Event) -> dict[str, Any]:
    """Return the columns, those in `extra` apart."""
    return {**event._asdict(), "extra": event.extra or {}}


@pytest.mark.parametrize(("name", "odd"), in_lines())
def test_an_odd_value_fits_and_changes_its_own_columns_only(name: str, odd: Odd) -> None:
    """Raw quotes, escapes of nginx and Apache, raw bytes, names in place of addresses."""
    usual = columns_of(access_parser(FORMATS[name])(written(name).encode()))
    found = columns_of(
        access_parser(FORMATS[name])(written(name, **{odd.variable: odd.logged}).encode())
    )
    expected = dict(odd.columns)
    extra = dict(usual["extra"])
    if odd.variable in extra:
        del extra[odd.variable]
    extra |= expected.pop("extra", {})
    if usual["host"] is not None and odd.variable == "request":
        expected["host"] = expected.get("host") or usual["host"]  # the host that the line names
    if "upstream_time" in expected and "upstream_response_time" not in usual["extra"]:
        del extra["upstream_response_time"]

    assert found == {**usual, **expected, "extra": extra}


@pytest.mark.parametrize(
    "name", sorted(FORMATS.keys() - {"upstreaminfo", "combined_plus", "common_plus"})
)
@pytest.mark.parametrize("end", ["\r", " ", "  ", " \r"])
def test_white_space_at_the_end_of_a_line_is_nothing(name: str, end: str) -> None:
    """Files from Windows, and what editors leave behind; unless the line ends in a bare text."""
    parse = access_parser(FORMATS[name])
    line = written(name)

    assert parse((line + end).encode()) == parse(line.encode())


@pytest.mark.parametrize("name", FORMATS)
def test_bytes_that_are_no_utf8_fit(name: str) -> None:
    """Old servers wrote what clients sent, in whatever encoding."""
    line = written(name, request="GET /RAW HTTP/1.1").encode().replace(b"RAW", b"\xe9\xff")

    assert access_parser(FORMATS[name])(line).url == r"/\xe9\xff"


#: A line of a format, and what is more, or less, than it has.
TORN = [
    ("combined", ' "-"'),
    ("combined", ' "-" "-"'),
    ("combined", ' "" "-"'),
    ("combined", ' ""'),
    ("combined", ' " "'),
    ("main", ' ""'),
    ("combined", ' 0.005 "www.example.com"'),
    ("combined", ' "192.0.2.9" 0.005 "www.example.com"'),
    ("combined", ' rt=0.005 urt="0.004"'),
    ("main", ' "www.example.com"'),
    ("main", ' 0.005 0.004 "www.example.com"'),
    ("common", ' "-" 5'),
    ("vhost_combined", ' "-"'),
]


@pytest.mark.parametrize(("name", "more"), TORN)
def test_raw_quotes_join_no_fields(name: str, more: str) -> None:
    """A line with more fields than its format is no line with an odd last one."""
    with pytest.raises(Unparseable):
        access_parser(name)((written(name) + more).encode())


@pytest.mark.parametrize(
    "line",
    [
        '192.0.2.7 - - [10/Oct/2000:13:55:36 +0330] "GET / HTTP/1.1" "x" 200 5 "-" "y"',
        '192.0.2.7 - - [10/Oct/2000:13:55:36 +0330] "GET / HTTP/1.1" 200 5 "-" "x" "y" "z"',
        '192.0.2.7 - - [10/Oct/2000:13:55:36 +0330] "GET / HTTP/1.1" 200 "5" "-" "y"',
        '192.0.2.7 - - [10/Oct/2000:13:55:36 +0330] "GET / HTTP/1.1 200 5 "-" "y',
        '"192.0.2.7" - - "10/Oct/2000:13:55:36 +0330" "GET / HTTP/1.1" 200 5 "-" "y"',
    ],
)
def test_raw_quotes_are_no_excuse(line: str) -> None:
    """What does not fit does not."""
    with pytest.raises(Unparseable):
        access_parser("combined")(line.encode())


JSON = """log_format j escape={} '{{"time":"$time_iso8601","remote_addr":"$remote_addr",'
    '"request":"$request","status":$status,"size":"$body_bytes_sent","rt":$request_time,'
    '"upstream":{{"time":"$upstream_response_time"}},"agent":"$http_user_agent"}}';"""
USUAL_JSON = (
    '{"time":"TIME","remote_addr":"192.0.2.7","request":"GET / HTTP/1.1","status":200,"size":"5",'
    '"rt":0.005,"upstream":{"time":"0.004"},"agent":"Mozilla/5.0"}'
)
REORDERED_JSON = (
    '{"agent":"Mozilla/5.0","upstream":{"time":"0.004"},"rt":0.005,"size":"5","status":200,'
    '"request":"GET / HTTP/1.1","remote_addr":"192.0.2.7","time":"TIME"}'
)
JSON_LINES = [
    USUAL_JSON,
    REORDERED_JSON,
    f" {USUAL_JSON} ",
    USUAL_JSON.replace("200", '"200"').replace('"5"', "5").replace("0.005", '"0.005"'),
    USUAL_JSON.replace('"0.004"', "0.004"),
    USUAL_JSON.replace(":", " : ", 1).replace(",", " , "),
    USUAL_JSON.replace('"status"', '"new":{"a":["b",{}]},"status"'),
    USUAL_JSON.replace('{"time":"0.004"}', '{"time":"0.004","x":[1,null]}'),
]


@pytest.mark.parametrize("escape", ["default", "json", "none"])
@pytest.mark.parametrize("line", JSON_LINES)
@pytest.mark.parametrize(
    ("logged", "time"),
    [
        ("2000-10-10T13:55:36+00:00", "2000-10-10 13:55:36.000"),
        ("2000-10-10T13:55:36+0000", "2000-10-10 13:55:36.000"),
        ("2000-10-10T13:55:36Z", "2000-10-10 13:55:36.000"),
        ("2000-10-10T13:55:36.123456Z", "2000-10-10 13:55:36.123"),
    ],
)
def test_json_in_other_spellings(escape: str, line: str, logged: str, time: str) -> None:
    """Numbers as texts and the other way round, keys that are new or elsewhere, spaces."""
    event = access_parser(JSON.format(escape))(line.replace("TIME", logged).encode())

    assert (event.time, event.status, event.size) == (time, 200, 5)
    assert (event.request_time, event.upstream_time) == (0.005, 0.004)
    assert (event.method, event.url, event.user_agent) == ("GET", "/", "Mozilla/5.0")


def test_a_slash_may_be_escaped_in_json() -> None:
    """PHP does so."""
    line = USUAL_JSON.replace("TIME", "2000-10-10T13:55:36Z").replace("/", r"\/")
    event = access_parser(JSON.format("json"))(line.encode())

    assert (event.url, event.http_version, event.user_agent) == ("/", "1.1", "Mozilla/5.0")


@pytest.mark.parametrize("escape", ["default", "json"])
def test_raw_quotes_in_json(escape: str) -> None:
    """No JSON any more, and yet each text ends where the next key begins."""
    line = USUAL_JSON.replace("TIME", "2000-10-10T13:55:36Z").replace("GET /", 'GET /a"b')
    parse = access_parser(JSON.format(escape))
    event = parse(line.replace("Mozilla/5.0", 'a "quoted" word').encode())

    assert (event.url, event.status, event.user_agent) == ('/a"b', 200, 'a "quoted" word')
    with pytest.raises(Unparseable):
        parse(line.replace('"status"', '"new":"x","status"').encode())


#: Where words of another format would stand.
SHIFTING = (
    *("session", "remote_user", "status", "body_bytes_sent", "request_time", "http_referer"),
    "http_x_forwarded_for",
)


@pytest.mark.parametrize("name", OWN)
def test_the_format_of_such_lines_is_found(name: str) -> None:
    """Whatever stands in the fields; only what makes no sense in its place does not count."""
    odd = [
        written(name, **{value.variable: value.logged}).encode()
        for value in ODD
        if fits(name, value) and value.variable != "remote_addr"
    ]
    found = detect(odd)

    senseless = [value for value in ODD if value.variable in SHIFTING]
    assert (found.name, found.is_sure) == (name, True)
    assert len(odd) - len(senseless) <= found.fit <= len(odd)
