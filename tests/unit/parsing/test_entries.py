"""The entries of an error log: which lines belong together."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastream.parsing import ENTRY_BYTES, Entry, begins, entries, whole

HEAD = b"2026/11/29 17:57:46 [error] 31#31: *7 "
FIELDS = b', client: 192.0.2.7, server: www.example.com, request: "GET / HTTP/1.1", host: "a"'


def of(*lines: bytes) -> list[Entry]:
    """Return the entries of consecutive lines."""
    offsets = accumulate((len(line) + 1 for line in lines), initial=100)
    return list(entries(zip(offsets, lines, strict=False)))


def groups(*lines: bytes) -> list[int]:
    """Return how many lines each entry has."""
    return [1 + len(entry.continued) for entry in of(*lines)]


def test_lines_belong_to_the_entry_before_them() -> None:
    """Up to the one with the fields; with blank ones and those of another system."""
    first = HEAD + b"lua entry thread aborted: runtime error"
    lines = [first, b"stack traceback:\r", b"", b"\t[C]: in ?" + FIELDS, HEAD + b"x"]

    one, two = of(*lines)

    assert one.text == first + b"\nstack traceback:\n\n\t[C]: in ?" + FIELDS
    assert one.offset == 100
    at = 100 + len(first) + 1
    assert one.continued == [at, at + 18, at + 19]
    assert (two.text, two.continued) == (HEAD + b"x", [])


@pytest.mark.parametrize(
    ("lines", "counts"),
    [
        ([HEAD + b"x" + FIELDS, b"behind the fields", b""], [1, 1, 1]),
        ([HEAD + b"x, udp client: 192.0.2.7, server: s", b"behind"], [1, 1]),
        ([HEAD + b"a", b"b, client: 198.51.100.9, server: said", b"c" + FIELDS, b"d"], [3, 1]),
        ([b"of no entry", HEAD + b"x", b"y"], [1, 2]),
        ([b"", b"", b""], [1, 1, 1]),
        ([HEAD + b"x", b"", b"y"], [3]),
        ([HEAD + b"x", b"2026/11/29 17:57:46 a program in Go", b"y"], [1, 1, 1]),
        ([HEAD + b"x", b'192.0.2.7 - - [29/Nov/2026:17:57:46 +0100] "GET /"', b"y"], [1, 1, 1]),
        ([HEAD + b"x", b"2026/11/29 17:57:46 [error] x: y"], [1, 1]),
        ([HEAD + b"x", b"[29-Nov-2026 17:57:46 UTC] PHP Warning:  y"], [2]),
        ([HEAD.ljust(ENTRY_BYTES - 2, b"x"), b"y"], [2]),
        ([HEAD.ljust(ENTRY_BYTES - 1, b"x"), b"y"], [1, 1]),
        ([HEAD, *[b""] * 5_000, b"y" + FIELDS], [ENTRY_BYTES - len(HEAD)] + [1] * 944),
    ],
)
def test_where_an_entry_ends(lines: list[bytes], counts: list[int]) -> None:
    """At the fields, at a line of its own, and as far as nginx writes at once."""
    assert groups(*lines) == counts


def test_a_line_of_no_entry_is_left_as_it_is() -> None:
    """Its parser says what it lacks."""
    assert of(b"x\r") == [Entry(100, b"x\r", ())]
    assert of() == []
    assert of(HEAD + FIELDS, b"x\r")[1] == Entry(101 + len(HEAD + FIELDS), b"x\r", ())


def test_blank_lines_at_the_end_are_no_part_of_the_text() -> None:
    """They belong to the entry all the same; other white space is as it was."""
    line = HEAD + b"X \t"
    at = 100 + len(line) + 1

    assert of(line, b"", b"\r") == [Entry(100, line, [at, at + 1])]


@pytest.mark.parametrize(
    ("lines", "after", "cut"),
    [
        ([HEAD, HEAD], HEAD, 2),
        ([HEAD, HEAD], b"x", 1),
        ([HEAD, HEAD, b""], b"x", 1),
        ([HEAD, HEAD, b"", b""], HEAD[:20], 1),
        ([HEAD, b"", HEAD, b"", b""], b"x", 2),
        ([HEAD, b"", b"", b""], b"x", 4),
        ([b"", b""], b"x", 2),
        ([HEAD], b"x", 1),
        ([HEAD, HEAD.ljust(2_000), b"y" * (ENTRY_BYTES - 2_003)], b"x", 1),
        ([HEAD, HEAD.ljust(2_000), b"y" * (ENTRY_BYTES - 2_002)], b"x", 3),
        ([HEAD, HEAD.ljust(ENTRY_BYTES - 2)], b"x", 1),
        ([HEAD, HEAD.ljust(ENTRY_BYTES - 1)], b"x", 2),
    ],
)
def test_where_lines_are_cut(lines: list[bytes], after: bytes, cut: int) -> None:
    """Before the entry that what follows goes on with, if there is anything before it."""
    assert whole(lines, after) == cut


LINES = st.sampled_from(
    [
        HEAD + b"x",
        HEAD + b"x" + FIELDS,
        b"y",
        b"y" + FIELDS,
        b"",
        b"2026/11/29 17:57:46 z",
        b"w" * 1500,
    ]
)


@given(st.lists(LINES, max_size=30))
def test_each_line_is_in_one_entry(lines: list[bytes]) -> None:
    """In the order of the lines."""
    found = of(*lines)
    offsets = [offset for entry in found for offset in (entry.offset, *entry.continued)]

    assert offsets == [*accumulate((len(line) + 1 for line in lines), initial=100)][:-1]


@given(st.lists(LINES, min_size=1, max_size=30), st.data())
def test_no_cut_tears_an_entry(lines: list[bytes], data: st.DataObject) -> None:
    """The entries of the two parts are those of the whole, wherever the limit is."""
    limit = data.draw(st.integers(1, len(lines)))
    after = lines[limit] if limit < len(lines) else HEAD
    known = data.draw(st.integers(len(HEAD), 200))
    cut = whole(lines[:limit], after[:known])

    assert 1 <= cut <= limit
    of_first = [entry for entry in of(*lines) if entry.continued][:1]
    is_one = of_first and of_first[0].offset == 100 and len(of_first[0].continued) >= limit
    if is_one:
        assert cut == limit  # there is no better place
    else:
        assert groups(*lines[:cut]) + groups(*lines[cut:]) == groups(*lines)


def test_what_begins_an_entry() -> None:
    """A time, a level, and process and thread, of which the first bytes are enough."""
    assert begins(HEAD)
    assert begins(b"2026/11/29 17:57:46 [notice] 1#1: ")
    for line in (b"", HEAD[:-9], b" " + HEAD, b"2026-11-29 17:57:46 [error] 1#1: x"):
        assert not begins(line)
