"""Kills and restarts in the middle of 80,000 lines: nothing lost, nothing doubled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from datastream_playground import sample
from deployment import Deployment, Service, eventually, lines_of

LINES = 80_000


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One log for all tests of this file."""
    path = tmp_path_factory.mktemp("log") / "access.log"
    sample.write(path, LINES, "combined", seed=7)
    yield path
    path.unlink()


def stored(deployment: Deployment) -> int:
    """Return how many lines are in raw_log, as far as it can be told just now."""
    return deployment.count("raw_log")


def await_middle(deployment: Deployment, at_least: int = LINES // 10) -> None:
    """Wait until a good part is stored, and assert that a good part is not."""

    def begun() -> None:
        assert stored(deployment) >= at_least

    eventually(begun)

    assert stored(deployment) < LINES


def assert_whole(deployment: Deployment, log: Path) -> None:
    """Assert that the tables hold the log: each line once, byte for byte, in order."""
    deployment.assert_settled(LINES)

    assert deployment.raw_lines() == list(lines_of(log))


def seen_again(*consumers: Service) -> float:
    """Return how many deliveries were repeated and how many lines were there already."""
    names = "datastream_redeliveries_total", "datastream_lines_duplicate_total"
    return sum(consumer.metric(name) for consumer in consumers for name in names)


def test_producer_killed(deployment: Deployment, log: Path) -> None:
    """A producer that is killed reads on at its checkpoint; what it sends again adds no row."""
    consumers = deployment.start_consumers()
    # One slice is a line: the kill lands between a confirm and its checkpoint.
    first = deployment.start("producer", "--once", str(log), MAX_SLICE_LINES="50")

    def halfway() -> None:
        assert first.metric("datastream_lines_published_total") > LINES // 10

    eventually(halfway)
    first.kill()
    published = stored(deployment)
    deployment.publish_once(log)

    assert published < LINES
    assert_whole(deployment, log)
    assert sum(c.metric("datastream_lines_duplicate_total") for c in consumers) > 0


@pytest.mark.parametrize("module", ["lake_consumer", "clean_consumer"])
def test_consumer_killed(deployment: Deployment, log: Path, module: str) -> None:
    """What a killed consumer had not acknowledged is delivered again and changes nothing."""
    deployment.publish_once(log)
    lake, clean = deployment.start_consumers()
    victim = lake if module == "lake_consumer" else clean
    table, queue = (
        ("raw_log", "queue-data-lake") if victim is lake else ("clean_log", "queue-data-clean")
    )

    def busy() -> None:
        assert deployment.count(table) > 0

    eventually(busy)
    victim.kill()
    assert deployment.queue_depth(queue) > 0
    successor = deployment.start(module)

    assert_whole(deployment, log)
    assert seen_again(successor) > 0


def test_broker_restarted(deployment: Deployment, log: Path) -> None:
    """Every service waits for the broker and goes on; what is delivered again changes nothing."""
    consumers = deployment.start_consumers()
    producer = deployment.start("producer", str(log))
    await_middle(deployment)

    deployment.broker.restart()

    assert_whole(deployment, log)
    assert all(c.metric("datastream_retries_total", dependency="rabbitmq") for c in consumers)
    assert producer.metric("datastream_retries_total", dependency="rabbitmq") > 0
    assert seen_again(*consumers) > 0


def test_database_restarted(deployment: Deployment, log: Path) -> None:
    """Consumers keep their batch through an outage of the database and store it afterwards."""
    deployment.publish_once(log)
    consumers = deployment.start_consumers()
    await_middle(deployment)

    deployment.database.restart()

    assert_whole(deployment, log)
    assert all(c.metric("datastream_retries_total", dependency="mysql") for c in consumers)
    # The batch in hand was kept, not given back: nothing was delivered twice for it.
    assert all(c.metric("datastream_redeliveries_total") == 0 for c in consumers)
