"""The broker: a publisher that waits for every confirm, and a queue that hands out batches.

Only this package imports pika. One thread talks to the broker.
"""

from __future__ import annotations

from datastream.rabbitmq.declaration import compare_topology, declare_topology
from datastream.rabbitmq.publishing import LOCK_PATIENCE, Box, Locks, Publisher
from datastream.rabbitmq.queue import (
    BATCH_BYTES,
    BATCH_LINES,
    CONSUMER_TIMEOUT,
    GROWN_BYTES,
    GROWN_PREFETCH,
    PREFETCH,
    Queue,
)
from datastream.rabbitmq.session import HEARTBEAT, connect

__all__ = [
    "BATCH_BYTES",
    "BATCH_LINES",
    "CONSUMER_TIMEOUT",
    "GROWN_BYTES",
    "GROWN_PREFETCH",
    "HEARTBEAT",
    "LOCK_PATIENCE",
    "PREFETCH",
    "Box",
    "Locks",
    "Publisher",
    "Queue",
    "compare_topology",
    "connect",
    "declare_topology",
]
