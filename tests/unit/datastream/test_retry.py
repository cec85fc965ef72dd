"""The one retry policy."""

from __future__ import annotations

import logging
import time
from threading import Event

import pytest

from datastream import retry
from datastream.errors import Unavailable
from datastream.retry import retrying


class Dependency:
    """Is away for so many calls, and then answers."""

    def __init__(self, away_for: int) -> None:
        self.away_for = away_for
        self.calls = 0

    def __call__(self) -> str:
        """Answer, or raise Unavailable."""
        self.calls += 1
        if self.calls <= self.away_for:
            raise Unavailable("away", "connection")
        return "answer"


class Waits:
    """Notes each wait and lets no time pass."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        """Note."""
        self.seconds.append(seconds)


def test_it_calls_again_until_there_is_an_answer() -> None:
    """With waits that grow to a bound, each attempt observed."""
    dependency, waits, reasons = Dependency(away_for=12), Waits(), list[str]()

    policy = retrying(
        "X", until=Event(), wait=waits, observe=lambda reason, _: reasons.append(reason)
    )
    answer = policy(dependency)

    assert answer == "answer"
    assert reasons == ["connection"] * 12
    assert waits.seconds[0] <= 2 * retry.FIRST_WAIT + retry.FIRST_WAIT
    assert max(waits.seconds) <= retry.LONGEST_WAIT + retry.FIRST_WAIT
    assert waits.seconds[-1] >= retry.LONGEST_WAIT


def test_other_failures_are_not_its_business() -> None:
    """A mistake is not waited out."""
    calls = []

    def fail() -> None:
        calls.append(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        retrying("X", until=Event())(fail)

    assert len(calls) == 1


def test_a_stop_lets_the_failure_out() -> None:
    """What is under way when the stop is asked for is tried once."""
    stop = Event()
    stop.set()
    dependency = Dependency(away_for=5)

    with pytest.raises(Unavailable):
        retrying("X", until=stop)(dependency)

    assert dependency.calls == 1


def test_it_gives_up_in_the_end() -> None:
    """Where it was given a bound."""
    with pytest.raises(Unavailable):
        retrying("X", until=Event(), give_up_after=0.0)(Dependency(away_for=5))


def test_an_outage_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Not at every attempt; and the next outage is told again by the same policy."""
    caplog.set_level(logging.WARNING)
    policy = retrying("RabbitMQ", until=Event(), wait=Waits())

    policy(Dependency(away_for=20))
    once = len(caplog.records)
    policy(Dependency(away_for=20))

    assert once == 1
    assert len(caplog.records) == 2
    assert "RabbitMQ unavailable, nothing is lost" in caplog.records[0].message


def test_another_reason_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """A server that comes back and refuses the account is news; each reason is told once."""
    caplog.set_level(logging.WARNING)
    reasons = ["connection", "refused", "refused", "connection", "refused"]

    def call() -> None:
        if reasons:
            raise Unavailable("away", reasons.pop(0))

    retrying("RabbitMQ", until=Event(), wait=Waits())(call)

    assert [vars(record)["reason"] for record in caplog.records] == ["connection", "refused"]


def test_another_cause_of_the_same_reason_is_told_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A missing queue after a missing right is news; another size of the same message is none."""
    caplog.set_level(logging.WARNING)
    causes = [
        "403 no right",
        "404 no queue",
        "403 no right",
        "message of 5 bytes",
        "message of 7 bytes",
    ]

    def call() -> None:
        if causes:
            raise Unavailable(causes.pop(0), "channel")

    retrying("RabbitMQ", until=Event(), wait=Waits())(call)

    told = [vars(record)["error"] for record in caplog.records]
    assert told == ["403 no right", "404 no queue", "message of 5 bytes"]


def test_a_connection_that_fails_otherwise_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    """A server that starts refuses, resets and hangs up in turn: that is told once."""
    failures = ["Transport indicated EOF", "Connection refused", "Connection reset by peer"]

    def call() -> None:
        if failures:
            raise Unavailable(failures.pop(0))

    retrying("RabbitMQ", until=Event(), wait=Waits())(call)

    assert len(caplog.records) == 1


def test_an_outage_that_lasts_is_told_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After TELL_EVERY, however many attempts lie between."""
    caplog.set_level(logging.WARNING)
    now = 0.0

    def wait(_seconds: float) -> None:
        nonlocal now
        now += retry.TELL_EVERY / 10

    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now)
        retrying("X", until=Event(), wait=wait)(Dependency(away_for=25))

    assert [vars(record)["attempts"] for record in caplog.records] == [1, 11, 21]
    assert {vars(record)["reason"] for record in caplog.records} == {"connection"}


def test_the_last_failure_comes_out_after_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before it, and not wrapped in another exception."""
    now = 0.0
    attempts: list[Unavailable] = []

    def wait(_seconds: float) -> None:
        nonlocal now
        now += 10.0

    def fail() -> None:
        attempts.append(Unavailable(f"attempt {len(attempts)}"))
        raise attempts[-1]

    with monkeypatch.context() as patch, pytest.raises(Unavailable) as raised:
        patch.setattr(time, "monotonic", lambda: now)
        retrying("X", until=Event(), give_up_after=30.0, wait=wait)(fail)

    assert raised.value is attempts[-1]
    assert len(attempts) == 4


def test_no_attempt_begins_after_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one whose wait began before it."""
    now, began = 0.0, list[float]()

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    def fail() -> None:
        began.append(now)
        raise Unavailable("away")

    with monkeypatch.context() as patch, pytest.raises(Unavailable):
        patch.setattr(time, "monotonic", lambda: now)
        retrying("X", until=Event(), give_up_after=60.0, wait=wait)(fail)

    assert len(began) > 10
    assert max(began) < 60.0


def test_it_says_for_how_long_it_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first failure on, whatever that attempt took; each call begins anew."""
    now = 0.0
    seen: list[float] = []

    def wait(_seconds: float) -> None:
        nonlocal now
        now += 4.0

    def call() -> None:
        nonlocal now
        now += 1.0
        if len(seen) not in (3, 5):
            raise Unavailable("away")

    policy = retrying(
        "X", until=Event(), wait=wait, observe=lambda _reason, lasted: seen.append(lasted)
    )
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now)
        policy(call)
        seen.append(-1.0)
        policy(call)

    assert seen == [0.0, 5.0, 10.0, -1.0, 0.0]


def test_a_stop_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it would have been: the wait is on the event."""
    monkeypatch.setattr(retry, "FIRST_WAIT", 3600.0)
    monkeypatch.setattr(retry, "LONGEST_WAIT", 3600.0)
    stop, dependency = Event(), Dependency(away_for=5)

    with pytest.raises(Unavailable):
        retrying("X", until=stop, observe=lambda *_: stop.set())(dependency)

    assert dependency.calls <= 2


def test_arguments_and_results_pass_through() -> None:
    """The policy is called with the function and what the function is called with."""
    assert retrying("X", until=Event())(divmod, 17, 5) == (3, 2)
