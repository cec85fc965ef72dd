"""The live view of the pipeline: what is in it, and how it is drawn."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass, field, replace

from rich.console import Group, RenderableType
from rich.text import Text

from datastream.errors import Unavailable
from datastream.how_many import how_many
from datastream.mysql import Session
from datastream.parsing import CONTINUED
from datastream.parsing.looks import looks_of, shortened
from datastream_operator import screen
from datastream_operator.lines import Unreadable
from datastream_operator.screen import (
    BEHIND_BYTES,
    DUPLICATE,
    PUBLISHED,
    QUEUES,
    REJECTED,
    STORED,
    Process,
    Processes,
    Queue,
    Samples,
    by_label,
    total,
)
from datastream_operator.text import printable, printable_bytes, with_counts
from datastream_playground.demo.running import Pipeline
from datastream_playground.demo.subject import Subject
from datastream_playground.demo.tables import Tables

REJECTS = 5


@dataclass(frozen=True, slots=True)
class View:
    """The pipeline at one moment; counts are since the start of this run."""

    #: Seconds, monotonic; 0 before the first look.
    at: float = 0.0
    processes: Processes = field(default_factory=dict)
    #: What is in each queue, or why it is not known.
    queues: dict[str, Queue] | str = ""
    #: Reason and text, the latest first; None when the database does not answer.
    last_rejects: list[tuple[str, bytes]] | None = None

    @property
    def published(self) -> float:
        """How many lines the broker has confirmed."""
        return total(self._samples("producer"), PUBLISHED)

    @property
    def raw(self) -> float:
        """How many lines are new in raw_log."""
        return total(self._samples("lake_consumer"), STORED)

    @property
    def parsed(self) -> float:
        """How many lines are new in clean_log or error_log."""
        return total(self._samples("clean_consumer"), STORED) - total(
            self._samples("clean_consumer"), STORED, table="rejected_log"
        )

    @property
    def rejected(self) -> dict[str, int]:
        """How many lines were rejected, by reason; not those that go on with another one."""
        samples = self._samples("clean_consumer")
        reasons = by_label(samples, REJECTED, "reason")
        reasons.pop(CONTINUED, None)
        return {reason: round(lines) for reason, lines in reasons.items()}

    @property
    def duplicates(self) -> float:
        """How many lines were in raw_log already."""
        return total(self._samples("lake_consumer"), DUPLICATE)

    @property
    def behind_bytes(self) -> float:
        """How many bytes of the log are not confirmed yet."""
        return total(self._samples("producer"), BEHIND_BYTES)

    def __str__(self) -> str:
        return (
            f"{how_many(self.published, 'line')} published, {self.raw:,.0f} kept raw, "
            f"{self.parsed:,.0f} parsed, {sum(self.rejected.values()):,} rejected"
        )

    def _samples(self, service: str) -> list[Samples]:
        return [process.samples for process in self.processes.get(service, {}).values()]


def counted(pipeline: Pipeline) -> View:
    """Return a view of the services alone, without queues and rejects."""
    for service in pipeline.services:
        service.look()
    groups = {
        "producer": (pipeline.producer,),
        "lake_consumer": (pipeline.lake,),
        "clean_consumer": pipeline.cleaners,
    }
    return View(
        at=time.monotonic(),
        processes={
            name: {one.name: Process(one.state(), one.samples()) for one in group}
            for name, group in groups.items()
        },
    )


class Viewer:
    """Looks at the services, the queues and the tables."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._session = Session(pipeline.mysql, "live view")

    def close(self) -> None:
        """Close the connection to the database."""
        self._session.close()

    def view(self) -> View:
        """Return the view of now."""
        return replace(
            counted(self._pipeline), queues=self._queues(), last_rejects=self._last_rejects()
        )

    def _queues(self) -> dict[str, Queue] | str:
        try:
            told = self._pipeline.broker.queues()
        except (OSError, http.client.HTTPException):
            return "RabbitMQ does not answer"

        def count(queue: str, name: str) -> int:
            # A queue that was just created has no counts yet.
            return int(told.get(queue, {}).get(name, 0))

        return {
            queue: Queue(
                slices=count(queue, "messages"),
                in_hand=count(queue, "messages_unacknowledged"),
                bytes=count(queue, "message_bytes"),
                consumers=count(queue, "consumers"),
            )
            for queue in QUEUES
        }

    def _last_rejects(self) -> list[tuple[str, bytes]] | None:
        try:
            return Tables.of(self._session, self._pipeline.subject).last_rejects(REJECTS)
        except Unavailable:
            return None
        except Unreadable:
            return []  # the producer's state says why


def drawn(view: View, before: View, subject: Subject, hint: str) -> RenderableType:
    """Return a view as it is shown on a terminal of 80 columns and 24 lines or more.

    Rates are since the view before. The hint is in it, as what was said above it scrolls away.
    """
    states = {name: screen.ready_of(len(its), its) for name, its in view.processes.items()}
    parts: list[RenderableType] = [
        _line(f"{subject.log}  ({subject.format}; Ctrl-C ends)", "bold"),
        screen.services(states, before.processes, view.processes, view.at - before.at),
        *(_line(line, "yellow") for line in screen.not_ready(view.processes)),
        *([_line(misfit, "bold yellow")] if (misfit := misfit_in(view, subject)) else []),
        _line(_parsed(view, before)),
        _line(_rejected(view, before)),
        screen.queues(view.queues),
        _line(hint, "dim"),
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


def misfit_in(view: View, subject: Subject) -> str:
    """Return in words that the log does not fit its format, or nothing."""
    shares = screen.rejected_shares(view.processes)
    if not shares:
        return ""
    share = f"{max(shares.values()) * 100:.0f} % rejected"
    rejects = [line for _, line in view.last_rejects or []]
    looks = f", the lines look like {looks_of(rejects).words}" if rejects else ""
    return f"{share}: FORMAT is {shortened(subject.format)}{looks}"


def _parsed(view: View, before: View) -> str:
    again = f"; already in raw_log: {how_many(view.duplicates, 'line')}" if view.duplicates else ""
    return f"parsed {_rate(view, before, view.parsed - before.parsed)}: {view.parsed:,.0f}{again}"


def _rejected(view: View, before: View) -> str:
    new = sum(view.rejected.values()) - sum(before.rejected.values())
    return f"rejected {_rate(view, before, new)}: {with_counts(view.rejected) or 'none'}"


def _rate(view: View, before: View, lines: float) -> str:
    """Return the rate of so many lines since the view before; the first view has none."""
    rate = lines / (view.at - before.at) if before.at else 0.0
    return f"{rate:,.0f}/s"


def _line(text: str, style: str = "") -> Text:
    return Text(printable(text), style=style, no_wrap=True, overflow="ellipsis")
