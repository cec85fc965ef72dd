"""The services as processes, and what they tell over HTTP."""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen

from prometheus_client.parser import text_string_to_metric_families

from datastream_operator.text import printable
from datastream_playground.local import processes
from datastream_playground.local.ports import LOOPBACK, free_port

#: Seconds until a service that was started must be ready. One that is asked to stop leaves within
#: 8 seconds by itself, whatever hangs.
READY_WITHIN = 60.0
STOPS_WITHIN = 12.0
#: Seconds that an answer may take. The services' HTTP servers are threads of their own.
ANSWERS_WITHIN = 2.0

#: The endings of samples that only grow while a process lives.
_CUMULATIVE = ("_total", "_bucket", "_count", "_sum")

#: A sample by its name and its labels.
Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]

# No proxy lies between us and ourselves, whatever the environment says.
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServiceFailed(Exception):
    """A service ended or did not get ready. The message ends with the tail of its log."""


class Service:
    """One service as a process, perhaps one after another.

    What it counts is remembered beyond the end of the process, and adds up.
    """

    def __init__(
        self, name: str, module: str, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        #: The exit code it had when it was asked to stop; None when it was not, or had ended.
        self.stopped_with: int | None = None
        self._module = module
        self._folder = folder
        self._port = free_port()
        self._environment = {**environment, "METRICS_PORT": str(self._port)}
        self._process: Popen[bytes] | None = None
        self._before: Samples = {}
        self._samples: Samples = {}

    # The process.

    def start(self, arguments: Sequence[str] = ()) -> None:
        """Start the process, the first or another one."""
        self._before, self._samples = self.counted(), {}
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
        if self._process is not None and self._process.poll() is None:
            processes.end(self._process, STOPS_WITHIN)
            self.stopped_with = self._process.returncode

    def wait_ready(self) -> None:
        """Return once it consumes or tails. Raises ServiceFailed."""
        deadline = time.monotonic() + READY_WITHIN
        while self.state() != "ready":
            if self.exit_code is not None or time.monotonic() > deadline:
                raise self.failed("did not get ready")
            time.sleep(0.05)

    def failed(self, what: str) -> ServiceFailed:
        """Return the error that shows the end of its log."""
        code = self.stopped_with if self.exit_code is None else self.exit_code
        ended = f" (exit code {code})" if code is not None else ""
        return ServiceFailed("\n".join([f"{self.name} {what}{ended}.", self.log_tail()]))

    def log_tail(self, lines: int = 15) -> str:
        """Return where its log is, and the last lines of it."""
        said = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        tail = [f"  {printable(line)}" for line in said.splitlines()[-lines:]]
        return "\n".join([f"The end of {self.log}:", *(tail or ["  (nothing)"])])

    # What it tells.

    def state(self) -> str:
        """Return `ready`, or what it waits for, or that it says nothing."""
        if self.exit_code is not None:
            return f"ended (exit code {self.exit_code})"
        try:
            return self._get("/readyz").strip()
        except urllib.error.HTTPError as error:
            with error:
                return error.read().decode(errors="replace").strip()
        except OSError:
            return "does not answer"

    def look(self) -> None:
        """Ask for its metrics. When it does not answer, those from before are kept."""
        try:
            text = self._get("/metrics")
        except OSError:
            return
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def counted(self) -> Samples:
        """Return what it had counted at the last look, its earlier processes included."""
        added = dict(self._before)
        for sample, value in self._samples.items():
            if sample[0].endswith(_CUMULATIVE):
                added[sample] = added.get(sample, 0.0) + value
        return added

    def gauge(self, name: str) -> float:
        """Return the value of a gauge without labels at the last look; 0 when there is none."""
        return self._samples.get((name, frozenset()), 0.0)

    def _get(self, path: str) -> str:
        url = f"http://{LOOPBACK}:{self._port}{path}"
        with _http.open(url, timeout=ANSWERS_WITHIN) as response:
            body: bytes = response.read()
            return body.decode()


def total(services: Iterable[Service], name: str, **labels: str) -> int:
    """Return the sum of a counter over services, and over the labels that are not given."""
    return round(sum(by_label(services, name, "", **labels).values()))


def by_label(services: Iterable[Service], name: str, label: str, **labels: str) -> dict[str, int]:
    """Return the sums of a counter over services, by the values of one label."""
    sums: Counter[str] = Counter()
    for service in services:
        for (sample, pairs), value in service.counted().items():
            if sample == name and labels.items() <= dict(pairs).items():
                sums[dict(pairs).get(label, "")] += round(value)
    return dict(sums)


@contextmanager
def stopped_at_the_end(services: Sequence[Service]) -> Iterator[None]:
    """Stop the services after the block, whatever happens in it; the last one first.

    Raises ServiceFailed when one did not stop in order.
    """
    with ExitStack() as stack:
        for service in services:
            stack.callback(service.stop)
        yield
    for service in services:
        if service.stopped_with:
            raise service.failed("did not stop in order")
