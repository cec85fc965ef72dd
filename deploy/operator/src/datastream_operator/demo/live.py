"""Follows a log with a live view: rates, lag, queue depth, the last rejects."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from datastream.errors import Unavailable
from datastream_operator.demo.progress import Counts, count, queue_depths
from datastream_operator.demo.running import Pipeline
from datastream_operator.demo.services import Service, total
from datastream_operator.demo.verify import find_stream

#: Seconds between two views, and between two lines where there is no terminal.
VIEW_EVERY = 1.0
TELL_EVERY = 5.0
LAST_REJECTS = """
    SELECT rejected_log.reason, raw_log.line
    FROM rejected_log JOIN raw_log USING (stream_id, line_offset)
    WHERE rejected_log.stream_id = %s
    ORDER BY rejected_log.line_offset DESC LIMIT 5
"""


@dataclass(frozen=True, slots=True)
class View:
    """What is seen at one moment."""

    counts: Counts
    #: Lines a second since the view before: published, kept raw, parsed or rejected.
    rates: tuple[float, float, float]
    behind_bytes: float
    behind_seconds: float
    depths: tuple[int, int] | None
    rejected: int
    last_rejects: list[tuple[str, bytes]]
    states: list[tuple[str, bool]]


def follow(pipeline: Pipeline, console: Console) -> None:
    """Follow the log until Ctrl-C, and then say how much there was.

    A service that ends is started again, and the view says so.
    """
    log = pipeline.subject.log
    pipeline.producer.log.unlink(missing_ok=True)
    pipeline.producer.start([str(log)])
    console.print(f"Following {log}. Ctrl-C ends it.", soft_wrap=True)
    view = None
    try:
        with _shown(console) as show:
            for view in _views(pipeline, console):
                show(view)
    except KeyboardInterrupt:
        pass
    if view is not None:
        published, raw, parsed = view.counts.in_order
        console.print(
            f"Stopped. Since the start: {published:,} lines published, {raw:,} kept raw, "
            f"{parsed:,} parsed or rejected. The next run reads on from here.",
            soft_wrap=True,
        )


def _views(pipeline: Pipeline, console: Console) -> Iterator[View]:
    before, before_at = Counts(0, 0, 0), time.monotonic()
    while True:
        time.sleep(max(0.0, before_at + VIEW_EVERY - time.monotonic()))
        _restart_what_ended(pipeline, console)
        now = time.monotonic()
        counts = count(pipeline, before.published)
        elapsed = now - before_at
        published, raw, parsed = (
            max(0, new - old) / elapsed
            for new, old in zip(counts.in_order, before.in_order, strict=True)
        )
        before, before_at = counts, now
        yield View(
            counts=counts,
            rates=(published, raw, parsed),
            behind_bytes=total([pipeline.producer], "datastream_behind_bytes"),
            behind_seconds=total([pipeline.producer], "datastream_behind_seconds"),
            depths=_depths(pipeline),
            rejected=int(total(pipeline.cleaners, "datastream_lines_rejected_total")),
            last_rejects=_last_rejects(pipeline),
            states=[(service.name, service.is_ready) for service in _services(pipeline)],
        )


def _services(pipeline: Pipeline) -> list[Service]:
    return [pipeline.producer, pipeline.lake, *pipeline.cleaners]


def _restart_what_ended(pipeline: Pipeline, console: Console) -> None:
    for service in _services(pipeline):
        if service.exit_code is not None:
            console.print(f"{service.failed('ended')}\nStarting it again.", style="yellow")
            service.start([str(pipeline.subject.log)] if service is pipeline.producer else [])


def _depths(pipeline: Pipeline) -> tuple[int, int] | None:
    try:
        return queue_depths(pipeline)
    except Unavailable:
        return None


def _last_rejects(pipeline: Pipeline) -> list[tuple[str, bytes]]:
    subject = pipeline.subject
    with pipeline.connect() as connection, connection.cursor() as cursor:
        cursor.execute(LAST_REJECTS, (find_stream(connection, subject.source, subject.log),))
        return [(str(reason), bytes(line)) for reason, line in cursor.fetchall()]


@contextmanager
def _shown(console: Console) -> Iterator[Callable[[View], None]]:
    if not console.is_terminal:
        yield _Tell(console)
        return
    with Live(console=console, auto_refresh=False, transient=False) as live:
        yield _Draw(live)


class _Draw:
    """Draws each view in place of the one before."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def __call__(self, view: View) -> None:
        self._live.update(_drawn(view), refresh=True)


class _Tell:
    """Says a line now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told_at = -TELL_EVERY

    def __call__(self, view: View) -> None:
        if time.monotonic() - self._told_at < TELL_EVERY:
            return
        self._told_at = time.monotonic()
        published, raw, parsed = view.rates
        self._console.print(
            f"{published:,.0f} lines/s published, {raw:,.0f} kept raw, {parsed:,.0f} parsed or "
            f"rejected; {_bytes(view.behind_bytes)} behind; {view.counts.raw:,} lines so far",
            soft_wrap=True,
        )


def _drawn(view: View) -> Group:
    rates = Table(box=None, padding=(0, 2))
    for title in ("", "lines/s", "lines"):
        rates.add_column(title, justify="left" if not title else "right", header_style="dim")
    names = "published", "kept raw", "parsed or rejected"
    for name, rate, lines in zip(names, view.rates, view.counts.in_order, strict=True):
        rates.add_row(name, f"{rate:,.0f}", f"{lines:,}")
    rates.add_row("of these rejected", "", f"{view.rejected:,}")
    depths = "unknown" if view.depths is None else f"{view.depths[0]:,} and {view.depths[1]:,}"
    lag = f"behind the log: {_bytes(view.behind_bytes)}, {view.behind_seconds:.1f} s"
    services = Text("services: ")
    for name, is_ready in view.states:
        services.append(f"{name} ", style="green" if is_ready else "yellow")
        services.append("" if is_ready else "(waiting) ", style="yellow")
    rejects = [
        Text(f"  {reason:<10} {_printable(line)}", no_wrap=True, overflow="ellipsis")
        for reason, line in view.last_rejects
    ]
    return Group(
        rates,
        Text(f"{lag}; slices in the queues: {depths}"),
        services,
        Text("last rejects:" if rejects else "no rejects", style="dim"),
        *rejects,
    )


def _printable(line: bytes) -> str:
    """Return the beginning of a line with nothing in it that a terminal would obey."""
    text = line[:200].decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text) or "(empty)"


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:,.0f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"
