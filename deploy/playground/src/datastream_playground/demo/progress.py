"""Publishes the log once, and waits until all of it is in the tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from datastream.how_many import how_many
from datastream.mysql import Session
from datastream.parsing import AUTO
from datastream.rabbitmq import Publisher, connect
from datastream.topology import CLEAN_QUEUE, LAKE_QUEUE
from datastream_operator import replay
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

#: What each file of a subject held at one moment.
Extents = Mapping[Path, Extent]


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
            f"{how_many(self.published, 'line')} published, {self.raw:,.0f} kept raw, "
            f"{self.parsed:,.0f} parsed or rejected"
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the producer over the log."""

    #: What each file held when the run began; that much must be in the tables now.
    extents: dict[Path, Extent]
    #: From the producer's start to the last commit.
    seconds: float
    #: How many of the lines had no row before.
    new: int
    #: Seconds from reading a slice to its rows: the median and the 99th percentile.
    latency: tuple[float, float]
    #: The streams of the files.
    streams: list[StreamRow]

    @property
    def lines(self) -> int:
        """How many lines the files held."""
        return _lines(self.extents)


def publish_once(pipeline: Pipeline, console: Console) -> Run:
    """Run the producer over the log to its end and wait until it is in the tables, or cannot be.

    Raises ServiceFailed when a service fails, Stalled when messages stay in the queues,
    DatabaseFailed, Unavailable when the broker is away, and Unreadable.
    """
    extents = {file: measure(file) for file in pipeline.subject.files()}
    before = _rows(pipeline, extents)
    begin = time.monotonic()
    pipeline.producer.start(["--once", str(pipeline.subject.log)])
    _wait(pipeline, extents, console)
    seconds = time.monotonic() - begin
    with pipeline.tables(extents) as tables:
        rows, streams = tables.counts(extents), tables.streams
    for consumer in pipeline.consumers:
        consumer.look()
    return Run(
        extents=extents,
        seconds=seconds,
        new=rows.raw - before,
        latency=(_quantile(pipeline.consumers, 0.5), _quantile(pipeline.consumers, 0.99)),
        streams=streams,
    )


def parse_again(pipeline: Pipeline, console: Console) -> None:
    """Have stored lines parsed once more, where they were of another format than is asked for now.

    Not for one that is not known yet. Raises the same as publish_once().
    """
    subject = pipeline.subject
    if subject.format == AUTO:
        return
    with pipeline.tables() as tables:
        others = [stream for stream in tables.streams if stream.format != subject.format]
    for stream in others:
        console.print(f"Parsing the stored lines again: as {subject.format}, not {stream.format}")
        _parse_again(pipeline, stream, console)


def _parse_again(pipeline: Pipeline, stream: StreamRow, console: Console) -> None:
    line_format = pipeline.subject.format
    choice = replay.Choice(stream=stream.number, format=line_format)
    before = look(pipeline).parsed
    with closing(Session(pipeline.mysql, "datastream demo")) as session:
        parts = replay.parts(session, choice)
        with Publisher.open(pipeline.rabbit, "datastream demo") as publisher:
            sender = replay.Sender(publisher, None, console.print)
            for part in parts:
                for group in replay.groups(session, choice, part):
                    sender.send(replay.piece_of(session, choice, part, group))
        _wait_until_parsed(pipeline, before + sender.lines)
        for part in parts:  # last: cut short, the next run does it all again
            replay.set_format(session, part.stream, line_format)


def _wait_until_parsed(pipeline: Pipeline, lines: float) -> None:
    progressed, moved_at = Progressed(), time.monotonic()
    while progressed.parsed < lines:
        _has_published(pipeline)
        before, progressed = progressed, look(pipeline)
        if progressed != before:
            moved_at = time.monotonic()
        quiet_for = time.monotonic() - moved_at
        if quiet_for > QUIET_AFTER and _queues_are_empty(pipeline):
            return  # the comparison says what is missing
        if quiet_for > STALLED_AFTER:
            raise _stalled(pipeline, progressed)
        time.sleep(LOOK_EVERY)


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


def _lines(extents: Extents) -> int:
    return sum(extent.lines for extent in extents.values())


def _rows(pipeline: Pipeline, extents: Extents) -> int:
    with pipeline.tables(extents) as tables:
        return tables.counts(extents).raw


def _wait(pipeline: Pipeline, extents: Extents, console: Console) -> None:
    lines = _lines(extents)
    progressed, moved_at = Progressed(), time.monotonic()
    with _shown(console, lines) as show:
        while True:
            before, progressed = progressed, look(pipeline)
            has_published = _has_published(pipeline)
            if has_published:
                # It no longer answers, and may have ended right after its last line.
                progressed = replace(progressed, published=lines)
            show(progressed)
            if progressed != before:
                moved_at = time.monotonic()
            quiet_for = time.monotonic() - moved_at
            # The tables are queried only once nothing moves: counting is slow.
            if has_published and progressed == before:
                if _has_arrived(pipeline, extents):
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


def _has_arrived(pipeline: Pipeline, extents: Extents) -> bool:
    with pipeline.tables(extents) as tables:
        return tables.counts(extents).hold(_lines(extents))


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
