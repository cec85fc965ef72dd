"""The services as they run, all at once and one at a time, and what each of their threads takes."""

from __future__ import annotations

import signal
import time

from bench.backlog import store
from bench.corpus import Log
from bench.installation import Running
from bench.parts import Costs
from bench.servers import Servers
from bench.usage import Meter, Reader, of_threads
from deployment import PATIENCE, Deployment, Service

#: Seconds between two looks at how far a service has come.
LOOK_EVERY = 0.2
#: What a service's first thread does, and its others.
THREADS = {True: "the thread that talks to the broker", False: "its other threads"}


def all_at_once(deployment: Deployment, servers: Servers, log: Log) -> Costs:
    """Return what each process takes of a line while a backlog is stored."""
    running = Running(deployment, servers)
    meter = Meter(running.parts | _threads(running))
    store(running, deployment, log)
    costs = meter.cpu_us(log.lines)
    running.stop()
    return costs


def one_at_a_time(deployment: Deployment, servers: Servers, log: Log) -> Costs:
    """Return the same while the others wait: the producer first, then the lake, then clean.

    The consumers are held back by a signal, for less than the two heartbeats that the broker and
    the idle seconds that the database allow for.
    """
    running = Running(deployment, servers)
    meter = Meter(running.parts | _threads(running))
    [clean] = running.clean
    for consumer in (running.lake, clean):
        consumer.process.send_signal(signal.SIGSTOP)
    running.log.hardlink_to(log.path)
    _wait(running.producer, "datastream_lines_published_total", log.lines)
    for consumer in (running.lake, clean):
        consumer.process.send_signal(signal.SIGCONT)
        _wait(consumer, "datastream_lines_stored_total", log.lines)
    costs = meter.cpu_us(log.lines)
    running.stop()
    return costs


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
