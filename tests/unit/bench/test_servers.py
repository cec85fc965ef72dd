"""The life of the servers that are measured."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from bench import servers
from datastream_playground.local.packages import Programs
from datastream_playground.local.servers import Broker
from datastream_playground.local.sizes import LARGE

PROGRAMS = Programs(*[Path("/nowhere")] * 4)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_measurement_and_stops_the_servers(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Otherwise the services of the measurement go on without them, for ever."""
    stopped: list[str] = []
    monkeypatch.setattr(servers, "ensure", lambda: PROGRAMS)
    for kind in (Broker, servers.PrivateDatabase):
        monkeypatch.setattr(kind, "launch", lambda _self: None)
        monkeypatch.setattr(kind, "wait_until_ready", lambda _self: None)
        monkeypatch.setattr(kind, "stop", lambda self: stopped.append(self.name))
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt), servers.running("mariadb", tmp_path):
            os.kill(os.getpid(), number)
    finally:
        signal.signal(number, before)

    assert stopped == ["The database", "RabbitMQ"]


def test_rates_are_measured_on_large_servers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those of a demo would be short of memory before the services are at their limit."""
    monkeypatch.setattr(servers, "ensure", lambda: PROGRAMS)
    for kind in (Broker, servers.PrivateDatabase):
        for name in ("launch", "wait_until_ready", "stop"):
            monkeypatch.setattr(kind, name, lambda _self: None)

    with servers.running("mariadb", tmp_path) as found:
        assert (found.broker.size, found.database.size) == (LARGE, LARGE)
