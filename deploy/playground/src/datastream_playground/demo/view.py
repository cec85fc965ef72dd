"""One view of the pipeline at work: what is in it, and how it is drawn."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

import pika.exceptions
import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from datastream import rabbitmq
from datastream.errors import Unavailable
from datastream.topology import CLEAN_QUEUE, LAKE_QUEUE
from datastream_operator.lines import Unreadable
from datastream_operator.text import printable, printable_bytes, size, with_counts
from datastream_playground.demo.running import Pipeline
from datastream_playground.demo.services import by_label, total
from datastream_playground.demo.subject import Subject
from datastream_playground.demo.tables import LogTables, find_stream

REJECTS = 5


@dataclass(frozen=True, slots=True)
class Rates:
    """Lines a second."""

    published: float = 0.0
    raw: float = 0.0
    parsed: float = 0.0
    rejected: float = 0.0


@dataclass(frozen=True, slots=True)
class View:
    """What is seen at one moment; counts are since the start of this run."""

    #: When (monotonic); 0 before anything was seen.
    at: float = 0.0
    published: int = 0
    raw: int = 0
    parsed: int = 0
    #: By reason.
    rejected: dict[str, int] = field(default_factory=dict)
    #: Lines that came once more, though their rows were there.
    duplicates: int = 0
    dead_letters: int = 0
    rates: Rates = field(default_factory=Rates)
    behind_bytes: float = 0.0
    behind_seconds: float = 0.0
    #: Messages in each queue; empty when the broker does not answer.
    depths: dict[str, int] = field(default_factory=dict)
    #: The states of the services by name.
    states: dict[str, str] = field(default_factory=dict)
    #: Reason and text, the latest first; None when the database does not answer.
    last_rejects: list[tuple[str, bytes]] | None = None

    @property
    def rejected_lines(self) -> int:
        """How many lines were rejected."""
        return sum(self.rejected.values())

    def rates_since(self, before: View) -> Rates:
        """Return the lines a second since another view."""
        elapsed = self.at - before.at
        if not before.at or elapsed <= 0:
            return Rates()
        return Rates(
            published=(self.published - before.published) / elapsed,
            raw=(self.raw - before.raw) / elapsed,
            parsed=(self.parsed - before.parsed) / elapsed,
            rejected=(self.rejected_lines - before.rejected_lines) / elapsed,
        )


def counted(pipeline: Pipeline) -> View:
    """Ask the services alone; what other sources would say is left out of the view."""
    for service in pipeline.services:
        service.look()
    producer, cleaners = pipeline.producer, pipeline.cleaners
    stored = "datastream_lines_stored_total"
    return View(
        at=time.monotonic(),
        published=total([producer], "datastream_lines_published_total"),
        raw=total([pipeline.lake], stored),
        parsed=total(cleaners, stored, table="clean_log")
        + total(cleaners, stored, table="error_log"),
        rejected=by_label(cleaners, "datastream_lines_rejected_total", "reason"),
        duplicates=total([pipeline.lake], "datastream_lines_duplicate_total"),
        dead_letters=total(pipeline.consumers, "datastream_dead_letters_total"),
        behind_bytes=producer.gauge("datastream_behind_bytes"),
        behind_seconds=producer.gauge("datastream_behind_seconds"),
    )


class Observer:
    """Looks at the services, the queues and the tables, over connections that it keeps open."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._to_broker, self._to_database = ExitStack(), ExitStack()
        self._channel: Any = None
        self._connection: Connection[Cursor] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._to_broker, self._to_database:
            pass

    def view(self, before: View) -> View:
        """Return what is seen now; `before` is the last view, from which rates are reckoned."""
        counts = counted(self._pipeline)
        return replace(
            counts,
            rates=counts.rates_since(before),
            depths=self._depths(),
            states={service.name: service.state() for service in self._pipeline.services},
            last_rejects=self._last_rejects(),
        )

    def _depths(self) -> dict[str, int]:
        try:
            if self._channel is None:
                opened = rabbitmq.connect(self._pipeline.rabbit, "live view")
                self._channel = self._to_broker.enter_context(opened).channel()
            return {
                queue: self._channel.queue_declare(queue, passive=True).method.message_count
                for queue in (LAKE_QUEUE, CLEAN_QUEUE)
            }
        except (Unavailable, pika.exceptions.AMQPError, OSError):
            self._channel = None
            self._to_broker.close()
            return {}

    def _last_rejects(self) -> list[tuple[str, bytes]] | None:
        subject = self._pipeline.subject
        try:
            if self._connection is None:
                opened = self._pipeline.connected()
                self._connection = self._to_database.enter_context(opened)
            stream = find_stream(self._connection, subject.source, subject.log)
            return LogTables(self._connection, stream).last_rejects(REJECTS)
        except (pymysql.MySQLError, OSError):
            self._connection = None
            with suppress(pymysql.MySQLError, OSError):
                self._to_database.close()
            return None
        except Unreadable:
            return []  # the producer's state says so


def drawn(view: View, subject: Subject) -> RenderableType:
    """Return a view as it is shown on a terminal of 80 columns and 24 lines or more."""
    parts: list[RenderableType] = [
        _line(f"{subject.log}  ({subject.format}; Ctrl-C ends)", "bold"),
        Text(),
        _counts(view),
        Text(),
        _facts(view),
        Text(),
    ]
    if view.last_rejects is None:
        parts.append(_line("the database does not answer", "yellow"))
    else:
        parts.append(_line("last rejects" if view.last_rejects else "no rejects", "dim"))
        parts += [
            _line(f"  {reason:<9} {printable_bytes(line) or '(empty)'}")
            for reason, line in view.last_rejects
        ]
    return Group(*parts)


def _counts(view: View) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim", expand=True)
    table.add_column("", no_wrap=True)
    table.add_column("lines/s", justify="right", min_width=9, no_wrap=True)
    table.add_column("since the start", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
    rates = view.rates
    there = f"{view.duplicates:,} more were there already" if view.duplicates else ""
    for name, rate, lines, note in (
        ("published", rates.published, view.published, ""),
        ("kept raw", rates.raw, view.raw, there),
        ("parsed", rates.parsed, view.parsed, ""),
        ("rejected", rates.rejected, view.rejected_lines, with_counts(view.rejected)),
    ):
        table.add_row(name, f"{rate:,.0f}", f"{lines:,}", note)
    return table


def _facts(view: View) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_row("behind the log", f"{size(view.behind_bytes)}, {view.behind_seconds:.1f} s")
    for queue in (LAKE_QUEUE, CLEAN_QUEUE):
        depth = view.depths.get(queue)
        table.add_row(
            queue, "RabbitMQ does not answer" if depth is None else f"{depth:,} slices waiting"
        )
    if view.dead_letters:
        table.add_row("dead letters", Text(f"{view.dead_letters:,}", style="red"))
    for name, state in view.states.items():
        table.add_row(name, Text(state, style="green" if state == "ready" else "yellow"))
    return table


def _line(text: str, style: str = "") -> Text:
    return Text(printable(text), style=style, no_wrap=True, overflow="ellipsis")
