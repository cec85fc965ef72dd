"""What services count, and the server that shows it."""

from __future__ import annotations

import ast
import http.client
import logging
import re
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from datastream import metrics
from datastream.config import ConfigError
from datastream.consuming import Outcome
from datastream.metrics import (
    RETRY_REASONS,
    ConsumerMetrics,
    DoctorMetrics,
    ProducerMetrics,
    ServiceMetrics,
)
from datastream.parsing import REJECT_REASONS
from deployment import PATIENCE


def sample(counts: ServiceMetrics, name: str, **labels: str) -> float | None:
    """Return the value of a sample, None when there is none."""
    return counts.registry.get_sample_value(name, labels)


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


def test_a_head_is_a_get_without_its_page() -> None:
    """Every page answers it, with the status and the headers that GET has, length included."""
    counts = ServiceMetrics("rabbitmq")
    with metrics.serve(counts, "127.0.0.1", 0) as port:
        for path in ("/metrics", "/healthz", "/readyz", "/nothing"):
            answers = []
            for method in ("GET", "HEAD"):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
                connection.request(method, path)
                response = connection.getresponse()
                page = response.read()
                headers = {k: v for k, v in response.getheaders() if k != "Date"}
                if path == "/metrics":  # the process's own figures move between two looks
                    assert int(headers.pop("Content-Length")) > 0
                answers.append((response.status, headers))
                assert bool(page) is (method == "GET")
                connection.close()
            assert answers[0] == answers[1]


