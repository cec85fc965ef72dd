"""Random kills of random parts, again and again, in the middle of a log: `make soak`.

Not collected with the other tests: it is as long as one likes. The environment says how long:
SOAK_ROUNDS, SOAK_LINES, SOAK_OUTAGE (in seconds) and SOAK_SEED.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.usage import Meter, of_processes
from datastream.topology import CLEAN_QUEUE, LAKE_QUEUE, MAX_QUEUE_BYTES
from datastream_playground import sample
from deployment import Deployment, Service, eventually
from faults.installation import assert_stored, dead_letters_of, frozen
from faults.proxy import DatabaseProxy, Proxy

ROUNDS = int(os.environ.get("SOAK_ROUNDS", "100"))
LINES = int(os.environ.get("SOAK_LINES", "1000000"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
#: Seconds that an outage lasts, and the lines a second that are written meanwhile: ten times what
#: a busy site writes.
OUTAGE = float(os.environ.get("SOAK_OUTAGE", "300"))
RATE = 2_000
#: Lines of a quiet stretch, in which nothing fails: some seconds' work.
STRETCH = 40_000

MODULES = Deployment.MODULES
CONSUMERS = MODULES[1:]
QUEUES = LAKE_QUEUE, CLEAN_QUEUE
OF = {"broker": "rabbitmq", "database": "mysql"}


class Quiet(NamedTuple):
    """What a quiet stretch came to."""

    #: Out of the queues into the tables of both sides.
    lines_per_second: float
    #: By module; in microseconds.
    cpu_per_line: dict[str, float]
    #: By consumer.
    lines_per_commit: dict[str, float]
    #: How many processes wanted a core, on average over a minute: what is beyond ours is others'.
    load: float

    def __str__(self) -> str:
        cpu = ", ".join(f"{name} {spent:.1f}" for name, spent in self.cpu_per_line.items())
        commits = ", ".join(f"{name} {lines:.0f}" for name, lines in self.lines_per_commit.items())
        return (
            f"{self.lines_per_second:,.0f} lines/s at load {self.load:.1f}; "
            f"CPU µs a line: {cpu}; lines a commit: {commits}"
        )

    def compared_with(self, before: Quiet) -> str:
        """Return how much of each there is now, for one before."""
        rate = self.lines_per_second / before.lines_per_second
        cpu = ", ".join(
            f"{name} {spent / before.cpu_per_line[name]:.2f}"
            for name, spent in self.cpu_per_line.items()
        )
        commits = ", ".join(
            f"{name} {lines / before.lines_per_commit[name]:.2f}"
            for name, lines in self.lines_per_commit.items()
        )
        return f"lines/s {rate:.2f}; CPU a line: {cpu}; lines a commit: {commits}"


class Soak:
    """The parts of an installation, and what can be done to each."""

    def __init__(self, deployment: Deployment, log: Path, say: Callable[[str], None]) -> None:
        self.deployment = deployment
        self.log = log
        self.say = say
        self.random = random.Random(SEED)  # noqa: S311 - no secret: the seed repeats a run
        self.to_broker = Proxy(deployment.broker.host, deployment.broker.port)
        self.to_database = DatabaseProxy(deployment.database.host, deployment.database.port)
        self.services: dict[str, Service] = {}
        #: The most memory that any process of a module had, in bytes.
        self.memory = dict.fromkeys(MODULES, 0)
        #: What was counted by processes that are killed since.
        self.seen_again = 0.0
        for module in MODULES:
            self.start(module)
        for service in self.services.values():
            service.wait_ready()

    def start(self, module: str) -> None:
        """Start a service on both proxies."""
        self.services[module] = self.deployment.start(
            module,
            *([str(self.log)] if module == "producer" else []),
            MAX_SLICE_LINES="200",
            RABBIT_PORT=str(self.to_broker.port),
            MYSQL_PORT=str(self.to_database.port),
        )

    def count(self) -> None:
        """Note what the processes say of themselves before one of them is gone."""
        for module, service in self.services.items():
            status = Path(f"/proc/{service.process.pid}/status").read_text()
            peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
            self.memory[module] = max(self.memory[module], peak)

    def resident(self) -> dict[str, int]:
        """Return the memory of each service, in bytes."""
        sizes = {}
        for module, service in self.services.items():
            status = Path(f"/proc/{service.process.pid}/status").read_text()
            sizes[module] = int(status.split("VmRSS:")[1].split()[0]) * 1024
        return sizes

    def kill_service(self, module: str) -> None:
        """Kill a service and start it again."""
        service = self.services[module]
        if module != "producer":
            self.seen_again += seen_again(service)
        service.kill()
        self.start(module)

    def hang(self) -> None:
        """Stop a service where it is for a moment."""
        service = self.services[self.random.choice(MODULES)]
        with frozen(service.process.pid):
            time.sleep(self.random.random())  # what is done to it, and not a wait for anything

    def restart_broker(self) -> None:
        """Kill the broker and start it again."""
        self.deployment.broker.kill()
        self.deployment.broker.restart()

    def restart_database(self) -> None:
        """Kill the database and start it again."""
        self.deployment.database.kill()
        self.deployment.database.restart()

    def wait_queued(self) -> int:
        """Wait until there are messages in the queues, and return how many."""

        def queued() -> int:
            depths = map(self.deployment.queue_depth, QUEUES)
            messages = sum(depths)
            assert messages > 0
            return messages

        return eventually(queued)

    def round(self, number: int, more: Callable[[], None]) -> None:
        """Let the log grow, and do one thing to one part while there is something on its way."""
        faults: list[tuple[str, Callable[[], None]]] = [
            ("kill the producer", lambda: self.kill_service("producer")),
            ("kill the lake consumer", lambda: self.kill_service("lake_consumer")),
            ("kill the clean consumer", lambda: self.kill_service("clean_consumer")),
            ("kill the broker", self.restart_broker),
            ("kill the database", self.restart_database),
            ("cut all sessions with the broker", self.to_broker.cut),
            ("cut all sessions with the database", self.to_database.cut),
            ("stop a service for a moment", self.hang),
        ]
        for service in self.services.values():
            service.wait_ready()  # back from the round before
        self.count()
        name, fault = self.random.choice(faults)
        with frozen(self.services["lake_consumer"].process.pid):
            more()
            queued = self.wait_queued()
        fault()
        self.say(f"round {number + 1}: {name}, with {queued} messages in the queues")

    def quiet(self, data: bytes) -> Quiet:
        """Let the log grow by some whole lines, twice, and measure how the second are stored.

        The first ones are for what a process does once: reading in a database of countries,
        describing user agents. The consumers find all of them in their queues.
        """
        self._store(data)
        return self._store(data)

    def _store(self, data: bytes) -> Quiet:
        for service in self.services.values():
            service.wait_ready()
        lines = data.count(b"\n")
        producer, *consumers = (self.services[module] for module in MODULES)
        published = producer.metric("datastream_lines_published_total") + lines
        commits = {name: commits_of(self.services[name]) for name in CONSUMERS}
        meter = Meter(
            {
                module: of_processes(partial(list, [service.process.pid]))
                for module, service in self.services.items()
            }
        )

        def all_published() -> None:
            assert producer.metric("datastream_lines_published_total") == published

        with frozen(*(consumer.process.pid for consumer in consumers)):
            with self.log.open("ab") as log:
                start = log.tell()
                log.write(data)
            eventually(all_published)
        begun = time.monotonic()
        last = start + data.rindex(b"\n", 0, -1) + 1
        eventually(partial(self._assert_on_both_sides, last))
        seconds = time.monotonic() - begun
        return Quiet(
            lines / seconds,
            meter.cpu_us(lines),
            {name: lines / (commits_of(self.services[name]) - commits[name]) for name in CONSUMERS},
            os.getloadavg()[0],
        )

    def _assert_on_both_sides(self, offset: int) -> None:
        """Assert that the line at an offset of the log is in raw_log, and parsed or rejected."""
        raw, clean, rejected = (
            self.deployment.query(
                f"SELECT COUNT(*) FROM {table} JOIN log_stream s USING (stream_id)"
                " WHERE s.path = %s AND line_offset = %s",
                str(self.log),
                offset,
            )[0][0]
            for table in ("raw_log", "clean_log", "rejected_log")
        )
        assert (raw, clean + rejected) == (1, 1)

    def waiting(self) -> dict[str, int]:
        """Return how many bytes of the log wait to be published, and of messages in each queue."""
        behind = self.services["producer"].metric("datastream_behind_bytes")
        broker, vhost = self.deployment.broker, self.deployment.rabbit.vhost
        queues = {queue: broker.api("GET", f"queues/{vhost}/{queue}") for queue in QUEUES}
        # A queue that was not used yet tells no size; else it tells that of some seconds ago.
        sizes = {queue: told.get("message_bytes", 0) for queue, told in queues.items()}
        return {"the log": int(behind)} | sizes

    def close(self) -> None:
        """Close the proxies."""
        self.to_broker.close()
        self.to_database.close()


def seen_again(consumer: Service) -> float:
    """Return how many deliveries were repeated and how many lines were there already."""
    names = "datastream_redeliveries_total", "datastream_lines_duplicate_total"
    return sum(consumer.metric(name) for name in names)


def commits_of(consumer: Service) -> float:
    """Return how many batches a consumer has stored, one commit each."""
    return consumer.metric("datastream_store_seconds_count")


def assert_as_before(before: Quiet, after: Quiet, say: Callable[[str], None]) -> None:
    """Say how two quiet stretches compare, and assert that batches are as full as they were.

    Time is no matter of a test: a machine has other things to do. A consumer that is stuck with a
    message at a time has to do with the service alone. While a batch is stored the next one
    gathers, both out of the messages that a consumer may hold: so a batch is between half of them
    and all, whichever it happens to be.
    """
    say(f"quiet, before: {before}")
    say(f"quiet, after:  {after}")
    say(f"for one before: {after.compared_with(before)}")
    for name in CONSUMERS:
        assert after.lines_per_commit[name] >= before.lines_per_commit[name] / 2


@pytest.fixture
def stretch(lines: bytes) -> bytes:
    """Return the lines of a quiet stretch, the same ones each time."""
    return b"".join(lines.splitlines(keepends=True)[:STRETCH])


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Says something at once, whatever pytest keeps back."""

    def write(words: str) -> None:
        with capfd.disabled():
            os.write(1, f"{words}\n".encode())

    return write


