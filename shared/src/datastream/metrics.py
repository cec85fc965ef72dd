"""What each service counts, and the HTTP server that shows it.

Names follow Prometheus's rules: base units, `_total` for counters, labels from bounded sets. The
scrape is served by a thread of its own, so it answers while the service is idle, busy or waiting
for a dependency.
"""

from __future__ import annotations

import logging
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Protocol

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from datastream.config import ConfigError
from datastream.consuming import QUARANTINE_REASONS, Outcome
from datastream.parsing import REJECT_REASONS

logger = logging.getLogger(__name__)

#: Seconds from a line's reading to its row: from a followed line's to an outage's hour.
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
#: Seconds a transaction takes.
STORE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
#: Why an attempt failed, by what was tried: the reasons of datastream.errors.Unavailable.
RETRY_REASONS = {
    "rabbitmq": (
        "connection",
        "protocol",
        "tls",
        "password",
        "refused",
        "channel",
        "locked",
        "cancelled",
        "blocked",
        "nack",
        "returned",
        "held",
    ),
    "management": ("connection", "password", "refused"),
    "mysql": (
        "connection",
        "protocol",
        "tls",
        "password",
        "timeout",
        "lock",
        "statement",
        "sql_mode",
    ),
}
#: The reasons of a dependency that answers and refuses: a retry, and an absence only when it goes
#: on for this many seconds.
REFUSALS = frozenset({"lock", "nack", "returned"})
ABSENT_AFTER = 10.0
#: Seconds without a sign of life from the main loop after which a process is not healthy.
STALLED_AFTER = 120


