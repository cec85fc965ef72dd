"""Publishes the log once, and waits until all of it is in the tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from datastream.rabbitmq import connect
from datastream.topology import CLEAN_QUEUE, LAKE_QUEUE
from datastream_operator.demo.running import Pipeline
from datastream_operator.demo.services import Service, total
from datastream_operator.demo.verify import count_lines, has_arrived

#: Seconds between two looks, and between two lines where there is no terminal.
LOOK_EVERY = 0.2
TELL_EVERY = 5.0
#: Seconds without any progress after which something is wrong.
STALLED_AFTER = 60.0


class Stalled(Exception):
    """Nothing moves any more, and not every line has arrived."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the producer over the log, and what the services say of it."""

    #: The size of the log when the run began: what it held then must be in the tables.
    size: int
    #: From the producer's start to the last commit.
    seconds: float
    published: int
    #: Lines that were new in raw_log.
    stored: int
    #: Seconds from a slice's reading to its rows: the median, and what 99 % stay within.
    latency: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many lines have come how far."""

    published: int
    raw: int
    parsed: int

    @property
    def in_order(self) -> tuple[int, int, int]:
        """The three, in the order of a line's way."""
        return self.published, self.raw, self.parsed


def publish_once(pipeline: Pipeline, console: Console) -> Run:
    """Run the producer over the log to its end and wait for the tables.

    Raises ServiceFailed when the producer fails, Stalled when lines do not arrive.
    """
    log = pipeline.subject.log
    size = log.stat().st_size
    lines = count_lines(log)
    begin = time.monotonic()
    pipeline.producer.log.unlink(missing_ok=True)
    pipeline.producer.start(["--once", str(log)])
    counts = _watch(pipeline, lines, console)
    consumers = [pipeline.lake, *pipeline.cleaners]
    return Run(
        size=size,
        seconds=time.monotonic() - begin,
        published=counts.published,
        stored=int(total([pipeline.lake], "datastream_lines_stored_total")),
        latency=(_quantile(consumers, 0.5), _quantile(consumers, 0.99)),
    )


def count(pipeline: Pipeline, published: int) -> Counts:
    """Ask the services how far the lines have come; `published` is what was known before.

    Lines that were there already count as arrived.
    """
    names = "datastream_lines_stored_total", "datastream_lines_duplicate_total"
    # The producer ends once it has read everything, and cannot be asked then.
    now = total([pipeline.producer], "datastream_lines_published_total")
    return Counts(
        published=max(published, int(now)),
        raw=int(sum(total([pipeline.lake], name) for name in names)),
        parsed=int(sum(total(pipeline.cleaners, name) for name in names)),
    )


def queue_depths(pipeline: Pipeline) -> tuple[int, int]:
    """Return how many messages are ready in the lake's and in the clean queue."""
    with connect(pipeline.rabbit, "queue depths") as connection:
        channel = connection.channel()
        lake, clean = (
            int(channel.queue_declare(queue, passive=True).method.message_count)
            for queue in (LAKE_QUEUE, CLEAN_QUEUE)
        )
    return lake, clean


def _watch(pipeline: Pipeline, lines: int, console: Console) -> Counts:
    counts, moved_at = Counts(0, 0, 0), time.monotonic()
    with _shown(console, lines) as show:
        while True:
            before, counts = counts, count(pipeline, counts.published)
            show(counts)
            if counts != before:
                moved_at = time.monotonic()
            if _is_done(pipeline, lines):
                return counts
            if time.monotonic() - moved_at > STALLED_AFTER:
                raise Stalled(
                    f"Nothing has moved for {STALLED_AFTER:.0f} s and not every line has arrived "
                    f"({counts}). The logs of the services are in {pipeline.folder}"
                )
            time.sleep(LOOK_EVERY)


def _is_done(pipeline: Pipeline, lines: int) -> bool:
    for consumer in (pipeline.lake, *pipeline.cleaners):
        if consumer.exit_code is not None:
            raise consumer.failed("ended")
    code = pipeline.producer.exit_code
    if code is None:
        return False
    if code != 0:
        raise pipeline.producer.failed("could not publish the log")
    return queue_depths(pipeline) == (0, 0) and has_arrived(pipeline, lines)


@contextmanager
def _shown(console: Console, lines: int) -> Iterator[Callable[[Counts], None]]:
    """Give what shows the counts: bars on a terminal, a line now and then elsewhere."""
    if not console.is_terminal:
        yield _Telling(console)
        return
    with Progress(
        TextColumn("{task.description:>20}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("lines"),
        console=console,
        transient=True,
    ) as bars:
        tasks: list[TaskID] = [
            bars.add_task(name, total=lines)
            for name in ("published", "kept raw", "parsed or rejected")
        ]

        def show(counts: Counts) -> None:
            for task, lines_so_far in zip(tasks, counts.in_order, strict=True):
                bars.update(task, completed=min(lines_so_far, lines))

        yield show


class _Telling:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._told_at = time.monotonic()

    def __call__(self, counts: Counts) -> None:
        if time.monotonic() - self._told_at >= TELL_EVERY:
            self._told_at = time.monotonic()
            published, raw, parsed = counts.in_order
            self._console.print(
                f"  {published:,} lines published, {raw:,} kept raw, {parsed:,} parsed or rejected"
            )


def _quantile(consumers: Sequence[Service], part: float) -> float:
    """Return the upper bound (seconds) of the bucket that a part of all slices stays within."""
    buckets: dict[float, float] = {}
    for consumer in consumers:
        for (name, labels), value in consumer.samples().items():
            if name == "datastream_line_to_row_seconds_bucket":
                bound = float(dict(labels)["le"])
                buckets[bound] = buckets.get(bound, 0) + value
    wanted = part * max(buckets.values(), default=0)
    return min((bound for bound, below in buckets.items() if below >= wanted), default=0.0)
