"""One screen of what runs: the services, from their own metrics, and the queues.

`make status` shows it for containers, the live view of the demo for processes.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families
from rich.table import Table
from rich.text import Text

from datastream.parsing import CONTINUED
from datastream.topology import CLEAN_QUEUE, LAKE_QUEUE, dead_letter_queue
from datastream_operator.text import printable, size

#: The most streams that are named whose lines do not fit.
MOST_MISFITS = 2
#: Seconds an answer may take: a service answers from a thread of its own, even when busy.
TIMEOUT = 3.0
TIMES = "\N{MULTIPLICATION SIGN}"
READY = "ready"

PUBLISHED = "datastream_lines_published_total"
STORED = "datastream_lines_stored_total"
DUPLICATE = "datastream_lines_duplicate_total"
REJECTED = "datastream_lines_rejected_total"
MISFIT = "datastream_stream_rejected_ratio"
BEHIND_BYTES = "datastream_behind_bytes"
BEHIND_SECONDS = "datastream_behind_seconds"
QUEUES = tuple(
    queue for name in (LAKE_QUEUE, CLEAN_QUEUE) for queue in (name, dead_letter_queue(name))
)

#: A sample: its name and its labels, and their value.
Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]

# Never through a proxy, even if the environment names one.
_http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Process:
    """What one process of a service reports."""

    #: `ready`, or what it waits for.
    ready: str
    samples: Samples = field(repr=False)


#: The processes of each service, by name.
Processes = Mapping[str, Mapping[str, Process]]


@dataclass(frozen=True, slots=True)
class Queue:
    """What is in a queue: how many slices, and their bytes."""

    slices: int
    #: How many of the slices consumers hold unacknowledged.
    in_hand: int
    bytes: int
    consumers: int


# --- asking


def readiness(url: str) -> str:
    """Return the readiness of the process at a URL: `ready`, or what it waits for.

    Raises OSError when it does not answer.
    """
    try:
        return _get(f"{url}/readyz").strip()
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode(errors="replace").strip()


def samples_at(url: str) -> Samples:
    """Return the metrics at a URL. Raises OSError when it does not answer."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(_get(url))
        for sample in family.samples
    }


def _get(url: str) -> str:
    with _http.open(url, timeout=TIMEOUT) as response:
        body: bytes = response.read()
        return body.decode()


def total(samples: Iterable[Samples], name: str, **labels: str) -> float:
    """Return the sum of a metric over processes and over all labels that are not given."""
    return sum(by_label(samples, name, "", **labels).values())


def by_label(samples: Iterable[Samples], name: str, label: str, **labels: str) -> dict[str, float]:
    """Return the sums of a metric over processes, by the values of one label."""
    sums: dict[str, float] = defaultdict(float)
    for one in samples:
        for (sample, pairs), value in one.items():
            if sample == name and labels.items() <= set(pairs):
                sums[dict(pairs).get(label, "")] += value
    return sums


# --- drawing


def services(
    states: Mapping[str, Text],
    before: Processes,
    after: Processes,
    seconds: float,
    title: str | None = None,
) -> Table:
    """Return a table with a row for each service, over its processes: its state and figures.

    `before` is what the processes reported `seconds` earlier; a process that is new since then has
    no rate yet. Names and states are shortened on a narrow terminal, figures never.
    """
    table = _table(title=title)
    table.add_column()
    table.add_column()
    for column in ("lines/s", "since start", "rejected", "behind"):
        table.add_column(column, justify="right", no_wrap=True)
    for service, state in states.items():
        its = after.get(service, {})
        table.add_row(
            _shrinking(Text(service)),
            _shrinking(state),
            *_figures(service, before.get(service, {}), its, seconds),
        )
    return table


def ready_of(running: int, processes: Mapping[str, Process]) -> Text:
    """Return how many of the running processes of a service are ready."""
    ready = sum(process.ready == READY for process in processes.values())
    return Text(
        f"{TIMES}{running} ready {ready}/{running}", style="" if ready == running else "yellow"
    )


def not_ready(
    processes: Processes, name_of: Callable[[str, str], str] = lambda _service, name: name
) -> list[str]:
    """Return a line for each process that is not ready: its name, and what it waits for.

    `name_of` takes the service and the process's name, and returns the name to show.
    """
    return sorted(
        f"  {name_of(service, name)}: {process.ready}"
        for service, its in processes.items()
        for name, process in its.items()
        if process.ready != READY
    )


def rejected_shares(processes: Processes) -> dict[tuple[str, str], float]:
    """Return path and number of the streams whose lines do not fit, with the share rejected.

    Of several consumers the one that rejects the largest share is told.
    """
    shares: dict[tuple[str, str], float] = defaultdict(float)
    for process in processes.get("clean_consumer", {}).values():
        for (sample, pairs), share in process.samples.items():
            if sample == MISFIT:
                labels = dict(pairs)
                stream = labels["path"], labels["stream"]
                shares[stream] = max(shares[stream], share)
    return shares


def misfits(processes: Processes) -> list[str]:
    """Return a line for each stream whose lines do not fit its format, the worst first."""
    shares = rejected_shares(processes)
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    told = [
        f"{share * 100:.0f} % rejected: FORMAT does not fit {printable(path)}, stream {stream}"
        for (path, stream), share in ordered[:MOST_MISFITS]
    ]
    others = len(ordered) - len(told)
    return [*told, *([f"and {others} more whose FORMAT does not fit"] if others else [])]


def queues(found: Mapping[str, Queue] | str) -> Table:
    """Return a table with a row for each queue, or one row that says why nothing is known.

    A dead-letter queue that is not empty is red.
    """
    table = _table("Queues")
    for column in ("slices", "in hand", "bytes", "consumers"):
        table.add_column(column, justify="right", no_wrap=True)
    if isinstance(found, str):
        table.add_row(Text(found, style="red"))
        return table
    for name, queue in found.items():
        is_dead = queue.slices and name not in (LAKE_QUEUE, CLEAN_QUEUE)
        table.add_row(
            name,
            f"{queue.slices:,}",
            f"{queue.in_hand:,}",
            size(queue.bytes),
            f"{queue.consumers:,}",
            style="red" if is_dead else "",
        )
    return table


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _shrinking(text: Text) -> Text:
    """Return a text that is cut, not wrapped, in a narrow column."""
    one_line = text.copy()
    one_line.no_wrap, one_line.overflow = True, "ellipsis"
    return one_line


def _figures(
    service: str, before: Mapping[str, Process], after: Mapping[str, Process], seconds: float
) -> tuple[str, ...]:
    """Return lines a second, lines since the start, rejects, and how far behind a service is."""
    if not after:
        return ()
    counted = PUBLISHED if service == "producer" else STORED
    samples = [process.samples for process in after.values()]
    new = sum(
        max(0.0, total([process.samples], counted) - total([before[name].samples], counted))
        for name, process in after.items()
        if name in before
    )
    rejected = behind = ""
    if service == "clean_consumer":
        reasons = by_label(samples, REJECTED, "reason")
        reasons.pop(CONTINUED, None)
        rejected = f"{sum(reasons.values()):,.0f}"
    if service == "producer":
        waited = total(samples, BEHIND_SECONDS)
        decimals = 1 if waited < 10 else 0
        behind = f"{size(total(samples, BEHIND_BYTES))}, {waited:,.{decimals}f} s"
    rate = new / seconds if seconds else 0
    return f"{rate:,.0f}", f"{total(samples, counted):,.0f}", rejected, behind
