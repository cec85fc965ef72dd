"""Publishing through outages, and the order of the producer's steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest

from datastream.errors import Unavailable
from datastream.metrics import ProducerMetrics
from datastream.slices import Slice
from datastream.streams import Stream
from producer import pipeline
from producer.__main__ import publish
from producer.checkpoint import Checkpoint
from producer.publishing import REFUSALS, PatientPublisher
from producer.settings import SliceLimits, Source
from producer.state import PREFIX_BYTES, Entry, State
from producer.tailer import Tailer

STREAM = Stream(1, "test", "host", "/var/log/access.log", "combined", 0)


def slice_of(number: int) -> Slice:
    """Return a slice."""
    return Slice(STREAM, number, b"line", 1, 0, read_at_ms=0)


class Broker:
    """Opens sessions, and fails as it is told: a list of reasons, empty for none."""

    def __init__(
        self,
        *failures: str,
        on_publish: Callable[[], None] = lambda: None,
        on_wait: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self.failures = list(failures)
        self.published: list[tuple[str, int]] = []
        self.attempts: list[tuple[str, int]] = []
        self.opened = 0
        self.closed = 0
        self.on_publish = on_publish
        self.on_wait = on_wait

    @contextmanager
    def open(self) -> Iterator[Broker]:
        """Open a session."""
        self.opened += 1
        try:
            yield self
        finally:
            self.closed += 1

    def publish_all(self, unconfirmed: list[tuple[str, Slice]]) -> None:
        """Publish each, or fail: at once, but for a slice that is only refused."""
        failure = None
        for addressed in list(unconfirmed):
            routing_key, one = addressed
            self.on_publish()
            self.attempts.append((routing_key, one.position))
            if self.failures and (reason := self.failures.pop(0)):
                failure = Unavailable("as told", reason)
                if reason not in REFUSALS:
                    break
                continue
            self.published.append((routing_key, one.position))
            unconfirmed.remove(addressed)
        if failure is not None:
            raise failure

    def wait(self, seconds: float) -> None:
        """Let no time pass."""
        self.on_wait(seconds)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back off for next to no time."""
    monkeypatch.setattr("datastream.retry.FIRST_WAIT", 0.0001)
    monkeypatch.setattr("datastream.retry.LONGEST_WAIT", 0.001)


@pytest.mark.parametrize("reason", ["nack", "returned"])
def test_a_refused_slice_is_published_again_on_the_same_session(reason: str) -> None:
    """The broker only says: not now."""
    broker = Broker(reason, reason)
    publisher = PatientPublisher(broker.open, ProducerMetrics(), Event())

    publisher.publish([("lake.test", slice_of(1))])

    assert broker.attempts == [("lake.test", 1)] * 3
    assert broker.published == [("lake.test", 1)]
    assert (broker.opened, broker.closed) == (1, 0)


def test_a_lost_session_is_replaced() -> None:
    """The same slice is published on another one."""
    broker = Broker("connection", "blocked")
    publisher = PatientPublisher(broker.open, ProducerMetrics(), Event())

    publisher.publish([("lake.test", slice_of(1))])
    publisher.close()

    assert broker.published == [("lake.test", 1)]
    assert (broker.opened, broker.closed) == (3, 3)


def test_a_stop_ends_the_waiting_for_the_broker() -> None:
    """Then the slice is not confirmed, and says so by an exception."""
    stop = Event()
    broker = Broker(*["connection"] * 1_000, on_publish=stop.set)
    publisher = PatientPublisher(broker.open, ProducerMetrics(), stop)

    with pytest.raises(Unavailable):
        publisher.publish([("lake.test", slice_of(1))])

    assert broker.published == []


def test_a_stop_ends_the_waiting_for_a_queue_that_takes_a_few() -> None:
    """However many are left, and though each attempt gets on."""
    stop = Event()
    broker = Broker("", *["nack"] * 9, "", *["nack"] * 8)
    broker.on_publish = lambda: stop.set() if len(broker.attempts) == 10 else None
    publisher = PatientPublisher(broker.open, ProducerMetrics(), stop)

    with pytest.raises(Unavailable):
        publisher.publish([("lake.test", slice_of(number)) for number in range(10)])

    assert broker.published == [("lake.test", 0), ("lake.test", 1)]
    assert (broker.opened, broker.closed) == (1, 0)


def test_an_account_that_stays_refused_ends_the_waiting_where_that_is_asked_for() -> None:
    """Any other outage is waited for, however long it takes."""
    broker = Broker("connection", "blocked", "refused", "refused")
    publisher = PatientPublisher(broker.open, ProducerMetrics(), Event(), refused_for=0.0)

    with pytest.raises(Unavailable, match="as told") as raised:
        publisher.publish([("lake.test", slice_of(1))])

    assert (raised.value.reason, len(broker.attempts)) == ("refused", 3)


