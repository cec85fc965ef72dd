"""The services as they run: all at once, one at a time, and with nothing to do."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

from bench.backlog import store
from bench.corpus import Log
from bench.installation import Running
from bench.parts import Costs
from bench.servers import Servers
from bench.usage import Meter, Reader, of_threads
from deployment import PATIENCE, Deployment, Service

#: What a service's first thread does, and its others.
THREADS = {True: "the thread that talks to the broker", False: "its other threads"}
#: Seconds between two looks at how far a service has come.
LOOK_EVERY = 0.2
#: Seconds for which services with nothing to do are measured.
IDLE_SECONDS = 5


@dataclass(frozen=True)
class Together:
    """A backlog with all services at once."""

    lines: int
    seconds: float
    #: By process, and by service and thread.
    cpu_us_per_line: Costs


@dataclass(frozen=True)
class Alone:
    """The same log, one service after the other."""

    cpu_us_per_line: Costs
    #: With nothing to read or to store, milliseconds of CPU time in a second.
    idle_ms_per_s: Costs


def all_at_once(deployment: Deployment, servers: Servers, log: Log) -> Together:
    """Measure a backlog as it is stored."""
    running = Running(deployment, servers)
    meter = Meter(running.parts | _threads(running))
    seconds = store(running, deployment, log)
    found = Together(log.lines, seconds, meter.cpu_us(log.lines))
    running.stop()
    return found


def one_at_a_time(deployment: Deployment, servers: Servers, log: Log) -> Alone:
    """Measure the producer, the lake and the clean consumer, each while the others wait.

    The consumers are held back by a signal: for less than the two heartbeats after which the
    broker would give them up.
    """
    running = Running(deployment, servers)
    [clean] = running.clean
    services = {"producer": running.producer, "lake": running.lake, "clean": clean}
    meters = {name: Meter({name: running.parts[name]}) for name in services}
    costs: Costs = {}
    for consumer in (running.lake, clean):
        consumer.process.send_signal(signal.SIGSTOP)
    running.log.hardlink_to(log.path)
    for name, service in services.items():
        service.process.send_signal(signal.SIGCONT)
        counted = "published" if name == "producer" else "stored"
        _wait(service, f"datastream_lines_{counted}_total", log.lines)
        costs |= meters[name].cpu_us(log.lines)
    meter = Meter({name: running.parts[name] for name in services})
    time.sleep(IDLE_SECONDS)  # nothing is awaited: that nothing happens is what is measured
    idle = {name: us / 1e3 for name, us in meter.cpu_us(IDLE_SECONDS).items()}
    running.stop()
    return Alone(costs, idle)


def _wait(service: Service, metric: str, lines: int) -> None:
    """Return once a service has counted all lines. It is asked seldom: each answer costs it."""
    end = time.monotonic() + PATIENCE
    while service.metric(metric) < lines:
        if time.monotonic() > end:
            raise TimeoutError(f"not done within {PATIENCE:.0f} s:\n{service.text()}")
        time.sleep(LOOK_EVERY)


def _threads(running: Running) -> dict[str, Reader]:
    services = {"producer": running.producer, "lake": running.lake, "clean": running.clean[0]}
    return {
        f"{name}: {words}": of_threads(service.process.pid, first=first)
        for name, service in services.items()
        for first, words in THREADS.items()
    }
