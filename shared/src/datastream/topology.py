"""The names on the broker, and what each queue is declared with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

EXCHANGE = "logs"
DEAD_LETTER_EXCHANGE = "logs-dead"
EXCHANGES = {EXCHANGE: "topic", DEAD_LETTER_EXCHANGE: "direct"}

LAKE_QUEUE = "queue-data-lake"
CLEAN_QUEUE = "queue-data-clean"

#: The first word of a routing key: which side a slice is for.
LAKE_KEY = "lake"
CLEAN_KEY = "clean"

#: The first word of the queues by which a producer shows that it is the only one of a log; nothing
#: is ever in them.
PRODUCER_LOCK = "producer"

#: A full queue refuses (the producer waits) and never drops its oldest.
MAX_QUEUE_BYTES = 4 * 1024**3
#: Deliveries of one message before it is a dead letter; said in so many words, since the default
#: (20 since RabbitMQ 4.0, none before) is the broker's to change.
DELIVERY_LIMIT = 100
#: Looking at dead letters returns them, which counts on some versions. -1 means "gone after one
#: return" on 3.10, so an effectively unlimited number.
DEAD_LETTER_DELIVERY_LIMIT = 1_000_000


def routing_key(side: str, source: str) -> str:
    """Return the key under which a slice of a source is published for one side."""
    return f"{side}.{source}"


def producer_lock(source: str, path: str) -> str:
    """Return the name of the queue that one producer at a time holds of a source and a log.

    `path` is the log's, or a pattern of logs.
    """
    digest = hashlib.sha256(path.encode()).hexdigest()
    return f"{PRODUCER_LOCK}.{source}.{digest[:16]}"


@dataclass(frozen=True, slots=True)
class QueueDeclaration:
    """One durable queue: its name, what binds it, and its arguments."""

    name: str
    exchange: str
    binding_key: str
    arguments: dict[str, int | str] = field(default_factory=dict)


def dead_letter_queue(queue: str) -> str:
    """Return the name of the queue that keeps the dead letters of a queue."""
    return f"{queue}-dead"


def _pair(queue: str, side: str) -> tuple[QueueDeclaration, QueueDeclaration]:
    return (
        QueueDeclaration(
            name=dead_letter_queue(queue),
            exchange=DEAD_LETTER_EXCHANGE,
            binding_key=queue,
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": DEAD_LETTER_DELIVERY_LIMIT,
            },
        ),
        QueueDeclaration(
            name=queue,
            exchange=EXCHANGE,
            binding_key=f"{side}.#",
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
                "x-dead-letter-routing-key": queue,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
                "x-max-length-bytes": MAX_QUEUE_BYTES,
            },
        ),
    )


#: Every queue, dead-letter queues first, so that nothing can be dead-lettered into nowhere.
QUEUES: tuple[QueueDeclaration, ...] = _pair(LAKE_QUEUE, LAKE_KEY) + _pair(CLEAN_QUEUE, CLEAN_KEY)