class Slices:
    """Hands out slices, and notes what is confirmed."""

    def __init__(self, *items: Slice | None) -> None:
        self._items = items
        self.confirmed = 0

    def slices(self) -> Iterator[Slice | None]:
        """Yield them."""
        yield from self._items

    def more(self) -> list[Slice]:
        """Return no others."""
        return []

    def prefix_lengths(self) -> dict[int, int]:
        """Return that of the stream."""
        return {STREAM.stream_id: PREFIX_BYTES}

    def confirm(self) -> None:
        """Count."""
        self.confirmed += 1

    def state(self) -> State:
        """Return an entry that shows how many are confirmed."""
        return State([Entry(1, "log", 0, 1, 2, self.confirmed, PREFIX_BYTES, "", "")])


class Saved:
    """A checkpoint that keeps every position it is given."""

    def __init__(self) -> None:
        self.positions: list[int] = []

    def save_if_due(self, state: Callable[[], State]) -> None:
        """Always due."""
        self.save(state())

    def save(self, state: State) -> None:
        """Keep the position."""
        self.positions += [entry.position for entry in state.entries]


def run(slices: Slices, broker: Broker, saved: Saved, stop: Event) -> None:
    """Run the pipeline on these."""
    publisher = PatientPublisher(broker.open, ProducerMetrics(), stop)
    pipeline.run(slices, publisher, saved, lambda _piece: None, stop)


def test_each_slice_goes_out_on_both_keys_and_is_then_remembered() -> None:
    """One after the other; the position follows the confirms."""
    slices, broker, saved = Slices(slice_of(1), None, slice_of(2)), Broker(), Saved()

    run(slices, broker, saved, Event())

    assert broker.published == [
        ("lake.test", 1),
        ("clean.test", 1),
        ("lake.test", 2),
        ("clean.test", 2),
    ]
    assert saved.positions == [0, 1, 1, 2, 2]


def test_only_the_key_that_failed_is_published_again() -> None:
    """What the one queue has is not sent to it twice because the other refuses."""
    broker = Broker("", "nack", "nack")

    run(Slices(slice_of(1)), broker, Saved(), Event())

    assert broker.published == [("lake.test", 1), ("clean.test", 1)]
    assert [key for key, _ in broker.attempts] == ["lake.test", *["clean.test"] * 3]


def test_nothing_is_remembered_before_both_keys_are_confirmed() -> None:
    """Stopped between the two, the slice is read again at the next start."""
    stop = Event()
    broker = Broker("", *["connection"] * 1_000)
    broker.on_publish = lambda: stop.set() if len(broker.attempts) > 3 else None
    slices, saved = Slices(slice_of(1), slice_of(2)), Saved()

    with pytest.raises(Unavailable):
        run(slices, broker, saved, stop)

    assert broker.published == [("lake.test", 1)]
    assert slices.confirmed == 0
    assert saved.positions == [0, 0]


def test_a_stop_ends_before_the_next_slice() -> None:
    """What is in hand is finished, and remembered."""
    stop = Event()
    broker = Broker(on_publish=stop.set)
    saved = Saved()

    run(Slices(slice_of(1), slice_of(2)), broker, saved, stop)

    assert broker.published == [("lake.test", 1), ("clean.test", 1)]
    assert saved.positions[-1] == 1


def test_waiting_keeps_the_session_alive() -> None:
    """The waits between two looks at the logs are the session's; the first one opens it."""
    waits: list[float] = []
    broker = Broker(on_wait=waits.append)
    publisher = PatientPublisher(broker.open, ProducerMetrics(), Event())

    publisher.wait(0.5)
    publisher.wait(0.25)

    assert waits == [0.5, 0.25]
    assert broker.opened == 1


def test_a_session_that_is_lost_while_waiting_is_replaced() -> None:
    """Nothing need be published for that to be noticed."""
    losses = ["connection"]

    def wait(_seconds: float) -> None:
        if losses:
            raise Unavailable("as told", losses.pop())

    broker = Broker(on_wait=wait)
    publisher = PatientPublisher(broker.open, ProducerMetrics(), Event())

    publisher.wait(0.5)

    assert (broker.opened, broker.closed) == (2, 1)


