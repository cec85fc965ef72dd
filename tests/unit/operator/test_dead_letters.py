"""Dead letters without a broker: their names, times and reasons, and the gaps between slices."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from datastream.consuming import Message
from datastream.slices import GREATEST, Slice
from datastream.streams import Stream
from datastream_operator.dead_letters.letters import as_it_was, letter
from datastream_operator.dead_letters.new_stream import intruders
from datastream_operator.raw import Line, groups

STREAM = Stream(7, "web", "host", "/var/log/access.log", "combined", 0)


def slice_at(position: int, body: bytes) -> Slice:
    """Return a slice of the stream."""
    return Slice(STREAM, position, body, body.count(b"\n") + 1, 0, 1)


def test_an_id_is_of_the_content_and_not_of_its_way() -> None:
    """What the broker adds at each delivery changes no ID; another queue or body does."""
    slice_ = slice_at(0, b"a")
    plain = Message(slice_.headers(), slice_.body)
    travelled = Message({**slice_.headers(), "x-delivery-count": 9, "x-death": []}, slice_.body)

    assert letter("q", plain, None).id == letter("q", travelled, 5.0).id
    assert letter("q", plain, None).id != letter("p", plain, None).id
    assert letter("q", plain, None).id != letter("q", Message(plain.headers, b"b"), None).id
    assert as_it_was(travelled) == plain


@pytest.mark.parametrize(
    ("headers", "put_at", "reason", "since"),
    [
        ({"x-reason": "refused"}, 60.0, "refused", datetime(1970, 1, 1, 0, 1, tzinfo=UTC)),
        (
            {"x-death": [{"reason": "delivery_limit", "time": datetime(2026, 1, 1)}]},  # noqa: DTZ001 - as the client decodes it
            None,
            "delivery_limit",
            datetime(2026, 1, 1, tzinfo=UTC),
        ),
        ({}, None, "unknown", None),
        ({"x-death": "odd", "x-reason": "\x1b"}, None, "\\x1b", None),
        ({"x-death": [{"time": "odd"}]}, None, "unknown", None),
    ],
)
def test_reason_and_time(
    headers: dict[str, object], put_at: float | None, reason: str, since: datetime | None
) -> None:
    """They are the consumer's or the broker's; where nobody said, that is said."""
    found = letter("q", Message(headers, b""), put_at)

    assert (found.reason, found.since) == (reason, since)
    assert found.slice is None
    assert found.fault


def test_the_gaps_between_dead_letters() -> None:
    """In any order, overlapping or twice, and what is before the first and after the last."""
    slices = [slice_at(30, b"c" * 9), slice_at(5, b"a" * 4), slice_at(5, b"a" * 4)]
    slices.append(slice_at(10, b"b" * 4))

    assert list(intruders(slices)[7].gaps()) == [(0, 5), (15, 30), (40, GREATEST)]
    assert list(intruders([slice_at(0, b"a")])[7].gaps()) == [(2, GREATEST)]


def test_lines_are_grouped_into_slices() -> None:
    """Neighbours together up to a bound; one that is flagged, or far from the last, alone."""
    lines = [Line(0, 0, 4), Line(5, 0, 4), Line(11, 0, 4), Line(16, 1, 4), Line(21, 0, 4)]

    assert list(groups(lines)) == [lines[:2], lines[2:3], lines[3:4], lines[4:]]
    assert [len(g) for g in groups(Line(n, 0, 0) for n in range(2_500))] == [1_000, 1_000, 500]
    assert [len(g) for g in groups(Line(n * 100_001, 0, 100_000) for n in range(5))] == [2, 2, 1]
    assert list(groups([])) == []
