"""What `make status` shows, of containers and metrics that are made up."""

from __future__ import annotations

import re
import socket

import pytest
from rich.console import Console
from rich.table import Table

from datastream.config import Environment
from datastream.topology import CLEAN_QUEUE, LAKE_QUEUE, dead_letter_queue
from datastream_operator import screen
from datastream_operator.containers import status
from datastream_operator.screen import QUEUES, Process, Processes, Queue

DEMO = """\
producer c01 Up 2 minutes (healthy)
lake_consumer c02 Up 2 minutes (healthy)
clean_consumer c03 Up 2 minutes (healthy)
clean_consumer c04 Up About a minute (healthy)
clean_consumer c05 Up 2 minutes (healthy)
clean_consumer c06 Up Less than a second (healthy)
rabbitmq c07 Up 2 minutes (healthy)
mysql c08 Up 2 minutes (healthy)
migrate c09 Exited (0) 2 minutes ago
prometheus c10 Up 2 minutes (healthy)
mysqld_exporter c11 Up 2 minutes
grafana c12 Up 5 seconds (health: starting)
nginx c13 Up 2 minutes
traffic c14 Up 2 minutes
"""


def process(
    ready: str = "ready", lines: float = 0, behind: tuple[float, float] = (0, 0)
) -> Process:
    """Return a process that has stored or published so many lines, so many bytes and s behind."""
    names = (screen.PUBLISHED, screen.STORED, screen.BEHIND_BYTES, screen.BEHIND_SECONDS)
    values = (lines, lines, *behind)
    return Process(
        ready, {(name, frozenset()): value for name, value in zip(names, values, strict=True)}
    )


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


def replicas(
    lines: float = 0, last: str = "ready", behind: tuple[float, float] = (0, 0)
) -> dict[str, dict[str, Process]]:
    """Return the processes of the demo, with four clean consumers of which the last says so."""
    return {
        "producer": {"192.0.2.1": process(lines=lines, behind=behind)},
        "lake_consumer": {"192.0.2.2": process(lines=lines)},
        "clean_consumer": {
            f"192.0.2.{number}": process(last if number == 6 else "ready", lines / 4)
            for number in range(3, 7)
        },
    }


def test_the_demo_with_four_replicas_fits_a_terminal() -> None:
    """One row a service, with the sum of its replicas; a migration that succeeded is none."""
    lines = 123_456_789

    text = shown(
        services(DEMO, replicas(lines - 80_000), replicas(lines, behind=(999.9e6, 3_600))),
        screen.queues(status.queues({})),
    )

    assert re.search(
        r"clean_consumer +\N{MULTIPLICATION SIGN}4 ready 4/4 +40,000 +123,456,789", text
    )
    assert re.search(
        r"producer +\N{MULTIPLICATION SIGN}1 ready 1/1 +40,000 .* 999\.9 MB, 3,600 s", text
    )
    assert re.search(r"mysqld_exporter +\N{MULTIPLICATION SIGN}1 running", text)
    assert re.search(r"grafana +starting", text)
    assert re.search(r"nginx +\N{MULTIPLICATION SIGN}1 running", text)
    assert "migrate" not in text
    assert "RabbitMQ is not running" in text
    assert len(text.splitlines()) + len(("title", "four more queues")) + 3 <= 24
    assert "…" not in text


@pytest.mark.parametrize(
    ("lines", "behind", "words"),
    [
        (1_234_567_890, (12.3e9, 86_400), "12.3 GB, 86,400 s"),
        (1_234_567_890_123, (1e15, 31_536_000), "1,000,000.0 GB, 31,536,000 s"),
    ],
)
def test_no_total_and_no_lag_is_cut(lines: int, behind: tuple[float, float], words: str) -> None:
    """Where 80 columns are too few the names are shortened."""
    after = replicas(lines, behind=behind)

    rows = shown(services(DEMO, replicas(lines - 2_000_000), after)).splitlines()

    producer = next(row for row in rows if row.startswith("pro") and words in row)
    assert f" 1,000,000  {lines:,} " in producer
    assert sum(f" {lines:,} " in row for row in rows) == 3


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (9.9, "9.9 s"), (10.2, "10 s"), (1234.4, "1,234 s")]
)
def test_a_lag_has_tenths_where_they_matter(seconds: float, words: str) -> None:
    """Below ten seconds."""
    after = replicas(behind=(1_500, seconds))

    assert f" 1.5 kB, {words}" in shown(services(DEMO, after, after))


def test_a_dead_letter_queue_that_holds_something_is_red() -> None:
    """Others are not: neither one that is empty, nor slices that wait to be stored."""
    found = {name: Queue(3, in_hand=1, bytes=600, consumers=1) for name in QUEUES}
    found[dead_letter_queue(CLEAN_QUEUE)] = Queue(0, in_hand=0, bytes=0, consumers=0)

    table = screen.queues(found)

    red = [name for name, row in zip(found, table.rows, strict=True) if row.style == "red"]
    assert red == [dead_letter_queue(LAKE_QUEUE)]


