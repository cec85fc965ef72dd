"""A service as a process: what it tells, what is remembered of it, how it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from datastream_operator.screen import by_label, total
from datastream_playground.demo.services import Service, ServiceFailed, stopped_at_the_end
from deployment import eventually

#: Serves two counters and a gauge, and ends with END when it is asked to stop.
PRETENDER = """
import os, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status = 503 if self.path == "/readyz" and "NOT_READY" in os.environ else 200
        body = PAGES[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

PAGES = {
    "/readyz": b"waiting for mysql" if "NOT_READY" in os.environ else b"ready",
    "/metrics": b'''# TYPE lines counter
lines_total{table="raw_log",reason="a"} 3.0
lines_total{table="raw_log",reason="b"} 4.0
# TYPE behind gauge
behind 7.0
''',
}
signal.signal(signal.SIGTERM, lambda *_: sys.exit(int(os.environ.get("END", "0"))))
print("I serve", flush=True)
HTTPServer(("127.0.0.1", int(os.environ["METRICS_PORT"])), Handler).serve_forever()
"""


Make = Callable[..., Service]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a service that only pretends, in a folder of the test's own."""
    (tmp_path / "pretender.py").write_text(PRETENDER)

    def service(**environment: str) -> Service:
        path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
        return Service("pretender", "pretender", tmp_path, path | environment)

    return service


def test_what_it_counts_adds_up_over_its_processes(make: Make) -> None:
    """What is known of one that has ended is kept; a gauge is the one that runs now."""
    service = make()
    with stopped_at_the_end([service]):
        service.start()
        service.wait_ready()
        service.look()
        service.look()

        samples = service.samples()
        assert total([samples], "lines_total") == 7
        assert total([samples, samples], "lines_total", reason="a") == 6
        assert by_label([samples], "lines_total", "reason") == {"a": 3, "b": 4}
        assert total([samples], "behind") == 7

        service.stop()
        service.look()

        assert total([service.samples()], "lines_total") == 7

        service.start()

        assert lines_and_behind(service) == (7, 0)

        service.wait_ready()
        service.look()

        assert lines_and_behind(service) == (14, 7)


def lines_and_behind(service: Service) -> tuple[float, float]:
    """Return the counter and the gauge of a service, as of its last look."""
    return total([service.samples()], "lines_total"), total([service.samples()], "behind")


def test_its_state_is_what_it_says(make: Make) -> None:
    """Also when it is not ready, silent or gone."""
    service = make(NOT_READY="1", END="0")

    assert service.state() == "does not answer"

    with stopped_at_the_end([service]):
        service.start()

        def answers() -> None:
            assert service.state() == "waiting for mysql"

        eventually(answers)

    assert service.state() == "ended (exit code 0)"


def test_one_that_ends_at_once_is_told_with_its_log(tmp_path: Path) -> None:
    """The person need not look for it."""
    service = Service("broken", "no_such_module_\x1b", tmp_path, {"PATH": os.environ["PATH"]})
    service.start()

    with pytest.raises(ServiceFailed, match=r"broken did not get ready \(exit code 1\)") as caught:
        service.wait_ready()

    assert "No module named" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_one_that_stops_with_an_error_is_told(make: Make) -> None:
    """But not instead of an error before that."""
    service = make(END="3")
    with (
        pytest.raises(ServiceFailed, match=r"did not stop cleanly \(exit code 3\)"),
        stopped_at_the_end([service]),
    ):
        service.start()
        service.wait_ready()

    with pytest.raises(KeyError), stopped_at_the_end([service]):
        service.start()
        service.wait_ready()
        raise KeyError


def test_all_are_stopped_though_one_cannot_be(make: Make, tmp_path: Path) -> None:
    """An exception in between leaves nothing running."""
    first, last = make(), Service("unused", sys.executable, tmp_path, {})

    class StubbornError(Exception):
        pass

    def fail() -> None:
        raise StubbornError

    last.stop = fail  # type: ignore[method-assign]
    with pytest.raises(StubbornError), stopped_at_the_end([first, last]):
        first.start()
        first.wait_ready()

    assert first.exit_code == 0
