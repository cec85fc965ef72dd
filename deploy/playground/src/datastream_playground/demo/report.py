"""The report at the end of the demo."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from datastream_operator.text import printable, with_counts
from datastream_playground.demo.progress import Run
from datastream_playground.demo.running import Pipeline, product
from datastream_playground.demo.subject import Subject
from datastream_playground.demo.verify import Findings

#: nginx's own statuses, which no standard has.
NGINX_PHRASES = {444: "No Response", 494: "Header Too Large", 499: "Client Closed Request"}
LONGEST_BAR = 20
#: With fewer new lines the time is mostly that of the producer's start.
ENOUGH_FOR_A_RATE = 1_000


def show(console: Console, pipeline: Pipeline, run: Run, found: Findings) -> None:
    """Print what the tables hold of the log, and whether that is exact."""
    rule = "-" if console.options.ascii_only else "─"
    console.print()
    console.rule("Datastream", characters=rule)
    console.print(_facts(pipeline, run, found), soft_wrap=False)
    if found.top_paths:
        console.print()
        console.print("Most requested paths", style="dim")
        _print_ranking(console, [(_path(path), n) for path, n in found.top_paths])
        console.print()
        console.print("Statuses", style="dim")
        _print_ranking(console, [(_status(status), n) for status, n in found.statuses])
    console.rule(characters=rule)
    _print_verdict(console, pipeline.subject, run, found)
    _print_next_steps(console, pipeline)


def _facts(pipeline: Pipeline, run: Run, found: Findings) -> Table:
    subject, counts = pipeline.subject, found.counts
    accounted = counts.parsed + counts.rejected
    reasons = f"  ({with_counts(found.rejected)})" if found.rejected else ""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(justify="right", style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("log", printable(str(_short(subject.log))))
    facts.add_row("lines in the file", f"{found.lines:,}")
    facts.add_row("rows in raw_log", f"{counts.raw:,}{_compared(counts.raw, found.lines)}")
    facts.add_row("rows in clean_log", f"{counts.parsed:,}")
    facts.add_row("rows in rejected_log", f"{counts.rejected:,}{reasons}")
    facts.add_row("parsed + rejected", f"{accounted:,}{_compared(accounted, found.lines)}")
    if found.compared is not None:
        facts.add_row("compared with the truth", f"{found.compared:,} rows, field by field")
    if run.new:
        median, most = run.latency
        facts.add_row("new lines", f"{run.new:,} in {run.seconds:.1f} s")
        if run.new >= ENOUGH_FOR_A_RATE:
            facts.add_row("lines per second", f"{run.new / run.seconds:,.0f}")
        facts.add_row(
            "from line read to row",
            f"half within {median:g} s, 99 % within {most:g} s (queues included)",
        )
    elif found.lines:
        facts.add_row("new lines", f"none: all {found.lines:,} lines were there already")
    else:
        facts.add_row("new lines", "none: the log is empty")
    facts.add_row(
        "servers", f"RabbitMQ {pipeline.broker.version}, {product(pipeline.database.version)}"
    )
    return facts


def _print_verdict(console: Console, subject: Subject, run: Run, found: Findings) -> None:
    if found.is_exact:
        exact = "every line is there, once, byte for byte" if found.lines else "no line, no row"
        console.print(f"Exact: {exact}.", style="bold green")
    else:
        console.print("NOT exact:", style="bold red")
        for difference in found.differences:
            console.print(f"  {printable(difference)}", style="red")
    if run.stream is not None and run.stream.format != subject.format:
        console.print(
            f"These lines were parsed as {run.stream.format} when they were first read, and that "
            f"stays so.\nTo read them as {subject.format} instead, start over.",
            style="yellow",
        )


def _print_next_steps(console: Console, pipeline: Pipeline) -> None:
    folder = _short(pipeline.folder)
    console.print("Your own log, live:  make follow LOG=/var/log/nginx/access.log")
    console.print(f"The data stays in {folder}. To start over:  rm -r {folder}")


def _short(path: Path) -> Path:
    """Return a path relative to the current folder, if it is inside."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _compared(rows: int, lines: int) -> str:
    return "  = lines" if rows == lines else f"  {rows - lines:+,} against the lines"


def _path(path: str | None) -> str:
    return "(not an HTTP request)" if path is None else printable(path)


def _status(status: int | None) -> str:
    if status is None:
        return "(none)"
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = NGINX_PHRASES.get(status, "")
    return f"{status} {phrase}".rstrip()


def _print_ranking(console: Console, rows: list[tuple[str, int]]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(justify="right", min_width=12)
    table.add_column(overflow="ellipsis", no_wrap=True)
    table.add_column(width=LONGEST_BAR)
    block = "#" if console.options.ascii_only else "█"
    most = max(count for _, count in rows)
    for name, count in rows:
        bar = block * round(count / most * LONGEST_BAR)
        table.add_row(f"{count:,}", Text(name), Text(bar, style="cyan"))
    console.print(table, soft_wrap=False)
