"""Packs of lines: what goes in comes out, byte for byte, and no pack is larger than it may be."""

from __future__ import annotations

import json
import zlib
from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datastream.packs import (
    LINE_OVERHEAD,
    MOST_SPAN,
    MOST_TEXT,
    PLAIN,
    ZLIB,
    Line,
    Pack,
    packs,
    unpacked,
)
from datastream.slices import DISGUISED, GREATEST, TRUNCATED, UNTERMINATED

EVERY_BYTE = bytes(byte for byte in range(256) if byte != 0x0A)
#: Any bytes, text, and what JSON and its escapes are made of.
LINES = st.one_of(
    st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")),
    st.text(st.sampled_from('\\"u0[],\x00\x1f\x7f'), max_size=12).map(str.encode),
    st.text(max_size=12).map(lambda text: text.encode(errors="replace").replace(b"\n", b"")),
)


def numbered(lines: list[bytes], gaps: list[int], start: int) -> tuple[list[Line], int]:
    """Return lines with their offsets, and where the last one ends.

    `gaps` are by how much each is longer in its log, as when it was disguised.
    """
    found = []
    for line, gap in zip(lines, gaps, strict=True):
        found.append((start, line))
        start += len(line) + gap + 1
    return found, start - 1


@st.composite
def any_lines(draw: st.DrawFn) -> tuple[list[Line], int]:
    """Draw lines that follow on one another."""
    lines = draw(st.lists(LINES, min_size=1, max_size=20))
    gaps = draw(st.lists(st.integers(0, 50), min_size=len(lines), max_size=len(lines)))
    return numbered(lines, gaps, draw(st.integers(0, GREATEST - 2**20)))


@given(any_lines(), st.sampled_from([0, DISGUISED]))
@example(([(0, EVERY_BYTE), (256, EVERY_BYTE[::-1])], 511), 0)
@example(([(0, b""), (1, b""), (2, b"")], 2), 0)
@example(([(GREATEST, b"")], GREATEST), 0)
def test_lines_come_out_as_they_went_in(made: tuple[list[Line], int], flags: int) -> None:
    """All bytes, at all offsets; a row says how many there are and where they begin and end."""
    lines, end = made

    (pack,) = packs(lines, flags, end)

    assert pack.lines() == lines
    assert pack[:4] == (lines[0][0], flags, end, len(lines))
    assert pack.codec == (PLAIN if len(lines) == 1 else ZLIB)


@given(any_lines().filter(lambda made: len(made[0]) > 1))
def test_a_pack_is_what_sql_reads(made: tuple[list[Line], int]) -> None:
    """The length as COMPRESS writes it, and JSON in UTF-8 with a character for each byte."""
    lines, end = made
    (pack,) = packs(lines, 0, end)

    text = zlib.decompress(pack.body[4:])

    assert int.from_bytes(pack.body[:4], "little") == len(text)
    found = json.loads(text.decode("utf-8"))
    assert [(offset, len(line)) for offset, line in found] == [(o, len(line)) for o, line in lines]


@given(any_lines(), st.integers(20, 120), st.integers(0, 120))
def test_no_pack_is_larger_than_it_may_be(
    made: tuple[list[Line], int], text: int, span: int
) -> None:
    """Unless a line alone is; nothing is between them, and two that fit are not apart."""
    lines, end = made
    with patch.multiple("datastream.packs", MOST_TEXT=text, MOST_SPAN=span):
        found = list(packs(lines, 0, end))

    assert [line for pack in found for line in pack.lines()] == lines
    assert [one.end + 1 for one in found] == [*(next_.line_offset for next_ in found[1:]), end + 1]
    for pack in found:
        assert pack.lines()[-1][0] - pack.line_offset <= span
        assert pack.line_count == 1 or size(pack.lines()) <= text
    for one, next_ in pairwise(found):
        more = [*one.lines(), next_.lines()[0]]
        assert size(more) > text or more[-1][0] - more[0][0] > span


def size(lines: list[Line]) -> int:
    """Return how much of a pack lines take."""
    return sum(len(line) + LINE_OVERHEAD for _, line in lines)


@pytest.mark.parametrize("flags", [UNTERMINATED, TRUNCATED, TRUNCATED | DISGUISED])
@pytest.mark.parametrize("length", [0, MOST_TEXT, 1024**2])
def test_a_line_that_may_go_on_stays_as_it_is(flags: int, length: int) -> None:
    """Whatever its length: SQL compares it with the whole one."""
    assert list(packs([(7, b"x" * length)], flags, 7 + length)) == [
        Pack(7, flags, 7 + length, 1, PLAIN, b"x" * length)
    ]


def test_a_long_line_alone_is_compressed() -> None:
    """A short one is not worth it."""
    short, long = b"x" * (MOST_TEXT - 1), EVERY_BYTE * 4_112

    (plain,) = packs([(0, short)], 0, len(short))
    (packed,) = packs([(0, long)], 0, len(long))

    assert (plain.codec, packed.codec) == (PLAIN, ZLIB)
    assert packed.lines() == [(0, long)]


@pytest.mark.parametrize(("behind", "number"), [(0, 1), (1, 2)])
def test_the_last_line_begins_within_the_span(behind: int, number: int) -> None:
    """By this SQL finds the pack of a line."""
    lines = [(3, b"a"), (3 + MOST_SPAN + behind, b"b")]

    assert len(list(packs(lines, DISGUISED, 5 + MOST_SPAN))) == number


@pytest.mark.parametrize(
    ("codec", "body"),
    [
        (2, b""),
        (ZLIB, b""),
        (ZLIB, b"\2\0\0\0no zlib"),
        (ZLIB, b"\2\0\0\0" + zlib.compress(b"[[0,")),
        (ZLIB, b"\2\0\0\0" + zlib.compress(b"\xff\xff")),
        (ZLIB, b"\2\0\0\0" + zlib.compress('[[0,"\u0416"]]'.encode())),
    ],
)
def test_a_damaged_pack_is_told(codec: int, body: bytes) -> None:
    """As is one of a newer version."""
    with pytest.raises(ValueError, match=r"pack|JSON|Expecting|decode|charmap"):
        unpacked(0, codec, body)
