"""What both consumers do, step by step, on the fake broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from threading import Event

import pytest

from contract.fake_broker import FakeBroker
from datastream.consuming import Message, Outcome, add_bisected, consume
from datastream.errors import RowRefused, Unavailable
from datastream.slices import Slice
from datastream.streams import Stream
from datastream.topology import LAKE_QUEUE

STREAM = Stream(1, "test", "host", "/var/log/access.log", "combined", 0)


def piece(number: int) -> Slice:
    """Return a slice of one line."""
    return Slice(STREAM, number, b"%d" % number, 1, 0, read_at_ms=0)


class Observer:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.messages = self.redelivered = 0
        self.outcome = Outcome()
        self.dead: list[str] = []

    def delivered(self, messages: int, redelivered: int) -> None:
        """Keep."""
        self.messages += messages
        self.redelivered += redelivered

    def stored(self, outcome: Outcome, read_at_ms: Sequence[int]) -> None:
        """Keep."""
        self.outcome += outcome

    def dead_lettered(self, reason: str) -> None:
        """Keep."""
        self.dead.append(reason)


class Store:
    """Stores slices; fails, quarantines and stops as it is told."""

    def __init__(self, stop: Event, *, away: bool = False, bad: Sequence[Slice] = ()) -> None:
        self.stored: list[Slice] = []
        self._stop = stop
        self._away = away
        self._bad = bad

    def add(self, slices: list[Slice]) -> Outcome:
        """Store a batch, the last one of the test."""
        self._stop.set()
        if self._away:
            raise Unavailable("away")
        good = [one for one in slices if one not in self._bad]
        self.stored += good
        return Outcome(
            stored=Counter(table=len(good)),
            quarantined=[(one, "refused") for one in slices if one in self._bad],
        )


def filled(*slices: Slice) -> FakeBroker:
    """Return a broker with these slices in the lake's queue."""
    broker = FakeBroker()
    with broker.open_publisher() as publisher:
        for one in slices:
            publisher.publish("lake.test", one)
    return broker


def left(broker: FakeBroker) -> list[bytes]:
    """Return the bodies that are still in the lake's queue."""
    return [stored.message.body for stored in broker.contents(LAKE_QUEUE) or ()]


def test_what_is_stored_is_acknowledged() -> None:
    """And gone from the queue."""
    broker, stop, observer = filled(piece(1), piece(2)), Event(), Observer()
    store = Store(stop)

    with broker.open_queue(LAKE_QUEUE) as queue:
        consume(queue, store.add, observer, stop)

    assert store.stored == [piece(1), piece(2)]
    assert left(broker) == []
    assert (observer.messages, observer.redelivered) == (2, 0)
    assert observer.outcome.stored == {"table": 2}


def test_nothing_is_acknowledged_when_the_store_is_away() -> None:
    """A batch that could not be stored stays on the queue, and comes again."""
    broker, stop = filled(piece(1), piece(2)), Event()

    with broker.open_queue(LAKE_QUEUE) as queue, pytest.raises(Unavailable):
        consume(queue, Store(stop, away=True).add, Observer(), stop)
    stop.clear()
    observer = Observer()
    with broker.open_queue(LAKE_QUEUE) as queue:
        consume(queue, Store(stop).add, observer, stop)

    assert observer.redelivered == 2
    assert left(broker) == []


def test_what_can_never_be_stored_is_kept_with_its_reason() -> None:
    """On the dead-letter queue; its neighbours are stored, and all is acknowledged."""
    broker, stop, observer = filled(piece(1), piece(2)), Event(), Observer()
    broker.put(LAKE_QUEUE, Message({}, b"no slice"))
    store = Store(stop, bad=[piece(2)])

    with broker.open_queue(LAKE_QUEUE) as queue:
        consume(queue, store.add, observer, stop)

    assert store.stored == [piece(1)]
    assert left(broker) == []
    assert [(m.body, reason) for m, reason in broker.dead_letters(LAKE_QUEUE)] == [
        (b"no slice", "not_a_slice"),
        (b"2", "refused"),
    ]
    assert observer.dead == ["not_a_slice", "refused"]


@pytest.mark.parametrize("bad", [{0}, {7}, {3, 4}, set(range(8)), set()])
def test_halving_finds_the_rows_that_are_refused(bad: set[int]) -> None:
    """All others are added exactly once."""
    added: list[int] = []

    def add(numbers: Sequence[int]) -> Outcome:
        if bad & set(numbers):
            raise RowRefused
        added.extend(numbers)
        return Outcome(stored=Counter(table=len(numbers)))

    def refuse(_number: int) -> Outcome:
        return Outcome(rejected=Counter(refused=1))

    outcome = add_bisected(add, list(range(8)), lambda _number: None, refuse)

    assert sorted(added) == sorted(set(range(8)) - bad)
    assert outcome.rejected.total() == len(bad)
    assert outcome.stored.total() == 8 - len(bad)
