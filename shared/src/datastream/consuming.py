"""What both consumers do: take a batch, store it, quarantine what never can be, acknowledge.

Knows neither the broker's client nor the database's driver.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Generic, Protocol, TypeVar

from datastream.errors import RowRefused
from datastream.slices import Slice

logger = logging.getLogger(__name__)

#: Why a message is put on the dead-letter queue.
QUARANTINE_REASONS = ("not_a_slice", "refused", "identity_conflict")

T = TypeVar("T")
Prepared = TypeVar("Prepared")


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came, or as it goes to the dead-letter queue."""

    headers: Mapping[str, Any]
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
    #: What the consumer made of the slice; None when the message is no slice.
    prepared: Prepared | None = None
    #: Why the message is no slice; empty when it is one.
    fault: str = ""


@dataclass(slots=True)
class Outcome:
    """What storing a batch came to. Outcomes add up."""

    #: New rows, by table.
    stored: Counter[str] = field(default_factory=Counter)
    #: Of these, the rows of rejected_log by reason.
    rejected: Counter[str] = field(default_factory=Counter)
    #: Lines whose rows were there already.
    duplicates: int = 0
    #: Rows that took the place of another one of the same key.
    replaced: int = 0
    #: What cannot be stored, each with its reason.
    quarantined: list[tuple[Slice, str]] = field(default_factory=list)

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.stored + other.stored,
            self.rejected + other.rejected,
            self.duplicates + other.duplicates,
            self.replaced + other.replaced,
            self.quarantined + other.quarantined,
        )


class Queue(Protocol[Prepared]):
    """What a consumer needs of the broker; datastream.rabbitmq.Queue keeps it."""

    def batches(self, stop: Event) -> Iterator[list[Delivery[Prepared]]]:
        """Yield batches until `stop` is set."""

    def work(self, function: Callable[..., T], *arguments: object) -> T:
        """Return function(*arguments), keeping the session alive meanwhile."""

    def dead_letter(self, message: Message, reason: str) -> None:
        """Keep a message on the dead-letter queue; return once that is certain."""

    def ack(self, batch: list[Delivery[Prepared]]) -> None:
        """Acknowledge a batch: the broker forgets it."""


class Observer(Protocol):
    """What a consumer tells of its work; datastream.metrics.ConsumerMetrics keeps it."""

    def delivered(self, messages: int, redelivered: int) -> None:
        """Count what arrived."""

    def stored(self, outcome: Outcome, read_at_ms: Sequence[int]) -> None:
        """Count what was committed, with the times at which its slices were read."""

    def dead_lettered(self, reason: str) -> None:
        """Count a message put on the dead-letter queue."""


def consume(
    queue: Queue[Prepared],
    add: Callable[[list[Prepared]], Outcome],
    observer: Observer,
    stop: Event,
) -> None:
    """Store batch after batch until `stop` is set, and acknowledge each once it is committed.

    `add` commits a batch and returns what it came to. Raises Unavailable when the session with
    the broker ends, or when the database stayed away for too long: nothing is acknowledged then,
    and the broker delivers it again.
    """
    for batch in queue.batches(stop):
        observer.delivered(len(batch), sum(delivery.returned > 0 for delivery in batch))
        prepared = [delivery.prepared for delivery in batch if delivery.prepared is not None]
        outcome = queue.work(add, prepared) if prepared else Outcome()
        for delivery in batch:
            if delivery.fault:
                logger.error(
                    "Message is no slice of a log, kept on the dead-letter queue",
                    extra={"fault": delivery.fault},
                )
                queue.dead_letter(delivery.message, "not_a_slice")
                observer.dead_lettered("not_a_slice")
        for piece, reason in outcome.quarantined:
            logger.error(
                "Slice cannot be stored, kept on the dead-letter queue",
                extra={"reason": reason, "slice": piece.message_id, "path": piece.stream.path},
            )
            queue.dead_letter(Message(piece.headers(), piece.body), reason)
            observer.dead_lettered(reason)
        queue.ack(batch)
        observer.stored(
            outcome,
            [d.message.headers["read_at_ms"] for d in batch if not d.fault],
        )


def add_bisected(
    add: Callable[[Sequence[T]], Outcome],
    items: Sequence[T],
    halves: Callable[[T], tuple[T, T] | None],
    quarantine: Callable[[T], Outcome],
) -> Outcome:
    """Add the items; when the database refuses a row, halve until it stands alone.

    `halves` splits one item, or returns None when it is a single line; `quarantine` says what
    becomes of that line. All others are stored.
    """
    try:
        return add(items)
    except RowRefused:
        middle = len(items) // 2
        parts: tuple[Sequence[T], Sequence[T]]
        if middle:
            parts = items[:middle], items[middle:]
        else:
            pair = halves(items[0])
            if pair is None:
                return quarantine(items[0])
            parts = [pair[0]], [pair[1]]
    first, second = (add_bisected(add, part, halves, quarantine) for part in parts)
    return first + second
