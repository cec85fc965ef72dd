"""The arithmetic of the figures: shares, and how long each line waited."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil

#: A line's offset, and a time in seconds.
Moment = tuple[int, float]


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` (0 to 1) of the values do not exceed.

    One of the values themselves, never one between two. Raises ValueError when there are none.
    """
    if not values:
        raise ValueError("there are no values")
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]


def ratio(value: float, baseline: float) -> float | None:
    """Return how many times the baseline a value is; None without a baseline."""
    return value / baseline if baseline else None


def waits(written: Sequence[Moment], seen: Iterable[Moment]) -> list[float]:
    """Return for each line the seconds from its writing until it was first seen.

    `written` says when each line was written, by its offset; `seen` says, at each look, up to
    which offset all lines are there; both in order. Raises ValueError when a line never came.
    """
    found: list[float] = []
    for offset, at in seen:
        while len(found) < len(written) and written[len(found)][0] <= offset:
            found.append(at - written[len(found)][1])
    if len(found) < len(written):
        raise ValueError(f"{len(written) - len(found)} lines never came")
    return found
