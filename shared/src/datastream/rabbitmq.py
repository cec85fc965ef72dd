"""The broker: a publisher that waits for every confirm, and a queue that hands out batches.

Everything pika stays in here. A session (a connection and its channels) is opened, used until it
fails and then replaced: pika recovers nothing by itself. One thread talks to the broker.
"""

from __future__ import annotations

import logging
import os
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from threading import Event
from typing import Any, Generic, NamedTuple, Self, TypeVar

import pika
import pika.data
import pika.exceptions
from pika.adapters.utils.connection_workflow import AMQPConnectorSocketConnectError

from datastream import refusals, topology
from datastream.config import RabbitSettings
from datastream.consuming import Delivery, Message, Preparation
from datastream.errors import Unavailable
from datastream.paths import printable
from datastream.slices import Slice
from datastream.tls import Unusable

logger = logging.getLogger(__name__)

#: Seconds. A dead peer is noticed after two heartbeats.
HEARTBEAT = 10
#: A broker in alarm (memory, disk) blocks publishers; after this long the session is given up and
#: the publisher says what it waits for. Below the grace of a shutdown.
BLOCKED_TIMEOUT = 5
CONNECT_TIMEOUT = 5
#: Seconds after which a lock that is held is not a lost session's: more than two heartbeats.
LOCK_PATIENCE = 25.0
#: The code with which the broker refuses what another connection holds.
RESOURCE_LOCKED = 405
#: How long a look at a queue waits for its messages to be back there.
PUT_BACK_TIMEOUT = 5
#: How long one look at the socket lasts while there is nothing to do: the delay of a stop.
LOOK = 0.2

#: Seconds after which RabbitMQ, as it comes, takes unacknowledged messages away from a consumer.
CONSUMER_TIMEOUT = 30 * 60.0

#: A batch is as much as has arrived, up to these.
BATCH_LINES = 4000
BATCH_BYTES = 1024**2

#: Deliveries that a consumer holds unacknowledged: few enough that as many of the greatest slices
#: stay in memory. AMQP knows no other limit, so where small slices make small batches it is
#: doubled, up to two batches of a line each: the one that is being stored and the next. Their
#: bodies take no more than this (bytes) by then; a message takes about 1.2 KB besides.
PREFETCH = 8
GROWN_PREFETCH = 2 * BATCH_LINES
GROWN_BYTES = 7 * 1024**2 // 2
#: Where larger ones follow, and what is held is more than this (bytes), those on their way go back
#: to the queue, and it goes on with a limit of so many: in all about PREFETCH of the greatest.
MOST_HELD_BYTES = 5 * 1024**2
PREFETCH_AFTER = 2

T = TypeVar("T")
Prepared = TypeVar("Prepared")


class _Connection(pika.BlockingConnection):  # type: ignore[misc]  # pika has no types
    """pika's, which tells the failure of the last of a name's addresses, whichever that is.

    Here an address that answered goes before those that did not: a certificate that is refused is
    not hidden by an address of the other IP version, to which there is no route.
    """

    @staticmethod
    def _reap_last_connection_workflow_error(error: Any) -> Any:
        attempts = getattr(error, "exceptions", [])
        answered = [e for e in attempts if not isinstance(e, AMQPConnectorSocketConnectError)]
        if answered:
            error.exceptions = answered
        return pika.BlockingConnection._reap_last_connection_workflow_error(error)