def test_a_refused_slice_waits_on_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the next attempt heartbeats are answered; a session lost meanwhile is replaced."""
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("producer.publishing.time", clock)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds
        if len(broker.attempts) == 2:
            raise Unavailable("as told", "connection")

    broker = Broker("nack", "nack", "nack", on_wait=wait)
    publisher = PatientPublisher(broker.open, ProducerMetrics(), Event())

    publisher.publish([("lake.test", slice_of(1))])

    assert broker.published == [("lake.test", 1)]
    assert (broker.opened, broker.closed) == (2, 1)
    assert len(waits) == 3
    assert max(waits) <= 0.2


def test_a_broker_that_cannot_be_reached_is_tried_until_it_is() -> None:
    """A session that does not even open is like one that is lost."""
    broker = Broker()
    refusals = ["connection", "authentication", "connection"]

    @contextmanager
    def open_session() -> Iterator[Broker]:
        if refusals:
            raise Unavailable("as told", refusals.pop())
        with broker.open() as session:
            yield session

    publisher = PatientPublisher(open_session, ProducerMetrics(), Event())

    publisher.publish([("lake.test", slice_of(1))])
    publisher.close()

    assert broker.attempts == [("lake.test", 1)]
    assert (broker.opened, broker.closed) == (1, 1)


def test_between_two_sessions_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is away is not asked for sessions in a tight loop."""
    now = [100.0]
    monkeypatch.setattr("producer.publishing.time", SimpleNamespace(monotonic=lambda: now[0]))
    opened_at: list[float] = []

    class Stop(Event):
        """Time passes while it is waited for."""

        def wait(self, timeout: float | None = None) -> bool:
            now[0] += timeout or 0.0
            return False

    @contextmanager
    def open_session() -> Iterator[Broker]:
        opened_at.append(now[0])
        if len(opened_at) <= 3:
            raise Unavailable("as told", "connection")
        with Broker().open() as session:
            yield session

    def look() -> None:
        looks.append(now[0])
        assert looks.count(now[0]) < 10, "no time passes"

    looks: list[float] = []
    publisher = PatientPublisher(open_session, ProducerMetrics(), Stop(), look)

    publisher.publish([("lake.test", slice_of(1))])
    publisher.close()

    assert len(opened_at) == 4
    assert opened_at == sorted(set(opened_at))


def test_an_outage_is_told_when_it_begins_and_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not at each attempt."""
    caplog.set_level("INFO")
    broker = Broker("", *["connection"] * 5, "")
    publisher = PatientPublisher(broker.open, ProducerMetrics(), Event())

    publisher.publish([("lake.test", slice_of(1))])
    publisher.publish([("lake.test", slice_of(2))])
    publisher.publish([("lake.test", slice_of(3))])

    assert [record.getMessage() for record in caplog.records] == [
        "Connected to RabbitMQ",
        "RabbitMQ unavailable, nothing is lost, trying again until it is back",
        "Connected to RabbitMQ",
    ]


def test_what_is_no_outage_gets_out() -> None:
    """A mistake of the program is not tried again."""

    def fail() -> None:
        raise RuntimeError("a mistake")

    broker = Broker(on_publish=fail)
    publisher = PatientPublisher(broker.open, ProducerMetrics(), Event())

    with pytest.raises(RuntimeError, match="a mistake"):
        publisher.publish([("lake.test", slice_of(1))])

    assert broker.attempts == []


def test_an_outage_is_used_to_look_around() -> None:
    """Before every new attempt, with a session or without one, and not while all is well."""
    looks: list[int] = []
    broker = Broker("", "nack", "connection")
    publisher = PatientPublisher(
        broker.open, ProducerMetrics(), Event(), lambda: looks.append(len(broker.attempts))
    )
    publisher.publish([("lake.test", slice_of(1))])
    while_well = list(looks)
    publisher.publish([("lake.test", slice_of(2))])

    assert while_well == []
    assert set(looks) == {2, 3}
    assert broker.published == [("lake.test", 1), ("lake.test", 2)]


@pytest.mark.parametrize("confirmed", [0, 1, 2])
def test_a_line_counts_once_both_keys_are_confirmed(tmp_path: Path, confirmed: int) -> None:
    """Neither when it is read, nor when it is on the way to a broker that is lost."""
    (tmp_path / "access.log").write_bytes(b"one\ntwo\n")
    source = Source("test", "combined", SliceLimits(1_000, 65_536, 65_536), once=True)
    counts, stop = ProducerMetrics(), Event()
    broker = Broker(*[""] * confirmed, *["connection"] * 1_000)
    broker.on_publish = lambda: stop.set() if len(broker.attempts) > confirmed else None

    with (
        closing(Checkpoint(tmp_path / "state", "test", counts)) as checkpoint,
        closing(Tailer([str(tmp_path / "access.log")], source, State())) as tailer,
    ):
        is_complete = publish(tailer, broker.open, checkpoint, counts, stop)  # type: ignore[arg-type]

    assert (is_complete, counts.lines) == ((True, 2) if confirmed == 2 else (False, 0))
