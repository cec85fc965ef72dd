"""The publishing side: slices, each confirmed; the locks of their logs; and messages by hand."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import pika
import pika.exceptions

from datastream import topology
from datastream.config import RabbitSettings
from datastream.consuming import Message
from datastream.errors import Unavailable
from datastream.paths import path_text
from datastream.rabbitmq.session import (
    HEARTBEAT,
    LOOK,
    confirming_channel,
    connect,
    encodable,
    publish,
    translated,
)
from datastream.slices import Slice

logger = logging.getLogger(__name__)

#: Seconds after which a lock that is held is not a lost session's: more than two heartbeats.
LOCK_PATIENCE = 25.0
#: The broker's code for refusing what another connection holds.
RESOURCE_LOCKED = 405
#: How long a look at a queue waits for its messages to be back there.
PUT_BACK_TIMEOUT = 5


class Locks:
    """The logs that one producer at a time sends: an exclusive queue each, in the whole cluster.

    A session begins by taking one for each pattern of logs, so that a producer with the same list
    on another machine waits before it sends anything. It takes another for each log with its first
    slice, under the log's own source, so that different lists with a log in common exclude each
    other. The locks end with the session. The broker gives up a session whose peer is gone after
    two heartbeats; until then the lost session may still hold them.
    """

    def __init__(
        self, source: str, patterns: Iterable[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        # In one order: of two producers that begin at once, one gets all.
        self._patterns = sorted({path_text(os.path.abspath(one)) for one in patterns})  # noqa: PTH100
        self._source = source
        self._clock = clock
        #: The sources and the paths of logs, or patterns, that the session has.
        self._taken: set[tuple[str, str]] = set()
        #: Since when another session is known to hold a queue, by its name.
        self._held_since: dict[str, float] = {}
        self._is_told = False

    def begin(self, connection: Any) -> None:
        """Take every pattern for a session that begins. Raises Unavailable: see take()."""
        self._taken.clear()
        for pattern in self._patterns:
            self.take(connection, self._source, pattern)

    def take(self, connection: Any, source: str, path: str) -> None:
        """Take the path of a log of a source for a session, unless it has it.

        Raises Unavailable (reason `locked`) while another session holds it. An account that may
        not declare the queue goes on without, with one warning.
        """
        if (source, path) in self._taken:
            return
        name = topology.producer_lock(source, path)
        arguments = {"x-queue-type": "classic"}  # not the virtual host's default
        try:
            with translated():
                channel = connection.channel()
                channel.queue_declare(name, exclusive=True, arguments=arguments)
                channel.close()
        except Unavailable as error:
            closed = error.__cause__
            if not isinstance(closed, pika.exceptions.ChannelClosedByBroker):
                raise
            if closed.reply_code == RESOURCE_LOCKED:
                raise Unavailable(self._held(path, name), "locked") from error
            self._go_on_without(error)
        self._taken.add((source, path))
        self._held_since.pop(name, None)

    def _held(self, path: str, name: str) -> str:
        now = self._clock()
        if now - self._held_since.setdefault(name, now) < LOCK_PATIENCE:
            return (
                f"{path} is held by another session, as it is for {2 * HEARTBEAT} seconds"
                f" after a connection was lost ({name})"
            )
        return (
            f"another producer with this SOURCE is connected and has {path} ({name} is its);"
            " give each host a SOURCE of its own"
        )

    def _go_on_without(self, error: Unavailable) -> None:
        if not self._is_told:
            self._is_told = True
            logger.warning(
                "A second producer with this SOURCE and these logs would not be noticed",
                extra={"error": str(error)},
            )


class Publisher:
    """Publishes slices, one at a time, and returns once the broker has confirmed each."""

    def __init__(self, connection: Any, locks: Locks | None = None) -> None:
        self._connection = connection
        self._channel = confirming_channel(connection)
        self._locks = locks

    @classmethod
    @contextmanager
    def open(
        cls, settings: RabbitSettings, name: str = "producer", locks: Locks | None = None
    ) -> Iterator[Self]:
        """Open a session for publishing, which holds the locks. Raises Unavailable."""
        with connect(settings, name) as connection:
            if locks is not None:
                locks.begin(connection)
            yield cls(connection, locks)

    def publish(self, routing_key: str, slice_: Slice) -> None:
        """Publish one slice and wait for its confirm.

        Raises Unavailable when the slice may not be kept. The session goes on when the broker
        refused it (reason `nack`), no queue takes it (`returned`), or another producer sends its
        log (`locked`); with any other reason the session has ended.
        """
        if self._locks is not None:
            self._locks.take(self._connection, slice_.stream.source, slice_.stream.path)
        properties = pika.BasicProperties(
            headers=slice_.headers(),
            message_id=slice_.message_id,
            delivery_mode=pika.DeliveryMode.Persistent,
        )
        publish(self._channel, topology.EXCHANGE, routing_key, slice_.body, properties)

    def depth(self, queue: str) -> int:
        """Return how many messages of a queue are ready. Raises Unavailable."""
        with translated():
            declared = self._channel.queue_declare(queue, passive=True)
        return int(declared.method.message_count)

    def wait(self, seconds: float) -> None:
        """Let the time pass while serving heartbeats. Raises Unavailable when the session ends."""
        # Returns early whenever the broker says something: no harm to a caller that waits to look
        # at a file again.
        with translated():
            self._connection.process_data_events(time_limit=seconds)


class Box(Publisher):
    """Takes messages out of queues to look at; what is not removed goes back at the end.

    It is no consumer: it gets only the messages it asks for. What goes back is returned explicitly,
    which RabbitMQ 4.3 does not count towards a delivery limit.
    """

    _taken = 0

    def take(self, queue: str) -> Iterator[tuple[int, Message, float | None]]:
        """Yield the messages that are in a queue now, then put back those that are left.

        Each comes with a number, by which it can be removed, and the Unix time of its arrival, if
        it has one. They are put back as well when the caller stops early. Raises Unavailable.
        """
        self._taken = 0
        try:
            for _ in range(self.depth(queue)):
                with translated():
                    method, properties, body = self._channel.basic_get(queue)
                if method is None:
                    break
                self._taken += 1
                message = Message(properties.headers or {}, body)
                yield method.delivery_tag, message, properties.timestamp
        finally:
            self._put_back(queue)

    def _put_back(self, queue: str) -> None:
        if not self._channel.is_open:
            return  # the broker has put them back itself
        with translated():
            self._channel.basic_nack(0, multiple=True, requeue=True)
        end = time.monotonic() + PUT_BACK_TIMEOUT
        while self.depth(queue) < self._taken and time.monotonic() < end:
            self.wait(LOOK)  # the broker does not say when they are back

    def put(self, queue: str, message: Message) -> None:
        """Put a message into a queue; return once that is confirmed. Raises Unavailable."""
        properties = pika.BasicProperties(
            headers={name: encodable(value) for name, value in message.headers.items()},
            delivery_mode=pika.DeliveryMode.Persistent,
        )
        publish(self._channel, "", queue, message.body, properties)

    def remove(self, number: int) -> None:
        """Remove a message that was taken, permanently. Raises Unavailable."""
        with translated():
            self._channel.basic_ack(number)
        self._taken -= 1
