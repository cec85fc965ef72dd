"""FORMAT=auto: which format lines are in, and how sure that is."""

from __future__ import annotations

import re

import pytest

from datastream.parsing import PRESETS, detect
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


@pytest.mark.parametrize("name", [*PRESETS, "error"])
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
    found = detect([LINES["combined"].encode()] * fit + [b"hello"] * unfit)

    assert found.sureness == sureness
    assert f"fits {share}; the next best, " in str(found)


def test_more_fields_than_a_format_has_are_the_last_resort() -> None:
    """Its lines are those that no format knows whole."""
    known = [LINES[name].encode() for name in ("combined", "main")] * 10
    more = [LINES["combined_plus"].encode()] * 11

    assert detect(known + more)[:2] == ("combined_plus", 11)
    found = detect(known)
    assert (found.name, found.fit, found.next_name, found.next_fit) == ("combined", 10, "main", 10)


def test_clients_that_are_all_no_addresses_leave_a_doubt() -> None:
    """They may be names, or the first word of a format that has no name here."""
    line = LINES["combined"].replace("192.0.2.7", "dial-7.example.net").encode()
    syslog = b"Oct 10 13:55:36 web1 nginx: " + LINES["combined"].encode()

    assert detect([line] * 20).sureness == "likely"
    assert detect([line] * 10 + [LINES["combined"].encode()] * 90).sureness == "likely"
    assert detect([line] + [LINES["combined"].encode()] * 99).sureness == "certain"
    assert detect([syslog] * 20).sureness == "likely"


def test_a_first_word_that_is_no_text_is_no_host() -> None:
    """Nothing is raised, and the format of the other lines is found."""
    odd = b"\xff\xfe " + LINES["combined"].encode()

    found = detect([odd] * 5 + [LINES["combined"].encode()] * 20)
    assert (found.name, found.whole) == ("combined", 20)


@pytest.mark.parametrize("first", ["192.0.2.9,", "2001:db8::9,", "192.0.2.9"])
def test_an_address_before_the_client_is_no_host(first: str) -> None:
    """Of lines with two addresses in front nothing is certain: each format shifts their columns."""
    line = f"{first} {LINES['combined']}".encode()

    assert detect([line] * 20).sureness != "certain"
    assert detect([line] * 20 + [LINES["combined"].encode()] * 180).name == "combined"
    assert detect([line] * 20 + [LINES["combined"].encode()] * 180).sureness == "likely"
