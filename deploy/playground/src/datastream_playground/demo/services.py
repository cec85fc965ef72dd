"""The services as processes, and what they tell over HTTP."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from subprocess import Popen

from datastream_operator import screen
from datastream_operator.screen import Samples
from datastream_operator.text import printable
from datastream_playground.local import processes
from datastream_playground.local.ports import LOOPBACK, free_port

#: Seconds until a service that was started must be ready. One that is asked to stop leaves within
#: 8 seconds by itself, whatever hangs.
READY_WITHIN = 60.0
STOPS_WITHIN = 12.0

#: The endings of samples that only grow while a process lives.
_CUMULATIVE = ("_total", "_bucket", "_count", "_sum")


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
        port = free_port()
        self._url = f"http://{LOOPBACK}:{port}"
        self._environment = {**environment, "METRICS_PORT": str(port)}
        self._process: Popen[bytes] | None = None
        self._before: Samples = {}
        self._samples: Samples = {}

    # The process.

    def start(self, arguments: Sequence[str] = ()) -> None:
        """Start the process, the first or another one."""
        self._before = {
            sample: value
            for sample, value in self.samples().items()
            if sample[0].endswith(_CUMULATIVE)
        }
        self._samples = {}
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
            return screen.readiness(self._url)
        except OSError:
            return "does not answer"

    def look(self) -> None:
        """Ask for its metrics. When it does not answer, those from before are kept."""
        with suppress(OSError):
            self._samples = screen.samples_at(f"{self._url}/metrics")

    def samples(self) -> Samples:
        """Return what it told at the last look; what its earlier processes counted is added."""
        added = dict(self._samples)
        for sample, value in self._before.items():
            added[sample] = added.get(sample, 0.0) + value
        return added


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
