"""The three formats: which lines fit, and what their fields become."""

from __future__ import annotations

from typing import get_type_hints

import pytest

from datastream.parsing import (
    EXTRA_LIMIT,
    LIMITS,
    REJECT_REASONS,
    Event,
    Unparseable,
)
from parsed import access_format, access_parser

START = b'203.0.113.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a?b=c HTTP/1.1" 200 512'
LINES = {
    "combined": START + b' "https://www.example.com/" "Mozilla/5.0 (X11; Linux)"',
    "common": START,
    "proxy": START + b" -",
}


def parse_common(
    client: str = "203.0.113.7",
    session: str = "-",
    user: str = "-",
    request: str = "GET / HTTP/1.1",
    numbers: str = "200 512",
) -> Event:
    """Parse a line of the common format with these fields."""
    line = f'{client} {session} {user} [10/Oct/2000:13:55:36 -0700] "{request}" {numbers}'
    return access_parser("common")(line.encode())


def reason_of(line: bytes, name: str = "common") -> str:
    """Return the reason why the line is rejected."""
    with pytest.raises(Unparseable) as caught:
        access_parser(name)(line)
    return caught.value.reason


def test_a_combined_line() -> None:
    """Every field of nginx's usual format has its column."""
    event = access_parser("combined")(LINES["combined"])

    assert event == Event(
        time="2000-10-10 20:55:36.000",
        client=bytes([203, 0, 113, 7]),
        session=None,
        user=None,
        is_email=False,
        email_domain=None,
        method="GET",
        url="/a?b=c",
        scheme=None,
        host=None,
        path="/a",
        query="b=c",
        http_version="1.1",
        status=200,
        size=512,
        request_time=None,
        upstream_time=None,
        referrer="https://www.example.com/",
        user_agent="Mozilla/5.0 (X11; Linux)",
        extra=None,
    )


def test_a_common_line_is_a_combined_one_without_its_last_fields() -> None:
    """The same seven fields give the same columns."""
    combined = access_parser("combined")(LINES["combined"])

    assert access_parser("common")(LINES["common"]) == combined._replace(
        referrer=None, user_agent=None
    )


def test_a_proxy_line() -> None:
    """A session, an e-mail address as the user and a whole URL each have their columns."""
    event = access_parser("proxy")(
        b"198.51.100.9 Xy12AbCd34EfGh5 ana@Mail.Example.org [01/Nov/2022:08:45:23 -0500] "
        b'"GET https://www.example.com:443/topics?id=1 HTTP/1.1" 200 51200 -'
    )

    assert event.time == "2022-11-01 13:45:23.000"
    assert event.session == "Xy12AbCd34EfGh5"
    assert event.user == "ana@Mail.Example.org"
    assert (event.is_email, event.email_domain) == (True, "mail.example.org")
    assert event.url == "https://www.example.com:443/topics?id=1"
    assert (event.scheme, event.host) == ("https", "www.example.com")
    assert (event.path, event.query) == ("/topics", "id=1")
    assert (event.referrer, event.user_agent, event.extra) == (None, None, None)


@pytest.mark.parametrize("name", LINES)
def test_a_line_fits_its_own_format_only(name: str) -> None:
    """No format claims a line of another by ignoring how it ends."""
    for other in LINES:
        if other == name:
            access_parser(name)(LINES[name])
        else:
            assert reason_of(LINES[name], other) == "format"


@pytest.mark.parametrize("name", LINES)
def test_white_space_at_the_end_is_ignored(name: str) -> None:
    """A log that went through Windows, or an editor, parses as before."""
    for end in (b"\r", b" ", b" \r", b"\r\r"):
        assert access_parser(name)(LINES[name] + end) == access_parser(name)(LINES[name])


@pytest.mark.parametrize("name", LINES)
def test_a_line_ends_where_its_format_does(name: str) -> None:
    """A field more or a character less is another format."""
    assert reason_of(b" " + LINES[name], name) == "format"
    assert reason_of(LINES[name] + b" -", name) == "format"
    if name != "common":  # a shorter size is a size
        assert reason_of(LINES[name][:-1], name) == "format"


@pytest.mark.parametrize("line", [b"", b"\r", b"   ", b"\t \r"])
@pytest.mark.parametrize("name", LINES)
def test_a_blank_line_is_empty(name: str, line: bytes) -> None:
    """Nothing at all has a reason of its own."""
    assert reason_of(line, name) == "empty"


@pytest.mark.parametrize(
    "line",
    [
        b"hello",
        b"\0\0\0",
        START.replace(b" - - ", b" - "),
        START.replace(b" - - ", b" "),
        START.replace(b"[", b""),
        START.replace(b"]", b""),
        START.replace(b'"GET', b"GET"),
        START.replace(b'1.1"', b"1.1"),
        START.replace(b" 512", b""),
        START.replace(b" 200 ", b"  200 "),
        START.replace(b" 200", b' "200"'),
    ],
)
def test_a_line_without_the_fields_does_not_fit(line: bytes) -> None:
    """A line that has other fields than its format is rejected as such."""
    assert reason_of(line) == "format"


