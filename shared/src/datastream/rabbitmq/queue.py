"""The consuming side: a queue that hands out batches."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from threading import Event
from typing import Any, Generic, NamedTuple, Self, TypeVar

import pika
import pika.exceptions

from datastream import topology
from datastream.config import RabbitSettings
from datastream.consuming import Delivery, Message, Preparation
from datastream.errors import Unavailable
from datastream.rabbitmq.session import (
    LOOK,
    confirming_channel,
    connect,
    encodable,
    publish,
    translated,
)

#: Seconds after which RabbitMQ, by default, takes unacknowledged messages away from a consumer.
CONSUMER_TIMEOUT = 30 * 60.0

#: A batch is what has arrived, up to these.
BATCH_LINES = 4000
BATCH_BYTES = 1024**2

#: Deliveries that a consumer holds unacknowledged: few enough to keep that many of the largest
#: slices in memory. AMQP knows no other limit, so where small slices make small batches it is
#: doubled, up to two batches of one-line slices: the one that is being stored and the next. Their
#: bodies then take no more than this (bytes); a message takes about 1.2 KB besides.
PREFETCH = 8
GROWN_PREFETCH = 2 * BATCH_LINES
GROWN_BYTES = 7 * 1024**2 // 2
#: Where larger ones follow, and those held are more than this (bytes), those on their way go back
#: to the queue, and it goes on with this limit: in all about PREFETCH of the largest.
MOST_HELD_BYTES = 5 * 1024**2
PREFETCH_AFTER = 2

T = TypeVar("T")
Prepared = TypeVar("Prepared")


def _returned(method: Any, headers: dict[str, Any]) -> int:
    """Return how often a message was delivered before."""
    # A publisher can set any header; the broker overwrites it from the second delivery on.
    if not method.redelivered:
        return 0
    # Counted by quorum queues; the flag alone says no more than "at least once".
    count = headers.get("x-delivery-count")
    return count if isinstance(count, int) and count > 1 else 1


def _interned(headers: dict[Any, Any]) -> dict[Any, Any]:
    """Return the headers with each text once in memory: the slices of a stream repeat them."""
    return {_once(name): _once(value) for name, value in headers.items()}


def _once(value: Any) -> Any:
    # A foreign message may have anything there; text that is not UTF-8 is bytes.
    return sys.intern(value) if type(value) is str else value


class _Arrival(NamedTuple):
    """A message that waits to be prepared: see Preparation.delivery()."""

    tag: int
    message: Message
    returned: int
    arrived_at: float


class Queue(Generic[Prepared]):
    """One consumer of one queue.

    A batch is whatever has arrived while the last one was stored, so batches are small when lines
    are few and grow under load, and no line waits for a timer. While a batch is being stored the
    next one is prepared. `beat` is called whenever this thread has looked at the broker.

    A session begins with one message at a time, until one comes that was never delivered before.
    So a message that crashes its consumer comes back alone, and reaches the delivery limit without
    its neighbours.
    """

    def __init__(
        self,
        connection: Any,
        name: str,
        preparation: Preparation[Prepared],
        beat: Callable[[], None],
    ) -> None:
        self._name = name
        self._preparation = preparation
        self._beat = beat
        self._connection = connection
        self._arrived: deque[_Arrival] = deque()
        self._batch: list[Delivery[Prepared]] = []
        self._lines = self._bytes = 0
        self._cancelled = False
        self._dead_letters: Any = None
        self._careful = True
        #: Deliveries that are not acknowledged, their size, and how many of them came before the
        #: present prefetch was set.
        self._held = self._held_bytes = self._held_before = 0
        self._consumer = ""
        with translated():
            self._channel = connection.channel()
            self._channel.add_on_cancel_callback(self._on_cancel)
        self._consume(prefetch=1)

    @classmethod
    @contextmanager
    def open(
        cls,
        settings: RabbitSettings,
        queue: str,
        preparation: Preparation[Prepared],
        beat: Callable[[], None] = lambda: None,
    ) -> Iterator[Self]:
        """Open a session that consumes. Raises Unavailable.

        What was not acknowledged at its end is delivered again, to any consumer.
        """
        with connect(settings, f"consumer of {queue}") as connection:
            consumer = cls(connection, queue, preparation, beat)
            try:
                yield consumer
            finally:
                consumer._forget()

    def batches(self, stop: Event) -> Iterator[list[Delivery[Prepared]]]:
        """Yield batches, in the order of arrival, until `stop` is set.

        Settle each (`ack`) before taking the next. Raises Unavailable when the session ends.
        """
        while not stop.is_set():
            self._fill_batch()
            if self._batch:
                batch, self._batch, self._lines, self._bytes = self._batch, [], 0, 0
                yield batch
            else:
                self._serve()

    def serve_until(self, done: Future[T]) -> T:
        """Return the result of what runs on another thread.

        Meanwhile this thread serves the broker and prepares the next batch. Raises what the other
        one raises. When the session ends it closes the connection, so that others get what this
        consumer holds at once, waits for the other thread, and raises Unavailable.
        """
        done.add_done_callback(self._wake)
        try:
            while not done.done():
                if not self._fill_batch():
                    self._serve()
        except Unavailable:
            with suppress(pika.exceptions.AMQPError, OSError):
                self._connection.close()
            raise
        finally:
            wait([done])
        return done.result()

    def ack(self, batch: list[Delivery[Prepared]]) -> None:
        """Acknowledge a batch, all at once. Raises Unavailable when the session has ended."""
        if self._is_held_up() and 2 * self._held_bytes <= GROWN_BYTES:
            # Now: all that was allowed is here, so nothing is on its way.
            self._consume(min(2 * self._prefetch, GROWN_PREFETCH))
        with translated():
            self._channel.basic_ack(batch[-1].tag, multiple=True)
        self._held -= len(batch)
        self._held_bytes -= sum(len(delivery.message.body) for delivery in batch)
        self._held_before = max(0, self._held_before - len(batch))

    def dead_letter(self, message: Message, reason: str) -> None:
        """Keep a message, with the reason, on the dead-letter queue.

        Returns once it is confirmed. Raises Unavailable.
        """
        if self._dead_letters is None:
            self._dead_letters = confirming_channel(self._connection)
        properties = pika.BasicProperties(
            headers={name: encodable(value) for name, value in message.headers.items()}
            | {"x-reason": reason},
            delivery_mode=pika.DeliveryMode.Persistent,
            timestamp=int(time.time()),
        )
        publish(
            self._dead_letters,
            topology.DEAD_LETTER_EXCHANGE,
            self._name,
            message.body,
            properties,
        )

    def _consume(self, prefetch: int) -> None:
        """Go on with another limit; what is on its way goes back to the queue."""
        with translated():
            if self._consumer:
                self._channel.basic_cancel(self._consumer)
            # A limit holds for the consumers that begin after it.
            self._channel.basic_qos(prefetch_count=prefetch)
            self._consumer = self._channel.basic_consume(self._name, self._on_message)
        self._prefetch = prefetch
        self._held_before = self._held

    def _forget(self) -> None:
        """Let go of what was not stored: the broker delivers it again."""
        self._arrived.clear()
        self._batch.clear()

    def _is_held_up(self) -> bool:
        """Return whether the next batch has room, and the limit keeps slices from it."""
        is_at_limit = self._held - self._held_before == self._prefetch
        may_grow = self._prefetch < GROWN_PREFETCH and not self._careful
        return is_at_limit and may_grow and not self._arrived and self._has_room()

    def _has_room(self) -> bool:
        return self._lines < BATCH_LINES and self._bytes < BATCH_BYTES

    def _on_message(self, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        # None of pika's objects is kept: they take twice as much.
        headers = properties.headers or {}
        message = Message(_interned(headers), body)
        returned = _returned(method, headers)
        self._arrived.append(_Arrival(method.delivery_tag, message, returned, time.monotonic()))
        self._held += 1
        self._held_bytes += len(body)

    def _on_cancel(self, _method: Any) -> None:
        self._cancelled = True

    def _wake(self, _future: Future[T]) -> None:
        """Make process_data_events return; called on the other thread."""
        with suppress(pika.exceptions.AMQPError):
            self._connection.add_callback_threadsafe(lambda: None)

    def _serve(self) -> None:
        self._beat()
        with translated():
            self._connection.process_data_events(time_limit=LOOK)
        if self._cancelled:
            # Without this a deleted queue, or a consumer timeout, looks like an idle queue.
            raise Unavailable(f"it cancelled the consumer of {self._name}", "cancelled")
        if self._channel.is_closed:
            # A consumer timeout, for example: it would look like an idle queue as well. pika keeps
            # the broker's words, and shows them only to calls that are not made here.
            with translated():
                raise self._channel._closing_reason  # noqa: SLF001
        if self._held_bytes > MOST_HELD_BYTES and self._prefetch > PREFETCH:
            self._consume(PREFETCH_AFTER)

    def _fill_batch(self) -> bool:
        """Take what has arrived into the next batch, while it has room; return whether any has."""
        grown = False
        while self._arrived and self._has_room():
            delivery = self._delivery(self._arrived.popleft())
            self._batch.append(delivery)
            self._lines += delivery.lines
            self._bytes += len(delivery.message.body)
            grown = True
        return grown

    def _delivery(self, arrival: _Arrival) -> Delivery[Prepared]:
        if self._careful and not arrival.returned:
            self._careful = False
            self._consume(PREFETCH)
        return self._preparation.delivery(*arrival)
