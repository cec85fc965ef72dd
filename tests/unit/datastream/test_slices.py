"""The slice and its envelope."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastream.config import ConfigError, Environment
from datastream.errors import NotASlice
from datastream.slices import (
    DISGUISED,
    MOST_BYTES,
    MOST_LINES,
    TRUNCATED,
    UNTERMINATED,
    Slice,
    decode,
)
from datastream.streams import Stream
from producer.settings import ProducerSettings

STREAM = Stream(2**64 - 1, "web", "host", "/var/log/access.log", "combined", 0)
LINES = st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), min_size=1)


def slice_of(lines: list[bytes], position: int = 0, flags: int = 0) -> Slice:
    """Return a slice of these lines."""
    return Slice(STREAM, position, b"\n".join(lines), len(lines), flags, 1_700_000_000_000)


@settings(deadline=None)
@given(lines=LINES, position=st.integers(0, 2**62))
def test_a_slice_survives_its_way(lines: list[bytes], position: int) -> None:
    """Headers and body give the same slice again, line by line."""
    sent = slice_of(lines, position)
    received = decode(sent.headers(), sent.body)

    assert received == sent
    assert [line for _, line in received.numbered()] == lines
    assert [offset for offset, _ in received.numbered()] == [
        position + sum(len(line) + 1 for line in lines[:n]) for n in range(len(lines))
    ]


@settings(deadline=None)
@given(LINES)
def test_halves_are_the_whole(lines: list[bytes]) -> None:
    """No line is lost or moved by halving."""
    whole = slice_of(lines, position=7)
    if whole.lines == 1:
        with pytest.raises(ValueError, match="cannot be halved"):
            whole.halves()
        return
    first, second = whole.halves()

    assert [*first.numbered(), *second.numbered()] == list(whole.numbered())
    assert abs(first.lines - second.lines) <= 1
    assert decode(second.headers(), second.body) == second


ENTRY = b"2026/11/29 17:57:46 [error] 31#31: x"


@settings(deadline=None)
@given(st.lists(st.sampled_from([ENTRY, b"", b"goes on"]), min_size=2))
def test_halves_of_an_error_log_keep_entries_whole(lines: list[bytes]) -> None:
    """As long as there are several; each half has a line at least."""
    whole = replace(slice_of(lines, position=7), stream=replace(STREAM, format="error +02:00"))
    first, second = whole.halves()

    assert [*first.numbered(), *second.numbered()] == list(whole.numbered())
    assert second.body.startswith(ENTRY) or ENTRY not in lines[1:]
    if ENTRY not in lines[1:]:
        assert abs(first.lines - second.lines) <= 1


@pytest.mark.parametrize(
    "change",
    [
        {"version": 3},
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
        {"stream": "0x1f"},
        {"stream": "1_000"},
        {"stream": " 1f "},
        {"stream": "1f"},
        {"stream": "\u0661" * 16},
        {"stream": ""},
        {"version": 0},
        {"lines": 0},
        {"lines": "2"},
        {"lines": True},
        {"flags": True},
        {"flags": -1},
        {"read_at_ms": -1},
        {"read_at_ms": 2**63},
        {"generation": 2**63},
        {"position": 2**63 - 1},
        {"path": b"/var/log/\xff"},
        {"host": 5},
        {"source": None},
        {"format": b"combined"},
        {"read_at_ms": "now"},
        {"generation": -1},
        {"generation": 2**32},
        {"source": "x" * 256},
        {"host": "x" * 256},
        {"path": "x" * 1025},
        {"format": "x" * 4097},
        {"lengths": "3 3"},
        {"version": 2, "lengths": "3"},
        {"version": 2, "lengths": "3 3 3"},
        {"version": 2, "lengths": "3 -3"},
        {"version": 2, "lengths": "3 \u0663"},
        {"version": 2, "lengths": "3 12345678"},
        {"version": 2, "lengths": 3},
        {"version": 2, "flags": 5},
        {"version": 2, "flags": 8},
        {"version": 2, "lengths": "3 4", "position": 2**63 - 8},
    ],
    ids=str,
)
def test_headers_that_cannot_be(change: dict[str, object]) -> None:
    """A message that is not surely a slice is refused: offsets must not be guessed at."""
    good = slice_of([b"one", b"two"])

    with pytest.raises(NotASlice):
        decode(good.headers() | change, good.body)


@pytest.mark.parametrize("name", list(slice_of([b""]).headers()))
def test_headers_that_are_missing(name: str) -> None:
    """Each of them is needed."""
    good = slice_of([b"one"])
    headers = good.headers()
    del headers[name]

    with pytest.raises(NotASlice):
        decode(headers, good.body)


def test_a_message_without_headers() -> None:
    """It was not ours."""
    with pytest.raises(NotASlice, match="no headers"):
        decode(None, b"hello")


@pytest.mark.parametrize("flags", [0, UNTERMINATED, TRUNCATED, UNTERMINATED | TRUNCATED])
def test_the_flags_of_a_line_survive(flags: int) -> None:
    """A line that stands alone keeps what is known of it."""
    sent = slice_of([b"head of a line"], flags=flags)

    assert decode(sent.headers(), sent.body) == sent


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.binary()
)


@settings(deadline=None)
@given(
    change=st.dictionaries(st.sampled_from(list(slice_of([b""]).headers())), VALUES, min_size=1),
    body=st.binary(max_size=20),
)
def test_no_header_breaks_decoding(change: dict[str, object], body: bytes) -> None:
    """Whatever comes is a slice that can travel on, whole or halved, or is refused as none."""
    try:
        received = decode(slice_of([b"one", b"two"]).headers() | change, body)
    except NotASlice:
        return

    parts = received.halves() if received.lines > 1 else (received,)
    assert [decode(part.headers(), part.body) for part in parts] == list(parts)


def test_the_last_offset_that_a_header_can_hold() -> None:
    """A slice may reach to it and no further, or its second half would have no position."""
    lines = [b"one", b"two"]
    last = slice_of(lines, position=2**63 - 1 - 7)

    assert decode(last.headers(), last.body) == last
    with pytest.raises(NotASlice, match="position"):
        decode(last.headers() | {"position": last.position + 1}, last.body)


def test_a_slice_has_a_name_for_people() -> None:
    """The stream as the tables' queries show it, and the position."""
    assert slice_of([b"one"], position=42).message_id == "ffffffffffffffff-42"