@pytest.mark.parametrize("text", [b"", b"now", b"31/Feb/2000:13:55:36 -0700"])
def test_a_line_without_a_time_says_so(text: bytes) -> None:
    """The fields are there, the time is none."""
    assert reason_of(START.replace(b"10/Oct/2000:13:55:36 -0700", text)) == "time"


def test_the_reason_is_all_that_a_reject_carries() -> None:
    """Nothing of the line can reach a log or a label through the exception."""
    with pytest.raises(Unparseable) as caught:
        access_parser("common")(START.replace(b"Oct", b"Okt"))

    assert caught.value.args == ("time",)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_only_known_reasons_exist() -> None:
    """The set of reasons is bounded."""
    assert [Unparseable(reason).reason for reason in REJECT_REASONS] == list(REJECT_REASONS)
    with pytest.raises(ValueError, match="REJECT_REASONS"):
        Unparseable("203.0.113.7 said hello")


@pytest.mark.parametrize(
    ("client", "packed"),
    [
        ("203.0.113.7", bytes([203, 0, 113, 7])),
        ("2001:db8::7", bytes.fromhex("20010db8000000000000000000000007")),
        ("::ffff:203.0.113.7", bytes([203, 0, 113, 7])),
        ("203.0.113.7:51234", bytes([203, 0, 113, 7])),
        ("[2001:db8::7]:443", bytes.fromhex("20010db8000000000000000000000007")),
        ('"203.0.113.7"', bytes([203, 0, 113, 7])),
    ],
)
def test_an_address_is_packed(client: str, packed: bytes) -> None:
    """IPv4 takes 4 bytes, IPv6 16."""
    event = parse_common(client=client)

    assert event.client == packed
    assert event.extra is None


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("common", ' - - [{}] "GET / HTTP/1.1" 200 512'),
        ("common", ' - ana [{}] "GET / HTTP/1.1" 200 512'),
        ("main", ' - - [{}] "GET / HTTP/1.1" 200 512 "-" "-" "-"'),
        ("vhost_combined", 'example.com:443  - - [{}] "GET / HTTP/1.1" 200 512 "-" "-"'),
        ("$remote_addr [$time_local] $status", " [{}] 200"),
        ('"$remote_addr" "$time_local"', '"" "{}"'),
        ("$remote_addr\t$time_local", "\t{}"),
        ("$time_local|$remote_addr|$host", "{}||example.com"),
    ],
)
def test_an_empty_client_is_null(form: str, line: str) -> None:
    """Gunicorn writes it on a unix socket; the other fields are where they should be."""
    found = access_format(form)
    text = line.format("10/Oct/2000:13:55:36 -0700").encode()
    event = found.parse(text)

    assert event == found.careful(text)
    assert (event.client, event.session, (event.extra or {}).get("client")) == (None, None, None)
    assert event.user in (None, "ana")


@pytest.mark.parametrize("form", ["common", "main", "$remote_addr $host [$time_local]"])
def test_a_padded_line_is_none_of_an_empty_client(form: str) -> None:
    """Its address would be taken for the session or the host."""
    for blanks in (" ", "  "):
        line = f'{blanks}192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 512'
        with pytest.raises(Unparseable):
            access_format(form).parse(line.encode())


@pytest.mark.parametrize("client", ["unix:", "crawler.example.net", "-", "203.0.113.7:x", "é"])
def test_a_client_that_is_no_address_is_kept_as_text(client: str) -> None:
    """The column is NULL and nothing is lost."""
    event = parse_common(client=client)

    assert event.client is None
    assert event.extra == {"client": client}


@pytest.mark.parametrize(
    ("logged", "user"),
    [
        ("-", None),
        ("ana", "ana"),
        ("ana maria lopez", "ana maria lopez"),
        ("- -", "- -"),
        ('""', ""),
        ("", ""),
        (r"a\"b", 'a"b'),
        (r"a\x22 [b", 'a" [b'),
        ("x [10/Oct/2001:00:00:00 +0000]", "x [10/Oct/2001:00:00:00 +0000]"),
        (
            r"x [10/Oct/2001:00:00:00 +0000] \"GET /fake HTTP/1.1\" 200 1",
            'x [10/Oct/2001:00:00:00 +0000] "GET /fake HTTP/1.1" 200 1',
        ),
    ],
)
def test_a_user_is_any_text(logged: str, user: str | None) -> None:
    """A user's name, which a client makes up, cannot pass for the fields after it."""
    event = parse_common(user=logged)

    assert event.user == user
    assert event.time == "2000-10-10 20:55:36.000"
    assert event.url == "/"


