"""FORMAT=auto: which format lines are in, and how sure that is."""

from __future__ import annotations

import json
import re
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastream.parsing import ERROR, PREFIXES, Event, detect, parser_for, unsure
from datastream.parsing.detect import Detected
from datastream_playground import sample

LINE = '192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 512'
LINES = {
    "combined": f'{LINE} "-" "Mozilla/5.0"',
    "common": LINE,
    "main": f'{LINE} "-" "Mozilla/5.0" "-"',
    "upstreaminfo": f'{LINE} "-" "Mozilla/5.0" 312 0.042 [shop] [] 192.0.2.5:80 512 0.04 200 a3c1',
    "vhost_combined": f'www.example.com:443 {LINE} "-" "Mozilla/5.0"',
    "proxy": f"{LINE} -",
    "host_combined": f'www.example.com {LINE} "-" "Mozilla/5.0"',
    "combined_plus": f'{LINE} "-" "Mozilla/5.0" "-" 0.042 0.040 "www.example.com"',
    "common_plus": f"{LINE} 0.042 www.example.com",
    "error": "2000/10/10 13:55:36 [error] 31#31: *7 x, client: 192.0.2.7, server: _",
}


@pytest.mark.parametrize("name", LINES)
def test_each_format_is_found(name: str) -> None:
    """A few lines of others change nothing."""
    line = LINES[name].encode()

    assert detect([line]).name == name
    found = detect([b"", b"hello", *(text.encode() for text in LINES.values()), *[line] * 20])
    assert (found.name, found.is_sure) == (name, True)
    assert re.match(
        rf"{name} fits [678]\d\.\d % of the first \d\d lines; the next best, ", str(found)
    )
    assert found.fit >= 21 > found.next_fit


@pytest.mark.parametrize("name", sample.FORMATS)
def test_the_format_of_a_sample_is_found(name: sample.Format) -> None:
    """Only the first thousand lines are looked at."""
    found = detect([line for line, _ in sample.generate(1500, name, seed=2)])

    assert (found.name, found.lines, found.is_sure) == (name, 1000, True)


@pytest.mark.parametrize("lines", [[], [b"hello"] * 20, [b'{"status": 200}'] * 20])
def test_lines_of_no_format_leave_it_unsure(lines: list[bytes]) -> None:
    """Something is named, and nobody may rely on it."""
    found = detect(lines)

    assert (found.fit, found.is_sure) == (0, False)


def test_half_of_the_lines_is_not_enough() -> None:
    """Two formats in one log are none."""
    found = detect([LINES["combined"].encode(), LINES["common"].encode()] * 10)

    assert (found.fit, found.is_sure) == (10, False)


@pytest.mark.parametrize(
    ("fit", "unfit", "sureness", "share"),
    [
        (1000, 0, "certain", "all of the first 1,000 lines"),
        (992, 8, "certain", "99.2 % of the first 1,000 lines"),
        (999, 1, "certain", "99.9 % of the first 1,000 lines"),
        (699, 1, "certain", "99.8 % of the first 700 lines"),
        (900, 100, "likely", "90.0 % of the first 1,000 lines"),
        (9, 0, "likely", "all of the first 9 lines"),
        (300, 700, "a guess", "30.0 % of the first 1,000 lines"),
        (0, 20, "a guess", "none of the first 20 lines"),
    ],
)
def test_how_sure_it_is_is_said_in_words(fit: int, unfit: int, sureness: str, share: str) -> None:
    """They fit the share, which is all or none only where it is just that."""
    found = Detected("combined", fit, fit + unfit, "common", 0, 0)

    assert found.sureness == sureness
    assert f"fits {share}; the next best, " in str(found)


def test_more_fields_than_a_format_has_are_the_last_resort() -> None:
    """Its lines are those that no format knows whole."""
    known = [LINES[name].encode() for name in ("combined", "main")] * 10
    more = [LINES["combined_plus"].encode()] * 11

    assert detect(known + more)[:2] == ("combined_plus", 11)
    found = detect(known)
    assert (found.name, found.fit, found.next_name, found.next_fit) == ("combined", 10, "main", 10)


def test_a_line_whose_client_is_no_address_does_not_fit() -> None:
    """It may be a name, or the first word of a format that has no name here."""
    line = LINES["combined"].replace("192.0.2.7", "dial-7.example.net").encode()
    whole = LINES["combined"].encode()

    found = detect([line] * 20)
    assert (found.name, found.fit, found.half_way, found.sureness) == ("combined", 0, 20, "a guess")
    assert "20 have its shape, but no address as their client" in str(found)
    assert detect([line] * 10 + [whole] * 90).sureness == "likely"
    assert detect([line] + [whole] * 99).sureness == "certain"
    assert detect([LINES["combined"].replace("192.0.2.7", "unix:").encode()] * 20).is_sure


