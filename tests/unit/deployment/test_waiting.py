"""What tests wait for, and what they say when it does not come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import deployment
from deployment import assert_settled, eventually


class Tables:
    """Tables with so many rows, and so many pairs of a raw and a parsed line."""

    def __init__(self, pairs: int, **counts: int) -> None:
        self._pairs = pairs
        self._counts = counts

    def query(self, statement: str, *_parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        if "DISTINCT" in statement:
            return [(self._pairs, self._pairs)]
        return [(self._counts.get(statement.split(" FROM ")[1].split()[0], 0),)]

    def queues(self) -> str:
        """Return how many messages each queue holds."""
        return "lake 0, clean 4"


class Clock:
    """The time, which goes on by a second with each look at it."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def monotonic(self) -> float:
        """Return it."""
        self._seconds += 1
        return self._seconds

    def sleep(self, _seconds: float) -> None:
        """Take no time."""


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (
            Tables(0, raw_log=20, clean_log=15, rejected_log=3),
            "expected 20, parsed; found {'raw_log': 20, 'clean_log': 15, 'error_log': 0,"
            " 'rejected_log': 3}",
        ),
        (
            Tables(19, raw_log=20, error_log=20),
            "expected 20, one to one; found 19 pairs of 19 keys; {'raw_log': 20,",
        ),
    ],
    ids=["counts", "pairs"],
)
def test_counts_that_differ_are_told(tables: Tables, words: str) -> None:
    """Of each table, what was expected, and where the rest may be."""
    with pytest.raises(AssertionError) as caught:
        assert_settled(tables, 20, patience=0)

    assert words in str(caught.value)
    assert caught.value.__notes__ == ["queues: lake 0, clean 4"]


def test_exact_counts_are_settled() -> None:
    """Of each kind of line."""
    assert_settled(Tables(20, raw_log=20, clean_log=15, error_log=1, rejected_log=4), 20)


def test_what_goes_on_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what has not changed for the whole patience is, and what never ends."""
    monkeypatch.setattr("deployment.time", Clock())
    rows: Iterator[int] = iter([*range(50), *[50] * 9, 51])

    def arrived() -> int:
        found = next(rows)
        assert found == 51
        return found

    assert eventually(arrived, 10) == 51


def test_what_stands_still_is_given_up_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the patience, and not before; an endless change after the longest."""
    monkeypatch.setattr("deployment.time", Clock())
    looks = 0

    def stands(words: str) -> None:
        nonlocal looks
        looks += 1
        raise AssertionError(words.format(looks))

    with pytest.raises(AssertionError, match="as before"):
        eventually(lambda: stands("as before"), 10)
    assert looks == 11
    with pytest.raises(AssertionError, match=r"\d+ tries"):
        eventually(lambda: stands("{} tries"), 10)
    assert looks == 11 + deployment.LONGEST_PATIENCE


def test_what_tests_share_says_what_it_found() -> None:
    """An assertion of it that has no words shows both sides, as one of a test does."""
    assert type(deployment.__loader__).__name__ == "AssertionRewritingHook"
