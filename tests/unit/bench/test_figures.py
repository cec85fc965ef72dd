"""The arithmetic behind the figures of `make bench`."""

from __future__ import annotations

import pytest

from bench.figures import quantile, ratio, waits


def test_a_quantile_is_a_value_that_was_measured() -> None:
    """Of a hundred values, 99 do not exceed the p99, and one may."""
    values = [float(value) for value in range(100, 0, -1)]

    assert quantile(values, 0.5) == 50
    assert quantile(values, 0.99) == 99
    assert quantile(values, 1) == 100


def test_a_single_value_is_every_quantile() -> None:
    """One value is its own median and its own p99."""
    assert quantile([7.0], 0.5) == quantile([7.0], 0.99) == 7


def test_nothing_measured_has_no_quantile() -> None:
    """A run in which nothing was seen gives no figure that looks like a good one."""
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_a_ratio_needs_a_baseline() -> None:
    """Without a baseline there is no ratio, rather than a division by zero."""
    assert ratio(30, 60) == 0.5
    assert ratio(30, 0) is None


def test_a_line_waits_until_the_first_look_that_sees_it() -> None:
    """Each line is counted once, from its writing to the first look at or beyond its offset."""
    written = [(0, 10.0), (5, 10.0), (9, 11.0)]
    seen = [(-1, 10.1), (5, 10.5), (5, 10.75), (9, 11.25), (9, 12.0)]

    assert waits(written, seen) == [0.5, 0.5, 0.25]


def test_a_line_that_never_came_is_no_figure() -> None:
    """A run that lost sight of a line fails; it does not leave the worst wait out."""
    with pytest.raises(ValueError, match="1 lines never came"):
        waits([(0, 1.0), (5, 1.0)], [(0, 1.5)])
