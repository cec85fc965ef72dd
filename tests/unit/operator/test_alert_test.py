"""`make alert-test`, with a Prometheus, Alertmanagers and an address that are made up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from datastream.config import Environment
from datastream_operator.containers import alert_test
from datastream_operator.refused import Refused


class World:
    """What Prometheus knows, what an Alertmanager does with an alert, and what it was sent."""

    def __init__(self) -> None:
        self.known: list[str] = []
        self.requests = self.failed = 0
        #: What its requests and failures grow by with an alert.
        self.makes, self.fails = 1, 0
        self.alerts: list[dict[str, Any]] = []

    def answer(self, path: str) -> bytes:
        """Answer as Prometheus, or as the Alertmanager's metrics."""
        if path == "/api/v1/alertmanagers":
            active = [{"url": url} for url in self.known]
            return json.dumps({"data": {"activeAlertmanagers": active}}).encode()
        labels = '{integration="webhook",receiver_name="webhook"}'
        return (
            f"alertmanager_notification_requests_total{labels} {self.requests}\n"
            f"alertmanager_notification_requests_failed_total{labels} {self.failed}\n"
        ).encode()

    def take(self, body: bytes) -> None:
        """Take alerts as the Alertmanager does."""
        self.alerts += json.loads(body)
        self.requests += self.makes
        self.failed += self.fails


@contextmanager
def served(world: World) -> Iterator[str]:
    """Serve it; give its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(world.answer(self.path))

        def do_POST(self) -> None:
            world.take(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(b"")

        def _send(self, body: bytes) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """One in which Prometheus tells our own Alertmanager; nobody waits long."""
    made = World()
    with served(made) as address:
        monkeypatch.setattr(alert_test, "PROMETHEUS", address)
        monkeypatch.setattr(alert_test, "OWN", address)
        monkeypatch.setattr(alert_test, "PATIENCE", 0.0)
        made.known = [f"{address}/api/v2/alerts"]
        yield made


def test_it_is_said_when_the_address_takes_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The alert is by its name a test, and by its words."""
    alert_test.run(Environment({}))

    assert capsys.readouterr().out == "The address of ALERT_WEBHOOK took it\n"
    (alert,) = world.alerts
    assert alert["labels"]["alertname"] == "DatastreamTest"
    assert alert["annotations"]["summary"] == "This is a test: make alert-test"


@pytest.mark.parametrize(
    ("makes", "fails", "words"),
    [(1, 1, "did not take it"), (0, 0, "has not answered")],
    ids=["refused", "silent"],
)
def test_it_is_said_when_the_address_does_not(
    world: World, makes: int, fails: int, words: str
) -> None:
    """That one is refused, and that none has been answered, are different troubles."""
    world.makes, world.fails = makes, fails

    with pytest.raises(Refused, match=f"ALERT_WEBHOOK {words}"):
        alert_test.run(Environment({}))


def test_an_alertmanager_of_one_s_own_takes_it_and_no_more_is_known(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whom it tells it does not say."""
    monkeypatch.setattr(alert_test, "OWN", "http://alertmanager.invalid")

    alert_test.run(Environment({}))

    assert "took it; whom it tells is its own to know" in capsys.readouterr().out
    assert len(world.alerts) == 1


def test_that_prometheus_tells_nobody_is_said(world: World) -> None:
    """Its list is read some seconds after a deploy; in the end it is empty."""
    world.known = []

    with pytest.raises(Refused, match="knows of no Alertmanager"):
        alert_test.run(Environment({}))


def test_what_does_not_answer_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An Alertmanager, and Prometheus before it."""
    world.known = ["http://127.0.0.1:1/api/v2/alerts"]
    with pytest.raises(Refused, match=r"127\.0\.0\.1:1/api/v2/alerts did not take it"):
        alert_test.run(Environment({}))

    monkeypatch.setattr(alert_test, "PROMETHEUS", "http://127.0.0.1:1")
    with pytest.raises(Refused, match="Prometheus does not answer"):
        alert_test.run(Environment({}))


def test_no_two_tests_are_the_same_alert() -> None:
    """Or Alertmanager would tell the second to nobody."""
    now = datetime(2026, 1, 1, tzinfo=UTC)

    first, second = alert_test.alert(now), alert_test.alert(now + timedelta(microseconds=1))

    assert first["labels"] != second["labels"]
    assert first["endsAt"] > first["startsAt"]