@pytest.fixture
def soak(deployment: Deployment, tmp_path: Path, say: Callable[[str], None]) -> Iterator[Soak]:
    """Everything at work, on a log that is still empty."""
    log = tmp_path / "access.log"
    log.touch()
    made = Soak(deployment, log, say)
    yield made
    made.close()


@pytest.mark.timeout(6 * 3600)
def test_soak(soak: Soak, stretch: bytes, tmp_path: Path, say: Callable[[str], None]) -> None:
    """Whatever is killed, and whenever: each line is stored once."""
    data = tmp_path / "sample.log"
    sample.write(data, LINES, "combined", seed=SEED)
    say(f"\n{ROUNDS} rounds, {LINES:,} lines, seed {SEED}")

    before = soak.quiet(stretch)
    with data.open("rb") as source:

        def written(share: float) -> None:
            """Let the log have this share of the sample."""
            until = int(data.stat().st_size * share)
            with soak.log.open("ab") as target:
                target.write(source.read(until - source.tell()))

        for number in range(ROUNDS):
            soak.round(number, partial(written, (number + 1) / (ROUNDS + 1)))
        written(1.0)

    assert_stored(soak.deployment, soak.log, patience=600)
    after = soak.quiet(stretch)
    assert_stored(soak.deployment, soak.log)
    soak.count()
    consumers = soak.services["lake_consumer"], soak.services["clean_consumer"]
    again = soak.seen_again + sum(map(seen_again, consumers))
    peaks = {module: f"{peak / 1e6:.0f} MB" for module, peak in soak.memory.items()}
    say(f"all stored once; {again:.0f} deliveries and lines seen again")
    say(f"most memory: {peaks}")
    assert_as_before(before, after, say)
    assert again > 0
    assert sum(map(dead_letters_of, consumers)) == 0
    assert all(peak < 100e6 for peak in soak.memory.values())


