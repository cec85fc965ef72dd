"""How a service starts and keeps its sessions."""

from __future__ import annotations

import logging
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from contract.fake_broker import FakeBroker
from datastream import mysql, rabbitmq, retry, service
from datastream.config import ConfigError, Environment, RabbitSettings, Secret
from datastream.consuming import CRASHES_IN_A_ROW, Delivery, Message, Outcome, Preparation
from datastream.errors import Unavailable, release
from datastream.metrics import ConsumerMetrics, ServiceMetrics
from datastream.rabbitmq import Queue
from datastream.service import keep_session, run_consumer, start
from datastream.slices import Slice
from datastream.streams import Stream
from datastream.topology import LAKE_QUEUE

STREAM = Stream(1, "test", "host", "/var/log/access.log", "combined", 0)


def test_wrong_settings_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """And exit code 78."""

    def run(_env: Environment) -> int:
        raise ConfigError("SOURCE is not set")

    assert start("producer", run) == 78
    assert capsys.readouterr().err == "producer: SOURCE is not set\n"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass between two sessions."""
    monkeypatch.setattr(service, "PAUSE", 0.0)


def test_between_two_sessions_there_is_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ends as soon as it is used must not burn the deliveries of its messages."""
    waited: list[float | None] = []

    class Stop(Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout)
            if len(waited) == 3:
                self.set()
            return self.is_set()

    @contextmanager
    def open_session() -> Iterator[None]:
        yield

    def end(_session: object) -> None:
        raise Unavailable("gone")

    monkeypatch.setattr(service, "PAUSE", 1.5)
    keep_session(open_session, end, ServiceMetrics("rabbitmq"), Stop())

    assert waited == [1.5] * 3


def test_a_session_that_ends_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    """Until the work is done; each end is told with its reason."""
    caplog.set_level(logging.INFO)
    opened: list[int] = []
    counts = ServiceMetrics("rabbitmq")

    @contextmanager
    def open_session() -> Iterator[int]:
        opened.append(len(opened))
        yield opened[-1]

    def use(session: int) -> None:
        if session < 2:
            raise Unavailable("gone", "cancelled")

    keep_session(open_session, use, counts, Event())

    assert opened == [0, 1, 2]
    assert counts.readiness() == (200, "ready")
    assert [r.message for r in caplog.records].count("Connected to RabbitMQ") == 3
    assert sum("opening another" in r.message for r in caplog.records) == 2


def test_no_session_is_opened_after_a_stop() -> None:
    """A service that is asked to stop does not begin anew."""
    stop = Event()

    @contextmanager
    def open_session() -> Iterator[None]:
        stop.set()
        if stop.is_set():
            raise Unavailable("away")
        yield

    keep_session(open_session, lambda _session: None, ServiceMetrics("rabbitmq"), stop)

    assert stop.is_set()


def test_a_service_that_ends_gives_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It runs on the settings of its process, `.env` of the working directory included."""
    (tmp_path / ".env").write_text("SITE_HOSTS=a value\n")
    monkeypatch.chdir(tmp_path)
    seen = []

    def run(env: Environment) -> int:
        seen.append(env.text("SITE_HOSTS"))
        return 3

    assert start("producer", run) == 3
    assert seen == ["a value"]
    assert capsys.readouterr().err == ""


def test_a_dotenv_that_cannot_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a wrong setting like any other."""
    (tmp_path / ".env").write_bytes(b"\xff")
    monkeypatch.chdir(tmp_path)

    assert start("producer", lambda _env: 0) == 78
    assert capsys.readouterr().err.startswith("producer: .env cannot be read: ")


