"""The promises that publishing and consuming rest on, kept by the fake broker and the real one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import islice
from threading import Event
from typing import Any, Protocol

import pika
import pytest

from contract.fake_broker import AS_IT_IS, FakeBroker
from datastream import consuming
from datastream.config import RabbitSettings
from datastream.consuming import Delivery, Message, Preparation
from datastream.errors import Unavailable
from datastream.rabbitmq import BATCH_BYTES, BATCH_LINES, PREFETCH, Publisher, Queue, connect
from datastream.slices import UNTERMINATED, Slice, decode
from datastream.streams import Stream
from datastream.topology import CLEAN_QUEUE, LAKE_QUEUE, QUEUES, dead_letter_queue
from deployment import Deployment, eventually

STREAM = Stream(2**64 - 1, "test", "host", "/var/log/access.log", "combined", 3)
ALL_BYTES = bytes(byte for byte in range(256) if byte != 10)


class Broker(Protocol):
    """A broker under test."""

    def open_publisher(self) -> AbstractContextManager[Any]:
        """Open a session for publishing."""

    def open_queue(
        self, name: str, preparation: Preparation[Any] = ...
    ) -> AbstractContextManager[Any]:
        """Open a session that consumes."""

    def put(self, queue: str, message: Message) -> None:
        """Put any message into a queue."""

    def delete_queue(self, name: str) -> None:
        """Delete a queue."""

    def limit_queue(self, name: str, size: int) -> None:
        """Let a queue refuse once it holds more than so many bytes."""

    def limit_deliveries(self, name: str, limit: int) -> None:
        """Let a message that is returned more often than this be a dead letter."""

    def dead_letters(self, queue: str) -> list[tuple[Message, str]]:
        """Return the dead letters of a queue, each with its reason."""


class RealBroker:
    """RabbitMQ, in a vhost of the test's own."""

    def __init__(self, settings: RabbitSettings) -> None:
        self._settings = settings

    def open_publisher(self) -> AbstractContextManager[Publisher]:
        """Open a session for publishing."""
        return Publisher.open(self._settings)

    def open_queue(
        self, name: str, preparation: Preparation[Any] = AS_IT_IS
    ) -> AbstractContextManager[Queue[Any]]:
        """Open a session that consumes."""
        return Queue.open(self._settings, name, preparation)

    def put(self, queue: str, message: Message) -> None:
        """Put any message into a queue."""
        with connect(self._settings, "test") as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            properties = pika.BasicProperties(headers=dict(message.headers))
            channel.basic_publish("", queue, message.body, properties, mandatory=True)

    def delete_queue(self, name: str) -> None:
        """Delete a queue."""
        with connect(self._settings, "test") as connection:
            connection.channel().queue_delete(name)

    def limit_queue(self, name: str, size: int) -> None:
        """Let a queue refuse once it holds more than so many bytes."""
        self._declare_again(name, {"x-max-length-bytes": size})

    def limit_deliveries(self, name: str, limit: int) -> None:
        """Let a message that is returned more often than this be a dead letter."""
        self._declare_again(name, {"x-delivery-limit": limit})

    def _declare_again(self, name: str, arguments: dict[str, int]) -> None:
        (declared,) = (one for one in QUEUES if one.name == name)
        limited = {**declared.arguments, **arguments}
        with connect(self._settings, "test") as connection:
            channel = connection.channel()
            channel.queue_delete(name)
            channel.queue_declare(name, durable=True, arguments=limited)
            channel.queue_bind(name, declared.exchange, routing_key=declared.binding_key)

    def dead_letters(self, queue: str) -> list[tuple[Message, str]]:
        """Return the dead letters of a queue, each with its reason."""
        found: list[tuple[Message, str]] = []
        with connect(self._settings, "test") as connection:
            channel = connection.channel()
            while True:
                method, properties, body = channel.basic_get(dead_letter_queue(queue))
                if method is None:
                    return found
                # The broker's own reason is in a header of another shape.
                reason = properties.headers.pop("x-reason", "delivery_limit")
                found.append((Message(properties.headers, body), reason))


