"""What both consumers do, step by step, on the fake broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.fake_broker import FakeBroker
from datastream.consuming import Delivery, Message, Outcome, add_bisected, consume
from datastream.errors import RowRefused, Unavailable
from datastream.slices import Slice
from datastream.streams import Stream
from datastream.topology import LAKE_QUEUE

T = TypeVar("T")
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
    broker, stop, observer = filled(piece(1)), Event(), Observer()
    with broker.open_queue(LAKE_QUEUE) as queue, pytest.raises(Unavailable):
        consume(queue, Store(stop, away=True).add, Observer(), stop)
    stop.clear()
    kept = left(broker)
    with broker.open_queue(LAKE_QUEUE) as queue:
        consume(queue, Store(stop).add, observer, stop)

    assert kept == [b"1"]
    assert observer.redelivered == 1
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


class Steps:
    """A queue with one batch that notes what is done to it, and fails where it is told to."""

    def __init__(self, batch: list[Delivery[Slice]], *, fails_at: str = "") -> None:
        self.steps: list[str] = []
        self._batch = batch
        self._fails_at = fails_at

    def batches(self, stop: Event) -> Iterator[list[Delivery[Slice]]]:
        """Yield the batch."""
        yield self._batch
        stop.set()

    def work(self, function: Callable[..., T], *arguments: object) -> T:
        """Note, and call."""
        self._note("store")
        return function(*arguments)

    def dead_letter(self, message: Message, reason: str) -> None:
        """Note."""
        self._note(f"dead-letter {reason}")

    def ack(self, batch: list[Delivery[Slice]]) -> None:
        """Note."""
        self._note(f"ack {len(batch)}")

    def _note(self, step: str) -> None:
        if step == self._fails_at:
            raise Unavailable(step)
        self.steps.append(step)


def delivery(tag: int) -> Delivery[Slice]:
    """Return the delivery of a slice."""
    one = piece(tag)
    return Delivery(tag, Message(one.headers(), one.body), 0, 1, one)


FAULT: Delivery[Slice] = Delivery(9, Message({}, b"hello"), 0, fault="no headers")


def test_all_is_safe_before_the_acknowledgement() -> None:
    """Rows first, then dead letters; the broker forgets the batch at the very end."""
    queue, stop = Steps([delivery(1), delivery(2), FAULT]), Event()
    consume(queue, Store(stop, bad=[piece(2)]).add, Observer(), stop)

    assert queue.steps == ["store", "dead-letter not_a_slice", "dead-letter refused", "ack 3"]


@pytest.mark.parametrize("step", ["store", "dead-letter not_a_slice", "dead-letter refused"])
def test_no_step_that_fails_is_passed_over(step: str) -> None:
    """The batch is not acknowledged, nor counted as stored."""
    queue, stop, observer = Steps([delivery(2), FAULT], fails_at=step), Event(), Observer()
    with pytest.raises(Unavailable, match=step):
        consume(queue, Store(stop, bad=[piece(2)]).add, observer, stop)

    assert "ack 2" not in queue.steps
    assert observer.outcome == Outcome()


def test_a_batch_without_a_slice_does_not_trouble_the_store() -> None:
    """There is nothing to commit."""
    queue, stop = Steps([FAULT]), Event()
    consume(queue, Store(stop).add, Observer(), stop)

    assert queue.steps == ["dead-letter not_a_slice", "ack 1"]


def test_a_mistake_in_the_store_comes_out() -> None:
    """It is no outage: nothing is acknowledged, nothing retried."""
    queue, stop = Steps([delivery(1)]), Event()

    def fail(_slices: list[Slice]) -> Outcome:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        consume(queue, fail, Observer(), stop)

    assert queue.steps == ["store"]


def test_outcomes_add_up() -> None:
    """Each count of its own."""
    first = Outcome(Counter(a=1), Counter(x=1), 1, 2, [(piece(1), "x")])
    second = Outcome(Counter(a=2, b=1), Counter(y=1), 3, 4, [(piece(2), "y")])

    assert first + second == Outcome(
        Counter(a=3, b=1), Counter(x=1, y=1), 4, 6, [(piece(1), "x"), (piece(2), "y")]
    )
    assert first + Outcome() == first


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    bad=st.sets(st.integers(0, 71), max_size=4),
)
def test_only_the_lines_that_are_refused_are_left_out(sizes: list[int], bad: set[int]) -> None:
    """Slices are halved down to the one line; every other line is stored once, in its order."""
    lines = [b"%d" % number for number in range(sum(sizes))]
    slices, start = [], 0
    for size in sizes:
        position = sum(len(line) + 1 for line in lines[:start])
        body = b"\n".join(lines[start : start + size])
        slices.append(Slice(STREAM, position, body, size, 0, 0))
        start += size
    refused = {b"%d" % number for number in bad}
    stored: list[tuple[int, bytes]] = []

    def add(pieces: Sequence[Slice]) -> Outcome:
        rows = [row for one in pieces for row in one.numbered()]
        if any(line in refused for _, line in rows):
            raise RowRefused
        stored.extend(rows)
        return Outcome(stored=Counter(table=len(rows)))

    outcome = add_bisected(
        add,
        slices,
        lambda one: one.halves() if one.lines > 1 else None,
        lambda one: Outcome(quarantined=[(one, "refused")]),
    )

    rows = [row for one in slices for row in one.numbered()]
    assert stored == [row for row in rows if row[1] not in refused]
    assert [(one.position, one.body) for one, _ in outcome.quarantined] == [
        row for row in rows if row[1] in refused
    ]
    assert outcome.stored.total() == len(stored)


def test_a_store_that_is_away_is_not_bisected() -> None:
    """Halving is for rows that are refused; an outage goes to who waits for its end."""
    calls = []

    def add(numbers: Sequence[int]) -> Outcome:
        calls.append(len(numbers))
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        add_bisected(add, [1, 2, 3], lambda _number: None, lambda _number: Outcome())

    assert calls == [3]
