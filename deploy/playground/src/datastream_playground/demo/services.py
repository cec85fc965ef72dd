"""The services as processes, with their readiness and metrics."""

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

#: Seconds a service has to get ready, and to stop: on SIGTERM it ends within 8 s by itself, also
#: when a server hangs.
READY_WITHIN = 60.0
STOPS_WITHIN = 12.0

#: Runs a module without a package that an environment for work has and no image: PyMySQL would
#: load its 8 MB.
RUN = """
import runpy, sys
sys.modules["cryptography"] = None
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""

#: The suffixes of samples that only grow while a process lives.
_CUMULATIVE = ("_total", "_bucket", "_count", "_sum")


class ServiceFailed(Exception):
    """A service ended or did not get ready. The text ends with the tail of its log."""


class Service:
    """One service, as a process that may be started again.

    Its counters add up over the processes.
    """

    def __init__(
        self, name: str, module: str, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        #: Its exit code if stop() ended it, else None.
        self.stopped_with: int | None = None
        self._module = module
        self._folder = folder
        port = free_port()
        self._url = f"http://{LOOPBACK}:{port}"
        self._environment = {**environment, "METRICS_PORT": str(port)}
        self._process: Popen[bytes] | None = None
        self._before: Samples = {}
        self._samples: Samples = {}

    # --- the process

    def start(self, arguments: Sequence[str] = ()) -> None:
        """Start the process with these command-line arguments, for the first time or again."""
        self._before = {
            sample: value
            for sample, value in self.samples().items()
            if sample[0].endswith(_CUMULATIVE)
        }
        self._samples = {}
        self._process = processes.spawn(
            [sys.executable, "-c", RUN, self._module, *arguments],
            folder=self._folder,
            environment=self._environment,
            log=self.log,
        )

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        return None if self._process is None else self._process.poll()

    def stop(self) -> None:
        """Stop it: SIGTERM, and SIGKILL after STOPS_WITHIN seconds."""
        if self._process is not None and self._process.poll() is None:
            processes.end(self._process, STOPS_WITHIN)
            self.stopped_with = self._process.returncode

    def wait_ready(self) -> None:
        """Wait until it is ready. Raises ServiceFailed if it ends, or after READY_WITHIN s."""
        deadline = time.monotonic() + READY_WITHIN
        while self.state() != "ready":
            if self.exit_code is not None or time.monotonic() > deadline:
                raise self.failed("did not get ready")
            time.sleep(0.05)

    def failed(self, what: str) -> ServiceFailed:
        """Return the error for what happened, with the tail of its log."""
        code = self.stopped_with if self.exit_code is None else self.exit_code
        ended = f" (exit code {code})" if code is not None else ""
        return ServiceFailed("\n".join([f"{self.name} {what}{ended}.", self.log_tail()]))

    def log_tail(self, lines: int = 15) -> str:
        """Return the path of its log, and the last lines."""
        said = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        tail = [f"  {printable(line)}" for line in said.splitlines()[-lines:]]
        return "\n".join([f"The end of {self.log}:", *(tail or ["  (nothing)"])])

    # --- what it reports

    def state(self) -> str:
        """Return `ready`, what it waits for, or that it does not answer or has ended."""
        if self.exit_code is not None:
            return f"ended (exit code {self.exit_code})"
        try:
            return screen.readiness(self._url)
        except OSError:
            return "does not answer"

    def look(self) -> None:
        """Fetch its metrics; if it does not answer, the last ones are kept."""
        with suppress(OSError):
            self._samples = screen.samples_at(f"{self._url}/metrics")

    def samples(self) -> Samples:
        """Return the metrics of the last look, with the counts of earlier processes added."""
        added = dict(self._samples)
        for sample, value in self._before.items():
            added[sample] = added.get(sample, 0.0) + value
        return added


@contextmanager
def stopped_at_the_end(services: Sequence[Service]) -> Iterator[None]:
    """Stop the services after the block, also on an exception, the last one first.

    Raises ServiceFailed when one stopped with an error.
    """
    with ExitStack() as stack:
        for service in services:
            stack.callback(service.stop)
        yield
    for service in services:
        if service.stopped_with:
            raise service.failed("did not stop cleanly")