@pytest.mark.parametrize(
    ("logged", "text"),
    [
        ("", ""),
        ("-", "-"),
        (r"\x16\x03\x01\x02\x00\xFC\x03 \x8A", "\x16\x03\x01\x02\0\\xfc\x03 \\x8a"),
        ("MGLNDD_203.0.113.7_80", "MGLNDD_203.0.113.7_80"),
        ("SSH-2.0-Go", "SSH-2.0-Go"),
        ("OPTIONS / RTSP/1.0", "OPTIONS / RTSP/1.0"),
        (r"\"\\\"", '"\\"'),
        ("\x00\x01\x02", "\x00\x01\x02"),
    ],
)
def test_an_odd_request_is_kept_as_text(logged: str, text: str) -> None:
    """What is no HTTP request has no method or URL, and its line is no reject."""
    event = parse_common(request=logged)

    assert event[6:13] == (None,) * 7
    assert event.extra == {"request": text}
    assert event.status == 200


def test_escapes_are_turned_back_into_text() -> None:
    r"""Neither `\"` nor `\xHH` ends a text; both are what the server had before it wrote them."""
    event = access_parser("combined")(
        LINES["combined"]
        .replace(b"https://www.example.com/", rb"http://q/?\"a\\")
        .replace(b"Mozilla/5.0 (X11; Linux)", rb"\x22agent\xC3\xA9\"")
    )

    assert event.referrer == 'http://q/?"a\\'
    assert event.user_agent == '"agenté"'


def test_bytes_that_are_no_utf8_are_written_as_escapes() -> None:
    """Whatever the bytes, the text can be stored as UTF-8."""
    line = LINES["combined"].replace(b"Mozilla", "é".encode() + b"\xff\xed\xa0\x80\0")
    event = access_parser("combined")(line)

    assert event.user_agent == "é\\xff\\xed\\xa0\\x80\0/5.0 (X11; Linux)"


@pytest.mark.parametrize("text", ["", "x"])
def test_only_a_dash_means_that_there_is_no_referrer_or_user_agent(text: str) -> None:
    """An empty header is not an absent one."""
    event = access_parser("combined")(START + f' "{text}" "{text}"'.encode())
    absent = access_parser("combined")(START + b' "-" "-"')

    assert (event.referrer, event.user_agent) == (text, text)
    assert (absent.referrer, absent.user_agent, absent.extra) == (None, None, None)


@pytest.mark.parametrize(
    ("numbers", "status", "size", "extra"),
    [
        ("200 0", 200, 0, None),
        ("000 007", 0, 7, None),
        ("- -", None, None, None),
        ("65535 9223372036854775807", 65535, 2**63 - 1, None),
        (
            "65536 9223372036854775808",
            None,
            None,
            {"status": "65536", "size": "9223372036854775808"},
        ),
        ("OK 5k", None, None, {"status": "OK", "size": "5k"}),
        ("\u0662\u0660\u0660 -5", None, None, {"status": "\u0662\u0660\u0660", "size": "-5"}),
        (f"200 {'9' * 5000}", 200, None, {"size": "9" * EXTRA_LIMIT, "cut": ["size"]}),
    ],
)
def test_a_number_out_of_range_is_kept_as_text(
    numbers: str, status: int | None, size: int | None, extra: dict[str, object] | None
) -> None:
    """A row never holds a number that its column cannot."""
    event = parse_common(numbers=numbers)

    assert (event.status, event.size, event.extra) == (status, size, extra)


def test_every_text_has_a_limit() -> None:
    """Its column holds no more."""
    texts = {name for name, kind in get_type_hints(Event).items() if kind == str | None}

    assert texts == LIMITS.keys()


def test_a_text_at_its_limit_is_whole() -> None:
    """A limit is the most that fits."""
    event = parse_common(session="s" * 255, user="u" * 255, request=f"{'M' * 32} * HTTP/1.1")

    assert event.session == "s" * 255
    assert event.user == "u" * 255
    assert event.method == "M" * 32
    assert event.extra is None


def test_a_text_over_its_limit_is_cut_and_says_so() -> None:
    """Each column keeps its first characters, and `extra` names the columns."""
    long = "é" * 5000
    line = (
        f"host {long} a@{long}.org [10/Oct/2000:13:55:36 -0700] "
        f'"{"M" * 33} {"s" * 17}://{long}/{long}?{long} HTTP/1.1" 200 1 "{long}" "{long}"'
    )
    form = access_format("combined")
    event = form.parse(line.encode())
    filled = {column for part in form.destinations() for column in part.columns}
    cut = [column for column in LIMITS if column in filled - {"http_version"}]

    assert event.extra is not None
    assert event.extra["client"] == "host"
    assert event.extra["cut"] == cut
    for column in cut:
        assert len(getattr(event, column)) == LIMITS[column]
    assert event.is_email


def test_a_text_over_the_limit_of_extra_is_cut_and_says_so() -> None:
    """An odd text does not make a huge row either."""
    event = parse_common(client="c" * 3000, request="r" * 3000)

    assert event.extra == {
        "client": "c" * 2048,
        "request": "r" * 2048,
        "cut": ["client", "request"],
    }
