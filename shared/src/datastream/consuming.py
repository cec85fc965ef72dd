"""What both consumers do: take a batch, store it, quarantine what cannot be stored, acknowledge.

Knows neither the broker's client nor the database's driver.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any, Generic, Protocol, TypeVar

from datastream.errors import Broken, NotASlice, RowRefused, Unavailable
from datastream.slices import Slice, decode

logger = logging.getLogger(__name__)

#: Why a message is put on the dead-letter queue.
QUARANTINE_REASONS = ("not_a_slice", "refused", "identity_conflict", "crashed")

#: After this many crashed slices in a row the program is taken to be broken, and not the slices.
#: A slice counts once, however many of its lines crash.
CRASHES_IN_A_ROW = 20

T = TypeVar("T")
Prepared = TypeVar("Prepared")


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came, or as it goes to the dead-letter queue."""

    headers: Mapping[str, object]
    body: bytes


@dataclass(frozen=True, slots=True)
class Delivery(Generic[Prepared]):
    """One delivery of a message, and what the consumer made of it."""

    #: The broker's number for it, by which it is acknowledged.
    tag: int
    message: Message
    #: How often it was delivered before: 0 at first.
    returned: int
    #: How many lines it holds; a message that is no slice counts as one.
    lines: int = 1
    #: The prepared slice: one item, or several when one of its lines crashed.
    prepared: Sequence[Prepared] = ()
    #: Parts of the slice that could not be prepared.
    lost: Sequence[Slice] = ()
    #: Why nothing of the message could be prepared; empty otherwise.
    fault: str = ""
    #: What preparing it raised, where that is a bug in our code.
    crash: Exception | None = None
    #: When it arrived, by the monotonic clock.
    arrived_at: float = 0.0
    #: When its lines were read: milliseconds since the epoch. None for a message that is no slice.
    read_at_ms: int | None = None


@dataclass(slots=True)
class Outcome:
    """The result of storing a batch. Outcomes can be added."""

    #: New rows, by table.
    stored: Counter[str] = field(default_factory=Counter)
    #: The new rows of rejected_log, by reason.
    rejected: Counter[str] = field(default_factory=Counter)
    #: Lines whose rows were there already.
    duplicates: int = 0
    #: Rows that replaced another one of the same key.
    replaced: int = 0
    #: What cannot be stored, each with its reason.
    quarantined: list[tuple[Slice, str]] = field(default_factory=list)
    #: What storing raised, where that is a bug in our code: one for each item.
    crashes: list[Exception] = field(default_factory=list)

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.stored + other.stored,
            self.rejected + other.rejected,
            self.duplicates + other.duplicates,
            self.replaced + other.replaced,
            self.quarantined + other.quarantined,
            self.crashes + other.crashes,
        )


@dataclass(frozen=True, slots=True)
class Preparation(Generic[Prepared]):
    """How a consumer prepares the slices it takes."""

    prepare: Callable[[Slice], Prepared]
    #: What is stored instead of a line at which `prepare` crashes; None: nothing can be.
    reject: Callable[[Slice], Prepared] | None = None

    def delivery(
        self, tag: int, message: Message, returned: int, arrived_at: float | None = None
    ) -> Delivery[Prepared]:
        """Return a message as a prepared delivery, which arrived now or at `arrived_at`.

        A line that raises anything unforeseen is isolated: the others are prepared.
        """
        when = time.monotonic() if arrived_at is None else arrived_at
        made_of_it: Callable[..., Delivery[Prepared]] = partial(
            Delivery, tag, message, returned, arrived_at=when
        )
        slice_ = None
        try:
            slice_ = decode(message.headers, message.body)
            item = self.prepare(slice_)
        except NotASlice as error:
            return made_of_it(fault=str(error))
        except MemoryError:
            raise  # the process is at fault, not the line
        except Exception as error:  # noqa: BLE001  # a bug in our code: consume() logs it
            crash = error
        else:
            return made_of_it(slice_.lines, (item,), read_at_ms=slice_.read_at_ms)
        if slice_ is None:
            return made_of_it(fault=f"reading it crashed: {crash!r}", crash=crash)
        prepared, lost = self._isolate(slice_)
        return made_of_it(slice_.lines, prepared, lost, crash=crash, read_at_ms=slice_.read_at_ms)

    def _isolate(self, slice_: Slice) -> tuple[list[Prepared], list[Slice]]:
        """Return the prepared parts of a slice, and the parts that cannot be prepared."""
        if self.reject is None:
            return [], [slice_]
        try:
            return [self.prepare(slice_)], []
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001  # told once, for the whole slice
            if slice_.lines > 1:
                first, second = map(self._isolate, slice_.halves())
                return first[0] + second[0], first[1] + second[1]
        try:
            return [self.reject(slice_)], []
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001  # the same
            return [], [slice_]


class Queue(Protocol[Prepared]):
    """What a consumer needs of the broker; datastream.rabbitmq.Queue implements it."""

    def batches(self, stop: Event) -> Iterator[list[Delivery[Prepared]]]:
        """Yield batches until `stop` is set."""

    def serve_until(self, done: Future[T]) -> T:
        """Return the result of what runs on another thread, keeping the session alive meanwhile."""

    def dead_letter(self, message: Message, reason: str) -> None:
        """Keep a message on the dead-letter queue; return once that is certain."""

    def ack(self, batch: list[Delivery[Prepared]]) -> None:
        """Acknowledge a batch: the broker forgets it."""


