"""How lines of raw_log are put together into slices."""

from __future__ import annotations

from datastream.slices import DISGUISED, MOST_BYTES, TRUNCATED
from datastream_operator.raw import PAGE, SLICE_BYTES, Line, groups


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


def of(*lines: tuple[int, bool]) -> list[Line]:
    """Return consecutive lines, each of a length, that begin an entry or go on with one."""
    found: list[Line] = []
    for length, begins in lines:
        at = found[-1].offset + found[-1].length + 1 if found else 0
        found.append(Line(at, 0, length, begins))
    return found


def test_no_entry_of_an_error_log_is_torn() -> None:
    """Neither where a slice has as many lines as it may have, nor as many bytes."""
    lines = of(*[(50, True)] * (PAGE - 1), (50, True), (9, False), (9, False), (50, True))
    assert [len(group) for group in groups(lines)] == [PAGE - 1, 4]

    lines = of((SLICE_BYTES - 100, True), (50, True), (80, False), (50, True))
    assert [len(group) for group in groups(lines)] == [1, 3]


def test_a_slice_of_lines_that_belong_to_no_entry_is_as_large_as_it_may_be() -> None:
    """They are of an access log, or go on for longer than an entry can."""
    access = of(*[(50, False)] * (PAGE + 1))
    assert [len(group) for group in groups(access)] == [PAGE, 1]

    long = of((50, True), (50, True), *[(50, False)] * PAGE)
    assert [len(group) for group in groups(long)] == [PAGE, 2]
