"""What both consumers do, step by step, on the fake broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from threading import Event
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.fake_broker import FakeBroker
from datastream import consuming
from datastream.consuming import (
    CRASHES_IN_A_ROW,
    Delivery,
    Message,
    Outcome,
    Preparation,
    consume,
    store_by_halves,
)
from datastream.errors import Broken, RowRefused, Unavailable
from datastream.slices import Slice
from datastream.streams import Stream
from datastream.topology import LAKE_QUEUE

T = TypeVar("T")
STREAM = Stream(1, "test", "host", "/var/log/access.log", "combined", 0)


def slice_of(number: int) -> Slice:
    """Return a slice of one line."""
    return Slice(STREAM, number, b"%d" % number, 1, 0, read_at_ms=0)


class Observer:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.messages = self.redelivered = self.crashes = 0
        self.outcome = Outcome()
        self.dead: list[str] = []

    def delivered(self, messages: int, redelivered: int) -> None:
        """Keep."""
        self.messages += messages
        self.redelivered += redelivered

    def stored(self, outcome: Outcome, _read_at_ms: Sequence[int]) -> None:
        """Keep."""
        self.outcome += outcome

    def dead_lettered(self, reason: str) -> None:
        """Keep."""
        self.dead.append(reason)

    def crashed(self) -> None:
        """Count."""
        self.crashes += 1


class Store:
    """Stores slices; fails, quarantines and stops as it is told."""

    def __init__(self, stop: Event, *, away: bool = False, bad: Sequence[Slice] = ()) -> None:
        self.stored: list[Slice] = []
        self._stop = stop
        self._away = away
        self._bad = bad

    def store(self, slices: list[Slice], _since: float) -> Outcome:
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
    broker, stop, observer = filled(slice_of(1), slice_of(2)), Event(), Observer()
    store = Store(stop)

    with broker.open_queue(LAKE_QUEUE) as queue:
        consume(queue, store.store, observer, stop)

    assert store.stored == [slice_of(1), slice_of(2)]
    assert left(broker) == []
    assert (observer.messages, observer.redelivered) == (2, 0)
    assert observer.outcome.stored == {"table": 2}


def test_nothing_is_acknowledged_when_the_store_is_away() -> None:
    """A batch that could not be stored stays on the queue, and comes again."""
    broker, stop, observer = filled(slice_of(1)), Event(), Observer()
    with broker.open_queue(LAKE_QUEUE) as queue, pytest.raises(Unavailable):
        consume(queue, Store(stop, away=True).store, Observer(), stop)
    stop.clear()
    kept = left(broker)
    with broker.open_queue(LAKE_QUEUE) as queue:
        consume(queue, Store(stop).store, observer, stop)

    assert kept == [b"1"]
    assert observer.redelivered == 1
    assert left(broker) == []


def test_what_can_never_be_stored_is_kept_with_its_reason() -> None:
    """On the dead-letter queue; its neighbours are stored, and all is acknowledged."""
    broker, stop, observer = filled(slice_of(1), slice_of(2)), Event(), Observer()
    broker.put(LAKE_QUEUE, Message({}, b"no slice"))
    store = Store(stop, bad=[slice_of(2)])

    with broker.open_queue(LAKE_QUEUE) as queue:
        consume(queue, store.store, observer, stop)

    assert store.stored == [slice_of(1)]
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

    def store(numbers: Sequence[int]) -> Outcome:
        if bad & set(numbers):
            raise RowRefused
        added.extend(numbers)
        return Outcome(stored=Counter(table=len(numbers)))

    def refuse(_number: int, _reason: str) -> Outcome:
        return Outcome(rejected=Counter(refused=1))

    outcome = store_by_halves(store, list(range(8)), lambda _number: None, refuse)

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

    def serve_until(self, done: Future[T]) -> T:
        """Note, and wait."""
        self._note("store")
        return done.result()

    def dead_letter(self, _message: Message, reason: str) -> None:
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
    one = slice_of(tag)
    message = Message(one.headers(), one.body)
    return Delivery(tag, message, 0, 1, (one,), read_at_ms=one.read_at_ms)


FAULT: Delivery[Slice] = Delivery(9, Message({}, b"hello"), 0, fault="no headers")


def test_all_is_safe_before_the_acknowledgement() -> None:
    """Rows first, then dead letters; the broker forgets the batch at the very end."""
    queue, stop = Steps([delivery(1), delivery(2), FAULT]), Event()
    consume(queue, Store(stop, bad=[slice_of(2)]).store, Observer(), stop)

    assert queue.steps == ["store", "dead-letter not_a_slice", "dead-letter refused", "ack 3"]


@pytest.mark.parametrize(
    "step", ["store", "dead-letter not_a_slice", "dead-letter refused", "ack 2"]
)
def test_no_step_that_fails_is_passed_over(step: str) -> None:
    """The batch is not acknowledged."""
    queue, stop = Steps([delivery(2), FAULT], fails_at=step), Event()
    with pytest.raises(Unavailable, match=step):
        consume(queue, Store(stop, bad=[slice_of(2)]).store, Observer(), stop)

    assert "ack 2" not in queue.steps


def test_what_is_committed_is_counted_though_the_acknowledgement_fails() -> None:
    """The broker may have taken it all the same, and then never delivers the batch again."""
    queue, stop, observer = Steps([delivery(1)], fails_at="ack 1"), Event(), Observer()
    with pytest.raises(Unavailable, match="ack 1"):
        consume(queue, Store(stop).store, observer, stop)

    assert observer.outcome.stored == {"table": 1}


def test_what_is_not_committed_is_not_counted() -> None:
    """The session with the broker ended while it was stored."""
    queue, stop, observer = Steps([delivery(1)], fails_at="store"), Event(), Observer()
    with pytest.raises(Unavailable, match="store"):
        consume(queue, Store(stop).store, observer, stop)

    assert observer.outcome == Outcome()


def test_a_batch_without_a_slice_does_not_trouble_the_store() -> None:
    """There is nothing to commit."""
    queue, stop = Steps([FAULT]), Event()
    consume(queue, Store(stop).store, Observer(), stop)

    assert queue.steps == ["dead-letter not_a_slice", "ack 1"]


def test_the_machines_fault_comes_out() -> None:
    """Where there is no memory left, no line is to blame."""
    queue, stop = Steps([delivery(1)]), Event()

    def fail(_numbers: Sequence[Slice]) -> Outcome:
        raise MemoryError

    def store(slices: list[Slice], _since: float) -> Outcome:
        return store_by_halves(fail, slices, lambda _one: None, lambda *_: Outcome())

    with pytest.raises(MemoryError):
        consume(queue, store, Observer(), stop)
    with pytest.raises(MemoryError):
        Preparation(lambda one: fail([one])).delivery(1, delivery(1).message, 0)

    assert queue.steps == ["store"]


def test_it_is_said_once_it_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    """A dead letter that is not confirmed is not told as one."""
    for step in ("dead-letter not_a_slice", "dead-letter refused"):
        queue, stop = Steps([delivery(2), FAULT], fails_at=step), Event()
        with pytest.raises(Unavailable):
            consume(queue, Store(stop, bad=[slice_of(2)]).store, Observer(), stop)

    assert [r.message for r in caplog.records] == [
        "Message is no slice of a log, kept on the dead-letter queue"
    ]


class Lines:
    """Stores slices as they were prepared; crashes at some lines."""

    def __init__(self, stop: Event, *crash_at: bytes) -> None:
        self.stored: list[object] = []
        self._stop = stop
        self._crash_at = crash_at

    def store(self, items: Sequence[object], _since: float = 0.0) -> Outcome:
        """Store a batch, the last one of the test."""
        self._stop.set()
        return store_by_halves(self._commit, items, self._halves, self._quarantine)

    def _commit(self, items: Sequence[object]) -> Outcome:
        for item in items:
            if isinstance(item, Slice) and set(item.body.split(b"\n")) & set(self._crash_at):
                raise TypeError(item.body)
        self.stored += items
        return Outcome(stored=Counter(table=len(items)))

    @staticmethod
    def _halves(item: object) -> tuple[object, object] | None:
        return item.halves() if isinstance(item, Slice) and item.lines > 1 else None

    @staticmethod
    def _quarantine(item: object, reason: str) -> Outcome:
        assert isinstance(item, Slice)
        return Outcome(quarantined=[(item, reason)])


def prepare(one: Slice) -> object:
    """Return a slice as it is; crash at a bad line."""
    if b"bad" in one.body:
        raise ZeroDivisionError
    return one


def reject(one: Slice) -> object:
    """Return what is stored in place of a line; crash at the worst."""
    if b"worst" in one.body:
        raise ZeroDivisionError
    return one.position


PREPARATION = Preparation(prepare, reject)


def consumed(
    preparation: Preparation[object], store: Lines, broker: FakeBroker, stop: Event
) -> Observer:
    """Consume until the store stops it; return what was told."""
    observer = Observer()
    with broker.open_queue(LAKE_QUEUE, preparation) as opened:
        consume(opened, store.store, observer, stop)
    return observer


def lines(number: int, *texts: bytes) -> Slice:
    """Return a slice of these lines."""
    return Slice(STREAM, number, b"\n".join(texts), len(texts), 0, read_at_ms=0)


def test_a_line_that_crashes_is_rejected_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Its neighbours are stored, the traceback is told once, and all is acknowledged."""
    stop = Event()
    broker, store = filled(lines(0, b"a", b"bad", b"c", b"bad"), lines(90, b"z")), Lines(stop)
    observer = consumed(PREPARATION, store, broker, stop)

    kept = [one.body if isinstance(one, Slice) else one for one in store.stored]
    assert kept == [b"a", 2, b"c", 8, b"z"]
    assert (observer.crashes, observer.dead, left(broker)) == (1, [], [])
    assert [r.exc_info is not None for r in caplog.records] == [True]


