"""The state at a glance: what flows and what waits, from everybody's own metrics."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from datastream import topology
from datastream.config import Environment
from datastream.topology import dead_letter_queue

#: Seconds over which a rate is taken.
INTERVAL = 2.0
TIMEOUT = 3.0

PORTS = {"producer": 9101, "lake_consumer": 9102, "clean_consumer": 9103}
QUEUE_METRICS = (
    "http://rabbitmq:15692/metrics/detailed"
    "?family=queue_coarse_metrics&family=queue_consumer_count&family=queue_metrics"
)
PUBLISHED = "datastream_lines_published_total"
STORED = "datastream_lines_stored_total"

#: A sample: its name and its labels, and their value.
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True, slots=True)
class Process:
    """What one process of a service tells."""

    ready: str
    samples: Samples = field(repr=False)


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:  # noqa: S310 - http, ours
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


def _samples(url: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(_get(url))
        for sample in family.samples
    }


def _processes(service: str) -> dict[str, Process]:
    """Return each process of a service that answers, by its address."""
    port = PORTS[service]
    try:
        found = socket.getaddrinfo(service, port, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return {}
    processes = {}
    for address in sorted({str(entry[4][0]) for entry in found}):
        base = f"http://{address}:{port}"
        try:
            processes[address] = Process(
                _get(f"{base}/readyz").strip(), _samples(f"{base}/metrics")
            )
        except OSError:
            continue
    return processes


def _total(samples: Iterable[Samples], name: str, **labels: str) -> float:
    wanted = labels.items()
    return sum(
        value
        for one in samples
        for (sample, its), value in one.items()
        if sample == name and wanted <= set(its)
    )


def run(_env: Environment) -> None:
    """Look twice, and print what flowed in between and what waits."""
    before = {service: _processes(service) for service in PORTS}
    began = time.monotonic()
    time.sleep(INTERVAL)
    after = {service: _processes(service) for service in PORTS}
    seconds = time.monotonic() - began
    console = Console(width=100, highlight=False)
    console.print(_flow(before, after, seconds))
    console.print(_queues())


def _flow(
    before: dict[str, dict[str, Process]], after: dict[str, dict[str, Process]], seconds: float
) -> Table:
    table = Table(title=f"Lines, over {seconds:.0f} s", title_justify="left", box=None)
    for column in ("service", "state"):
        table.add_column(column)
    for column in ("lines/s", "since its start", "rejected", "behind"):
        table.add_column(column, justify="right")
    for service, processes in after.items():
        counted = PUBLISHED if service == "producer" else STORED
        if not processes:
            table.add_row(service, "[red]does not answer[/]")
        for address, process in processes.items():
            now = _total([process.samples], counted)
            earlier = before[service].get(address)
            then = _total([earlier.samples], counted) if earlier else now
            table.add_row(
                service,
                process.ready if process.ready == "ready" else f"[yellow]{process.ready}[/]",
                f"{max(0.0, now - then) / seconds:,.0f}",
                f"{now:,.0f}",
                _rejected(service, process.samples),
                _behind(service, process.samples),
            )
    return table


def _rejected(service: str, samples: Samples) -> str:
    if service != "clean_consumer":
        return ""
    return f"{_total([samples], STORED, table='rejected_log'):,.0f}"


def _behind(service: str, samples: Samples) -> str:
    if service != "producer":
        return ""
    size = _total([samples], "datastream_behind_bytes")
    waited = _total([samples], "datastream_behind_seconds")
    return f"{size:,.0f} bytes, {waited:,.0f} s"


def _queues() -> Table:
    table = Table(title="Queues", title_justify="left", box=None)
    table.add_column("queue")
    for column in ("slices", "of them in hand", "bytes", "consumers"):
        table.add_column(column, justify="right")
    try:
        samples = [_samples(QUEUE_METRICS)]
    except OSError as error:
        table.add_row(f"[red]RabbitMQ does not answer: {error}[/]")
        return table
    for name in (topology.LAKE_QUEUE, topology.CLEAN_QUEUE):
        for queue in (name, dead_letter_queue(name)):
            values = [
                _total(samples, f"rabbitmq_detailed_{metric}", queue=queue)
                for metric in (
                    "queue_messages",
                    "queue_messages_unacked",
                    "queue_messages_bytes",
                    "queue_consumers",
                )
            ]
            table.add_row(queue, *(f"{value:,.0f}" for value in values))
    return table