def test_a_session_is_opened_again_until_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt counts, and the dependency is down until one succeeds."""
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.0)
    counts, attempts, states = ServiceMetrics("rabbitmq"), list[int](), list[int]()

    @contextmanager
    def open_session() -> Iterator[None]:
        attempts.append(1)
        if len(attempts) < 4:
            raise Unavailable("away", "refused")
        states.append(counts.readiness()[0])
        yield

    keep_session(open_session, lambda _session: None, counts, Event())

    assert states == [503]
    assert counts.readiness() == (200, "ready")
    labels = {"dependency": "rabbitmq", "reason": "refused"}
    assert counts.registry.get_sample_value("datastream_retries_total", labels) == 3


def test_a_session_that_ends_with_the_stop_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    """It is closed, not replaced, and nobody is warned."""
    caplog.set_level(logging.WARNING)
    stop, closed = Event(), []

    @contextmanager
    def open_session() -> Iterator[None]:
        try:
            yield
        finally:
            closed.append(1)

    def use(_session: None) -> None:
        stop.set()
        raise Unavailable("gone")

    keep_session(open_session, use, ServiceMetrics("rabbitmq"), stop)

    assert closed == [1]
    assert caplog.records == []


def test_a_mistake_ends_the_session_and_the_service() -> None:
    """What is not Unavailable is not waited out."""
    closed = []

    @contextmanager
    def open_session() -> Iterator[None]:
        try:
            yield
        finally:
            closed.append(1)

    def use(_session: None) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        keep_session(open_session, use, ServiceMetrics("rabbitmq"), Event())

    assert closed == [1]


class Store:
    """Is away for so many checks and so many batches, and then stores one and stops."""

    def __init__(self, stop: Event, broker: FakeBroker, away_for: int) -> None:
        self.waiting: list[int] = []
        self.stored: list[bytes] = []
        self._stop = stop
        self._broker = broker
        self._checks_away = self._adds_away = away_for

    def check(self) -> None:
        """Note how many messages wait on the queue meanwhile."""
        self.waiting.append(len(self._broker.contents(LAKE_QUEUE) or ()))
        if len(self.waiting) <= self._checks_away:
            raise Unavailable("away")

    def store(self, items: list[bytes]) -> Outcome:
        """Store, in the end."""
        if self._adds_away:
            self._adds_away -= 1
            raise Unavailable("away")
        self.stored += items
        self._stop.set()
        return Outcome(stored=Counter(raw_log=len(items)))


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> FakeBroker:
    """What a consumer finds in RabbitMQ's place; nothing is waited for."""
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.0)
    fake = FakeBroker()
    monkeypatch.setattr(
        Queue,
        "open",
        lambda _settings, name, preparation, _beat: fake.open_queue(name, preparation),
    )
    return fake


def consumed(broker: FakeBroker, messages: int, away_for: int) -> tuple[Store, ConsumerMetrics]:
    """Return the store that a consumer has put so many messages into, and what it counted."""
    for number in range(messages):
        one = Slice(STREAM, number, b"x", 1, 0, 0)
        broker.put(LAKE_QUEUE, Message(one.headers(), one.body))
    stop, counts = Event(), ConsumerMetrics()
    store = Store(stop, broker, away_for)
    rabbit = RabbitSettings("localhost", 5672, "/", "user", Secret("secret"))
    run_consumer(LAKE_QUEUE, Preparation(lambda one: one.body), store, rabbit, counts, stop)
    return store, counts


def test_an_outage_of_the_database_costs_no_delivery(broker: FakeBroker) -> None:
    """Nothing is taken before it answers; a batch in hand is added again in place."""
    store, counts = consumed(broker, messages=3, away_for=3)

    def count(name: str, **labels: str) -> float | None:
        return counts.registry.get_sample_value(f"datastream_{name}", labels)

    assert store.waiting == [3, 3, 3, 3]
    assert store.stored == [b"x"] * 3
    assert not broker.contents(LAKE_QUEUE)
    assert count("deliveries_total") == 3
    assert count("redeliveries_total") == 0
    assert count("retries_total", dependency="mysql", reason="connection") == 6
    assert count("store_seconds_count") == 1
    assert counts.readiness() == (200, "ready")


