"""The services as processes, and what they tell over HTTP."""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

from prometheus_client.parser import text_string_to_metric_families

from datastream_operator.local import processes
from datastream_operator.local.ports import free_port

#: Seconds until a service that was started must be ready, and to stop in order.
READY_WITHIN = 60.0
STOPS_WITHIN = 10.0


class ServiceFailed(Exception):
    """A service ended or did not get ready. The message ends with the tail of its log."""


class Service:
    """One service as a process."""

    def __init__(
        self, name: str, module: str, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._module = module
        self._folder = folder
        self._port = free_port()
        self._environment = {**environment, "METRICS_PORT": str(self._port)}
        self._process: Popen[bytes] | None = None

    def start(self, arguments: Sequence[str] = ()) -> None:
        """Start the process."""
        self._process = processes.spawn(
            [sys.executable, "-m", self._module, *arguments],
            folder=self._folder,
            environment=self._environment,
            log=self.log,
        )

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        return None if self._process is None else self._process.poll()

    def stop(self) -> None:
        """Ask it to stop, and see to it that it does."""
        if self._process is not None:
            processes.end(self._process, STOPS_WITHIN)

    def wait_ready(self) -> None:
        """Return once it consumes or tails. Raises ServiceFailed."""
        deadline = time.monotonic() + READY_WITHIN
        while not self.is_ready:
            if self.exit_code is not None or time.monotonic() > deadline:
                raise self.failed("did not get ready")
            time.sleep(0.05)

    @property
    def is_ready(self) -> bool:
        """Whether it says that it does its work."""
        try:
            self._get("/readyz")
        except OSError:
            return False
        return True

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Return its metrics by name and labels; none when it does not answer."""
        try:
            text = self._get("/metrics")
        except OSError:
            return {}
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def failed(self, what: str) -> ServiceFailed:
        """Return the error that shows the end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        ended = f" (exit code {self.exit_code})" if self.exit_code is not None else ""
        return ServiceFailed(
            "\n".join([f"{self.name} {what}{ended}. Its log, {self.log}:", *lines])
        )

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as response:
            body: bytes = response.read()
            return body.decode()


@contextmanager
def stopped_at_the_end(services: Sequence[Service]) -> Iterator[None]:
    """Stop the services after the block, whatever happens in it; the last one first."""
    try:
        yield
    finally:
        for service in reversed(services):
            service.stop()


def total(services: Sequence[Service], name: str, **labels: str) -> float:
    """Return the sum of a metric over services and over the labels that are not given."""
    return sum(
        value
        for service in services
        for (sample, sample_labels), value in service.samples().items()
        if sample == name and labels.items() <= dict(sample_labels).items()
    )
