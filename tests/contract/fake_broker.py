"""A broker in memory that keeps the promises of the real one: see test_broker_contract.py."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any, TypeVar

from datastream.consuming import Delivery, Message, Preparation
from datastream.errors import Unavailable
from datastream.rabbitmq import BATCH_BYTES, BATCH_LINES, GROWN_BYTES, GROWN_PREFETCH, PREFETCH
from datastream.slices import Slice
from datastream.topology import CLEAN_KEY, CLEAN_QUEUE, DELIVERY_LIMIT, LAKE_KEY, LAKE_QUEUE

T = TypeVar("T")
AS_IT_IS: Preparation[Any] = Preparation(lambda slice_: slice_)
QUEUE_OF = {LAKE_KEY: LAKE_QUEUE, CLEAN_KEY: CLEAN_QUEUE}


@dataclass
class _Stored:
    message: Message
    returned: int = 0


class FakeBroker:
    """The exchange, the two queues and their dead letters."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[_Stored]] = {name: deque() for name in QUEUE_OF.values()}
        self._dead: dict[str, list[tuple[Message, str]]] = {name: [] for name in self._queues}
        self._limits: dict[str, int] = {}
        self._delivery_limits: dict[str, int] = {}

    @contextmanager
    def open_publisher(self) -> Iterator[FakePublisher]:
        """Open a session for publishing."""
        yield FakePublisher(self)

    @contextmanager
    def open_queue(
        self, name: str, preparation: Preparation[Any] = AS_IT_IS
    ) -> Iterator[FakeQueue]:
        """Open a session that consumes; what is not acknowledged at its end is returned."""
        if self.contents(name) is None:
            raise Unavailable(f"no queue {name}: run `datastream topology`", "channel")
        queue = FakeQueue(self, name, preparation)
        try:
            yield queue
        finally:
            queue.give_back()

    def put(self, queue: str, message: Message) -> None:
        """Put any message into a queue."""
        self._queues[queue].append(_Stored(message))

    def delete_queue(self, name: str) -> None:
        """Delete a queue and what is in it."""
        del self._queues[name]

    def limit_queue(self, name: str, size: int) -> None:
        """Let a queue refuse what would make its bodies more than this many bytes."""
        self._limits[name] = size

    def limit_deliveries(self, name: str, limit: int) -> None:
        """Let a message that is returned more often than this be a dead letter."""
        self._delivery_limits[name] = limit

    def is_full(self, name: str, size: int) -> bool:
        """Return whether a queue refuses a body of this size."""
        held = sum(len(stored.message.body) for stored in self._queues[name])
        return name in self._limits and held + size > self._limits[name]

    def dead_letters(self, queue: str) -> list[tuple[Message, str]]:
        """Return the dead letters of a queue, each with its reason."""
        return self._dead[queue]

    def give_back(self, queue: str, stored: _Stored) -> None:
        """Return a message to the head of its queue, or put it among the dead letters."""
        stored.returned += 1
        contents = self.contents(queue)
        if stored.returned > self._delivery_limits.get(queue, DELIVERY_LIMIT):
            self._dead[queue].append((stored.message, "delivery_limit"))
        elif contents is not None:
            contents.appendleft(stored)

    def contents(self, queue: str) -> deque[_Stored] | None:
        """Return what is in a queue, None when there is none."""
        return self._queues.get(queue)


class FakePublisher:
    """Keeps the promises of datastream.rabbitmq.Publisher."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker

    def publish(self, routing_key: str, slice_: Slice) -> None:
        """Put a slice into the queue of its side."""
        queue = QUEUE_OF[routing_key.partition(".")[0]]
        if self._broker.contents(queue) is None:
            raise Unavailable(f"no queue is bound for {routing_key}", "returned")
        if self._broker.is_full(queue, len(slice_.body)):
            raise Unavailable(f"the queue behind {routing_key} refuses: it is full", "nack")
        self._broker.put(queue, Message(slice_.headers(), slice_.body))

    def wait(self, seconds: float) -> None:
        """Let no time pass."""


class FakeQueue:
    """Keeps the promises of datastream.rabbitmq.Queue."""

    def __init__(self, broker: FakeBroker, name: str, preparation: Preparation[Any]) -> None:
        self._broker = broker
        self._name = name
        self._preparation = preparation
        self._unacked: dict[int, _Stored] = {}
        self._last_tag = 0
        self._careful = True

    def batches(self, stop: Event) -> Iterator[list[Delivery[Any]]]:
        """Yield what there is, in batches, until `stop` is set."""
        while not stop.is_set():
            contents = self._broker.contents(self._name)
            if contents is None:
                raise Unavailable(f"it cancelled the consumer of {self._name}", "cancelled")
            batch: list[Delivery[Any]] = []
            while (
                contents
                and self._may_hold_more()
                and sum(delivery.lines for delivery in batch) < BATCH_LINES
                and sum(len(delivery.message.body) for delivery in batch) < BATCH_BYTES
            ):
                batch.append(self._deliver(contents.popleft()))
            if batch:
                yield batch
            else:
                stop.wait(0.001)

    def serve_until(self, done: Future[T]) -> T:
        """Return the result of what runs on another thread."""
        return done.result()

    def ack(self, batch: list[Delivery[Any]]) -> None:
        """Forget a batch and all that was delivered before it."""
        last = batch[-1].tag
        self._unacked = {tag: stored for tag, stored in self._unacked.items() if tag > last}

    def dead_letter(self, message: Message, reason: str) -> None:
        """Keep a message among the dead letters."""
        self._broker.dead_letters(self._name).append((message, reason))

    def give_back(self) -> None:
        """Return what is not acknowledged."""
        for stored in reversed(self._unacked.values()):
            self._broker.give_back(self._name, stored)
        self._unacked = {}

    def _deliver(self, stored: _Stored) -> Delivery[Any]:
        if not stored.returned:
            self._careful = False
        self._last_tag += 1
        self._unacked[self._last_tag] = stored
        return self._preparation.delivery(self._last_tag, stored.message, stored.returned)

    def _may_hold_more(self) -> bool:
        held = len(self._unacked)
        if self._careful or held < PREFETCH:
            return not held or not self._careful
        taken = sum(len(one.message.body) for one in self._unacked.values())
        return held < GROWN_PREFETCH and taken < GROWN_BYTES
