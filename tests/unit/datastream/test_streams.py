"""The identity of a log."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from datastream.streams import stream_id


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


def test_a_path_may_hold_any_byte() -> None:
    """As the file system gives it: two paths that differ in a byte are two logs."""
    paths = [os.fsdecode(b"/var/log/\xff"), os.fsdecode(b"/var/log/\xfe"), "/var/log/\xff"]

    assert len({stream_id("web", path, b"line", 0) for path in paths}) == 3


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])), st.binary(), st.integers(0, 2**63))
def test_an_id_fits_its_column(text: str, line: bytes, generation: int) -> None:
    """Whatever the log is called and holds, the same id comes out each time, in 64 bits."""
    found = stream_id(text, text, line, generation)

    assert 0 <= found < 2**64
    assert found == stream_id(text, text, line, generation)