def test_messages_go_back_when_the_database_stays_away(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their time is over before the broker's is, which would take them away by itself."""
    patience = iter([1e-9])

    def check(self: Store) -> None:
        kept(self)
        monkeypatch.setattr(service, "PATIENCE", next(patience, 60.0))

    kept = Store.check
    monkeypatch.setattr(Store, "check", check)
    store, counts = consumed(broker, messages=1, away_for=1)

    assert store.stored == [b"x"]
    assert store.waiting == [1, 1, 1]
    assert counts.registry.get_sample_value("datastream_redeliveries_total") == 1


def test_patience_counts_from_the_delivery(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited for the batch before it has that much less; overdue, it is not begun at all."""
    now = [1_000.0]
    began: list[float] = []

    def attempt(self: Store, items: list[bytes]) -> Outcome:
        began.append(now[0])
        now[0] += 60.0
        if len(began) < 3:
            raise Unavailable("away")
        return kept(self, items)

    arrived = iter([1_000.0 - service.PATIENCE, 1_000.0 - service.PATIENCE + 30.0])
    delivery = Preparation.delivery

    def delivered(
        self: Preparation[Any], tag: int, message: Message, returned: int
    ) -> Delivery[Any]:
        return delivery(self, tag, message, returned, next(arrived, now[0]))

    kept = Store.store
    monkeypatch.setattr(Store, "store", attempt)
    monkeypatch.setattr(Preparation, "delivery", delivered)
    monkeypatch.setattr("datastream.service.time", SimpleNamespace(monotonic=lambda: now[0]))
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now[0])
        store, counts = consumed(broker, messages=1, away_for=0)

    assert began[0] == 1_000.0  # of the second delivery: the first was overdue
    assert store.stored == [b"x"]
    assert counts.registry.get_sample_value("datastream_redeliveries_total") == 2


def test_the_last_attempt_ends_within_the_brokers_time() -> None:
    """All of a batch hangs, then its first half is slow, then its second half hangs."""
    attempt = 3 * (mysql.CONNECT_TIMEOUT + mysql.READ_TIMEOUT)
    # After two heartbeats a dead letter is confirmed, or the broker is gone.
    worst = service.PATIENCE + attempt + 2 * rabbitmq.HEARTBEAT

    assert worst < rabbitmq.CONSUMER_TIMEOUT == 30 * 60


def test_a_broken_build_ends_with_its_own_code(
    broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """70, and says why; nothing of what was in hand is acknowledged."""

    def crash(_one: Slice) -> bytes:
        raise ZeroDivisionError

    for number in range(CRASHES_IN_A_ROW):
        one = Slice(STREAM, number, b"x", 1, 0, 0)
        broker.put(LAKE_QUEUE, Message(one.headers(), one.body))

    def run(_env: Environment) -> int:
        rabbit = RabbitSettings("localhost", 5672, "/", "user", Secret("secret"))
        stop, counts = Event(), ConsumerMetrics()
        store = Store(stop, broker, away_for=0)
        run_consumer(LAKE_QUEUE, Preparation(crash), store, rabbit, counts, stop)
        return 0

    assert start("lake_consumer", run) == 70
    assert len(broker.contents(LAKE_QUEUE) or ()) + len(broker.dead_letters(LAKE_QUEUE)) == 20
    assert len(broker.contents(LAKE_QUEUE) or ()) > 0
    assert "in a row crashed" in vars(caplog.records[-1])["error"]


def test_a_batch_that_takes_too_long_is_halved(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, in its place, before all of it is tried again; each item is stored."""
    sizes: list[int] = []

    def attempt(self: Store, items: list[bytes]) -> Outcome:
        sizes.append(len(items))
        if len(items) > 1:
            raise Unavailable("slow", "timeout")
        return kept(self, items)

    kept = Store.store
    monkeypatch.setattr(Store, "store", attempt)
    store, counts = consumed(broker, messages=2, away_for=0)

    assert sizes == [2, 1, 1]
    assert store.stored == [b"x", b"x"]
    assert counts.registry.get_sample_value("datastream_lines_stored_total", {"table": "raw_log"})


def test_an_item_that_takes_too_long_is_tried_again(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing to halve."""
    away = iter([True, True, False])

    def attempt(self: Store, items: list[bytes]) -> Outcome:
        if next(away):
            raise Unavailable("slow", "timeout")
        return kept(self, items)

    kept = Store.store
    monkeypatch.setattr(Store, "store", attempt)
    store, _ = consumed(broker, messages=1, away_for=0)

    assert store.stored == [b"x"]
    assert list(away) == []


class Batch:
    """Something large."""


def test_what_a_session_held_is_let_go_before_the_next() -> None:
    """Not only once the error that ended it is forgotten."""
    held: list[weakref.ref[Batch]] = []
    are_gone: list[bool] = []

    class Stop(Event):
        """Is asked to wait between two sessions, and stops."""

        def wait(self, _timeout: float | None = None) -> bool:
            """Note what is left of the session."""
            are_gone.extend(batch() is None for batch in held)
            self.set()
            return True

    @contextmanager
    def open_session() -> Iterator[object]:
        yield object()

    def use(_session: object) -> None:
        batch = Batch()
        held.append(weakref.ref(batch))
        raise Unavailable("gone")

    keep_session(open_session, use, ServiceMetrics(), Stop())

    assert are_gone == [True]


def test_what_the_frames_of_an_error_hold_is_let_go() -> None:
    """Of every error that led to it, also of one that is raised again as its own cause."""
    held: list[weakref.ref[Batch]] = []
    stored = ValueError("of the driver")

    def fail() -> None:
        batch = Batch()
        held.append(weakref.ref(batch))
        raise stored

    try:
        try:
            try:
                fail()
            except ValueError as error:
                raise Unavailable("gone") from error
        except Unavailable:
            raise stored  # noqa: B904 - as some clients do
    except ValueError as error:
        assert held[0]() is not None
        release(error)

    assert held[0]() is None
