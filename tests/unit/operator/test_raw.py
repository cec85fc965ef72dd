"""How lines of raw_log are put together into slices."""

from __future__ import annotations

from datastream.slices import DISGUISED, MOST_BYTES, TRUNCATED
from datastream_operator.raw import Line, groups


def test_disguised_lines_go_together_as_far_as_they_follow_on_one_another() -> None:
    """Not with others, nor over a gap that is no line's, nor one that was cut with the next."""
    one = Line(0, DISGUISED, 9)
    two = Line(10, DISGUISED, 7)
    before_gap = Line(18, DISGUISED, MOST_BYTES + 1)
    after_gap = Line(before_gap.offset + before_gap.length + 1, DISGUISED, 5)
    plain = Line(after_gap.offset + 6, 0, 3)
    cut = Line(plain.offset + 4, DISGUISED | TRUNCATED, 50_000_000)
    last = Line(cut.offset + cut.length + 1, DISGUISED, 1)

    found = list(groups([one, two, before_gap, after_gap, plain, cut, last]))

    assert found == [[one, two], [before_gap], [after_gap], [plain], [cut], [last]]


def test_disguised_lines_of_a_slice_are_few_bytes_of_their_log() -> None:
    """As they may be stored with many times as much, and a slice has a bound."""
    one = Line(0, DISGUISED, 10_000)
    two = Line(10_001, DISGUISED, 10_000)

    assert list(groups([one, two])) == [[one], [two]]
    assert len(list(groups([one._replace(flags=0), two._replace(flags=0)]))) == 1
