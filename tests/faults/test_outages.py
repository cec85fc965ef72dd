"""Files that come and go while the broker is away: those that were there to be seen are read."""

from __future__ import annotations

import os
from pathlib import Path

from deployment import Deployment, Service, eventually
from faults.installation import (
    Writer,
    assert_stored,
    assert_told,
    await_behind,
    await_metric,
    await_stored,
    start_code,
)
from faults.proxy import Proxy


def await_open(producer: Service, path: Path) -> None:
    """Wait until a producer, while the broker is away, has a file open in order to read it.

    A look at it, which opens it as well, is over when the broker is tried again.
    """
    status = path.stat()

    def opened() -> None:
        assert (status.st_dev, status.st_ino) in [
            (found.st_dev, found.st_ino) for found in open_files(producer)
        ]

    eventually(opened)
    retries = producer.metric("datastream_retries_total", dependency="rabbitmq")
    await_metric(producer, "datastream_retries_total", retries + 1, dependency="rabbitmq")
    eventually(opened)


def open_files(producer: Service) -> list[os.stat_result]:
    """Return what a process has open."""
    folder = Path(f"/proc/{producer.process.pid}/fd")
    return [entry.stat() for entry in folder.iterdir()]


def deleted_files(producer: Service) -> list[str]:
    """Return the logs that a process has open and that are deleted: their room is not free."""
    folder = Path(f"/proc/{producer.process.pid}/fd")
    targets = [str(entry.readlink()) for entry in folder.iterdir()]
    return [target for target in targets if ".log" in target and target.endswith(" (deleted)")]


def test_logs_that_come_and_go_while_the_broker_is_away(
    deployment: Deployment, writer: Writer, to_broker: Proxy, tmp_path: Path
) -> None:
    """Rotated, filled and deleted, again and again, and a new log too: each was opened in time."""
    deployment.start_consumers()
    producer = deployment.start(
        "producer", f"{tmp_path}/access*.log", RABBIT_PORT=str(to_broker.port)
    )
    await_stored(deployment, writer.path, 2_000)
    to_broker.refuse()
    writer.burst(100)
    await_behind(producer)
    other = tmp_path / "access-other.log"
    other.write_bytes(b"of another log\n")
    await_open(producer, other)
    other.unlink()
    for _ in range(3):
        writer.path.unlink()
        writer.reopen()
        writer.burst(100)
        await_open(producer, writer.path)
    await_metric(producer, "datastream_retries_total", 3, dependency="rabbitmq")
    to_broker.accept()

    assert_stored(deployment, writer.path, *writer.streams)
    assert_stored(deployment, other, b"of another log\n")


def test_the_room_of_deleted_files_is_given_back(
    deployment: Deployment, writer: Writer, to_broker: Proxy
) -> None:
    """A deleted file is held for its lines alone; held are few, and none once all are sent."""
    deployment.start_consumers()
    producer = start_code(
        deployment,
        "producer",
        "import producer.open_files, producer.tailer\n"
        "producer.open_files.ROTATED_QUIET = 0.5\n"
        "producer.tailer.OPEN_AT_MOST = 3",
        LOG_PATH=str(writer.path),
        RABBIT_PORT=str(to_broker.port),
    )
    await_stored(deployment, writer.path, 2_000)
    to_broker.refuse()
    for _ in range(3):
        writer.burst(100)
        writer.path.unlink()
        writer.reopen()
        writer.burst(100)
        await_open(producer, writer.path)
    held = [bytes(stream) for stream in writer.streams]
    writer.path.unlink()
    writer.reopen()
    writer.burst(100)
    retries = producer.metric("datastream_retries_total", dependency="rabbitmq")
    await_metric(producer, "datastream_retries_total", retries + 2, dependency="rabbitmq")
    assert len(deleted_files(producer)) == 4  # not the fifth, which is not deleted
    writer.path.unlink()
    writer.reopen()
    writer.burst(100)
    to_broker.accept()

    assert_stored(deployment, writer.path, *held, bytes(writer.streams[-1]))

    def given_back() -> None:
        assert deleted_files(producer) == []

    eventually(given_back)


def test_both_servers_away_at_the_start(
    deployment: Deployment, writer: Writer, to_broker: Proxy, to_database: Proxy
) -> None:
    """Nobody gives up: each waits, says so, and begins when the servers are there."""
    to_broker.refuse()
    to_database.refuse()
    ports = {"RABBIT_PORT": str(to_broker.port), "MYSQL_PORT": str(to_database.port)}
    producer = deployment.start("producer", str(writer.path), **ports)
    lake = deployment.start("lake_consumer", **ports)
    clean = deployment.start("clean_consumer", **ports)
    for service in (producer, lake, clean):
        await_metric(service, "datastream_retries_total", 5)
        assert service.get("/readyz")[0] == 503
        assert service.process.poll() is None
    writer.burst(1_000)
    to_broker.accept()
    to_database.accept()

    assert_stored(deployment, writer.path)
    assert_told(writer.lines, producer=producer, lake=lake, clean=clean)
