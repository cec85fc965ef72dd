"""The state at a glance: what flows and what waits, from everybody's own metrics."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from datastream import topology
from datastream.config import Environment
from datastream.topology import dead_letter_queue
from datastream_operator.text import size

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


#: What fits beside any other window. All of it is less than a screen of 24 lines.
WIDTH = 80
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True)
class Container:
    """What Docker tells of one container."""

    state: str
    exit_code: int
    health: str

    @property
    def words(self) -> str:
        """Return one or two words for it: running, healthy, restarting, exited (137)."""
        if self.state == "running":
            return self.health or self.state
        return f"{self.state} ({self.exit_code})" if self.state == "exited" else self.state


#: The containers of each service, in the order of their names.
Containers = dict[str, list[Container]]


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


def containers(text: str) -> Containers:
    """Return what `docker compose ps` tells: a line each, service, state, exit code, health."""
    found: Containers = defaultdict(list)
    for line in sorted(text.splitlines()):
        service, state, exit_code, *health = line.split()
        found[service].append(Container(state, int(exit_code), *health or [""]))
    return found


def run(env: Environment) -> None:
    """Look twice, and print what flowed in between and what waits."""
    before = {service: _processes(service) for service in PORTS}
    began = time.monotonic()
    time.sleep(INTERVAL)
    after = {service: _processes(service) for service in PORTS}
    seconds = time.monotonic() - began
    console = Console(width=WIDTH, highlight=False)
    known = containers(env.find("CONTAINERS") or "")
    console.print(services(known, before, after, seconds))
    for line in not_ready(after):
        console.print(f"[yellow]{line}[/]")
    console.print(queues(known))


def services(
    known: Containers,
    before: dict[str, dict[str, Process]],
    after: dict[str, dict[str, Process]],
    seconds: float,
) -> Table:
    """Return a row for each service, its processes taken together."""
    table = Table(
        title=f"Services; lines over {seconds:.0f} s",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for column in ("", ""):
        table.add_column(column, no_wrap=True)
    for column in ("lines/s", "since start", "rejected", "behind"):
        table.add_column(column, justify="right", no_wrap=True)
    for service, processes in after.items():
        table.add_row(
            service,
            _readiness(known.get(service, []), processes),
            *_figures(service, before[service], processes, seconds),
        )
    for service, its in known.items():
        # The migration job ends when it is done; it is of interest when it failed.
        done = service == "migrate" and all(one.words == "exited (0)" for one in its)
        if service not in after and not done:
            table.add_row(service, _health(its))
    return table


def not_ready(processes: dict[str, dict[str, Process]]) -> list[str]:
    """Return a line for each process that is not ready: its name, and what it says."""
    return sorted(
        f"  {_replica(service, address)}: {process.ready}"
        for service, its in processes.items()
        for address, process in its.items()
        if process.ready != "ready"
    )


def _readiness(known: list[Container], processes: dict[str, Process]) -> str:
    running = sum(one.state == "running" for one in known)
    if not running:
        return _health(known)
    ready = sum(process.ready == "ready" for process in processes.values())
    words = f"{TIMES}{running} ready {ready}/{running}"
    return words if ready == running else f"[yellow]{words}[/]"


def _health(known: list[Container]) -> str:
    words = sorted({one.words for one in known})
    if not words:
        return "[red]it is not running[/]"
    if words in (["healthy"], ["running"]):
        return f"{TIMES}{len(known)} {words[0]}"
    return f"[red]{', '.join(words)}[/]"


def _replica(service: str, address: str) -> str:
    """Return what Docker calls the container at an address: its service and its number."""
    try:
        name = socket.gethostbyaddr(address)[0].partition(".")[0]
    except OSError:
        return address
    return name[max(0, name.rfind(service)) :]


def _figures(
    service: str, before: dict[str, Process], after: dict[str, Process], seconds: float
) -> tuple[str, ...]:
    if not after:
        return ()
    counted = PUBLISHED if service == "producer" else STORED
    now = {address: _total([process.samples], counted) for address, process in after.items()}
    # A process that has just come is counted from the next look on.
    new = sum(
        max(0.0, count - _total([before[address].samples], counted))
        for address, count in now.items()
        if address in before
    )
    samples = [process.samples for process in after.values()]
    return (
        f"{new / seconds:,.0f}",
        f"{sum(now.values()):,.0f}",
        _rejected(service, samples),
        _behind(service, samples),
    )


def _rejected(service: str, samples: list[Samples]) -> str:
    if service != "clean_consumer":
        return ""
    return f"{_total(samples, STORED, table='rejected_log'):,.0f}"


def _behind(service: str, samples: list[Samples]) -> str:
    if service != "producer":
        return ""
    behind = _total(samples, "datastream_behind_bytes")
    waited = _total(samples, "datastream_behind_seconds")
    return f"{size(behind)}, {waited:,.0f} s"


def queues(known: Containers) -> Table:
    """Return a row for each queue, or one that says why there is none."""
    table = Table(title="Queues", title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for column in ("slices", "in hand", "bytes", "consumers"):
        table.add_column(column, justify="right")
    if not any(one.state == "running" for one in known.get("rabbitmq", [])):
        table.add_row("[red]RabbitMQ is not running[/]")
        return table
    try:
        samples = [_samples(QUEUE_METRICS)]
    except OSError:
        table.add_row("[red]RabbitMQ does not answer[/]")
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
            slices, in_hand, bytes_, consumers = values
            table.add_row(
                queue, f"{slices:,.0f}", f"{in_hand:,.0f}", size(bytes_), f"{consumers:,.0f}"
            )
    return table
