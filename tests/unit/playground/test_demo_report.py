"""What the demo says at its end."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from datastream.parsing.looks import Looks
from datastream_operator.lines import Extent
from datastream_operator.verify.fit import Misfit
from datastream_operator.verify.stored import StreamRow
from datastream_playground.demo.progress import Run
from datastream_playground.demo.report import facts_of, print_ranking, print_verdict
from datastream_playground.demo.subject import Subject
from datastream_playground.demo.tables import RowCounts
from datastream_playground.demo.verify import Findings

GREEN = "\x1b[1;32m"


def said(found: Findings) -> str:
    """Return the verdict on what was found, with the codes of a terminal's colours."""
    console = Console(
        file=io.StringIO(), markup=False, highlight=False, width=300, force_terminal=True
    )
    print_verdict(console, found)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_log_that_is_stored_whole_is_green() -> None:
    """Every byte is there."""
    found = Findings(9, RowCounts(9, 9, 0), rejected={}, top_paths=[], statuses=[])

    words = said(found)

    assert f"{GREEN}Exact: every line is there" in words


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_long_path_is_cut_and_its_count_is_not(*, is_terminal: bool) -> None:
    """On 80 columns and in a pipe: each row is one line, with its count and its bar."""
    console = Console(file=io.StringIO(), width=80, force_terminal=is_terminal, color_system=None)
    console.soft_wrap = not is_terminal

    print_ranking(console, [("/" + "a" * 500, 123_456_789), ("/b", 61_728_394)])

    assert isinstance(console.file, io.StringIO)
    first, second = console.file.getvalue().splitlines()
    assert first.split()[0] == "123,456,789"
    assert first.rstrip().endswith("█" * 20)
    assert second.split() == ["61,728,394", "/b", "█" * 10]


def test_lines_that_do_not_fit_are_not_green() -> None:
    """However exactly they are stored: it says what they look like and what reads them so."""
    misfit = Misfit(StreamRow(10, "/var/log/a.log", "combined", 0), 0, 9, Looks("JSON"))
    found = Findings(9, RowCounts(9, 0, 9), {}, top_paths=[], statuses=[], misfit=misfit)

    words = said(found)

    assert "Exact, but 0 of 9 parsed: FORMAT is combined, the lines look like JSON." in words
    assert "run it with FORMAT= the log_format directive" in words
    assert GREEN not in words


def told(counts: RowCounts, seconds: float = 5.0) -> str:
    """Return the facts about a log whose lines are all in the tables."""
    pipeline: Any = SimpleNamespace(
        subject=Subject(Path("/var/log/nginx/a.log"), "combined", "web", is_sample=False),
        broker=SimpleNamespace(version="4.3"),
        database=SimpleNamespace(version="8.4"),
    )
    found = Findings(counts.raw, counts, rejected={}, top_paths=[], statuses=[])
    extents = {pipeline.subject.log: Extent(lines=counts.raw, end=900)}
    run = Run(extents, seconds=seconds, new=counts.raw, latency=(1.0, 1.0), streams=[])
    console = Console(file=io.StringIO(), markup=False, width=100)
    console.print(facts_of(pipeline, run, found))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_rows_are_told_of_the_table_that_they_are_in() -> None:
    """Lines of an error log are in error_log."""
    access, errors = told(RowCounts(9, 8, 1)), told(RowCounts(9, 0, 1, errors=8))

    assert "rows in clean_log  8" in access
    assert "error_log" not in access
    assert "rows in error_log  8" in errors
    assert "clean_log" not in errors
    assert "parsed + rejected  9  = lines" in errors


@pytest.mark.parametrize(
    ("lines", "seconds", "is_told"), [(9_000, 5.0, False), (90_000, 0.5, False), (90_000, 5, True)]
)
def test_a_rate_is_told_of_enough(lines: int, seconds: float, *, is_told: bool) -> None:
    """Of few lines, or in a moment, it is the start of the services that was measured."""
    assert ("lines per second" in told(RowCounts(lines, lines, 0), seconds)) is is_told