def test_a_line_that_has_no_row_at_all_is_a_dead_letter() -> None:
    """And it alone."""
    stop = Event()
    broker, store = filled(lines(0, b"a", b"the worst bad", b"c")), Lines(stop)
    observer = consumed(PREPARATION, store, broker, stop)

    assert len(store.stored) == 2
    dead = [(m.body, reason) for m, reason in broker.dead_letters(LAKE_QUEUE)]
    assert dead == [(b"the worst bad", "crashed")]
    assert observer.dead == ["crashed"]
    assert left(broker) == []


def test_a_slice_for_whose_lines_there_is_no_row_is_a_dead_letter() -> None:
    """Where a consumer has nothing to store in place of a line."""
    stop = Event()
    broker, store = filled(lines(0, b"a", b"bad"), lines(9, b"z")), Lines(stop)
    consumed(Preparation(prepare), store, broker, stop)

    dead = [(m.body, reason) for m, reason in broker.dead_letters(LAKE_QUEUE)]
    assert dead == [(b"a\nbad", "crashed")]
    assert left(broker) == []


def test_a_message_that_crashes_its_reading_is_a_dead_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As it came."""

    def crash(*_: object) -> Slice:
        raise ZeroDivisionError

    monkeypatch.setattr(consuming, "decode", crash)
    observer = Observer()
    broker, stop = filled(slice_of(1)), Event()
    with broker.open_queue(LAKE_QUEUE) as queue:
        for batch in queue.batches(stop):
            stop.set()
            one_batch = Steps(batch)
            consume(one_batch, Store(stop).store, observer, stop)

    assert one_batch.steps == ["dead-letter crashed", "ack 1"]
    assert (observer.dead, observer.crashes) == (["crashed"], 1)


def test_a_line_that_crashes_its_storing_is_set_aside_alone() -> None:
    """As a row that the database refuses is, for another reason; counted once a slice."""
    stop = Event()
    broker, store = (
        filled(lines(0, b"a", b"odd", b"c", b"odd"), lines(90, b"z")),
        Lines(stop, b"odd"),
    )
    observer = consumed(PREPARATION, store, broker, stop)

    assert [one.body for one in store.stored if isinstance(one, Slice)] == [b"a", b"c", b"z"]
    assert observer.dead == ["crashed", "crashed"]
    assert observer.crashes == 1
    assert left(broker) == []


@pytest.mark.parametrize("step", ["prepare", "store"])
def test_slice_after_slice_that_crashes_ends_the_process(step: str) -> None:
    """What is in hand is not acknowledged: a broken build does not empty a queue."""
    stop, word = Event(), b"bad" if step == "prepare" else b"odd"
    broker = filled(*(lines(10 * n, word, word) for n in range(5 * CRASHES_IN_A_ROW)))
    store = Lines(stop, b"odd")

    with pytest.raises(Broken, match="in a row"):
        consumed(PREPARATION, store, broker, stop)

    assert len(left(broker)) == 5 * CRASHES_IN_A_ROW


@pytest.mark.parametrize("step", ["prepare", "store"])
def test_one_slice_of_bad_lines_is_one_crash(step: str) -> None:
    """However many they are; and a slice that does not crash begins the count anew."""
    stop, word = Event(), b"bad" if step == "prepare" else b"odd"
    slices = [lines(2_000 * n, *([b"good"] if n % 15 == 14 else [word] * 100)) for n in range(40)]
    broker, store = filled(*slices), Lines(stop, b"odd")
    observer = consumed(PREPARATION, store, broker, stop)

    assert observer.crashes == 38
    assert left(broker) == []


def test_outcomes_add_up() -> None:
    """Each count of its own."""
    one, two = ValueError(), TypeError()
    first = Outcome(Counter(a=1), Counter(x=1), 1, 2, [(slice_of(1), "x")], [one])
    second = Outcome(Counter(a=2, b=1), Counter(y=1), 3, 4, [(slice_of(2), "y")], [two])

    assert first + second == Outcome(
        Counter(a=3, b=1),
        Counter(x=1, y=1),
        4,
        6,
        [(slice_of(1), "x"), (slice_of(2), "y")],
        [one, two],
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

    def store(slices: Sequence[Slice]) -> Outcome:
        rows = [row for one in slices for row in one.numbered()]
        if any(line in refused for _, line in rows):
            raise RowRefused
        stored.extend(rows)
        return Outcome(stored=Counter(table=len(rows)))

    outcome = store_by_halves(
        store,
        slices,
        lambda one: one.halves() if one.lines > 1 else None,
        lambda one, reason: Outcome(quarantined=[(one, reason)]),
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

    def store(numbers: Sequence[int]) -> Outcome:
        calls.append(len(numbers))
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        store_by_halves(store, [1, 2, 3], lambda _number: None, lambda *_: Outcome())

    assert calls == [3]


@pytest.mark.parametrize("reason", ["refused", "crashed"])
def test_the_line_that_stands_alone_is_told_with_its_reason(reason: str) -> None:
    """Refused by the database, or crashed at: what is done about it differs."""
    told: list[tuple[str, str]] = []

    def store(items: Sequence[str]) -> Outcome:
        if "bad" in items:
            raise RowRefused if reason == "refused" else ZeroDivisionError
        return Outcome(stored=Counter(table=len(items)))

    def quarantine(item: str, why: str) -> Outcome:
        told.append((item, why))
        return Outcome()

    outcome = store_by_halves(store, ["a", "bad", "b"], lambda _item: None, quarantine)

    assert told == [("bad", reason)]
    assert outcome.stored == {"table": 2}
    assert len(outcome.crashes) == (reason == "crashed")


@pytest.mark.parametrize("arrived", [None, 7.5])
@pytest.mark.parametrize("fate", ["prepared", "no slice", "crashed", "unreadable"])
def test_a_delivery_says_when_it_arrived(
    monkeypatch: pytest.MonkeyPatch, arrived: float | None, fate: str
) -> None:
    """Now, or when whoever takes it says: an outage is waited for from then on."""

    def crash(*_: object) -> Slice:
        raise ZeroDivisionError

    monkeypatch.setattr("datastream.consuming.time.monotonic", lambda: 42.0)
    if fate == "unreadable":
        monkeypatch.setattr("datastream.consuming.decode", crash)
    prepare = crash if fate == "crashed" else lambda one: one
    headers = {} if fate == "no slice" else slice_of(1).headers()
    taken = Preparation(prepare).delivery(3, Message(headers, b"1"), 0, arrived)

    assert (taken.tag, taken.arrived_at) == (3, 42.0 if arrived is None else arrived)
    assert bool(taken.fault) == (fate in ("no slice", "unreadable"))


def test_why_a_message_is_no_slice_is_told() -> None:
    """In the words of what found it."""
    taken = Preparation(lambda one: one).delivery(1, Message({}, b"1"), 0)

    assert taken.fault == "the message has no headers"


class Batches:
    """A queue that holds some batches, and keeps what becomes of them."""

    def __init__(self, *batches: list[Delivery[str]]) -> None:
        self._batches = batches
        self.dead: list[Message] = []

    def batches(self, _stop: Event) -> Iterator[list[Delivery[str]]]:
        """Yield them."""
        yield from self._batches

    def serve_until(self, done: Future[T]) -> T:
        """Wait."""
        return done.result()

    def dead_letter(self, message: Message, _reason: str) -> None:
        """Keep."""
        self.dead.append(message)

    def ack(self, batch: list[Delivery[str]]) -> None:
        """Forget."""


def arrived(at: float, *, read_at_ms: int = 0, fault: str = "") -> Delivery[str]:
    """Return a delivery of one item."""
    items = () if fault else ("item",)
    read = None if fault else read_at_ms
    message = Message({}, b"")
    return Delivery(1, message, 0, 1, items, fault=fault, arrived_at=at, read_at_ms=read)


def test_a_batch_is_as_old_as_its_oldest_message() -> None:
    """By that it is known how long the database may stay away; and its latency by each line's."""
    told: list[float] = []
    read: list[Sequence[int]] = []

    def store(_items: list[str], since: float) -> Outcome:
        told.append(since)
        return Outcome()

    class Times(Observer):
        def stored(self, _outcome: Outcome, read_at_ms: Sequence[int]) -> None:
            read.append(read_at_ms)

    batch = [arrived(5.0, read_at_ms=1), arrived(3.0, read_at_ms=2), arrived(4.0, fault="odd")]
    consume(Batches(batch), store, Times(), Event())

    assert told == [3.0]
    assert read == [[1, 2]]