def test_a_replica_that_differs_is_named_with_what_it_says() -> None:
    """The others need no row of their own."""
    after = replicas(last="waiting for MySQL")

    text = shown(services(DEMO, replicas(), after))

    assert re.search(r"clean_consumer +\N{MULTIPLICATION SIGN}4 ready 3/4", text)
    assert screen.not_ready(after) == ["  192.0.2.6: waiting for MySQL"]


def test_streams_that_do_not_fit_are_named() -> None:
    """The worst first, and of many the number."""
    samples = {
        (screen.MISFIT, frozenset({("path", f"/{n}.log"), ("stream", f"{n}"), ("source", "a")})): n
        for n in (0.2, 1.0, 0.5)
    }

    assert screen.misfits({"clean_consumer": {"192.0.2.6": Process("ready", samples)}}) == [
        "100 % rejected: FORMAT does not fit /1.0.log, stream 1.0",
        "50 % rejected: FORMAT does not fit /0.5.log, stream 0.5",
        "and 1 more whose FORMAT does not fit",
    ]


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
        "lake_consumer c1 Exited (137) 2 minutes ago\n"
        "clean_consumer c2 Restarting (1) 1 second ago\n"
        "migrate c3 Exited (69) 3 seconds ago\n"
        "rabbitmq c4 Exited (0) 2 hours ago\n"
        "mysql c5 Created\n"
        "grafana - Away\n"
        "prometheus c6 Up 2 minutes (Paused)\n"
    )
    unanswered: dict[str, dict[str, Process]] = {name: {} for name in status.PORTS}

    text = shown(services(known, unanswered, unanswered))

    assert re.search(r"producer +away", text)
    assert re.search(r"grafana +away", text)
    assert re.search(r"lake_consumer +exited \(137\)", text)
    assert re.search(r"clean_consumer +restarting", text)
    assert re.search(r"migrate +exited \(69\)", text)
    assert re.search(r"rabbitmq +exited \(0\)", text)
    assert re.search(r"mysql +created", text)
    assert re.search(r"prometheus +Paused", text)


@pytest.mark.parametrize(
    ("known", "last", "away"),
    [
        (DEMO.replace("health: starting", "healthy"), "ready", ""),
        (DEMO, "ready", "grafana"),
        (DEMO, "waiting for MySQL", "clean_consumer, grafana"),
        (DEMO.replace("mysql c08 Up", "mysql c08 Exited (1)"), "ready", "grafana, mysql"),
    ],
)
def test_what_is_not_ready_is_said_with_what_to_do(known: str, last: str, away: str) -> None:
    """And not a word where all is well."""
    advice = status.what_to_do(status.states(status.containers(known), replicas(last=last)))

    assert advice[:1] == ([f"Not ready: {away}"] if away else [])
    assert ("make logs" in " ".join(advice)) == bool(away)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ("grafana - Away\nmysql c1 Exited (1) 2 days ago\n", "make logs SERVICE=mysql says why"),
        ("grafana - Away\n", "make deploy starts what has stopped"),
    ],
)
def test_what_has_no_container_has_no_words_of_its_own(known: str, words: str) -> None:
    """It is red, and the logs that are named are those of another."""
    states = status.states(status.containers(known), {})

    advice = status.what_to_do(states)

    assert states["grafana"].style == "red"
    assert advice[0].startswith("Not ready: grafana")
    assert words in advice[1]
    assert "SERVICE=grafana" not in advice[1]


def test_a_replica_has_the_name_that_docker_gave_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its service and its number, without the project's name; an address where there is no name."""
    names = {
        "192.0.2.1": "shop-clean_consumer-1.shop_default",
        "192.0.2.2": "clean_consumer-2",
    }

    def addresses(service: str, port: int, *_: int) -> list[tuple[int, int, int, str, object]]:
        if service != "clean_consumer":
            raise socket.gaierror(socket.EAI_NONAME, "no such service")
        return [(2, 1, 6, "", (f"192.0.2.{number}", port)) for number in (1, 2, 3)]

    def host(address: str) -> tuple[str, list[str], list[str]]:
        if address not in names:
            raise socket.herror(1, "no such host")
        return names[address], [], [address]

    monkeypatch.setattr("socket.getaddrinfo", addresses)
    monkeypatch.setattr("socket.gethostbyaddr", host)
    monkeypatch.setattr(screen, "readiness", lambda _url: "waiting for mysql")
    monkeypatch.setattr(screen, "samples_at", lambda _url: {})
    monkeypatch.setattr(status, "INTERVAL", 0.0)

    assert status.run(Environment({})) == status.NOT_READY

    shown = capsys.readouterr().out.splitlines()
    assert [line.rstrip() for line in shown if "waiting" in line] == [
        "  192.0.2.3: waiting for mysql",
        "  clean_consumer-1: waiting for mysql",
        "  clean_consumer-2: waiting for mysql",
    ]
