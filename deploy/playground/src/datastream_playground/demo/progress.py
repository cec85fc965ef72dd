"""Publishes the log once, and waits until all of it is in the tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from datastream.rabbitmq import connect
from datastream.topology import CLEAN_QUEUE, LAKE_QUEUE
from datastream_operator.lines import Extent, measure
from datastream_operator.screen import DUPLICATE, PUBLISHED, STORED, by_label, total
from datastream_operator.verify.stored import StreamRow
from datastream_playground.demo.running import Pipeline
from datastream_playground.demo.services import Service

#: Seconds between two looks, and between two lines without a terminal.
LOOK_EVERY = 0.1
TELL_EVERY = 5.0
#: Seconds without progress after which nothing more is expected if the queues are empty, and
#: after which the run has failed if they are not.
QUIET_AFTER = 10.0
STALLED_AFTER = 60.0


class Stalled(Exception):
    """No progress, though messages wait. The text has the tails of the services' logs."""


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far the lines are, by the services' own counts; lines stored before count too."""

    published: float = 0
    raw: float = 0
    parsed: float = 0

    def __str__(self) -> str:
        return (
            f"{self.published:,.0f} lines published, {self.raw:,.0f} kept raw, "
            f"{self.parsed:,.0f} parsed or rejected"
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the producer over the log."""

    #: What the log held when the run began; that much must be in the tables now.
    extent: Extent
    #: From the producer's start to the last commit.
    seconds: float
    #: How many of the lines had no row before.
    new: int
    #: Seconds from reading a slice to its rows: the median and the 99th percentile.
    latency: tuple[float, float]
    stream: StreamRow | None


def publish_once(pipeline: Pipeline, console: Console) -> Run:
    """Run the producer over the log to its end and wait until it is in the tables, or cannot be.

    Raises ServiceFailed when a service fails, Stalled when messages stay in the queues,
    DatabaseFailed, Unavailable when the broker is away, and Unreadable.
    """
    log = pipeline.subject.log
    extent = measure(log)
    before = _rows(pipeline, extent)
    begin = time.monotonic()
    pipeline.producer.start(["--once", str(log)])
    _wait(pipeline, extent, console)
    seconds = time.monotonic() - begin
    with pipeline.tables() as tables:
        rows, stream = tables.counts(extent.end), tables.stream
    for consumer in pipeline.consumers:
        consumer.look()
    return Run(
        extent=extent,
        seconds=seconds,
        new=rows.raw - before,
        latency=(_quantile(pipeline.consumers, 0.5), _quantile(pipeline.consumers, 0.99)),
        stream=stream,
    )


def look(pipeline: Pipeline) -> Progressed:
    """Ask the services how far the lines have come."""
    for service in pipeline.services:
        service.look()
    cleaners = [cleaner.samples() for cleaner in pipeline.cleaners]
    return Progressed(
        published=total([pipeline.producer.samples()], PUBLISHED),
        raw=sum(total([pipeline.lake.samples()], name) for name in (STORED, DUPLICATE)),
        parsed=sum(total(cleaners, name) for name in (STORED, DUPLICATE)),
    )


def _rows(pipeline: Pipeline, extent: Extent) -> int:
    with pipeline.tables() as tables:
        return tables.counts(extent.end).raw


def _wait(pipeline: Pipeline, extent: Extent, console: Console) -> None:
    progressed, moved_at = Progressed(), time.monotonic()
    with _shown(console, extent.lines) as show:
        while True:
            before, progressed = progressed, look(pipeline)
            has_published = _has_published(pipeline)
            if has_published:
                # It no longer answers, and may have ended right after its last line.
                progressed = replace(progressed, published=extent.lines)
            show(progressed)
            if progressed != before:
                moved_at = time.monotonic()
            quiet_for = time.monotonic() - moved_at
            # The tables are queried only once nothing moves: counting is slow.
            if has_published and progressed == before:
                if _has_arrived(pipeline, extent):
                    return
                if quiet_for > QUIET_AFTER and _queues_are_empty(pipeline):
                    return  # the comparison says what is missing
            if quiet_for > STALLED_AFTER:
                raise _stalled(pipeline, progressed)
            time.sleep(LOOK_EVERY)


def _has_published(pipeline: Pipeline) -> bool:
    """Say whether the producer is done. Raises ServiceFailed when any service has failed."""
    for consumer in pipeline.consumers:
        if consumer.exit_code is not None:
            raise consumer.failed("ended")
    code = pipeline.producer.exit_code
    if code:
        raise pipeline.producer.failed("could not publish the log")
    return code == 0


def _has_arrived(pipeline: Pipeline, extent: Extent) -> bool:
    with pipeline.tables() as tables:
        return tables.counts(extent.end).hold(extent.lines)


def _queues_are_empty(pipeline: Pipeline) -> bool:
    with connect(pipeline.rabbit, "demo") as connection:
        channel = connection.channel()
        return not any(
            channel.queue_declare(queue, passive=True).method.message_count
            for queue in (LAKE_QUEUE, CLEAN_QUEUE)
        )


def _stalled(pipeline: Pipeline, progressed: Progressed) -> Stalled:
    dead = total((one.samples() for one in pipeline.consumers), "datastream_dead_letters_total")
    return Stalled(
        "\n".join(
            [
                f"Nothing has moved for {STALLED_AFTER:.0f} s, and not every line has arrived: "
                f"{progressed}, {dead:,.0f} dead letters.",
                *(f"{service.name}: {service.state()}" for service in pipeline.services),
                *(service.log_tail(5) for service in pipeline.services),
            ]
        )
    )


@contextmanager
def _shown(console: Console, lines: int) -> Iterator[Callable[[Progressed], None]]:
    """Give a function that shows progress: bars on a terminal, else a line now and then."""
    if not console.is_terminal:
        yield _Telling(console)
        return
    with Progress(
        TextColumn("{task.description:>18}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:,.0f} of {task.total:,} lines"),
        console=console,
        transient=True,
    ) as bars:
        published, raw, parsed = (
            bars.add_task(name, total=lines)
            for name in ("published", "kept raw", "parsed or rejected")
        )

        def show(progressed: Progressed) -> None:
            bars.update(published, completed=min(progressed.published, lines))
            bars.update(raw, completed=min(progressed.raw, lines))
            bars.update(parsed, completed=min(progressed.parsed, lines))

        yield show


class _Telling:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._told_at = time.monotonic()

    def __call__(self, progressed: Progressed) -> None:
        if time.monotonic() - self._told_at >= TELL_EVERY:
            self._told_at = time.monotonic()
            self._console.print(str(progressed))


def _quantile(consumers: tuple[Service, ...], part: float) -> float:
    """Return the upper bound (seconds) of the bucket that a part of all slices stays within."""
    samples = (consumer.samples() for consumer in consumers)
    counts = by_label(samples, "datastream_line_to_row_seconds_bucket", "le")
    buckets = sorted((float(bound), count) for bound, count in counts.items())
    wanted = part * buckets[-1][1] if buckets else 0
    return next((bound for bound, count in buckets if count >= wanted), 0.0)
