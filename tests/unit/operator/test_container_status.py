"""What `make status` shows, of containers and metrics that are made up."""

from __future__ import annotations

import re

from rich.console import Console
from rich.table import Table

from datastream_operator import screen
from datastream_operator.containers import status
from datastream_operator.screen import Process, Processes, Queue

DEMO = """\
producer running 0 healthy
lake_consumer running 0 healthy
clean_consumer running 0 healthy
clean_consumer running 0 healthy
clean_consumer running 0 healthy
clean_consumer running 0 healthy
rabbitmq running 0 healthy
mysql running 0 healthy
migrate exited 0
prometheus running 0 healthy
mysqld_exporter running 0
grafana running 0 starting
nginx running 0
traffic running 0
"""


def process(ready: str = "ready", lines: float = 0) -> Process:
    """Return a process that has stored or published so many lines."""
    names = (screen.PUBLISHED, screen.STORED)
    return Process(ready, {(name, frozenset()): lines for name in names})


def shown(*tables: Table) -> str:
    """Return tables as `make status` prints them."""
    console = Console(width=status.WIDTH, highlight=False)
    with console.capture() as captured:
        for table in tables:
            console.print(table)
    return captured.get()


def services(known: str, before: Processes, after: Processes) -> Table:
    """Return the services, two seconds after the first look."""
    states = status.states(status.containers(known), after)
    return screen.services(states, before, after, 2.0, "Services; lines over 2 s")


def replicas(lines: float = 0, last: str = "ready") -> dict[str, dict[str, Process]]:
    """Return the processes of the demo, with four clean consumers of which the last says so."""
    return {
        "producer": {"192.0.2.1": process(lines=lines)},
        "lake_consumer": {"192.0.2.2": process(lines=lines)},
        "clean_consumer": {
            f"192.0.2.{number}": process(last if number == 6 else "ready", lines / 4)
            for number in range(3, 7)
        },
    }


def test_the_demo_with_four_replicas_fits_a_terminal() -> None:
    """One row a service, with the sum of its replicas; a migration that succeeded is none."""
    lines = 1_234_567_890

    text = shown(
        services(DEMO, replicas(lines - 80_000), replicas(lines)),
        screen.queues(status.queues({})),
    )

    assert re.search(r"clean_consumer +\N{MULTIPLICATION SIGN}4 ready 4/4 +40,000 +1,234,", text)
    assert re.search(r"grafana +starting", text)
    assert re.search(r"nginx +\N{MULTIPLICATION SIGN}1 running", text)
    assert "migrate" not in text
    assert "RabbitMQ is not running" in text
    assert len(text.splitlines()) + len(("title", "four more queues")) + 3 <= 24
    assert "…" not in text


def test_a_replica_that_differs_is_named_with_what_it_says() -> None:
    """The others need no row of their own."""
    after = replicas(last="waiting for MySQL")

    text = shown(services(DEMO, replicas(), after))

    assert re.search(r"clean_consumer +\N{MULTIPLICATION SIGN}4 ready 3/4", text)
    assert screen.not_ready(after) == ["  192.0.2.6: waiting for MySQL"]


def test_what_waits_in_the_queues_is_shown() -> None:
    """Slices, those in hand, bytes, consumers."""
    text = shown(
        screen.queues(
            {
                "queue-data-lake": Queue(12_345, in_hand=8, bytes=2_500_000, consumers=1),
                "queue-data-lake-dead": Queue(3, in_hand=0, bytes=600, consumers=0),
            }
        )
    )

    assert re.search(r"queue-data-lake +12,345 +8 +2\.5 MB +1\b", text)
    assert re.search(r"queue-data-lake-dead +3 +0 +600 B +0\b", text)


def test_what_does_not_run_is_said_in_words() -> None:
    """A service without a container, one that ended, one that starts anew, a failed migration."""
    known = (
        "lake_consumer exited 137\nclean_consumer restarting 1\nmigrate exited 69\n"
        "rabbitmq exited 0\n"
    )
    nobody: dict[str, dict[str, Process]] = {name: {} for name in status.PORTS}

    text = shown(services(known, nobody, nobody))

    assert re.search(r"producer +it is not running", text)
    assert re.search(r"lake_consumer +exited \(137\)", text)
    assert re.search(r"clean_consumer +restarting", text)
    assert re.search(r"migrate +exited \(69\)", text)
    assert re.search(r"rabbitmq +exited \(0\)", text)
