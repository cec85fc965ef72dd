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


ERRORS = replace(STREAM, path="/var/log/error.log", format="error")
HEAD = b"2026/11/29 17:57:46 [error] 31#31: *7 "
FIELDS = b', client: 192.0.2.7, server: www.example.com, request: "GET / HTTP/1.1"'
TRACE = [HEAD + b"runtime error", b"stack traceback:", b"", b"\t[C]: in ?" + FIELDS]


def error_slice_of(*lines: bytes, position: int = 0) -> Slice:
    """Return a slice of these lines of an error log."""
    return replace(slice_of(*lines, position=position), stream=ERRORS)


def test_the_lines_of_an_entry_are_one_row() -> None:
    """That of its first line; the others are rejects that say so."""
    parsed = parse(error_slice_of(b"no entry", *TRACE, HEAD + b"x", position=100))

    first = 100 + len(b"no entry") + 1
    assert [(row.line_offset, row.message) for row in parsed.errors] == [
        (first, "runtime error\nstack traceback:\n\n\t[C]: in ?"),
        (first + sum(map(len, TRACE)) + 4, "x"),
    ]
    assert parsed.errors[0].client == bytes([192, 0, 2, 7])
    assert [(row.line_offset, row.reason) for row in parsed.rejected] == [
        (100, "format"),
        (first + len(TRACE[0]) + 1, "continued"),
        (first + len(TRACE[0]) + 18, "continued"),
        (first + len(TRACE[0]) + 19, "continued"),
    ]


def test_lines_behind_a_prefix_are_read_each_by_itself() -> None:
    """Whether the one in front belongs to the same entry is not known there."""
    prefix = b"Nov 29 17:57:46 web1 nginx[31]: "
    slice_ = replace(
        error_slice_of(*[prefix + line for line in TRACE]),
        stream=replace(ERRORS, format="rfc3164 error"),
    )
    parsed = parse(slice_)

    assert [row.message for row in parsed.errors] == ["runtime error"]
    assert [row.reason for row in parsed.rejected] == ["format", "empty", "format"]


@given(st.lists(st.sampled_from([*TRACE, HEAD + b"x", b"\xff"]), min_size=1, max_size=20))
def test_every_line_of_an_error_log_is_in_exactly_one_list(lines: list[bytes]) -> None:
    """However its entries are mixed up."""
    parsed = parse(error_slice_of(*lines, position=100))

    offsets = [row.line_offset for row in parsed.errors]
    offsets += [row.line_offset for row in parsed.rejected]
    assert sorted(offsets) == [offset for offset, _ in parsed.slice.numbered()]
    assert len(parsed.errors) == sum(line.startswith(HEAD) for line in lines)


def test_half_of_an_entry_keeps_the_rows_of_the_whole() -> None:
    """Halving until the row at fault is alone changes none of the others."""
    parsed = parse(error_slice_of(*TRACE))
    rows = [*parsed.errors, *parsed.rejected]
    parts = [parsed]
    while pair := halves(parts[0]):
        parts[:1] = pair

    assert [row for part in parts for row in (*part.errors, *part.rejected)] == rows


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


def test_the_head_of_a_line_that_ends_within_an_address_is_none_of_another_client() -> None:
    """What is left of 192.0.2.12 is 192.0.2.1; whole lines of that format are read."""
    stream = replace(STREAM, format="[$time_local] $status $remote_addr")
    whole = slice_of(b"[10/Oct/2026:13:55:36 +0200] 200 192.0.2.1")
    cut = replace(whole, flags=TRUNCATED)

    assert len(parse(replace(whole, stream=stream)).clean) == 1
    assert parse(replace(cut, stream=stream)).rejected == [
        (9, 0, PARSER_VERSION, TRUNCATED, "truncated")
    ]


def test_a_format_that_is_not_known() -> None:
    """A slice of a newer producer is not guessed at."""
    unknown = replace(slice_of(LINE), stream=replace(STREAM, format="of tomorrow"))

    with pytest.raises(NotASlice, match="of tomorrow"):
        parse(unknown)


@pytest.mark.parametrize(
    ("form", "is_error_log"),
    [("error +02:00", True), ("cri error", True), ("cri combined", False), ("combined", False)],
)
def test_an_error_log_is_known_by_its_format(form: str, is_error_log: bool) -> None:
    """Its rows go to another table, whatever carries its lines."""
    slice_ = slice_of(b"2026-11-29T17:40:03Z stderr F 2000/10/10 13:55:36 [error] 1#1: x")
    parsed = parse(replace(slice_, stream=replace(slice_.stream, format=form)))

    assert parsed.is_error_log is is_error_log
    assert len(parsed.errors) == (form == "cri error")


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
