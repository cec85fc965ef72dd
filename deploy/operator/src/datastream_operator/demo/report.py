"""The report at the end of the demo."""

from __future__ import annotations

from http import HTTPStatus

from rich.console import Console
from rich.table import Table
from rich.text import Text

from datastream_operator.demo.progress import Run
from datastream_operator.demo.subject import Subject
from datastream_operator.demo.verify import Findings

#: Statuses of nginx's own, that no standard has.
NGINX_PHRASES = {444: "No Response", 494: "Header Too Large", 499: "Client Closed Request"}


def show(console: Console, subject: Subject, run: Run, found: Findings) -> None:
    """Print what the tables hold of the log, and whether that is exact."""
    rejected = sum(found.rejected.values())
    facts = _facts()
    facts.add_row("log", str(subject.log))
    facts.add_row("lines in the file", f"{found.lines:,}")
    facts.add_row("rows in raw_log", f"{found.raw:,}{_equals(found.raw == found.lines)}")
    facts.add_row("rows in clean_log", f"{found.parsed:,}")
    facts.add_row("rows in rejected_log", f"{rejected:,}{_reasons(found)}")
    facts.add_row("parsed + rejected", _sum(found, rejected))
    if found.compared is not None:
        facts.add_row("compared with the truth", f"{found.compared:,} rows, field by field")
    if run.stored:
        facts.add_row("new lines", f"{run.stored:,} in {run.seconds:.1f} s")
        facts.add_row("lines per second", f"{run.stored / run.seconds:,.0f}")
        median, most = run.latency
        facts.add_row("from line read to row", f"half within {median:g} s, 99 % within {most:g} s")
    else:
        facts.add_row("new lines", "none: all of them were there already")
    console.print()
    console.rule(Text("Datastream", style="bold"))
    console.print(facts)
    if found.parsed:
        console.print()
        console.print(_ranking("most requested paths", [(_path(p), n) for p, n in found.top_paths]))
        console.print()
        console.print(_ranking("statuses", [(_status(s), n) for s, n in found.statuses]))
    console.rule()
    if found.is_exact:
        console.print(Text("Exact: every line is there, once, byte for byte.", style="bold green"))
        console.print("Your own log, live:  make follow LOG=/var/log/nginx/access.log")
        return
    console.print(Text("NOT exact:", style="bold red"))
    for difference in found.differences:
        console.print(Text(f"  {difference}", style="red"))


def _facts() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _equals(is_equal: bool) -> str:
    return "  = lines" if is_equal else "  ≠ lines"


def _sum(found: Findings, rejected: int) -> str:
    return f"{found.parsed + rejected:,}{_equals(found.parsed + rejected == found.lines)}"


def _reasons(found: Findings) -> str:
    counts = sorted(found.rejected.items(), key=lambda item: -item[1])
    return f"  ({', '.join(f'{reason} {count:,}' for reason, count in counts)})" if counts else ""


def _path(path: str | None) -> str:
    return "(not an HTTP request)" if path is None else path


def _status(status: int | None) -> str:
    if status is None:
        return "(none)"
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = NGINX_PHRASES.get(status, "")
    return f"{status} {phrase}".rstrip()


def _ranking(title: str, rows: list[tuple[str, int]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="dim", box=None, show_header=False)
    table.add_column(justify="right", min_width=10)
    table.add_column(overflow="ellipsis", no_wrap=True)
    table.add_column()
    most = max(count for _, count in rows)
    for name, count in rows:
        table.add_row(f"{count:,}", Text(name), Text("█" * round(count / most * 20), style="cyan"))
    return table