class ServiceMetrics:
    """What every service shows: what it depends on, whether it works, how often it retried.

    `dependencies` names all that must answer before the service is ready. Raises ConfigError when
    the environment tells the Prometheus client to keep values in a folder that cannot be used.
    """

    def __init__(self, *dependencies: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._alive_at = time.monotonic()
        self._answers = dict.fromkeys(dependencies, False)
        self._up = Gauge(
            "datastream_dependency_up",
            "Whether a dependency answered when last used.",
            ["dependency"],
            registry=self.registry,
        )
        self._retries = Counter(
            "datastream_retries_total",
            "Attempts that failed because a dependency was unavailable, by reason.",
            ["dependency", "reason"],
            registry=self.registry,
        )
        try:
            self._begin(dependencies)
        except OSError as error:
            # The client keeps values in files once this variable is set, also when it is empty.
            raise ConfigError(
                f"PROMETHEUS_MULTIPROC_DIR is set, and {error.filename} cannot be written: "
                f"{error.strerror}; unset it, since each service is one process"
            ) from error

    def _begin(self, dependencies: Sequence[str]) -> None:
        for dependency in dependencies:
            self._up.labels(dependency).set(0)
            # At 0 from the start: the first of them is an increase too.
            for reason in RETRY_REASONS.get(dependency, ()):
                self._retries.labels(dependency, reason)

    def alive(self) -> None:
        """Note that the main loop turns."""
        self._alive_at = time.monotonic()

    def answered(self, dependency: str) -> None:
        """Count a dependency as up."""
        self._show(dependency, is_up=True)

    def failed(self, dependency: str, reason: str, lasted: float = float("inf")) -> None:
        """Count an attempt that failed, `lasted` seconds after the first failure in a row.

        The dependency is then down; after a refusal only where that has lasted.
        """
        self.alive()
        if reason not in REFUSALS or lasted >= ABSENT_AFTER:
            self._show(dependency, is_up=False)
        self._retries.labels(dependency, reason).inc()

    def _show(self, dependency: str, *, is_up: bool) -> None:
        self._answers[dependency] = is_up
        self._up.labels(dependency).set(is_up)

    def readiness(self) -> tuple[int, str]:
        """Return the HTTP status and the words of /readyz: whether the service can work now."""
        missing = [name for name, answers in self._answers.items() if not answers]
        return (503, f"waiting for {', '.join(missing)}") if missing else (200, "ready")

    def liveness(self) -> tuple[int, str]:
        """Return the HTTP status and the words of /healthz: whether the main loop turns."""
        silent = time.monotonic() - self._alive_at
        return (200, "alive") if silent < STALLED_AFTER else (503, f"silent for {silent:.0f} s")


class Tailer(Protocol):
    """What ProducerMetrics.watch() asks how far it is behind the logs it reads."""

    @property
    def behind_bytes(self) -> int:
        """How many bytes are not confirmed."""

    @property
    def behind_seconds(self) -> float:
        """For how long there have been bytes that are not confirmed."""

    @property
    def open_files(self) -> int:
        """How many files are open."""

    @property
    def passed_over(self) -> int:
        """How many logs are not read, because it is not clear how."""


class ProducerMetrics(ServiceMetrics):
    """What the producer counts."""

    def __init__(self) -> None:
        super().__init__("rabbitmq", "log")
        self._line_count = 0
        registry = self.registry
        self._lines = Counter(
            "datastream_lines_published_total",
            "Lines that the broker has confirmed on both queues.",
            registry=registry,
        )
        self._bytes = Counter(
            "datastream_bytes_published_total",
            "Bytes of those lines, newlines not counted.",
            registry=registry,
        )
        self._slices = Counter(
            "datastream_slices_published_total",
            "Slices that the broker has confirmed on both queues.",
            registry=registry,
        )
        self._truncated = Counter(
            "datastream_lines_truncated_total",
            "Lines over the limit, of which only the head was published.",
            registry=registry,
        )
        self._behind_bytes = Gauge(
            "datastream_behind_bytes",
            "Bytes of the logs that are not confirmed yet.",
            registry=registry,
        )
        self._behind_seconds = Gauge(
            "datastream_behind_seconds",
            "For how long the log that waits longest has had bytes that are not confirmed.",
            registry=registry,
        )
        self._open_files = Gauge(
            "datastream_open_files", "Log files open for reading.", registry=registry
        )
        self._passed_over = Gauge(
            "datastream_logs_passed_over",
            "Logs that are not read: their format cannot be told, or two tables match them.",
            registry=registry,
        )
        self._checkpoint_at = Gauge(
            "datastream_checkpoint_timestamp_seconds",
            "When the checkpoint was last written, as a Unix time.",
            registry=registry,
        )
        self._checkpoint_failures = Counter(
            "datastream_checkpoint_failures_total",
            "Attempts to write the checkpoint that failed; publishing goes on.",
            registry=registry,
        )

    def watch(self, tailer: Tailer) -> None:
        """Show at each scrape how far a tailer is behind, even while it waits."""
        self._behind_bytes.set_function(lambda: tailer.behind_bytes)
        self._behind_seconds.set_function(lambda: tailer.behind_seconds)
        self._open_files.set_function(lambda: tailer.open_files)
        self._passed_over.set_function(lambda: tailer.passed_over)

    def tailing(self, *, is_tailing: bool) -> None:
        """Note whether any log can be read."""
        self._show("log", is_up=is_tailing)

    @property
    def lines(self) -> int:
        """How many lines were published."""
        return self._line_count

    def published(self, lines: int, size: int, *, truncated: bool) -> None:
        """Count one slice that is confirmed on both queues."""
        self._line_count += lines
        self._lines.inc(lines)
        self._bytes.inc(size)
        self._slices.inc()
        self._truncated.inc(truncated)

    def checkpointed(self) -> None:
        """Count a checkpoint that is safe on disk."""
        self._checkpoint_at.set_to_current_time()

    def checkpoint_failed(self) -> None:
        """Count a checkpoint that could not be written."""
        self._checkpoint_failures.inc()


class ConsumerMetrics(ServiceMetrics):
    """What both consumers count. `tables` are those that it writes lines to."""

    def __init__(self, *tables: str) -> None:
        super().__init__("rabbitmq", "mysql")
        registry = self.registry
        self._stored = Counter(
            "datastream_lines_stored_total",
            "Lines that are committed as new rows, by table.",
            ["table"],
            registry=registry,
        )
        self._duplicates = Counter(
            "datastream_lines_duplicate_total",
            "Lines delivered again whose rows were there already.",
            registry=registry,
        )
        self._replaced = Counter(
            "datastream_lines_replaced_total",
            "Rows replaced: an unterminated line that was completed, or one parsed anew.",
            registry=registry,
        )
        self._rejected = Counter(
            "datastream_lines_rejected_total",
            "Lines kept in rejected_log instead of parsed, by reason.",
            ["reason"],
            registry=registry,
        )
        self._misfits: Mapping[tuple[str, str, str], float] = {}
        self._rejected_ratio = Gauge(
            "datastream_stream_rejected_ratio",
            "Share of the lines of a stream that were rejected, only while its lines do not fit.",
            ["stream", "source", "path"],
            registry=registry,
        )
        self._dead_letters = Counter(
            "datastream_dead_letters_total",
            "Messages put on the dead-letter queue, by reason.",
            ["reason"],
            registry=registry,
        )
        self._collided = Counter(
            "datastream_key_collisions_total",
            "Texts stored under another key than their hash, which another text has, by table.",
            ["table"],
            registry=registry,
        )
        for table in tables:
            self._stored.labels(table)
        if "rejected_log" in tables:
            for table in ("user_agent", "referrer"):
                self._collided.labels(table)
            for reason in REJECT_REASONS:
                self._rejected.labels(reason)
        for reason in QUARANTINE_REASONS:
            self._dead_letters.labels(reason)
        self._crashed = Counter(
            "datastream_slices_crashed_total",
            "Slices that crashed what prepared or stored them: a bug in our code.",
            registry=registry,
        )
        self._delivered = Counter(
            "datastream_deliveries_total",
            "Messages taken from the queue.",
            registry=registry,
        )
        self._redelivered = Counter(
            "datastream_redeliveries_total",
            "Messages that had been delivered before.",
            registry=registry,
        )
        self.store_seconds = Histogram(
            "datastream_store_seconds",
            "Time to store one batch, attempts that failed included.",
            buckets=STORE_BUCKETS,
            registry=registry,
        )
        self._latency = Histogram(
            "datastream_line_to_row_seconds",
            "Time from a slice's reading to its commit; one observation a slice.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )

    def collided(self, table: str) -> None:
        """Count a text whose key another text has."""
        self._collided.labels(table).inc()

    def delivered(self, messages: int, redelivered: int) -> None:
        """Count messages, and how many of them had been delivered before."""
        self._delivered.inc(messages)
        self._redelivered.inc(redelivered)

    def stored(self, outcome: Outcome, read_at_ms: Sequence[int]) -> None:
        """Count a batch's outcome, and the time from each slice's reading to now."""
        for table, rows in outcome.stored.items():
            self._stored.labels(table).inc(rows)
        for reason, lines in outcome.rejected.items():
            self._rejected.labels(reason).inc(lines)
        self._duplicates.inc(outcome.duplicates)
        self._replaced.inc(outcome.replaced)
        now = time.time()
        for read_at in read_at_ms:
            self._latency.observe(max(0.0, now - read_at / 1000))

    def misfitting(self, shares: Mapping[tuple[str, str, str], float]) -> None:
        """Show the share of rejects by stream, source and path for these, and for no others."""
        for labels, share in shares.items():
            self._rejected_ratio.labels(*labels).set(share)
        for labels in self._misfits.keys() - shares.keys():
            self._rejected_ratio.remove(*labels)
        self._misfits = shares

    def dead_lettered(self, reason: str) -> None:
        """Count a message put on the dead-letter queue."""
        self._dead_letters.labels(reason).inc()

    def crashed(self) -> None:
        """Count a slice that crashed what prepared or stored it."""
        self._crashed.inc()


class DoctorMetrics(ServiceMetrics):
    """What `datastream doctor --watch` shows."""

    def __init__(self) -> None:
        super().__init__("rabbitmq", "management")
        self._checks = Gauge(
            "datastream_check_ok",
            "Whether a check of the broker that could be made found all as it must be.",
            ["check"],
            registry=self.registry,
        )
        self._breaches = Gauge(
            "datastream_policy_breaches",
            "Keys of the policy on a queue or an exchange that undo what it promises.",
            ["resource", "policy"],
            registry=self.registry,
        )

    def examined(self, checks: Mapping[str, bool], breaches: Mapping[tuple[str, str], int]) -> None:
        """Show the checks by name and no others, and the number of breaches by name and policy.

        With no breaches given they are not known, and those shown before stay.
        """
        self.alive()
        self._checks.clear()
        for check, is_ok in checks.items():
            self._checks.labels(check).set(is_ok)
        if breaches:
            self._breaches.clear()
        for (name, policy), count in breaches.items():
            self._breaches.labels(name, policy).set(count)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, host: str, port: int, metrics: ServiceMetrics) -> None:
        self.metrics = metrics
        # The first of a name's addresses, which may be an IPv6 one.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, _, _, _, address = found[0]
        super().__init__((str(address[0]), port), _Handler)

    def handle_error(self, _request: object, _client_address: object) -> None:
        """Ignore a client that hangs up; log anything else: it is a bug in our code."""
        error = sys.exception()
        if not isinstance(error, OSError):
            logger.error("A page could not be made", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    #: Seconds after which a client that says nothing is dropped.
    timeout = 10

    def do_GET(self) -> None:
        """Answer /metrics, /healthz and /readyz."""
        metrics = self.server.metrics
        path = self.path.partition("?")[0]
        content_type = "text/plain; charset=utf-8"
        if path == "/metrics":
            status, body = 200, generate_latest(metrics.registry)
            content_type = CONTENT_TYPE_LATEST
        elif path in ("/healthz", "/readyz"):
            status, words = metrics.liveness() if path == "/healthz" else metrics.readiness()
            body = f"{words}\n".encode()
        else:
            status, body = 404, b"there are /metrics, /healthz and /readyz\n"
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, _format: str, *_args: object) -> None:
        """Log nothing: a scrape every few seconds is no news."""


@contextmanager
def serve(metrics: ServiceMetrics, host: str, port: int) -> Iterator[int]:
    """Serve the metrics while the body runs; yield the port, which matters when `port` is 0.

    Raises ConfigError when the port is not available.
    """
    try:
        server = _Server(host, port, metrics)
    except OSError as error:
        raise ConfigError(
            f"METRICS_HOST is {host} and METRICS_PORT is {port}; "
            f"the metrics cannot be served there: {error.strerror}"
        ) from error
    bound = int(server.server_address[1])
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    name = f"[{host}]" if ":" in host else host
    logger.info("Serving metrics", extra={"url": f"http://{name}:{bound}/metrics"})
    try:
        yield bound
    finally:
        server.shutdown()
        server.server_close()