@contextmanager
def connect(settings: RabbitSettings, name: str) -> Iterator[Any]:
    """Open a connection, and close it at the end. Raises Unavailable."""
    tls = settings.tls
    where = f"{settings.host}:{settings.port}"
    try:
        options = None if tls is None else pika.SSLOptions(tls.context(), settings.host)
    except Unusable as error:
        raise Unavailable(f"no session with {where}: {error}", "tls") from error
    parameters = pika.ConnectionParameters(
        host=settings.host,
        port=settings.port,
        virtual_host=settings.vhost,
        credentials=pika.PlainCredentials(settings.user, settings.password.read()),
        heartbeat=HEARTBEAT,
        blocked_connection_timeout=BLOCKED_TIMEOUT,
        socket_timeout=CONNECT_TIMEOUT,
        stack_timeout=CONNECT_TIMEOUT,
        client_properties={"connection_name": name},
        ssl_options=options,
    )
    try:
        with _translated():
            connection = _Connection(parameters)
    except Unavailable as error:
        refusal = tls.refusal(error, settings.host) if tls is not None else None
        reason = error.reason if refusal is None else "tls"
        why = refusal or f"{error}{_hint(error.__cause__, settings)}"
        raise Unavailable(f"no session with {where}: {why}", reason) from error
    try:
        yield connection
    finally:
        with suppress(pika.exceptions.AMQPError, OSError):
            connection.close()


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what pika raises when a session cannot begin, or ends, into Unavailable."""
    try:
        yield
    except pika.exceptions.ConnectionBlockedTimeout as error:
        raise Unavailable("blocked by its memory or disk alarm", "blocked") from error
    except (
        pika.exceptions.ProbableAuthenticationError,
        pika.exceptions.AuthenticationError,
    ) as error:
        raise Unavailable(
            "it refuses the account: check RABBIT_USER and RABBIT_PASSWORD", "refused"
        ) from error
    except pika.exceptions.ProbableAccessDeniedError as error:
        # pika guesses at one cause of several: a limit of connections closes it at that stage too.
        refusal = refusals.within(str(error)) or (530, "access to vhost refused")
        raise Unavailable(refusals.told(*refusal), "refused") from error
    except pika.exceptions.ChannelClosedByBroker as error:
        told = refusals.told(error.reply_code, error.reply_text)
        raise Unavailable(f"it closed the channel: {told}", "channel") from error
    except pika.exceptions.ConnectionClosedByBroker as error:
        raise Unavailable(refusals.told(error.reply_code, error.reply_text)) from error
    except (pika.exceptions.AMQPError, OSError) as error:
        raise Unavailable(_innermost(error)) from error


def _innermost(error: BaseException) -> str:
    """Return what the operating system said, which pika wraps several times, or pika's words."""
    for argument in getattr(error, "args", ()):
        cause = getattr(argument, "exception", argument)
        if isinstance(cause, BaseException):
            return _innermost(cause)
    return str(error) or type(error).__name__


def _hint(error: BaseException | None, settings: RabbitSettings) -> str:
    """Return what to look at when a broker hangs up before it has said a word of AMQP."""
    if not isinstance(error, pika.exceptions.IncompatibleProtocolError):
        return ""
    if settings.tls is None:
        return "; if it speaks TLS at this port, set RABBIT_TLS"
    return f"; {settings.tls.hung_up()}"


def declare_topology(settings: RabbitSettings) -> None:
    """Create the exchanges, the queues and their bindings where they are missing.

    Raises Unavailable, also when one exists with other arguments.
    """
    with connect(settings, "datastream topology") as connection, _translated():
        channel = connection.channel()
        for exchange, kind in topology.EXCHANGES.items():
            channel.exchange_declare(exchange, exchange_type=kind, durable=True)
        for queue in topology.QUEUES:
            channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
            channel.queue_bind(queue.name, queue.exchange, routing_key=queue.binding_key)


def compare_topology(settings: RabbitSettings) -> dict[str, str]:
    """Return each exchange and queue by name, with what is wrong with it, empty for nothing.

    Nothing is created. Raises Unavailable when there is no session.
    """
    found = {}
    with connect(settings, "datastream doctor") as connection:
        for name, kind in topology.EXCHANGES.items():
            found[name] = _fault(connection, "exchange_declare", name, exchange_type=kind)
        for queue in topology.QUEUES:
            arguments = dict(queue.arguments)
            found[queue.name] = _fault(connection, "queue_declare", queue.name, arguments=arguments)
    return found


def _fault(connection: Any, method: str, name: str, **declared: object) -> str:
    """Return what the broker says where there is none of that name, or another one; else nothing.

    Raises Unavailable when the session is lost.
    """
    try:
        with _translated():
            # What the broker refuses ends the channel.
            channel = connection.channel()
            declare = getattr(channel, method)
            declare(name, passive=True)
            # It is there, so that this compares and creates nothing.
            declare(name, durable=True, **declared)
            channel.close()
    except Unavailable as error:
        if error.reason != "channel":
            raise
        return str(error).removeprefix("it closed the channel: ")
    return ""


