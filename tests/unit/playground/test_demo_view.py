"""What is drawn while a log is followed, and the words of the report."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from datastream_operator.text import printable, printable_bytes, size, with_counts
from datastream_playground.demo.subject import Subject
from datastream_playground.demo.view import Rates, View, drawn

SERVICES = ("producer", "lake_consumer", "clean_consumer-1", "clean_consumer-2")
SUBJECT = Subject(Path("/var/log/nginx/access.log"), "combined", "web", is_sample=False)
FULL = View(
    at=100.0,
    published=12_345_678,
    raw=12_345_678,
    parsed=12_300_000,
    rejected={"format": 40_000, "empty": 5_000, "time": 600, "refused": 70, "truncated": 8},
    duplicates=1_000_000,
    dead_letters=3,
    rates=Rates(123_456, 123_456, 123_000, 456),
    behind_bytes=12_345_678_901,
    behind_seconds=3_600.0,
    depths={"queue-data-lake": 10_000, "queue-data-clean": 10_000},
    states=dict.fromkeys(SERVICES, "waiting for rabbitmq, mysql"),
    last_rejects=[("truncated", b"\x1b[2J\x00\xff\r\n" + b"x" * 500)] * 5,
)


def text_of(view: View, width: int) -> str:
    """Return what is drawn on a terminal of some width."""
    console = Console(file=io.StringIO(), width=width, markup=False)
    console.print(drawn(view, SUBJECT))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 200])
def test_a_full_view_fits_a_small_terminal(width: int) -> None:
    """80 columns and 24 lines, of which the last is the cursor's."""
    lines = text_of(FULL, width).splitlines()

    assert len(lines) <= 23
    assert max(map(len, lines)) <= width


def test_a_reject_cannot_command_the_terminal() -> None:
    """Control characters and broken UTF-8 are shown as escapes."""
    text = text_of(FULL, 80)

    assert r"\x1b[2J\x00\xff\r\n" in text
    assert "\x1b" not in text


def test_everything_is_in_the_view() -> None:
    """Rates, totals, lag, queues, services, reasons."""
    text = text_of(FULL, 120)

    for words in ("12,345,678", "123,456", "12.3 GB, 3600.0 s", "10,000 slices", "format 40,000"):
        assert words in text
    for name in SERVICES:
        assert name in text


def test_a_view_without_answers() -> None:
    """It says who does not answer."""
    text = text_of(View(at=1.0), 80)

    assert "RabbitMQ does not answer" in text
    assert "the database does not answer" in text
    assert "no rejects" in text_of(View(at=1.0, last_rejects=[]), 80)


def test_rates_are_since_another_view() -> None:
    """And none since nothing."""
    before = View(at=10.0, published=100, raw=100, parsed=90, rejected={"time": 10})
    after = View(at=12.0, published=300, raw=200, parsed=100, rejected={"time": 10, "empty": 2})

    assert after.rates_since(before) == Rates(100, 50, 5, 1)
    assert after.rates_since(View()) == Rates()


def test_printable_text() -> None:
    """Only what a terminal might obey is written as an escape."""
    assert printable("plain é ✓") == "plain é ✓"
    assert printable("a\x1b\n\u202e\udcff") == r"a\x1b\n\u202e\udcff"
    assert printable_bytes(b"\xc3\xa9\xff\\") == "é\\xff\\"
    assert printable_bytes(b"x" * 999, longest=3) == "xxx"


def test_sizes_and_counts() -> None:
    """In words that a person reads."""
    assert [size(n) for n in (0, 999, 1000, 2_500_000, 1e12)] == [
        *("0 B", "999 B", "1.0 kB", "2.5 MB", "1,000.0 GB"),
    ]
    counts = {"time": 1, "empty": 1, "format": 1234, "refused": 0}
    assert with_counts(counts) == "format 1,234, empty 1, time 1"
