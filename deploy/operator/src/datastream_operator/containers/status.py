"""`make status`: rates, lag and queues, from the containers' own metrics."""

from __future__ import annotations

import re
import socket
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from datastream.config import Environment
from datastream_operator import screen
from datastream_operator.screen import QUEUES, TIMES, Process, Processes, Queue

#: Seconds over which a rate is taken.
INTERVAL = 1.0
#: The exit code where something is not ready.
NOT_READY = 3

PORTS = {"producer": 9101, "lake_consumer": 9102, "clean_consumer": 9103}
QUEUE_METRICS = (
    "http://rabbitmq:15692/metrics/detailed"
    "?family=queue_coarse_metrics&family=queue_consumer_count&family=queue_metrics"
)

RUNNING = "running"
#: Of a service that has no container.
AWAY = "away"

#: Columns; what is shown has less than 24 lines.
WIDTH = 80


#: Docker's words for a container: `Up 2 minutes (healthy)`, `Exited (137) 3 seconds ago`.
_WORDS = re.compile(
    r"(?P<state>\w+)(?: \((?P<code>\d+)\))?[^(]*(?:\((?:health: )?(?P<health>\w+)\))?"
)


@dataclass(frozen=True, slots=True)
class Container:
    """What Docker reports of one container."""

    #: `running`, or what it is instead: exited (137), restarting (1), created; away where there is
    #: none.
    state: str
    health: str

    @property
    def words(self) -> str:
        """Its state in words, and its health where that is told."""
        return self.health or self.state


#: The containers of each service, in the order of their names.
Containers = Mapping[str, list[Container]]


def containers(text: str) -> Containers:
    """Read lines of service, id and Docker's words, as deploy/bin/common.sh asks for them.

    deploy/bin/status adds a line, `SERVICE - Away`, for each service that has no container.
    """
    found: dict[str, list[Container]] = defaultdict(list)
    for line in sorted(text.splitlines()):
        service, _, words = line.split(maxsplit=2)
        found[service].append(_container(words))
    return found


def _container(text: str) -> Container:
    words = _WORDS.match(text)
    if words is None:
        return Container(text, "")
    if words["state"] == "Up":
        return Container(RUNNING, words["health"] or "")
    code = f" ({words['code']})" if words["code"] else ""
    return Container(f"{words['state'].lower()}{code}", "")


def run(env: Environment) -> int:
    """Print rates over INTERVAL seconds, totals, lag, queues and what to do; return the exit code.

    The setting CONTAINERS is what `containers` reads: a container has no engine to ask.
    """
    before = {service: _processes(service) for service in PORTS}
    began = time.monotonic()
    time.sleep(INTERVAL)
    after = {service: _processes(service) for service in PORTS}
    seconds = time.monotonic() - began
    console = Console(width=WIDTH, highlight=False)
    known = containers(env.find("CONTAINERS") or "")
    title = f"Services; lines over {seconds:.0f} s"
    shown = states(known, after)
    console.print(screen.services(shown, before, after, seconds, title))
    for line in screen.not_ready(after, _replica):
        console.print(Text(line, style="yellow"))
    for line in screen.misfits(after):
        console.print(Text(line, style="bold yellow"))
    console.print(screen.queues(queues(known)))
    advice = what_to_do(shown)
    for line in advice:
        console.print(Text(line, style="bold"))
    return NOT_READY if advice else 0


def what_to_do(shown: Mapping[str, Text]) -> list[str]:
    """Return what is not ready and how to go on, in lines; none where all is well."""
    # Only what is well has no colour.
    unready = [name for name, state in shown.items() if state.style]
    if not unready:
        return []
    # Without a container there are no words.
    logs = [name for name in unready if shown[name].plain != AWAY]
    return [
        f"Not ready: {', '.join(unready)}",
        f"  {f'make logs SERVICE={logs[0]} says why; ' if logs else ''}"
        "make deploy starts what has stopped,",
        "  and names what does not come up. docs/runbook.md has each trouble",
    ]


def _processes(service: str) -> dict[str, Process]:
    """Return each process of a service that answers, by its IP address."""
    port = PORTS[service]
    try:
        found = socket.getaddrinfo(service, port, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return {}
    processes = {}
    for address in sorted({str(entry[4][0]) for entry in found}):
        url = f"http://{address}:{port}"
        try:
            processes[address] = Process(screen.readiness(url), screen.samples_at(f"{url}/metrics"))
        except OSError:
            continue
    return processes


def states(known: Containers, processes: Processes) -> dict[str, Text]:
    """Return the state of each service, those that have figures first."""
    found = {name: _readiness(known.get(name, []), its) for name, its in processes.items()}
    for service, its in known.items():
        # The migration job ends when it is done, and is shown only if it failed.
        done = service == "migrate" and all(one.state == "exited (0)" for one in its)
        if service not in found and not done:
            found[service] = _health(its)
    return found


def _readiness(known: list[Container], processes: Mapping[str, Process]) -> Text:
    running = sum(one.state == RUNNING for one in known)
    return screen.ready_of(running, processes) if running else _health(known)


def _health(known: list[Container]) -> Text:
    words = sorted({one.words for one in known})
    if not words:
        return Text(AWAY, style="red")
    if words in (["healthy"], [RUNNING]):
        return Text(f"{TIMES}{len(known)} {words[0]}")
    return Text(", ".join(words), style="red")


def _replica(service: str, address: str) -> str:
    """Return Docker's name for the container at an address: its service and its number."""
    try:
        name = socket.gethostbyaddr(address)[0].partition(".")[0]
    except OSError:
        return address
    return name[max(0, name.rfind(service)) :]


def queues(known: Containers) -> dict[str, Queue] | str:
    """Return what is in each queue, or why it is not known."""
    if not any(one.state == RUNNING for one in known.get("rabbitmq", [])):
        return "RabbitMQ is not running"
    try:
        samples = [screen.samples_at(QUEUE_METRICS)]
    except OSError:
        return "RabbitMQ does not answer"

    def count(queue: str, metric: str) -> int:
        return round(screen.total(samples, f"rabbitmq_detailed_{metric}", queue=queue))

    return {
        queue: Queue(
            slices=count(queue, "queue_messages"),
            in_hand=count(queue, "queue_messages_unacked"),
            bytes=count(queue, "queue_messages_bytes"),
            consumers=count(queue, "queue_consumers"),
        )
        for queue in QUEUES
    }
