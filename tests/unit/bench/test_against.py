"""Two builds in turns: who is first, and what their figures become."""

from __future__ import annotations

from pathlib import Path

from bench.against import compared, named, order
from bench.results import RATE, Backlog, Reading
from bench.revisions import Build

THEIRS, OURS = Build("v0", Path("/v0/python"), "abc"), Build("today", Path("/today/python"))
PEAK = {"producer": 35.0, "lake": 45.0, "clean": 80.0, "database": 300.0}
ONE = Backlog(30_000.0, {"lake": 4.0, "database": 6.0}, PEAK, 0)
TWO = Backlog(40_000.0, {"lake": 5.0, "database": 7.0}, PEAK, 0)
SLICES = Backlog(400.0, {"lake": 600.0, "database": 500.0}, PEAK, 0)


def test_neither_build_is_always_the_first() -> None:
    """A B, B A, A B: what grows or warms up during the run hits both."""
    assert list(order((THEIRS, OURS), 3)) == [(THEIRS, OURS), (OURS, THEIRS), (THEIRS, OURS)]


def test_a_ratio_is_that_of_one_pair() -> None:
    """Not of the medians: a busy minute slows both of a pair, and no other one."""
    pairs = [({RATE: 10.0}, {RATE: 20.0}), ({RATE: 5.0}, {RATE: 15.0}), ({RATE: 8.0}, {RATE: 8.0})]

    found = compared(THEIRS, pairs)

    figure = found.figures[RATE]
    assert (found.revision, found.commit) == ("v0", "abc")
    assert figure.ratios == [2.0, 3.0, 1.0]
    assert (figure.ratio, figure.least, figure.greatest) == (2.0, 1.0, 3.0)
    assert (figure.theirs, figure.ours) == (8.0, 15.0)


def test_what_was_nothing_has_no_ratio() -> None:
    """A short run may be below what the kernel counts; other pairs still have theirs."""
    none = compared(THEIRS, [({"CPU": 0.0}, {"CPU": 2.0})]).figures["CPU"]
    some = compared(THEIRS, [({"CPU": 0.0}, {"CPU": 2.0}), ({"CPU": 1.0}, {"CPU": 2.0})])

    assert (none.ratio, none.least, none.greatest) == (None, None, None)
    assert some.figures["CPU"].ratios == [2.0]


def test_a_turn_has_the_fastest_rate_and_the_costs_with_one_clean_consumer() -> None:
    """As the figures of `make bench` have."""
    turn = named({1: ONE, 2: TWO}, 50.0, 250.0, Reading(200_000.0, 4.0, 0.5), SLICES)

    assert turn[RATE] == 40_000
    assert turn["lines/s, clean consumers: 1"] == 30_000
    assert turn["CPU µs a line: lake"] == 4
    assert turn["CPU µs a line: together"] == 10
    assert turn["peak MB: lake"] == 45
    # Servers live through all turns: their peak is nobody's.
    assert "peak MB: database" not in turn
    assert turn["raw lines: room, of the log's bytes"] == 0.2
    assert turn["reading a stream back, lines/s"] == 200_000
    assert turn["one line by its key, CPU ms"] == 0.5
    assert turn["slices of one line, lines/s"] == 400
    assert turn["slices of one line, CPU µs: together"] == 1_100
