"""From a slice to rows: pure, and every line accounted for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clean_consumer.columns import CleanRow
from clean_consumer.rows import halves, parse, reject, user_agent_id_of
from datastream.errors import NotASlice
from datastream.parsing import PARSER_VERSION
from datastream.slices import TRUNCATED, Slice
from datastream.streams import Stream

STREAM = Stream(9, "test", "host", "/var/log/access.log", "combined", 0)
LINE = b'192.0.2.7 - - [10/Oct/2026:13:55:36 +0200] "GET /x HTTP/1.1" 200 512 "-" "example/1.0"'


def slice_of(*lines: bytes, position: int = 0, flags: int = 0) -> Slice:
    """Return a slice of these lines."""
    return Slice(STREAM, position, b"\n".join(lines), len(lines), flags, read_at_ms=0)


@given(st.lists(st.sampled_from([LINE, b"rubbish", b"", b"\xff\x00"]), min_size=1, max_size=20))
def test_every_line_is_in_exactly_one_list(lines: list[bytes]) -> None:
    """The offsets of both lists together are those of the lines."""
    parsed = parse(slice_of(*lines, position=100))

    offsets = sorted(
        [row.line_offset for row in map(CleanRow._make, parsed.clean)]
        + [row.line_offset for row in parsed.rejected]
    )
    assert offsets == [offset for offset, _ in parsed.slice.numbered()]
    assert len(parsed.clean) == lines.count(LINE)


def test_the_user_agent_is_named_by_its_hash() -> None:
    """A row holds the key of its agent, and the slice each distinct agent once."""
    parsed = parse(slice_of(LINE, LINE))

    key = user_agent_id_of("example/1.0")
    assert parsed.agents == {"example/1.0": key}
    assert [row.user_agent_id for row in map(CleanRow._make, parsed.clean)] == [key, key]
    assert 0 <= key < 2**64


def test_the_head_of_a_long_line_says_so_when_it_does_not_fit() -> None:
    """It was cut: that it does not fit its format is no wonder."""
    parsed = parse(slice_of(LINE[:40], flags=TRUNCATED))

    assert parsed.rejected == [(9, 0, PARSER_VERSION, TRUNCATED, "truncated")]


def test_a_format_that_is_not_known() -> None:
    """A slice of a newer producer is not guessed at."""
    unknown = replace(slice_of(LINE), stream=replace(STREAM, format="of tomorrow"))

    with pytest.raises(NotASlice, match="of tomorrow"):
        parse(unknown)


def test_halves_and_refusal_keep_the_offsets() -> None:
    """Halving until a line stands alone, and refusing that one, names the right line."""
    parsed = parse(slice_of(LINE, b"rubbish", LINE))
    pair = halves(parsed)

    assert pair is not None
    first, second = pair
    assert [row.line_offset for row in map(CleanRow._make, first.clean)] == [0]
    assert [row.line_offset for row in second.rejected] == [len(LINE) + 1]
    assert halves(first) is None
    assert reject(first.slice, "refused").rejected == [(9, 0, PARSER_VERSION, 0, "refused")]
