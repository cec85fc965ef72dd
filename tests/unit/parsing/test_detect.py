"""FORMAT=auto: which format lines are in, and how sure that is."""

from __future__ import annotations

import pytest

from datastream.parsing import PRESETS, detect
from datastream_operator import sample

LINE = '192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 512'
LINES = {
    "combined": f'{LINE} "-" "Mozilla/5.0"',
    "common": LINE,
    "main": f'{LINE} "-" "Mozilla/5.0" "-"',
    "upstreaminfo": f'{LINE} "-" "Mozilla/5.0" 312 0.042 [shop] [] 192.0.2.5:80 512 0.04 200 a3c1',
    "vhost_combined": f'www.example.com:443 {LINE} "-" "Mozilla/5.0"',
    "proxy": f"{LINE} -",
    "error": "2000/10/10 13:55:36 [error] 31#31: *7 x, client: 192.0.2.7, server: _",
}


@pytest.mark.parametrize("name", [*PRESETS, "error"])
def test_each_format_is_found(name: str) -> None:
    """A few lines of others change nothing."""
    line = LINES[name].encode()

    assert detect([line]).name == name
    found = detect([b"", b"hello", *(text.encode() for text in LINES.values()), *[line] * 20])
    assert (found.name, found.is_sure) == (name, True)
    assert str(found).startswith(f"{name}: {found.fit} of the first 29 lines fit; the next best, ")
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