def test_a_first_word_that_is_no_text_is_no_host() -> None:
    """Nothing is raised, and the format of the other lines is found."""
    odd = b"\xff\xfe " + LINES["combined"].encode()

    found = detect([odd] * 5 + [LINES["combined"].encode()] * 20)
    assert (found.name, found.fit) == ("combined", 20)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (f'{LINE} "-" "Mozilla/5.0" "www.example.com"', "combined_plus"),
        (f'{LINE} "-" "Mozilla/5.0" "0.042"', "combined_plus"),
        (f'{LINE} "www.example.com" "-" "Mozilla/5.0"', "common_plus"),
        (f'{LINE} "Mozilla/5.0 (X11)" "https://www.example.com/"', "common_plus"),
        (f'{LINE} "" "Mozilla/5.0" "unknown"', "main"),
        (f'{LINE} "/from" "Mozilla/5.0" "unknown, 192.0.2.1"', "main"),
        (f'{LINE} "android-app://com.example/" "Mozilla/5.0" "192.0.2.1:4711"', "main"),
    ],
)
def test_a_value_of_another_place_does_not_fit(line: str, name: str) -> None:
    """A host is no X-Forwarded-For, and a user agent no referrer."""
    found = detect([line.encode()] * 20)

    assert (found.name, found.sureness) == (name, "certain")


@pytest.mark.parametrize(
    "line",
    [
        LINE.replace("512", '0.042 512 "-" "Mozilla/5.0"'),
        LINE.replace("512", '0.042 "-" "Mozilla/5.0"'),
        LINE.replace("200", "www.example.com 200"),
        f'- {LINE} "-" "Mozilla/5.0"',
    ],
)
def test_a_number_that_is_none_fits_nothing(line: str) -> None:
    """Another field may stand there; and a dash is no host."""
    assert detect([line.encode()] * 20).sureness == "a guess"


@pytest.mark.parametrize("first", ["192.0.2.9,", "2001:db8::9,", "192.0.2.9"])
def test_an_address_before_the_client_is_no_host(first: str) -> None:
    """Of lines with two addresses in front nothing is sure: each format shifts their columns."""
    line = f"{first} {LINES['combined']}".encode()

    assert detect([line] * 20).sureness == "a guess"
    assert detect([line] * 20 + [LINES["combined"].encode()] * 180).name == "combined"
    assert detect([line] * 20 + [LINES["combined"].encode()] * 180).sureness == "likely"


def test_an_error_log_of_traces_is_found_out() -> None:
    """Most of its lines go on with an entry; those that only might do not count."""
    head = b"2026/11/29 17:57:46 [error] 31#31: *7 lua entry thread aborted"
    entry = [head, *[b"\t[C]: in ?"] * 9, b"in main, client: 192.0.2.7, server: www.example.com"]
    found = detect(entry * 5)

    assert (found.name, found.fit, found.sureness) == ("error", 55, "certain")
    assert not detect([head, *[b"%d {}" % at for at in range(900)]]).is_sure


SHIFTED = [
    "Sep 15 16:13:00 web1 192.0.2.1 - - [{0}",
    "192.0.2.1 - [192.0.2.1] - ana [{0}",
    "203.0.113.9, 192.0.2.1 - - [{0}",
    "nginx: 192.0.2.1 - - [{0}",
    "192.0.2.1 - 6f1ed002-ab55-4585-9014-ebf0951522d9 [{0}",
    "6f1ed002ab5595859014ebf0951522d9 192.0.2.1 - - [{0}",
]


@pytest.mark.parametrize("line", SHIFTED)
def test_lines_of_no_format_here_are_not_taken_for_one(line: str) -> None:
    """A word too many, or another one in its place, is seen in client, session and user."""
    rest = LINES["combined"].partition("[")[2]

    assert detect([line.format(rest).encode()] * 20).sureness == "a guess"


#: Words that formats have in front of what nginx writes, or between.
WORDS = (
    *("web1", "-", "info", "nginx:", "nginx[7]:", "|", "web", '"x"', "<190>", "1", "at=info"),
    *("203.0.113.9", "2001:db8::9", "203.0.113.9,", "203.0.113.9:80", "[203.0.113.9]", "unix:"),
    *("[2001:db8::9]:80", "::ffff:203.0.113.9", '"203.0.113.9"', "x@203.0.113.9", "[x]", "["),
    *("www.example.com", "www.example.com:443", "localhost", "dial-7.example.net", "user-7"),
    *("6f1ed002ab5595859014ebf0951522d9", "6f1ed002-ab55-4585-9014-ebf0951522d9", "0.042"),
    *("Sep", "15", "16:13:00", "2026-11-29", "2026-11-29T17:40:03Z", "1795974003.123", "stdout"),
)