@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("side", ["broker", "database"])
def test_memory_through_an_outage(
    soak: Soak, lines: bytes, stretch: bytes, say: Callable[[str], None], side: str
) -> None:
    """It stays flat, however long the outage is: what waits is in the log, or in the queues."""
    proxy = soak.to_broker if side == "broker" else soak.to_database
    part = b"".join(lines.splitlines(keepends=True)[: RATE // 10])

    def write(seconds: float) -> None:
        end = time.monotonic() + seconds
        with soak.log.open("ab") as file:
            while (left := end - time.monotonic()) > 0:
                file.write(part)
                file.flush()
                time.sleep(min(left, 0.1))  # the rate, and not a wait for anything

    quiet_before = soak.quiet(stretch)
    write(5)
    proxy.refuse()
    write(5)
    before, waiting_before = soak.resident(), soak.waiting()
    write(OUTAGE)
    after, waiting = soak.resident(), soak.waiting()
    proxy.accept()

    assert_stored(soak.deployment, soak.log, patience=600)
    quiet_after = soak.quiet(stretch)
    assert_stored(soak.deployment, soak.log)
    say(f"\n{OUTAGE:.0f} s without the {side} at {RATE:,} lines/s:")
    hours = OUTAGE / 3600
    for module in MODULES:
        start, end = before[module] / 1e6, after[module] / 1e6
        hourly = (end - start) / hours
        say(f"  {module}: {start:.1f} MB of memory, then {end:.1f}: {hourly:+.1f} MB an hour")
    for place, size in waiting.items():
        hourly = (size - waiting_before[place]) / hours
        say(f"  {place}: {size / 1e6:,.1f} MB wait: {hourly / 1e6:+,.0f} MB an hour")
        if place in QUEUES and hourly > 0:
            say(f"    full after {MAX_QUEUE_BYTES / hourly:.1f} hours")
    assert_as_before(quiet_before, quiet_after, say)
    assert all(after[module] - before[module] < 10e6 for module in MODULES)
    for module in MODULES if side == "broker" else CONSUMERS:
        assert soak.services[module].metric("datastream_retries_total", dependency=OF[side]) > 0