def _confirming_channel(connection: Any) -> Any:
    with _translated():
        channel = connection.channel()
        channel.confirm_delivery()
        return channel


def _publish(channel: Any, exchange: str, routing_key: str, body: bytes, properties: Any) -> None:
    """Publish one message and wait for its confirm. Raises Unavailable."""
    try:
        with _translated():
            channel.basic_publish(exchange, routing_key, body, properties, mandatory=True)
    except Unavailable as error:
        if isinstance(error.__cause__, pika.exceptions.NackError):
            raise Unavailable(
                f"the queue behind {routing_key} refuses: it is full, or has no leader", "nack"
            ) from error
        if isinstance(error.__cause__, pika.exceptions.UnroutableError):
            raise Unavailable(
                f"no queue is bound for {routing_key}: an operator must run `datastream topology`",
                "returned",
            ) from error
        raise


class Locks:
    """The logs that one producer at a time sends: an exclusive queue each, with all of a cluster.

    At the beginning of a session it is one for each pattern by which logs are found, so that the
    same list on another machine waits before it sends anything; then one for each log when its
    first slice is sent, by which lists that differ and have a log in common exclude each other.
    They end with the session. The broker gives up a session whose peer is gone after two
    heartbeats, and so for that long it may be the one that was lost that holds a name.
    """

    def __init__(
        self, source: str, patterns: Iterable[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        # In one order: of two producers that begin at once, one has all.
        self._patterns = sorted({printable(os.path.abspath(one)) for one in patterns})  # noqa: PTH100
        self._source = source
        self._clock = clock
        #: The paths, as patterns and of logs, that the session has.
        self._taken: set[str] = set()
        #: Since when another session is known to hold a path.
        self._held_since: dict[str, float] = {}
        self._is_told = False

    def begin(self, connection: Any) -> None:
        """Take every pattern for a session that begins. Raises Unavailable: see take()."""
        self._taken.clear()
        for pattern in self._patterns:
            self.take(connection, pattern)

    def take(self, connection: Any, path: str) -> None:
        """Take the path of a log for a session, unless it has it.

        Raises Unavailable (reason `locked`) while another session holds it. An account that may
        not declare the queue goes on without, which is told once.
        """
        if path in self._taken:
            return
        name = topology.producer_lock(self._source, path)
        arguments = {"x-queue-type": "classic"}  # whatever the virtual host's default is
        try:
            with _translated():
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
        self._taken.add(path)
        self._held_since.pop(path, None)

    def _held(self, path: str, name: str) -> str:
        now = self._clock()
        if now - self._held_since.setdefault(path, now) < LOCK_PATIENCE:
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
        self._channel = _confirming_channel(connection)
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

    def publish(self, routing_key: str, piece: Slice) -> None:
        """Publish one slice and wait for its confirm.

        Raises Unavailable when the slice may not be kept: refused (reason `nack`), in no queue
        (`returned`), or of a log that another producer sends (`locked`); the session goes on. Any
        other reason: the session has ended.
        """
        if self._locks is not None:
            self._locks.take(self._connection, piece.stream.path)
        properties = pika.BasicProperties(
            headers=piece.headers(),
            message_id=piece.message_id,
            delivery_mode=pika.DeliveryMode.Persistent,
        )
        _publish(self._channel, topology.EXCHANGE, routing_key, piece.body, properties)

    def depth(self, queue: str) -> int:
        """Return how many messages of a queue are ready. Raises Unavailable."""
        with _translated():
            declared = self._channel.queue_declare(queue, passive=True)
        return int(declared.method.message_count)

    def wait(self, seconds: float) -> None:
        """Let the time pass while serving heartbeats. Raises Unavailable when the session ends."""
        # The time is up early whenever the broker said something; that is no harm to a caller
        # who waits in order to look at a file again.
        with _translated():
            self._connection.process_data_events(time_limit=seconds)


def _returned(method: Any, headers: dict[str, Any]) -> int:
    """Return how often a message was delivered before."""
    # Whoever publishes can write any header; the broker overwrites it from the second delivery on.
    if not method.redelivered:
        return 0
    # Counted by quorum queues; the flag alone says no more than "at least once".
    count = headers.get("x-delivery-count")
    return count if isinstance(count, int) and count > 1 else 1


def _interned(headers: dict[Any, Any]) -> dict[Any, Any]:
    """Return the headers with their texts once in memory: those of a stream's slices are alike."""
    return {_once(name): _once(value) for name, value in headers.items()}


def _once(value: Any) -> Any:
    # A foreign message may have anything there; a name that is not UTF-8 is bytes.
    return sys.intern(value) if type(value) is str else value


def _encodable(value: Any) -> Any:
    """Return the value of a header, or its text where pika decodes such values but has no way back.

    Those are floats and integers above 63 bits: no header of a slice, but a foreign message's.
    """
    try:
        pika.data.encode_value([], value)
    except (pika.exceptions.UnsupportedAMQPFieldException, struct.error):
        return str(value)
    return value


class _Arrival(NamedTuple):
    """A message that waits to be prepared: see Preparation.take()."""

    tag: int
    message: Message
    returned: int
    arrived_at: float


class Queue(Generic[Prepared]):
    """One consumer of one queue.

    A batch is whatever has arrived while the last one was stored, so batches are small when lines
    are few and grow under load, and no line waits for a timer. Each slice is prepared as it is
    taken; while a batch is being stored the next one is prepared. `beat` is called whenever this
    thread has looked at the broker.

    A session begins with care: one message at a time, until one comes that was never delivered
    before. A message that crashes whoever takes it so comes back alone, and reaches the delivery
    limit without its neighbours.
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
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._dead_letters: Any = None
        self._careful = True
        #: Deliveries that are not acknowledged, what they take, and how many of them came before
        #: the prefetch was what it is now.
        self._held = self._held_bytes = self._held_before = 0
        self._consumer = ""
        with _translated():
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

        What was not acknowledged at its end is delivered again, to whoever consumes then.
        """
        with connect(settings, f"consumer of {queue}") as connection:
            consumer = cls(connection, queue, preparation, beat)
            try:
                yield consumer
            finally:
                consumer._worker.shutdown(wait=True)
                consumer._forget()

    def batches(self, stop: Event) -> Iterator[list[Delivery[Prepared]]]:
        """Yield batches, in the order of arrival, until `stop` is set.

        Settle each (`ack`) before taking the next. Raises Unavailable when the session ends.
        """
        while not stop.is_set():
            self._grow()
            if self._batch:
                batch, self._batch, self._lines, self._bytes = self._batch, [], 0, 0
                yield batch
            else:
                self._serve()

    def work(self, function: Callable[..., T], *arguments: object) -> T:
        """Return function(*arguments), run on the worker thread.

        Meanwhile this thread serves the broker and prepares the next batch. Raises what the
        function raises, and Unavailable when the session ends, after the function has ended. The
        connection is closed before: what this consumer holds is free for others at once.
        """
        future: Future[T] = self._worker.submit(function, *arguments)
        future.add_done_callback(self._wake)
        try:
            while not future.done():
                if not self._grow():
                    self._serve()
        except Unavailable:
            with suppress(pika.exceptions.AMQPError, OSError):
                self._connection.close()
            raise
        finally:
            wait([future])
        return future.result()

    def ack(self, batch: list[Delivery[Prepared]]) -> None:
        """Acknowledge a batch, all at once. Raises Unavailable when the session has ended."""
        if self._is_held_up() and 2 * self._held_bytes <= GROWN_BYTES:
            # Now: all that was allowed is here, so that nothing is on its way.
            self._consume(min(2 * self._prefetch, GROWN_PREFETCH))
        with _translated():
            self._channel.basic_ack(batch[-1].tag, multiple=True)
        self._held -= len(batch)
        self._held_bytes -= sum(len(delivery.message.body) for delivery in batch)
        self._held_before = max(0, self._held_before - len(batch))

    def dead_letter(self, message: Message, reason: str) -> None:
        """Keep a message, with the reason, on the dead-letter queue.

        Returns once it is confirmed. Raises Unavailable.
        """
        if self._dead_letters is None:
            self._dead_letters = _confirming_channel(self._connection)
        properties = pika.BasicProperties(
            headers={name: _encodable(value) for name, value in message.headers.items()}
            | {"x-reason": reason},
            delivery_mode=pika.DeliveryMode.Persistent,
            timestamp=int(time.time()),
        )
        _publish(
            self._dead_letters,
            topology.DEAD_LETTER_EXCHANGE,
            self._name,
            message.body,
            properties,
        )

    def _consume(self, prefetch: int) -> None:
        """Go on with another limit; what is on its way goes back to the queue."""
        with _translated():
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
        # Of pika's objects, which take twice as much, nothing is kept.
        headers = properties.headers or {}
        message = Message(_interned(headers), body)
        returned = _returned(method, headers)
        self._arrived.append(_Arrival(method.delivery_tag, message, returned, time.monotonic()))
        self._held += 1
        self._held_bytes += len(body)

    def _on_cancel(self, _method: Any) -> None:
        self._cancelled = True

    def _wake(self, _future: Future[T]) -> None:
        """Make process_data_events return; called on the worker thread."""
        with suppress(pika.exceptions.AMQPError):
            self._connection.add_callback_threadsafe(lambda: None)

    def _serve(self) -> None:
        self._beat()
        with _translated():
            self._connection.process_data_events(time_limit=LOOK)
        if self._cancelled:
            # Without this a deleted queue, or a consumer timeout, looks like a queue that is idle.
            raise Unavailable(f"it cancelled the consumer of {self._name}", "cancelled")
        if self._channel.is_closed:
            # A consumer timeout, for example. Here it would look like a queue that is idle as well;
            # pika keeps the broker's words, and only shows them to calls that are not made here.
            with _translated():
                raise self._channel._closing_reason
        if self._held_bytes > MOST_HELD_BYTES and self._prefetch > PREFETCH:
            self._consume(PREFETCH_AFTER)

    def _grow(self) -> bool:
        """Take what has arrived into the next batch, while it has room; return whether any was."""
        grown = False
        while self._arrived and self._has_room():
            delivery = self._take(self._arrived.popleft())
            self._batch.append(delivery)
            self._lines += delivery.lines
            self._bytes += len(delivery.message.body)
            grown = True
        return grown

    def _take(self, arrival: _Arrival) -> Delivery[Prepared]:
        if self._careful and not arrival.returned:
            self._careful = False
            self._consume(PREFETCH)
        return self._preparation.take(*arrival)


class Box(Publisher):
    """Takes messages out of queues to look at; what is not removed goes back at the end.

    A look is no consumer: nothing is delivered but what is asked for. What goes back is returned
    in so many words, which RabbitMQ 4.3 does not count towards a delivery limit.
    """

    _taken = 0

    def take(self, queue: str) -> Iterator[tuple[int, Message, float | None]]:
        """Yield as many messages of a queue as are in it now, then put back those that are left.

        Each with a number, by which it can be removed, and when it was put there (Unix time), if
        it says so. Raises Unavailable.
        """
        self._taken = 0
        for _ in range(self.depth(queue)):
            with _translated():
                method, properties, body = self._channel.basic_get(queue)
            if method is None:
                break
            self._taken += 1
            yield method.delivery_tag, Message(properties.headers or {}, body), properties.timestamp
        with _translated():
            self._channel.basic_nack(0, multiple=True, requeue=True)
        end = time.monotonic() + PUT_BACK_TIMEOUT
        while self.depth(queue) < self._taken and time.monotonic() < end:
            self.wait(LOOK)  # the broker does not say when they are back

    def put(self, queue: str, message: Message) -> None:
        """Put a message into a queue; return once that is confirmed. Raises Unavailable."""
        properties = pika.BasicProperties(
            headers={name: _encodable(value) for name, value in message.headers.items()},
            delivery_mode=pika.DeliveryMode.Persistent,
        )
        _publish(self._channel, "", queue, message.body, properties)

    def remove(self, number: int) -> None:
        """Remove a message that was taken, for ever. Raises Unavailable."""
        with _translated():
            self._channel.basic_ack(number)
        self._taken -= 1