@given(data=st.data())
def test_a_format_that_is_named_shifts_neither_client_nor_user(data: st.DataObject) -> None:
    """Whatever words stand in front of the lines of a format, or between their first fields."""
    name = data.draw(st.sampled_from(sorted(set(LINES) - {ERROR})), "format")
    client = data.draw(st.sampled_from(["192.0.2.7", "2001:db8::7"]), "client")
    user = data.draw(st.sampled_from(["-", "ana", "ana@example.com"]), "user")
    before, _, after = LINES[name].partition(" [")
    words = [*before.replace("192.0.2.7", client).removesuffix("-").split(), user]
    at = data.draw(st.integers(0, len(words)), "place")
    words[at:at] = data.draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4), "words")
    line = f"{' '.join(words)} [{after}".encode()

    found = detect([line] * 20)
    if found.sureness != "a guess":
        event = parser_for(found.name)(line)
        assert isinstance(event, Event)
        assert event.client == ip_address(client).packed
        assert event.user == (None if user == "-" else user)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", LINES)
def test_a_prefix_is_found_with_the_format_behind_it(prefix: str, name: str) -> None:
    """Some lines without it change nothing."""
    line = LINES[name]
    carried = PREFIXES[prefix].example + line
    if prefix == "docker_json":
        carried = json.dumps({"log": f"{line}\n", "stream": "stdout", "time": "x"})

    found = detect([carried.encode()] * 60 + [line.encode(), b""])
    assert (found.name, found.fit, found.is_sure) == (f"{prefix} {name}", 60, True)
    assert found.next_name.startswith(f"{prefix} ")
    assert str(found).startswith(f"{prefix} {name} fits ")


def test_prefixes_behind_a_prefix() -> None:
    """A container may write what it got by syslog."""
    line = f"web-1  | <190>Nov 29 17:40:03 web1 nginx: {LINES['main']}".encode()

    assert detect([line] * 20).name == "compose rfc3164 main"


def test_a_prefix_that_half_of_the_lines_have_is_none() -> None:
    """As with two formats in one log, nothing is sure."""
    line = LINES["combined"].encode()
    found = detect([b"web-1  | " + line] * 10 + [line] * 10)

    assert (found.name, found.fit, found.is_sure) == ("combined", 10, False)


def test_parts_of_lines_have_their_prefix() -> None:
    """Their format is that of the whole ones."""
    time = "2026-11-29T17:40:03.123456789Z stdout"
    lines = [f"{time} P x".encode()] * 9 + [f"{time} F {LINES['common']}".encode()] * 11

    assert detect(lines)[:3] == ("cri common", 11, 20)


JSON = {
    "@timestamp": "2026-11-29T12:00:00+01:00",
    "clientip": "192.0.2.7",
    "request": "GET /a HTTP/1.1",
    "status": 200,
    "bytes": "512",
    "request_time": 0.5,
    "my key": 1,
    "colour": "red",
}


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"@timestamp": None, "time": "10/Oct/2000:13:55:36 -0700"},
        {"@timestamp": None, "msec": 1795953600.25, "clientip": None, "remote_addr": "192.0.2.7"},
    ],
)
def test_json_is_read_by_the_usual_keys(others: dict[str, object]) -> None:
    """Each key that people write for a variable is that variable, any other one of its own name."""
    held = {key: value for key, value in (JSON | others).items() if value is not None}
    found = detect([b"web-1  | " + json.dumps(held).encode()] * 20)

    assert (found.fit, found.sureness) == (20, "certain")
    event = parser_for(found.name)(b"web-1  | " + json.dumps(held | {"status": 404}).encode())
    assert isinstance(event, Event)
    assert (event.client, event.status, event.size) == (b"\xc0\0\2\7", 404, 512)
    assert (event.url, event.request_time, event.extra) == ("/a", 0.5, {"colour": "red"})


def test_json_of_many_keys_is_read_by_the_usual_ones() -> None:
    """A slice's header has a limit, and what it leaves out is in raw_log."""
    held = {f"colour_of_number_{number}": number for number in range(90)} | JSON
    found = detect([json.dumps(held).encode()] * 20)

    assert (found.fit, "colour" in found.name) == (20, False)
    assert "$request" in found.name


def test_json_of_other_keys_is_asked_for_by_them() -> None:
    """With the directive to type, in which what is not known has a name of its own."""
    found = detect([b'{"when": 5, "status": 200, "who": "ana"}'] * 20)

    assert (found.is_sure, found.keys) == (False, ("when", "status", "who"))
    said = unsure(found, "access.log")
    assert "are JSON, but which key is what is not clear: they have when, status, who. " in said
    assert (
        """log_format json escape=json '{"when":"$when","status":"$status","who":"$who"}';"""
        in said
    )


def test_what_comes_near_is_said_with_what_to_type() -> None:
    """Each format that some lines fit, and how a person sees which is right."""
    said = unsure(detect([line.encode() for line in LINES.values()]), "access.log")

    assert said.startswith("the format is a guess: ")
    assert "`datastream check --format 'combined' access.log`" in said
    assert "FORMAT=combined. Else FORMAT takes the log_format directive" in said