def test_what_is_kept_is_the_whole_message() -> None:
    """With its headers, so that it can be put back."""
    queue = Batches([arrived(1.0)])
    bad = slice_of(7)
    consume(queue, lambda *_: Outcome(quarantined=[(bad, "refused")]), Observer(), Event())

    assert queue.dead == [Message(bad.headers(), bad.body)]


def crashing(*crashes: int) -> Callable[[list[str], float], Outcome]:
    """Return what stores batches, of which each has so many crashes."""
    left_over = iter(crashes)
    return lambda *_: Outcome(crashes=[ZeroDivisionError()] * next(left_over))


@pytest.mark.parametrize(
    ("crashes", "is_broken"),
    [
        ([CRASHES_IN_A_ROW - 1], False),
        ([CRASHES_IN_A_ROW], True),
        ([CRASHES_IN_A_ROW - 1, 1], True),
        ([CRASHES_IN_A_ROW - 1, 0, 1], False),
        ([1, 0, CRASHES_IN_A_ROW - 1], False),
    ],
    ids=str,
)
def test_so_many_crashes_in_a_row_are_the_program_s(
    caplog: pytest.LogCaptureFixture, crashes: list[int], is_broken: bool
) -> None:
    """A slice that is stored between them begins the count anew."""
    batches = [[arrived(1.0)] * max(1, count) for count in crashes]
    observer = Observer()
    try:
        consume(Batches(*batches), crashing(*crashes), observer, Event())
    except Broken:
        found = True
    else:
        found = False

    assert found == is_broken
    assert observer.crashes == sum(crashes)
    assert {record.getMessage() for record in caplog.records} == {
        "Slice crashed the program when it was stored; the lines that did are set aside"
    }
    assert all(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(
    ("crashed", "is_broken"),
    [
        ([True] * (CRASHES_IN_A_ROW - 1), False),
        ([True] * CRASHES_IN_A_ROW, True),
        ([True, False, *[True] * (CRASHES_IN_A_ROW - 1)], False),
    ],
    ids=["one fewer", "so many", "one between"],
)
def test_so_many_crashes_of_preparing_are_the_program_s_too(
    caplog: pytest.LogCaptureFixture, crashed: list[bool], is_broken: bool
) -> None:
    """Counted by themselves."""
    usual = arrived(1.0)
    one = Delivery(1, usual.message, 0, 1, ("item",), crash=ZeroDivisionError(), arrived_at=1.0)
    batch = [one if each else usual for each in crashed]
    try:
        consume(Batches(batch), lambda *_: Outcome(), Observer(), Event())
    except Broken:
        found = True
    else:
        found = False

    assert found == is_broken
    assert {record.getMessage() for record in caplog.records} == {
        "Slice crashed the program when it was prepared; the lines that did are set aside"
    }