class Observer(Protocol):
    """What a consumer reports of its work; datastream.metrics.ConsumerMetrics implements it."""

    def delivered(self, messages: int, redelivered: int) -> None:
        """Count what arrived."""

    def stored(self, outcome: Outcome, read_at_ms: Sequence[int]) -> None:
        """Count what was committed, with the times at which its slices were read."""

    def dead_lettered(self, reason: str) -> None:
        """Count a message put on the dead-letter queue."""

    def crashed(self) -> None:
        """Count a slice that crashed what prepared or stored it."""


def consume(
    queue: Queue[Prepared],
    store: Callable[[list[Prepared], float], Outcome],
    observer: Observer,
    stop: Event,
) -> None:
    """Store batch after batch until `stop` is set, and acknowledge each once it is committed.

    `store` commits a batch, whose oldest message arrived at the given time of the monotonic clock,
    and returns the outcome; it runs on a thread of its own, so that this one goes on serving
    the broker. Raises Unavailable when the session with the broker ends, or when the database
    stayed away for too long, and Broken when slice after slice crashes the program: nothing is
    acknowledged then, and the broker delivers it again.
    """
    crashes = _Crashes(observer)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="store") as database:
        for batch in queue.batches(stop):
            observer.delivered(len(batch), sum(delivery.returned > 0 for delivery in batch))
            crashes.preparing(batch)
            prepared = [item for delivery in batch for item in delivery.prepared]
            outcome = Outcome()
            if prepared:
                since = min(delivery.arrived_at for delivery in batch)
                outcome = queue.serve_until(database.submit(store, prepared, since))
            # Before the acknowledgement: a broker that goes away then may have taken it, and does
            # not deliver the batch again.
            observer.stored(outcome, [d.read_at_ms for d in batch if d.read_at_ms is not None])
            crashes.storing(outcome, len(prepared))
            _set_aside(queue, batch, outcome, observer)
            queue.ack(batch)


def _set_aside(
    queue: Queue[Prepared],
    batch: Sequence[Delivery[Prepared]],
    outcome: Outcome,
    observer: Observer,
) -> None:
    """Keep on the dead-letter queue what could not be stored. Raises Unavailable."""
    for delivery in batch:
        if delivery.fault:
            reason = "not_a_slice" if delivery.crash is None else "crashed"
            queue.dead_letter(delivery.message, reason)
            observer.dead_lettered(reason)
            logger.error(
                "Message is no slice of a log, kept on the dead-letter queue",
                extra={"reason": reason, "fault": delivery.fault},
            )
    lost = [(slice_, "crashed") for delivery in batch for slice_ in delivery.lost]
    for slice_, reason in lost + outcome.quarantined:
        queue.dead_letter(Message(slice_.headers(), slice_.body), reason)
        observer.dead_lettered(reason)
        logger.error(
            "Slice cannot be stored, kept on the dead-letter queue",
            extra={"reason": reason, "slice": slice_.message_id, "path": slice_.stream.path},
        )


class _Crashes:
    """Counts the slices in a row that crashed the program, in its two steps each."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._preparing = self._storing = 0

    def preparing(self, batch: Sequence[Delivery[Any]]) -> None:
        """Count what preparing a batch raised. Raises Broken."""
        for delivery in batch:
            if delivery.crash is not None:
                self._preparing += 1
                self._tell("prepared", delivery.crash, delivery.message.headers)
            elif not delivery.fault:
                self._preparing = 0
            _check(self._preparing)

    def storing(self, outcome: Outcome, items: int) -> None:
        """Count what storing a batch of some items raised. Raises Broken."""
        for crash in outcome.crashes:
            self._tell("stored", crash, {})
        if len(outcome.crashes) < items:
            self._storing = 0
        else:
            self._storing += len(outcome.crashes)
        _check(self._storing)

    def _tell(self, step: str, crash: Exception, headers: Mapping[str, object]) -> None:
        self._observer.crashed()
        logger.error(
            "Slice crashed the program when it was %s; the lines that did are set aside",
            step,
            exc_info=crash,
            extra={name: headers[name] for name in ("stream", "position") if name in headers},
        )


def _check(in_a_row: int) -> None:
    if in_a_row >= CRASHES_IN_A_ROW:
        raise Broken(f"{in_a_row} slices in a row crashed the program; the last one as told before")


def store_by_halves(
    store: Callable[[Sequence[T]], Outcome],
    items: Sequence[T],
    halves: Callable[[T], tuple[T, T] | None],
    quarantine: Callable[[T, str], Outcome],
) -> Outcome:
    """Store the items; where that fails, halve them until the row at fault is alone.

    `halves` splits one item, or returns None when it is a single line; `quarantine` says what
    becomes of that line, for the reason `refused` (the database refuses a row) or `crashed`
    (anything unforeseen was raised). All others are stored. Raises Unavailable.
    """
    crash = None
    try:
        return store(items)
    except RowRefused:
        reason = "refused"
    except (Unavailable, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  # a bug in our code: consume() logs it
        reason, crash = "crashed", error
    middle = len(items) // 2
    parts: Sequence[Sequence[T]]
    if middle:
        parts = items[:middle], items[middle:]
    elif pair := halves(items[0]):
        parts = [pair[0]], [pair[1]]
    else:
        parts = ()
    outcomes = [store_by_halves(store, part, halves, quarantine) for part in parts]
    outcome = sum(outcomes, Outcome()) if parts else quarantine(items[0], reason)
    if len(items) == 1:  # once, however many of its lines crash
        outcome.crashes = ([crash] if crash else outcome.crashes)[:1]
    return outcome
