"""How a service starts, keeps its session, tells of itself and ends."""

from __future__ import annotations

import io
import logging
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

import pytest

from datastream import logs, metrics
from datastream.config import ConfigError, Environment
from datastream.errors import Unavailable
from datastream.metrics import ConsumerMetrics, ServiceMetrics
from datastream.service import keep_session, start

MODULES = """
import importlib, pkgutil, socket, warnings
warnings.simplefilter("error")
def refuse(*_arguments, **_more):
    raise AssertionError("a module connects on import")
socket.socket.connect = refuse
for name in ("datastream", "producer", "lake_consumer", "clean_consumer", "datastream_operator"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
"""


def test_every_module_can_be_imported() -> None:
    """None warns, none connects, none has an annotation that does not hold at run time."""
    done = subprocess.run([sys.executable, "-c", MODULES], capture_output=True, check=False)

    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_wrong_settings_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """And exit code 78."""

    def run(_env: Environment) -> int:
        raise ConfigError("SOURCE is not set")

    assert start("producer", run) == 78
    assert capsys.readouterr().err == "producer: SOURCE is not set\n"


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


def test_readiness_names_what_is_waited_for() -> None:
    """All dependencies must have answered when last used."""
    counts = ServiceMetrics("rabbitmq", "mysql")
    states = [counts.readiness()]
    counts.answered("rabbitmq")
    states.append(counts.readiness())
    counts.answered("mysql")
    states.append(counts.readiness())
    counts.failed("rabbitmq", "connection")
    states.append(counts.readiness())

    assert states == [
        (503, "waiting for rabbitmq, mysql"),
        (503, "waiting for mysql"),
        (200, "ready"),
        (503, "waiting for rabbitmq"),
    ]


def test_liveness_ends_when_the_loop_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that has not turned for long is not alive."""
    counts = ServiceMetrics("rabbitmq")
    assert counts.liveness() == (200, "alive")
    monkeypatch.setattr(metrics, "STALLED_AFTER", -1)

    assert counts.liveness()[0] == 503


def test_metrics_are_served() -> None:
    """With the pages beside them; any other page is not found."""
    counts = ConsumerMetrics()
    pages = {}
    with metrics.serve(counts, "127.0.0.1", 0) as port:
        for page in ("/metrics", "/healthz", "/readyz", "/other"):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}") as response:
                    pages[page] = (response.status, response.read().decode())
            except urllib.error.HTTPError as error:
                pages[page] = (error.code, error.read().decode())
        with pytest.raises(Unavailable, match="set METRICS_PORT"):
            metrics.serve(counts, "127.0.0.1", port).__enter__()

    assert pages["/metrics"][0] == 200
    assert 'datastream_dependency_up{dependency="mysql"} 0.0' in pages["/metrics"][1]
    assert pages["/healthz"] == (200, "alive\n")
    assert pages["/readyz"] == (503, "waiting for rabbitmq, mysql\n")
    assert pages["/other"][0] == 404


def test_a_log_line_is_one_line() -> None:
    """A sentence and the facts; what a terminal would obey is quoted."""
    stream = io.StringIO()
    record = logging.LogRecord("x", logging.WARNING, "", 0, "Slice %s", ("lost",), None)
    record.__dict__ |= {"path": "/var/log/a b", "odd": "x\n\x1b[31m", "lines": 3, "took_s": 0.12345}

    line = logs.Formatter("producer").format(record)

    stream.write(line)
    assert line.split(" ", 1)[1] == (
        "WARNING producer: Slice lost (path='/var/log/a b', odd='x\\n\\x1b[31m', lines=3,"
        " took_s=0.123)"
    )


STOPPED = """
import sys, time
from datastream import shutdown
shutdown.GRACE = float(sys.argv[1])
with shutdown.stop_on_signals() as stop:
    print("running", flush=True)
    stop.wait()
    print("stopping", flush=True)
    time.sleep(float(sys.argv[2]))
print("done", flush=True)
"""


def stopped(grace: float, takes: float, signals: int) -> tuple[int, str]:
    """Return exit code and output of a process that is sent so many SIGTERMs."""
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(grace), str(takes)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    output = process.stdout.readline()
    for _ in range(signals):
        process.send_signal(signal.SIGTERM)
        output += process.stdout.readline()
    output += process.communicate(timeout=30)[0]
    return process.returncode, output


def test_the_first_signal_asks() -> None:
    """What is in hand is finished."""
    assert stopped(grace=20, takes=0, signals=1) == (0, "running\nstopping\ndone\n")


def test_the_second_signal_is_not_swallowed() -> None:
    """It ends the process as it would any other."""
    assert stopped(grace=20, takes=20, signals=2) == (-signal.SIGTERM, "running\nstopping\n")


def test_what_hangs_is_left_behind() -> None:
    """After the grace the process leaves with 0: nothing is lost by that."""
    assert stopped(grace=0.1, takes=20, signals=1) == (0, "running\nstopping\n")