@pytest.fixture(params=["fake", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Each test is for both."""
    if request.param == "fake":
        return FakeBroker()
    deployment: Deployment = request.getfixturevalue("deployment")
    return RealBroker(deployment.rabbit)


def slice_of(body: bytes = b"one\ntwo", position: int = 0, flags: int = 0) -> Slice:
    """Return a slice with this body."""
    return Slice(STREAM, position, body, body.count(b"\n") + 1, flags, read_at_ms=1_700_000_000_000)


def publish(broker: Broker, *slices: Slice, side: str = "lake") -> None:
    """Publish slices to one side."""
    with broker.open_publisher() as publisher:
        for one in slices:
            publisher.publish(f"{side}.test", one)


def deliveries(queue: consuming.Queue[Any], number: int) -> Iterator[Delivery[Any]]:
    """Yield so many deliveries without acknowledging any."""
    return islice((one for batch in queue.batches(Event()) for one in batch), number)


def test_a_published_slice_is_in_the_queue_of_its_side(broker: Broker) -> None:
    """Each key leads to one queue, and every byte and header arrives."""
    sent = slice_of(ALL_BYTES, position=2**62, flags=UNTERMINATED)
    publish(broker, sent, side="lake")
    publish(broker, slice_of(b"for the other side"), side="clean")

    with broker.open_queue(LAKE_QUEUE) as queue:
        (received,) = deliveries(queue, 1)

    assert list(received.prepared) == [sent]
    assert received.message.body == ALL_BYTES
    assert (received.lines, received.returned, received.fault) == (1, 0, "")
    with broker.open_queue(CLEAN_QUEUE) as queue:
        (other,) = deliveries(queue, 1)
    assert other.message.body == b"for the other side"


def test_a_slice_for_both_sides_is_in_each_queue_once(broker: Broker) -> None:
    """Nothing but the slice is there before what was published after it."""
    publish(broker, slice_of(b"shared"), slice_of(b"after"), side="lake")
    publish(broker, slice_of(b"shared"), slice_of(b"after"), side="clean")

    for name in (LAKE_QUEUE, CLEAN_QUEUE):
        with broker.open_queue(name) as queue:
            bodies = [one.message.body for one in deliveries(queue, 2)]
        assert bodies == [b"shared", b"after"]


def test_slices_arrive_in_the_order_they_were_published_in(broker: Broker) -> None:
    """What one producer publishes keeps its order."""
    publish(broker, *(slice_of(b"%d" % n, position=n) for n in range(PREFETCH)))

    with broker.open_queue(LAKE_QUEUE) as queue:
        bodies = [one.message.body for one in deliveries(queue, PREFETCH)]

    assert bodies == [b"%d" % n for n in range(PREFETCH)]


def test_what_is_not_acknowledged_comes_back(broker: Broker) -> None:
    """To whoever consumes next, and it says that it was delivered before."""
    publish(broker, slice_of(b"a"), slice_of(b"b"))
    with broker.open_queue(LAKE_QUEUE) as queue:
        list(deliveries(queue, 2))

    with broker.open_queue(LAKE_QUEUE) as queue:
        again = []
        for batch in islice(queue.batches(Event()), 2):
            again += batch
            queue.ack(batch)

    assert sorted(one.message.body for one in again) == [b"a", b"b"]
    assert all(one.returned >= 1 for one in again)


def test_what_was_returned_is_taken_alone(broker: Broker) -> None:
    """Until something untried comes: what crashes a consumer must not take others with it."""
    publish(broker, slice_of(b"a"), slice_of(b"b"), slice_of(b"c"))
    with broker.open_queue(LAKE_QUEUE) as queue:
        list(deliveries(queue, 3))
    publish(broker, slice_of(b"untried"), *(slice_of(b"%d" % n) for n in range(2 * PREFETCH)))

    with broker.open_queue(LAKE_QUEUE) as queue:
        batches = queue.batches(Event())
        alone = []
        for batch in islice(batches, 3):
            alone += [(one.message.body, len(batch)) for one in batch]
            queue.ack(batch)
        held: list[Delivery[Any]] = []
        while len(held) < PREFETCH:
            held += next(batches)

    assert sorted(alone) == [(b"a", 1), (b"b", 1), (b"c", 1)]
    assert held[0].message.body == b"untried"


def test_only_what_is_being_tried_is_returned_again(broker: Broker) -> None:
    """A crash on one that was returned counts against none of the others."""
    publish(broker, slice_of(b"a"), slice_of(b"b"), slice_of(b"c"))
    with broker.open_queue(LAKE_QUEUE) as queue:
        list(deliveries(queue, 3))
    for _ in range(2):
        with broker.open_queue(LAKE_QUEUE) as queue:
            list(deliveries(queue, 1))

    returned = []
    with broker.open_queue(LAKE_QUEUE) as queue:
        for batch in islice(queue.batches(Event()), 3):
            returned += [one.returned for one in batch]
            queue.ack(batch)

    assert sum(returned) == 3 + 2


def test_what_crashes_its_consumers_ends_up_alone(broker: Broker) -> None:
    """It becomes a dead letter at the delivery limit; the messages around it are consumed."""
    limit, innocent = 4, [b"%d" % number for number in range(6)]
    broker.limit_deliveries(LAKE_QUEUE, limit)
    publish(broker, *(slice_of(body) for body in [*innocent[:3], b"guilty", *innocent[3:]]))
    stop, stored = Event(), list[bytes]()

    def crash() -> None:
        with broker.open_queue(LAKE_QUEUE) as queue:
            for batch in queue.batches(stop):
                bodies = [one.message.body for one in batch]
                if b"guilty" in bodies:
                    return
                queue.ack(batch)
                stored.extend(bodies)

    for _ in range(limit + 1):
        crash()
    with broker.open_queue(LAKE_QUEUE) as queue:
        batches = queue.batches(stop)
        while len(stored) < len(innocent):
            batch = next(batches)
            queue.ack(batch)
            stored += [one.message.body for one in batch]

    def dead() -> None:
        assert [kept.body for kept, _ in broker.dead_letters(LAKE_QUEUE)] == [b"guilty"]

    eventually(dead)
    assert sorted(stored) == innocent


def test_a_batch_that_is_acknowledged_is_gone(broker: Broker) -> None:
    """All of it at once, and nothing that came after it."""
    publish(broker, slice_of(b"a"), slice_of(b"b"), slice_of(b"c"))
    with broker.open_queue(LAKE_QUEUE) as queue:
        taken = list(deliveries(queue, 3))
        queue.ack(taken[:2])

    with broker.open_queue(LAKE_QUEUE) as queue:
        (left,) = deliveries(queue, 1)
        queue.ack([left])

    assert left.message.body == b"c"


def test_a_batch_is_bounded(broker: Broker) -> None:
    """However much waits, a batch ends with the slice that fills it."""
    many = slice_of(b"\n".join([b"x"] * (BATCH_LINES // 2)))
    publish(broker, many, many, many, many, many)

    with broker.open_queue(LAKE_QUEUE) as queue:
        batches = queue.batches(Event())
        lines = 0
        while lines < 5 * BATCH_LINES // 2:
            batch = next(batches)
            assert sum(one.lines for one in batch) <= BATCH_LINES
            lines += sum(one.lines for one in batch)
            queue.ack(batch)


def test_a_batch_is_bounded_in_bytes(broker: Broker) -> None:
    """Few long lines fill it as many short ones do."""
    half = slice_of(b"x" * (BATCH_BYTES // 2))
    publish(broker, half, half, half, half, half)

    with broker.open_queue(LAKE_QUEUE) as queue:
        batches = queue.batches(Event())
        taken = 0
        while taken < 5:
            batch = next(batches)
            assert sum(len(one.message.body) for one in batch) <= BATCH_BYTES
            taken += len(batch)
            queue.ack(batch)


def test_more_arrives_than_is_held_at_once(broker: Broker) -> None:
    """Acknowledging makes room for what waits."""
    publish(broker, *(slice_of(b"%d" % n) for n in range(2 * PREFETCH + 1)))
    bodies: list[bytes] = []

    with broker.open_queue(LAKE_QUEUE) as queue:
        batches = queue.batches(Event())
        while len(bodies) <= 2 * PREFETCH:
            batch = next(batches)
            bodies += [one.message.body for one in batch]
            queue.ack(batch)

    assert bodies == [b"%d" % n for n in range(2 * PREFETCH + 1)]


def test_what_crashes_its_preparing_is_delivered_all_the_same(broker: Broker) -> None:
    """Its lines apart, with what was raised; the slices beside it are as ever."""

    def prepare(one: Slice) -> Slice:
        if b"bad" in one.body:
            raise ZeroDivisionError
        return one

    publish(broker, slice_of(b"good\nbad\nbetter"), slice_of(b"last", position=20))
    preparation = Preparation(prepare, lambda one: f"instead of {one.body.decode()}")
    with broker.open_queue(LAKE_QUEUE, preparation) as queue:
        crashed, last = deliveries(queue, 2)

    assert isinstance(crashed.crash, ZeroDivisionError)
    assert [str(getattr(one, "body", one)) for one in crashed.prepared] == [
        "b'good'",
        "instead of bad",
        "b'better'",
    ]
    assert (last.crash, list(last.prepared)) == (None, [slice_of(b"last", position=20)])


def test_a_dead_letter_keeps_the_message_and_the_reason(broker: Broker) -> None:
    """Body and headers are as they were, so that it can be put back."""
    message = Message(slice_of(ALL_BYTES).headers(), ALL_BYTES)
    with broker.open_queue(LAKE_QUEUE) as queue:
        queue.dead_letter(message, "refused")

    ((kept, reason),) = broker.dead_letters(LAKE_QUEUE)

    assert reason == "refused"
    assert decode(kept.headers, kept.body) == slice_of(ALL_BYTES)


def test_a_dead_letter_keeps_headers_of_any_kind(broker: Broker) -> None:
    """A message that is no slice of ours has headers of its own, some only readable as text."""
    headers = {"number": 7, "text": "x", "bytes": b"\xff", "ratio": 0.5, "large": 2**63}
    with broker.open_queue(LAKE_QUEUE) as queue:
        queue.dead_letter(Message(headers, b"hello"), "not_a_slice")

    ((kept, reason),) = broker.dead_letters(LAKE_QUEUE)

    assert (kept.body, reason) == (b"hello", "not_a_slice")
    assert {name: kept.headers[name] for name in ("number", "text", "bytes")} == {
        "number": 7,
        "text": "x",
        "bytes": b"\xff",
    }
    assert {name: str(kept.headers[name]) for name in ("ratio", "large")} == {
        "ratio": "0.5",
        "large": "9223372036854775808",
    }


def test_a_slice_that_no_queue_takes_is_refused(broker: Broker) -> None:
    """It is not dropped, the reason says so, and the session goes on."""
    broker.delete_queue(LAKE_QUEUE)

    with broker.open_publisher() as publisher:
        with pytest.raises(Unavailable) as raised:
            publisher.publish("lake.test", slice_of())
        publisher.publish("clean.test", slice_of())
        publisher.wait(0.01)

    assert raised.value.reason == "returned"


def test_a_full_queue_refuses(broker: Broker) -> None:
    """It does not drop its oldest; the other side and the session go on."""
    broker.limit_queue(LAKE_QUEUE, 10_000)

    with broker.open_publisher() as publisher:
        published = 0
        with pytest.raises(Unavailable) as raised:
            while published < 1000:
                publisher.publish("lake.test", slice_of(b"x" * 1000, position=published))
                published += 1
        publisher.publish("clean.test", slice_of())

    assert raised.value.reason == "nack"
    with broker.open_queue(LAKE_QUEUE) as queue:
        (first,) = deliveries(queue, 1)
    assert list(first.prepared) == [slice_of(b"x" * 1000, position=0)]


def test_a_queue_that_is_not_there_cannot_be_consumed(broker: Broker) -> None:
    """An operator has to make it, and the failure says how."""
    broker.delete_queue(LAKE_QUEUE)

    with (
        pytest.raises(Unavailable, match="datastream topology") as raised,
        broker.open_queue(LAKE_QUEUE),
    ):
        pass

    assert raised.value.reason == "channel"


def test_a_consumer_whose_queue_is_deleted_notices(broker: Broker) -> None:
    """It does not take the silence for an empty queue."""
    with broker.open_queue(LAKE_QUEUE) as queue:
        broker.delete_queue(LAKE_QUEUE)

        with pytest.raises(Unavailable) as raised:
            next(queue.batches(Event()))

    assert raised.value.reason == "cancelled"


def test_a_message_that_is_no_slice_is_delivered_with_its_fault(broker: Broker) -> None:
    """The consumer decides what becomes of it; the slices beside it are as ever."""
    broker.put(LAKE_QUEUE, Message({"version": 1}, b"hello"))
    publish(broker, slice_of(b"good"))

    with broker.open_queue(LAKE_QUEUE) as queue:
        bad, good = deliveries(queue, 2)

    assert bad.fault
    assert (len(bad.prepared), bad.message.body, bad.lines) == (0, b"hello", 1)
    assert list(good.prepared) == [slice_of(b"good")]


@pytest.mark.parametrize("count", ["many", 7, -1, None, True, [1]], ids=str)
def test_a_foreign_delivery_count_is_not_believed(broker: Broker, count: object) -> None:
    """Whoever publishes can write any header; the slice is consumed all the same."""
    sent = slice_of()
    broker.put(LAKE_QUEUE, Message(sent.headers() | {"x-delivery-count": count}, sent.body))

    with broker.open_queue(LAKE_QUEUE) as queue:
        (received,) = deliveries(queue, 1)

    assert list(received.prepared) == [sent]
    assert received.returned == 0


def test_work_ends_before_the_session_does(broker: Broker) -> None:
    """What is being stored is not left running by a session that fails."""
    ended = []

    def delete_and_finish() -> None:
        broker.delete_queue(LAKE_QUEUE)
        for _ in range(10):  # gives the session the time to notice
            broker.dead_letters(LAKE_QUEUE)
        ended.append(True)

    with ThreadPoolExecutor(1) as other, broker.open_queue(LAKE_QUEUE) as queue:
        with pytest.raises(Unavailable):
            queue.serve_until(other.submit(delete_and_finish))
            next(queue.batches(Event()))
        assert ended == [True]


def test_work_returns_what_the_function_does(broker: Broker) -> None:
    """Results and exceptions come out as they are."""

    def fail() -> None:
        raise ZeroDivisionError

    with ThreadPoolExecutor(1) as other, broker.open_queue(LAKE_QUEUE) as queue:
        result = queue.serve_until(other.submit(divmod, 17, 5))
        with pytest.raises(ZeroDivisionError):
            queue.serve_until(other.submit(fail))

    assert result == (3, 2)


def test_batches_end_when_asked(broker: Broker) -> None:
    """A stop ends the loop, and what is in the queue stays there."""
    stop = Event()
    stop.set()
    publish(broker, slice_of(b"later"))

    with broker.open_queue(LAKE_QUEUE) as queue:
        none = list(queue.batches(stop))

    def still_there() -> None:
        with broker.open_queue(LAKE_QUEUE) as queue:
            (left,) = deliveries(queue, 1)
        assert left.message.body == b"later"

    assert none == []
    eventually(still_there)
