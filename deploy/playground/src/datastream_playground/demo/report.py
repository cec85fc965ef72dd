"""The report at the end of the demo."""

from __future__ import annotations

import shlex
import sys
from http import HTTPStatus
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from datastream.how_many import how_many
from datastream_operator.text import printable, with_counts
from datastream_operator.verify.fit import Misfit
from datastream_playground.demo.progress import Run
from datastream_playground.demo.running import Pipeline, product
from datastream_playground.demo.subject import CHECKOUT, FOLDER
from datastream_playground.demo.verify import Findings

#: nginx's own statuses, which no standard has.
NGINX_PHRASES = {444: "No Response", 494: "Header Too Large", 499: "Client Closed Request"}
LONGEST_BAR = 20
COUNT_WIDTH = 12
#: With fewer new lines, or in less time, it is mostly the producer's start that is measured.
ENOUGH_LINES, ENOUGH_SECONDS = 10_000, 1.0


def show(console: Console, pipeline: Pipeline, run: Run, found: Findings) -> None:
    """Print what the tables hold of the log, and whether that is exact."""
    rule = "-" if console.options.ascii_only else "─"
    console.print()
    console.rule("Datastream", characters=rule)
    console.print(facts_of(pipeline, run, found), soft_wrap=False)
    if found.top_paths:
        console.print()
        console.print("Most requested paths", style="dim")
        print_ranking(console, [(_path(path), n) for path, n in found.top_paths])
        console.print()
        console.print("Statuses", style="dim")
        print_ranking(console, [(_status(status), n) for status, n in found.statuses])
    console.rule(characters=rule)
    print_verdict(console, found)
    _print_next_steps(console, pipeline)


def facts_of(pipeline: Pipeline, run: Run, found: Findings) -> Table:
    """Return the report's figures, a row for each."""
    subject, counts = pipeline.subject, found.counts
    accounted = counts.parsed + counts.rejected
    reasons = f"  ({with_counts(found.rejected)})" if found.rejected else ""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(justify="right", style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("log", printable(str(_short(subject.log))))
    files = "the file" if len(run.extents) == 1 else how_many(len(run.extents), "file")
    facts.add_row(f"lines in {files}", f"{found.lines:,}")
    facts.add_row("rows in raw_log", f"{counts.raw:,}{_compared(counts.raw, found.lines)}")
    if counts.clean or not counts.errors:
        facts.add_row("rows in clean_log", f"{counts.clean:,}")
    if counts.errors:
        facts.add_row("rows in error_log", f"{counts.errors:,}")
    facts.add_row("rows in rejected_log", f"{counts.rejected:,}{reasons}")
    facts.add_row("parsed + rejected", f"{accounted:,}{_compared(accounted, found.lines)}")
    if found.compared is not None:
        facts.add_row(
            "compared with the truth", f"{how_many(found.compared, 'row')}, field by field"
        )
    if run.new:
        median, most = run.latency
        facts.add_row("new lines", f"{run.new:,} in {run.seconds:.1f} s")
        if run.new >= ENOUGH_LINES and run.seconds >= ENOUGH_SECONDS:
            facts.add_row("lines per second", f"{run.new / run.seconds:,.0f}")
        facts.add_row(
            "from line read to row",
            f"half within {median:g} s, 99 % within {most:g} s (queues included)",
        )
    elif found.lines:
        facts.add_row("new lines", f"none: {how_many(found.lines, 'line')}, all there already")
    else:
        facts.add_row("new lines", "none: the log is empty")
    facts.add_row(
        "servers", f"RabbitMQ {pipeline.broker.version}, {product(pipeline.database.version)}"
    )
    return facts


def print_verdict(console: Console, found: Findings) -> None:
    """Print whether the tables hold the log, and what is to be said of its format."""
    if found.is_exact and found.misfit is not None:
        console.print(f"Exact, but {found.misfit}.", style="bold yellow")
        console.print(f"To parse them again, run it with {_setting(found.misfit)}", style="yellow")
    elif found.is_exact:
        exact = "every line is there, once, byte for byte" if found.lines else "no line, no row"
        console.print(f"Exact: {exact}.", style="bold green")
    else:
        console.print("NOT exact:", style="bold red")
        for difference in found.differences:
            console.print(f"  {printable(difference)}", style="red")


def _setting(misfit: Misfit) -> str:
    """Return the setting that reads the lines as they look."""
    form = misfit.looks.quoted
    return f"FORMAT={form}" if form else "FORMAT= the log_format directive of your nginx.conf"


def _print_next_steps(console: Console, pipeline: Pipeline) -> None:
    folder = _short(pipeline.folder)
    console.print(f"A shell on the tables:  {sql_command(pipeline.folder)}")
    console.print("Your own log, live:  make follow LOG=/var/log/nginx/access.log")
    console.print(f"The data stays in {folder}. To start over:  rm -r {folder}")


def sql_command(folder: Path) -> str:
    """Return what a person types for a shell on the tables in a folder."""
    if folder == FOLDER and Path.cwd() == CHECKOUT:
        return "make sql"
    return f"{Path(sys.prefix, 'bin', 'datastream')} sql --folder {shlex.quote(str(folder))}"


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


def print_ranking(console: Console, rows: list[tuple[str, int]]) -> None:
    """Print names with their counts and bars; a name that is too long is cut, never a count."""
    longest = console.width - COUNT_WIDTH - LONGEST_BAR - 2 * len("  ")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1))
    table.add_column(justify="right", width=COUNT_WIDTH)
    # By its width alone: where a table is too wide, rich narrows every column that does not wrap.
    table.add_column(overflow="ellipsis", no_wrap=True, max_width=max(1, longest))
    table.add_column(width=LONGEST_BAR)
    block = "#" if console.options.ascii_only else "█"
    most = max(count for _, count in rows)
    for name, count in rows:
        bar = block * round(count / most * LONGEST_BAR)
        table.add_row(f"{count:,}", Text(name), Text(bar, style="cyan"))
    console.print(table, soft_wrap=False)