@pytest.mark.parametrize("folder", ["/nonexistent/folder", "/proc"])
def test_a_folder_for_several_processes_that_is_none(folder: str) -> None:
    """A variable of the Prometheus client's that cannot work is said with exit code 78."""
    done = subprocess.run(
        [sys.executable, "-m", "lake_consumer"],
        env={
            "PROMETHEUS_MULTIPROC_DIR": folder,
            "RABBIT_USER": "u",
            "RABBIT_PASSWORD": "p",
            "MYSQL_DATABASE": "d",
            "MYSQL_USER": "u",
            "MYSQL_PASSWORD": "p",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 78
    assert done.stderr.startswith("lake_consumer: PROMETHEUS_MULTIPROC_DIR is set, and")
    assert done.stderr.count("\n") == 1
    assert "unset it" in done.stderr


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
        with pytest.raises(ConfigError, match=rf"METRICS_PORT is {port};.* in use"):
            metrics.serve(counts, "127.0.0.1", port).__enter__()

    assert pages["/metrics"][0] == 200
    assert 'datastream_dependency_up{dependency="mysql"} 0.0' in pages["/metrics"][1]
    assert pages["/healthz"] == (200, "alive\n")
    assert pages["/readyz"] == (503, "waiting for rabbitmq, mysql\n")
    assert pages["/other"][0] == 404


@pytest.mark.parametrize("kind", [ProducerMetrics, ConsumerMetrics])
def test_names_follow_the_rules(kind: Callable[[], ServiceMetrics]) -> None:
    """Counters end in `_total`, nothing else does; times are in seconds, sizes in bytes."""
    families = [one for one in kind().registry.collect() if one.name.startswith("datastream_")]

    assert families
    for family in families:
        assert re.fullmatch("[a-z]+(_[a-z]+)+", family.name)
        assert family.documentation.endswith(".")
        # The client keeps the name of a counter without its ending.
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_info"))
        assert not re.search("_(ms|millis|milliseconds|minutes|kb|mb|size)(_|$)", family.name)
        if family.type == "histogram":
            assert family.name.endswith(("_seconds", "_bytes"))


def test_every_metric_is_the_librarys_or_the_processs() -> None:
    """One prefix for all that is ours."""
    names = {one.name for one in ConsumerMetrics().registry.collect()}

    assert {name.split("_")[0] for name in names} <= {"datastream", "process", "python"}


def test_the_producer_counts_what_is_confirmed() -> None:
    """Lines, bytes and slices, and what was cut."""
    counts = ProducerMetrics()
    counts.published(3, 40, truncated=False)
    counts.published(1, 10, truncated=True)
    counts.checkpoint_failed()
    counts.checkpointed()

    assert counts.lines == 4
    assert sample(counts, "datastream_lines_published_total") == 4
    assert sample(counts, "datastream_bytes_published_total") == 50
    assert sample(counts, "datastream_slices_published_total") == 2
    assert sample(counts, "datastream_lines_truncated_total") == 1
    assert sample(counts, "datastream_checkpoint_failures_total") == 1
    assert sample(counts, "datastream_checkpoint_timestamp_seconds")


def test_a_producer_without_a_log_is_not_ready() -> None:
    """However well the broker answers."""
    counts = ProducerMetrics()
    counts.answered("rabbitmq")
    before = counts.readiness()
    counts.tailing(is_tailing=True)

    assert before == (503, "waiting for log")
    assert counts.readiness() == (200, "ready")


def test_how_far_behind_is_asked_at_each_scrape() -> None:
    """Not when something happens: a producer that waits is behind, and falls back further."""

    class Tailer:
        behind_bytes = 10
        behind_seconds = 1.5
        open_files = 2
        passed_over = 3

    counts, tailer = ProducerMetrics(), Tailer()
    counts.watch(tailer)
    before = sample(counts, "datastream_behind_bytes")
    tailer.behind_bytes = 20

    assert before == 10
    assert sample(counts, "datastream_behind_bytes") == 20
    assert sample(counts, "datastream_behind_seconds") == 1.5
    assert sample(counts, "datastream_open_files") == 2
    assert sample(counts, "datastream_logs_passed_over") == 3


def test_a_consumer_counts_what_a_batch_came_to() -> None:
    """By table and by reason; a clock that went back makes no negative time."""
    counts = ConsumerMetrics()
    counts.delivered(5, redelivered=2)
    counts.dead_lettered("refused")
    counts.stored(
        Outcome(Counter(clean_log=7, rejected_log=2), Counter(request=2), duplicates=3, replaced=1),
        read_at_ms=[0, 2**62],
    )

    assert sample(counts, "datastream_deliveries_total") == 5
    assert sample(counts, "datastream_redeliveries_total") == 2
    assert sample(counts, "datastream_dead_letters_total", reason="refused") == 1
    assert sample(counts, "datastream_lines_stored_total", table="clean_log") == 7
    assert sample(counts, "datastream_lines_stored_total", table="rejected_log") == 2
    assert sample(counts, "datastream_lines_rejected_total", reason="request") == 2
    assert sample(counts, "datastream_lines_duplicate_total") == 3
    assert sample(counts, "datastream_lines_replaced_total") == 1
    assert sample(counts, "datastream_line_to_row_seconds_count") == 2
    assert sample(counts, "datastream_line_to_row_seconds_bucket", le="0.005") == 1


def test_failures_are_counted_by_reason() -> None:
    """And show the dependency as down until it answers."""
    counts = ServiceMetrics("mysql")
    counts.answered("mysql")
    counts.failed("mysql", "connection")
    counts.failed("mysql", "connection")
    down = sample(counts, "datastream_dependency_up", dependency="mysql")
    counts.answered("mysql")

    assert down == 0
    assert sample(counts, "datastream_dependency_up", dependency="mysql") == 1
    labels = {"dependency": "mysql", "reason": "connection"}
    assert sample(counts, "datastream_retries_total", **labels) == 2


@pytest.mark.parametrize("reason", sorted(metrics.REFUSALS))
def test_a_refusal_is_a_retry_until_it_has_lasted(reason: str) -> None:
    """A deadlock turns nobody unready; a queue that stays full does, until it takes a slice."""
    dependency = "mysql" if reason == "lock" else "rabbitmq"
    counts, seen = ServiceMetrics(dependency), list[int]()
    counts.failed(dependency, reason, 0.0)
    seen.append(counts.readiness()[0])
    counts.answered(dependency)
    for lasted in (0.0, metrics.ABSENT_AFTER - 1, metrics.ABSENT_AFTER, 0.0):
        counts.failed(dependency, reason, lasted)
        seen.append(counts.readiness()[0])
    counts.answered(dependency)
    counts.failed(dependency, "connection", 0.0)
    seen.append(counts.readiness()[0])

    assert seen == [503, 200, 200, 503, 503, 503]
    labels = {"dependency": dependency, "reason": reason}
    assert sample(counts, "datastream_retries_total", **labels) == 5


def test_the_first_of_each_reason_is_an_increase() -> None:
    """All of them are there at 0 from the start: a rate needs a value before the first one."""
    counts = ConsumerMetrics("clean_log", "rejected_log")
    rejected = "datastream_lines_rejected_total"

    assert [sample(counts, rejected, reason=reason) for reason in REJECT_REASONS] == [0] * len(
        REJECT_REASONS
    )
    assert sample(ConsumerMetrics("raw_log"), rejected, reason="format") is None
    for dependency, reasons in RETRY_REASONS.items():
        its: ServiceMetrics = DoctorMetrics() if dependency == "management" else counts
        for reason in reasons:
            labels = {"dependency": dependency, "reason": reason}
            assert sample(its, "datastream_retries_total", **labels) == 0


def test_every_reason_for_a_retry_is_known() -> None:
    """Each word that the code gives an Unavailable is among those at 0 from the start."""
    root = Path(__file__).parents[3]
    given = {
        word.value
        for folder in ("shared/src", "services")
        for path in (root / folder).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in ("Unavailable", "_no_session")
        for argument in call.args[1:][-1:]
        for word in ast.walk(argument)
        if isinstance(word, ast.Constant)
    }

    assert given >= {"nack", "lock", "tls"}
    assert given <= {word for reasons in RETRY_REASONS.values() for word in reasons}


def test_waiting_for_a_dependency_is_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service must not be restarted for the outage of another."""
    counts = ServiceMetrics("rabbitmq")
    now = 1000.0 + time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    before = counts.liveness()
    counts.failed("rabbitmq", "connection")
    after = counts.liveness()
    monkeypatch.undo()

    assert before[0] == 503
    assert before[1].startswith("silent for 1")
    assert after == (200, "alive")


def test_a_scrape_is_read_by_the_parser() -> None:
    """A query in the address is no other page."""
    counts = ProducerMetrics()
    with metrics.serve(counts, "127.0.0.1", 0) as port:
        url = f"http://127.0.0.1:{port}/metrics?name[]=up"
        with urllib.request.urlopen(url) as response:
            kind, text = response.headers["Content-Type"], response.read().decode()

    assert kind.startswith("text/plain; version=")
    names = {family.name for family in text_string_to_metric_families(text)}
    assert "datastream_lines_published" in names


def test_metrics_are_served_over_ipv6(caplog: pytest.LogCaptureFixture) -> None:
    """To whoever types the address that is logged."""
    caplog.set_level(logging.INFO)

    with metrics.serve(ServiceMetrics(), "::1", 0) as port:
        url = f"http://[::1]:{port}/metrics"
        with urllib.request.urlopen(url) as response:
            assert response.status == 200

    assert [record.url for record in caplog.records] == [url]  # type: ignore[attr-defined]


def test_the_port_is_free_again_afterwards() -> None:
    """The next service of this machine may have it."""
    with metrics.serve(ServiceMetrics(), "127.0.0.1", 0) as port:
        pass

    with metrics.serve(ServiceMetrics(), "127.0.0.1", port) as again:
        assert again == port


def test_a_host_that_is_none() -> None:
    """It is named as the setting that it is."""
    with pytest.raises(ConfigError, match="METRICS_HOST"):
        metrics.serve(ServiceMetrics(), "no.such.host.invalid", 0).__enter__()


def test_who_hangs_up_is_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    """A scraper that leaves in the middle, or sends rubbish, does not fill the log."""
    with metrics.serve(ConsumerMetrics("raw_log"), "127.0.0.1", 0) as port:
        for request in (b"", b"GET /metrics", b"rubbish\r\n\r\n", b"GET /metrics HTTP/1.1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(request)
                # Closed with a reset, as by a scraper that was killed.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as response:
            assert response.status == 200

    assert capsys.readouterr().err == ""