@pytest.mark.parametrize(
    "lines",
    [[b"x" * MOST_BYTES], [b""] * MOST_LINES],
    ids=["bytes", "lines"],
)
def test_a_slice_is_as_large_as_a_producer_may_make_it(lines: list[bytes]) -> None:
    """And no larger: what one message takes of a consumer's memory has a bound."""
    largest = slice_of(lines)
    larger = slice_of([*lines, b""])

    assert decode(largest.headers(), largest.body) == largest
    with pytest.raises(NotASlice, match=f"{MOST_BYTES}|{MOST_LINES}"):
        decode(larger.headers(), larger.body)


def test_a_producer_makes_no_larger_slices() -> None:
    """Whatever its settings: those that would are refused."""
    env = {"SOURCE": "web"}
    most = {"MAX_SLICE_LINES": MOST_LINES, "MAX_SLICE_BYTES": MOST_BYTES // 2}
    most["MAX_LINE_BYTES"] = MOST_BYTES
    for name, number in most.items():
        ProducerSettings.read(Environment(env | {name: str(number)}), [], once=False)

        with pytest.raises(ConfigError, match=name):
            ProducerSettings.read(Environment(env | {name: str(number + 1)}), [], once=False)


@pytest.mark.parametrize("reformat", [True, False])
def test_a_format_chosen_anew_travels(reformat: bool) -> None:
    """It is a header of its own, which is left out as a rule."""
    sent = replace(slice_of([b"a", b"b"]), reformat=reformat)

    assert ("reformat" in sent.headers()) is reformat
    assert decode(sent.headers(), sent.body) == sent
    assert {half.reformat for half in sent.halves()} == {reformat}


def test_who_disguises_nothing_needs_no_newer_consumer() -> None:
    """The envelope is the one before, header by header."""
    assert slice_of([b"one"]).headers()["version"] == 1
    assert "lengths" not in slice_of([b"one"]).headers()
    assert slice_of([b"one"], flags=DISGUISED).headers()["version"] == 2


@settings(deadline=None)
@given(
    lines=st.lists(st.tuples(st.binary(max_size=9), st.integers(0, 9_999_999)), min_size=1),
    position=st.integers(0, 2**40),
)
def test_disguised_lines_keep_the_offsets_that_they_had(
    lines: list[tuple[bytes, int]], position: int
) -> None:
    """On their way, whole and halved, however long they are now."""
    texts = [line.replace(b"\n", b"") for line, _ in lines]
    lengths = tuple(length for _, length in lines)
    sent = replace(slice_of(texts, position, DISGUISED), lengths=lengths)
    offsets = [position + sum(lengths[:n]) + n for n in range(len(lines))]

    assert decode(sent.headers(), sent.body) == sent
    assert list(sent.numbered()) == list(zip(offsets, texts, strict=True))
    assert sent.end == offsets[-1] + lengths[-1]
    if len(lines) > 1:
        first, second = sent.halves()
        assert [*first.numbered(), *second.numbered()] == list(sent.numbered())
        assert (first.end + 1, second.end) == (second.position, sent.end)
        assert decode(second.headers(), second.body) == second


def test_the_headers_of_the_largest_slice_fit_into_a_frame() -> None:
    """All of them go in one, of 128 KiB: RabbitMQ closes the connection over a larger one."""
    lengths = (MOST_BYTES,) * MOST_LINES
    stream = Stream(2**64 - 1, "\U0001f600" * 255, "h" * 255, "\U0001f600" * 1024, "x" * 4096, 0)
    largest = Slice(stream, 0, b"\n" * (MOST_LINES - 1), MOST_LINES, DISGUISED, 0, lengths=lengths)

    assert sum(len(f"{k}{v}".encode()) + 16 for k, v in largest.headers().items()) < 128 * 1024


def test_lengths_of_another_number_of_lines_are_a_mistake() -> None:
    """No line is left out in silence because of them."""
    odd = Slice(STREAM, 0, b"a\nb", 2, DISGUISED, read_at_ms=0, lengths=(1,))

    with pytest.raises(ValueError, match="zip"):
        list(odd.numbered())
