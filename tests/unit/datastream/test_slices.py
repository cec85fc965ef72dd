"""The slice and its envelope."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastream.errors import NotASlice
from datastream.slices import TRUNCATED, UNTERMINATED, Slice, decode
from datastream.streams import Stream, stream_id

STREAM = Stream(2**64 - 1, "web", "host", "/var/log/access.log", "combined", 0)
LINES = st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), min_size=1)


def piece(lines: list[bytes], position: int = 0, flags: int = 0) -> Slice:
    """Return a slice of these lines."""
    return Slice(STREAM, position, b"\n".join(lines), len(lines), flags, 1_700_000_000_000)


@given(lines=LINES, position=st.integers(0, 2**62))
def test_a_slice_survives_its_way(lines: list[bytes], position: int) -> None:
    """Headers and body give the same slice again, line by line."""
    sent = piece(lines, position)
    received = decode(sent.headers(), sent.body)

    assert received == sent
    assert [line for _, line in received.numbered()] == lines
    assert [offset for offset, _ in received.numbered()] == [
        position + sum(len(line) + 1 for line in lines[:n]) for n in range(len(lines))
    ]


@given(LINES)
def test_halves_are_the_whole(lines: list[bytes]) -> None:
    """No line is lost or moved by halving."""
    whole = piece(lines, position=7)
    if whole.lines == 1:
        with pytest.raises(ValueError, match="cannot be halved"):
            whole.halves()
        return
    first, second = whole.halves()

    assert [*first.numbered(), *second.numbered()] == list(whole.numbered())
    assert abs(first.lines - second.lines) <= 1
    assert decode(second.headers(), second.body) == second


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": None},
        {"position": -1},
        {"position": 2**63},
        {"position": "0"},
        {"position": True},
        {"position": 1.0},
        {"lines": 1},
        {"lines": 3},
        {"flags": 4},
        {"flags": UNTERMINATED},
        {"flags": TRUNCATED},
        {"stream": "no hex"},
        {"stream": "1" * 17},
        {"stream": "-1"},
        {"stream": 5},
        {"source": None},
        {"format": b"combined"},
        {"read_at_ms": "now"},
        {"generation": -1},
    ],
    ids=str,
)
def test_headers_that_cannot_be(change: dict[str, object]) -> None:
    """A message that is not surely a slice is refused: offsets must not be guessed at."""
    good = piece([b"one", b"two"])

    with pytest.raises(NotASlice):
        decode(good.headers() | change, good.body)


@pytest.mark.parametrize("name", list(piece([b""]).headers()))
def test_headers_that_are_missing(name: str) -> None:
    """Each of them is needed."""
    good = piece([b"one"])
    headers = good.headers()
    del headers[name]

    with pytest.raises(NotASlice):
        decode(headers, good.body)


def test_a_message_without_headers() -> None:
    """It was not ours."""
    with pytest.raises(NotASlice, match="no headers"):
        decode(None, b"hello")


def test_the_id_of_a_stream_is_fixed() -> None:
    """It must never change: it is in everybody's tables."""
    first = b'192.0.2.7 - - [10/Oct/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 1 "-" "-"'

    assert stream_id("web", "/var/log/nginx/access.log", first, 0) == 10_158_371_448_496_162_130


def test_each_part_tells_streams_apart() -> None:
    """And none runs over into the next."""
    ids = [
        stream_id("web", "/a", b"line", 0),
        stream_id("web2", "/a", b"line", 0),
        stream_id("web", "/b", b"line", 0),
        stream_id("web", "/a", b"other", 0),
        stream_id("web", "/a", b"line", 1),
        stream_id("we", "b/a", b"line", 0),
        stream_id("web", "/al", b"ine", 0),
    ]

    assert len(set(ids)) == len(ids)
    assert all(0 <= one < 2**64 for one in ids)
