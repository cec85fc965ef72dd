"""What is drawn while a log is followed."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from datastream_operator.screen import MISFIT, PUBLISHED, QUEUES, STORED, Process, Processes, Queue
from datastream_playground.demo.subject import Subject
from datastream_playground.demo.view import View, drawn

SERVICES = ("producer", "lake_consumer", "clean_consumer-1", "clean_consumer-2")
HINT = "tables: make sql; queues: http://127.0.0.1:15672"
SUBJECT = Subject(Path("/var/log/nginx/access.log"), "combined", "web", is_sample=False)


def processes(ready: str, published: float, parsed: float, **rejected: float) -> Processes:
    """Return what the services of the demo tell when so many lines are published and parsed."""
    stored = frozenset({("table", "clean_log")})
    cleaner: dict[tuple[str, frozenset[tuple[str, str]]], float] = {(STORED, stored): parsed}
    for reason, lines in rejected.items():
        cleaner["datastream_lines_rejected_total", frozenset({("reason", reason)})] = lines
    cleaner[STORED, frozenset({("table", "rejected_log")})] = sum(rejected.values())
    producer = {
        (PUBLISHED, NONE): published,
        ("datastream_behind_bytes", NONE): 12_345_678_901.0,
        ("datastream_behind_seconds", NONE): 3_600.0,
    }
    lake = {(STORED, NONE): published, ("datastream_lines_duplicate_total", NONE): 1_000_000.0}
    return {
        "producer": {"producer": Process(ready, producer)},
        "lake_consumer": {"lake_consumer": Process(ready, lake)},
        "clean_consumer": {
            "clean_consumer-1": Process(ready, cleaner),
            "clean_consumer-2": Process(ready, {}),
        },
    }


NONE: frozenset[tuple[str, str]] = frozenset()
WAITING = "waiting for rabbitmq, mysql"
REASONS = {"format": 40_000.0, "empty": 5_000.0, "time": 600.0, "refused": 70.0, "truncated": 8.0}
EARLIER = {**REASONS, "format": 39_995.0}
BEFORE = View(at=99.0, processes=processes(WAITING, 12_222_222, 12_176_544, **EARLIER))
FULL = View(
    at=100.0,
    processes=processes(WAITING, 12_345_678, 12_300_000, **REASONS),
    queues={name: Queue(10_000, 400, 250_000_000, 2) for name in QUEUES},
    last_rejects=[("truncated", b"\x1b[2J\x00\xff\r\n" + b"x" * 500)] * 5,
)


def text_of(view: View, width: int, before: View = BEFORE) -> str:
    """Return what is drawn on a terminal of some width."""
    console = Console(file=io.StringIO(), width=width, markup=False)
    console.print(drawn(view, before, SUBJECT, HINT))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 200])
def test_a_full_view_fits_a_small_terminal(width: int) -> None:
    """80 columns and 24 lines, of which the last is the cursor's."""
    lines = text_of(FULL, width).splitlines()

    assert len(lines) <= 23
    assert max(map(len, lines)) <= width


def test_a_log_that_does_not_fit_is_told() -> None:
    """From the consumers' own metrics and the last rejects; and the view still fits."""
    found = processes(WAITING, 12_345_678, 12_300_000, **REASONS)
    labels = frozenset({("path", "/var/log/a.log"), ("stream", "0a"), ("source", "web")})
    both = {
        name: Process(WAITING, {**one.samples, (MISFIT, labels): share})
        for (name, one), share in zip(found["clean_consumer"].items(), (0.5, 0.97), strict=True)
    }

    rejects = [("format", b'{"status":200}')] * 5
    view = replace(FULL, processes={**found, "clean_consumer": both}, last_rejects=rejects)

    text = text_of(view, 80)

    assert "97 % rejected: FORMAT is combined, the lines look like JSON\n" in text
    assert len(text.splitlines()) <= 24


def test_a_reject_cannot_command_the_terminal() -> None:
    """Control characters and broken UTF-8 are shown as escapes."""
    text = text_of(FULL, 80)

    assert r"\x1b[2J\x00\xff\r\n" in text
    assert "\x1b" not in text


def test_everything_is_in_the_view() -> None:
    """Rates, totals, lag, queues, services, reasons."""
    text = text_of(FULL, 120)

    for words in ("12,345,678", "123,456", "12.3 GB, 3,600 s", "10,000"):
        assert words in text
    assert "/var/log/nginx/access.log  (combined; Ctrl-C ends)" in text
    assert HINT in text
    for name in SERVICES:
        assert f"{name}: {WAITING}" in text
    for name in QUEUES:
        assert name in text


def test_what_became_of_the_lines_fits_80_columns() -> None:
    """Parsed and rejected apart, each with its rate; every reason; what came again."""
    rows = text_of(FULL, 80).splitlines()

    assert "parsed 123,456/s: 12,300,000; already in raw_log: 1,000,000 lines" in rows
    reasons = "format 40,000, empty 5,000, time 600, refused 70, truncated 8"
    assert f"rejected 5/s: {reasons}" in rows


def test_a_view_without_answers() -> None:
    """It says who does not answer."""
    text = text_of(View(at=1.0, queues="RabbitMQ does not answer"), 80, View())

    assert "RabbitMQ does not answer" in text
    assert "the database does not answer" in text
    assert "no rejects" in text_of(View(at=1.0, last_rejects=[]), 80)
    assert "rejected 0/s: none" in text


def test_rates_are_since_the_view_before() -> None:
    """Of each service, in lines a second; and none since nothing."""
    before = View(at=10.0, processes=processes("ready", 100, 90, time=10))
    after = View(at=12.0, processes=processes("ready", 300, 100, time=10, empty=2))

    def rates(before: View) -> list[str]:
        rows = [line.split() for line in text_of(after, 80, before).splitlines()]
        return [row[4] for row in rows if row[:1] and row[0] in after.processes]

    assert rates(before) == ["100", "100", "6"]
    assert rates(View()) == ["0", "0", "0"]


def test_lines_are_counted_by_what_became_of_them() -> None:
    """Whether parsed or rejected is told apart, over all the consumers."""
    view = View(processes=processes("ready", 300, 100, time=10, empty=2))

    assert str(view) == "300 lines published, 300 kept raw, 100 parsed, 12 rejected"
    assert view.rejected == {"time": 10, "empty": 2}


def test_a_line_that_goes_on_with_an_entry_of_an_error_log_is_no_reject() -> None:
    """It has a row in the same table, and its text is in the row of another line."""
    view = View(processes=processes("ready", 300, 100, time=10, continued=190))

    assert str(view) == "300 lines published, 300 kept raw, 100 parsed, 10 rejected"
    row = next(
        line for line in text_of(view, 80).splitlines() if line.split()[:1] == ["clean_consumer"]
    )
    assert " 10 " in row
    assert "190" not in row
