"""The broker's leg fails in every way, under load: nothing lost, nothing doubled."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployment import PATIENCE, Deployment, Service, eventually
from faults.installation import (
    Writer,
    assert_quiet,
    assert_stored,
    assert_told,
    await_behind,
    await_metric,
    await_stored,
    await_words,
    duplicates_of,
    frozen,
    paused,
    rabbitmqctl,
    redeliveries_of,
)
from faults.proxy import Proxy

RETRIES = "datastream_retries_total"


def start_all(deployment: Deployment, log: Path, proxy: Proxy | None = None) -> list[Service]:
    """Start the three services, the broker behind a proxy, and return them once they work.

    Slices are small, so that there are more messages than a consumer takes at once.
    """
    changes = {"MAX_SLICE_LINES": "50"} | ({"RABBIT_PORT": str(proxy.port)} if proxy else {})
    services = [
        deployment.start("producer", str(log), **changes),
        deployment.start("lake_consumer", **changes),
        deployment.start("clean_consumer", **changes),
    ]
    for service in services:
        service.wait_ready()
    return services


def await_queued(deployment: Deployment, queue: str) -> None:
    """Wait until a queue holds messages that nobody has taken."""

    def queued() -> None:
        assert deployment.queue_depth(queue) > 0

    eventually(queued)


def test_broker_killed(deployment: Deployment, writer: Writer) -> None:
    """What was confirmed is on disk; everybody waits, and goes on with it."""
    producer, lake, clean = start_all(deployment, writer.path)
    writer.start()
    # By then the queues are older than the moment in which the broker may lose them.
    await_stored(deployment, writer.path, 10_000)
    with frozen(lake.process.pid):
        await_queued(deployment, "queue-data-lake")
        deployment.broker.kill()
        await_behind(producer)
    deployment.broker.restart()
    writer.stop()

    assert_stored(deployment, writer.path)
    assert_told(writer.lines, producer=producer, lake=lake, clean=clean)
    assert redeliveries_of(lake) > 0
    for service in (producer, lake, clean):
        assert service.metric(RETRIES, dependency="rabbitmq") > 0
        assert_quiet(service, warnings=3)


def test_broker_paused(deployment: Deployment, writer: Writer) -> None:
    """A broker that says nothing is given up after two heartbeats, and found again."""
    producer, lake, clean = start_all(deployment, writer.path)
    writer.start()
    await_stored(deployment, writer.path, 4_000)
    with paused(deployment.broker):
        for service in (producer, lake, clean):
            await_metric(service, RETRIES, dependency="rabbitmq")
            assert service.get("/readyz")[0] == 503
        await_behind(producer)
    writer.stop()

    assert_stored(deployment, writer.path)
    assert_told(writer.lines, producer=producer, lake=lake, clean=clean)


def test_connections_half_open(deployment: Deployment, writer: Writer, to_broker: Proxy) -> None:
    """A connection that is dead without a word is noticed by its heartbeats and replaced."""
    producer, lake, clean = start_all(deployment, writer.path, to_broker)
    writer.start()
    await_stored(deployment, writer.path, 4_000)
    before = to_broker.connections
    to_broker.hang()
    await_behind(producer)
    for service in (producer, lake, clean):
        await_metric(service, RETRIES, dependency="rabbitmq")
    writer.stop()

    assert_stored(deployment, writer.path)
    assert_told(writer.lines, producer=producer, lake=lake, clean=clean)
    assert to_broker.connections >= before + 3


def test_connection_cut_in_the_middle_of_a_frame(
    deployment: Deployment, writer: Writer, to_broker: Proxy
) -> None:
    """Half a slice is no slice: it is published again, and delivered again."""
    with Proxy(deployment.broker.host, deployment.broker.port) as from_broker:
        producer = deployment.start("producer", str(writer.path), RABBIT_PORT=str(to_broker.port))
        lake = deployment.start("lake_consumer", RABBIT_PORT=str(from_broker.port))
        clean = deployment.start("clean_consumer")
        await_stored(deployment, writer.path, 2_000)
        in_publish = to_broker.cut_within(1_000)
        in_delivery = from_broker.cut_within(1_000, of_answer=True)
        writer.start()
        assert in_publish.wait(PATIENCE)
        assert in_delivery.wait(PATIENCE)
        writer.stop()

        assert_stored(deployment, writer.path)
        assert_told(writer.lines, producer=producer, lake=lake, clean=clean)
        await_metric(producer, RETRIES, dependency="rabbitmq")
        await_metric(lake, RETRIES, dependency="rabbitmq")


def test_network_refuses(deployment: Deployment, writer: Writer, to_broker: Proxy) -> None:
    """Connections that break, and cannot be made for a while, are told once."""
    producer, lake, clean = start_all(deployment, writer.path, to_broker)
    writer.start()
    await_stored(deployment, writer.path, 4_000)
    to_broker.refuse()
    for service in (producer, lake, clean):
        await_metric(service, RETRIES, 4, dependency="rabbitmq", reason="connection")
    await_behind(producer)
    to_broker.accept()
    writer.stop()

    assert_stored(deployment, writer.path)
    assert_told(writer.lines, producer=producer, lake=lake, clean=clean)
    for service in (producer, lake, clean):
        assert_quiet(service, warnings=3)


def test_slow_network(deployment: Deployment, writer: Writer, to_broker: Proxy) -> None:
    """A line that is too slow for the log puts the producer behind, and breaks nothing."""
    producer, lake, clean = start_all(deployment, writer.path, to_broker)
    to_broker.speed = 200_000
    writer.start()
    await_behind(producer)
    await_metric(producer, "datastream_behind_bytes", 2_000_000)
    to_broker.speed = 0
    writer.stop()

    assert_stored(deployment, writer.path)
    assert_told(writer.lines, producer=producer, lake=lake, clean=clean)
    for service in (producer, lake, clean):
        assert service.metric(RETRIES, dependency="rabbitmq") == 0


@pytest.fixture
def calm(deployment: Deployment) -> Iterator[None]:
    """Take the alarms of the broker back, whatever happens."""
    yield
    rabbitmqctl(deployment.broker, "set_vm_memory_high_watermark", "0.4")
    rabbitmqctl(deployment.broker, "set_disk_free_limit", "500MB")


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize(
    ("raise_alarm", "end_alarm"),
    [
        (("set_vm_memory_high_watermark", "0.000001"), ("set_vm_memory_high_watermark", "0.4")),
        (("set_disk_free_limit", "1000000GB"), ("set_disk_free_limit", "500MB")),
    ],
    ids=["memory", "disk"],
)
def test_broker_in_alarm(
    deployment: Deployment,
    writer: Writer,
    raise_alarm: tuple[str, str],
    end_alarm: tuple[str, str],
) -> None:
    """A broker in alarm blocks the producer, which says so; consumers go on."""
    producer, lake, clean = start_all(deployment, writer.path)
    await_stored(deployment, writer.path, 2_000)
    rabbitmqctl(deployment.broker, *raise_alarm)
    writer.start()
    await_metric(producer, RETRIES, dependency="rabbitmq", reason="blocked")
    await_behind(producer)
    await_words(producer, "blocked by its memory or disk alarm")
    rabbitmqctl(deployment.broker, *end_alarm)
    writer.stop()

    assert_stored(deployment, writer.path)
    assert_told(writer.lines, producer=producer, lake=lake, clean=clean)
    assert lake.metric(RETRIES, dependency="rabbitmq") == 0


def test_queue_full(deployment: Deployment, writer: Writer) -> None:
    """A full queue refuses, the producer waits with the slice, and the other queue gets no copy."""
    deployment.broker.api(
        "PUT",
        f"policies/{deployment.rabbit.vhost}/small",
        {"pattern": "^queue-data-lake$", "definition": {"max-length-bytes": 200_000}},
    )
    producer = deployment.start("producer", str(writer.path))
    clean = deployment.start("clean_consumer")
    writer.start()
    await_metric(producer, RETRIES, dependency="rabbitmq", reason="nack")
    await_behind(producer)
    await_words(producer, "it is full")
    lake = deployment.start("lake_consumer")
    await_stored(deployment, writer.path, 4_000)
    writer.stop()

    assert_stored(deployment, writer.path)
    assert_told(writer.lines, producer=producer, lake=lake, clean=clean)
    assert duplicates_of(lake, clean) == 0


def run_topology(deployment: Deployment) -> None:
    """Run `datastream topology` as an operator does."""
    command = [sys.executable, "-m", "datastream_operator", "topology"]
    subprocess.run(command, env=deployment.env(), check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("side", ["lake", "clean"])
def test_queue_deleted(deployment: Deployment, writer: Writer, side: str) -> None:
    """What was in it is gone with it: everybody stops and says what to do, and a person does it."""
    queue = f"queue-data-{side}"
    producer, lake, clean = start_all(deployment, writer.path)
    victim = lake if side == "lake" else clean
    await_stored(deployment, writer.path, 2_000)
    with frozen(victim.process.pid):
        writer.burst(5_000)
        await_queued(deployment, queue)
        await_metric(producer, "datastream_lines_published_total", 7_000)
        deployment.broker.api("DELETE", f"queues/{deployment.rabbit.vhost}/{queue}")
    writer.burst(1_000)
    await_metric(producer, RETRIES, dependency="rabbitmq", reason="returned")
    await_behind(producer)

    def told() -> None:  # by the broker, or as soon as the consumer asks it for something
        reasons = ("cancelled", "channel")
        assert any(victim.metric(RETRIES, dependency="rabbitmq", reason=r) for r in reasons)

    eventually(told)

    def not_ready() -> None:  # the producer once the refusal has lasted
        for service in (producer, victim):
            assert service.get("/readyz") == (503, "waiting for rabbitmq\n")

    eventually(not_ready)
    for service in (producer, victim):
        await_words(service, "an operator must run `datastream topology`")
    assert producer.metric("datastream_lines_published_total") == 7_000

    run_topology(deployment)
    producer.wait_ready()
    assert producer.terminate() == 0
    rewound = deployment.operate("rewind", STATE_DIR=str(deployment.folder / "state"))
    assert rewound.returncode == 0, rewound.stderr
    producer = deployment.start("producer", str(writer.path))

    assert_stored(deployment, writer.path)
    assert_told(8_000, producer=producer)
    assert duplicates_of(lake, clean) > 0


def test_exchange_deleted(deployment: Deployment, writer: Writer) -> None:
    """The producer stops and says what to do; nothing is lost with an exchange."""
    producer, lake, clean = start_all(deployment, writer.path)
    await_stored(deployment, writer.path, 2_000)
    deployment.broker.api("DELETE", f"exchanges/{deployment.rabbit.vhost}/logs")
    writer.burst(1_000)
    await_metric(producer, RETRIES, dependency="rabbitmq", reason="channel")
    await_behind(producer)
    await_words(producer, "an operator must run `datastream topology`")

    run_topology(deployment)

    assert_stored(deployment, writer.path)
    assert_told(writer.lines, producer=producer, lake=lake, clean=clean)


@pytest.fixture
def hasty(deployment: Deployment) -> Iterator[None]:
    """A broker that takes unacknowledged messages back after some seconds, and not half an hour."""
    setting = "application:set_env(rabbit, {}, {})."
    for name, value in {"channel_tick_interval": "500", "consumer_timeout": "2000"}.items():
        rabbitmqctl(deployment.broker, "eval", setting.format(name, value))
    yield
    for name, value in {"channel_tick_interval": "60000", "consumer_timeout": "1800000"}.items():
        rabbitmqctl(deployment.broker, "eval", setting.format(name, value))


def assert_taken_back(deployment: Deployment, queue: str) -> None:
    """Assert that a queue has messages, and that no consumer holds any of them."""
    columns = "name", "messages", "messages_unacknowledged"
    found = rabbitmqctl(
        deployment.broker,
        "list_queues",
        "--no-table-headers",
        "-p",
        deployment.rabbit.vhost,
        *columns,
    )
    counts = dict(line.split(maxsplit=1) for line in found.splitlines())
    messages, held = map(int, counts[queue].split())
    assert messages > 0
    assert held == 0


@pytest.mark.usefixtures("hasty")
def test_consumer_timeout(deployment: Deployment, writer: Writer) -> None:
    """The broker takes the messages back from a consumer that is held up; it takes them again."""
    producer, lake, clean = start_all(deployment, writer.path)
    await_stored(deployment, writer.path, 2_000)
    with (
        deployment.database.connect(deployment.mysql.database) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("LOCK TABLES raw_log WRITE")
        writer.burst(3_000)
        await_metric(producer, "datastream_lines_published_total", 5_000)

        def taken_back() -> None:
            # A RabbitMQ 4.3 that looked just before the time was up looks again with the next line.
            writer.burst(1)
            assert_taken_back(deployment, "queue-data-lake")

        eventually(taken_back)
        cursor.execute("UNLOCK TABLES")

    def told() -> None:
        # Older ones close the channel. A RabbitMQ 4.3 cancels the consumer, and closes the channel
        # where what it took back was given to a former consumer of it, with a smaller prefetch.
        seen = [
            lake.metric(RETRIES, dependency="rabbitmq", reason=reason)
            for reason in ("channel", "cancelled")
        ]
        assert sum(seen) > 0, lake.text()
        assert "timed out" in lake.text() or "it cancelled" in lake.text()

    eventually(told)

    assert_stored(deployment, writer.path)
    assert_told(writer.lines, producer=producer, lake=lake, clean=clean)
    assert redeliveries_of(lake) > 0


def test_password_changed(
    deployment: Deployment, writer: Writer, to_broker: Proxy, tmp_path: Path
) -> None:
    """Whoever has the old one says so and loses nothing; it finds the new one in its file."""
    user = deployment.rabbit.vhost
    broker = deployment.broker
    rights = {"configure": "", "write": ".*", "read": ".*"}
    broker.api("PUT", f"users/{user}", {"password": "old", "tags": ""})
    broker.api("PUT", f"permissions/{user}/{user}", rights)
    file = tmp_path / "password"
    file.write_text("old\n")
    env = {
        "RABBIT_PORT": str(to_broker.port),
        "RABBIT_USER": user,
        "RABBIT_PASSWORD": "",
        "RABBIT_PASSWORD_FILE": str(file),
    }
    services = [
        deployment.start("producer", str(writer.path), **env),
        deployment.start("lake_consumer", **env),
        deployment.start("clean_consumer", **env),
    ]
    writer.start()
    await_stored(deployment, writer.path, 2_000)
    broker.api("PUT", f"users/{user}", {"password": "new", "tags": ""})
    to_broker.cut()
    for service in services:
        await_metric(service, RETRIES, dependency="rabbitmq", reason="refused")
        assert service.get("/readyz") == (503, "waiting for rabbitmq\n")
        await_words(service, "check RABBIT_USER and RABBIT_PASSWORD")
    await_behind(services[0])
    file.write_text("")  # by whoever replaces it without care
    for service in services:
        await_metric(service, RETRIES, dependency="rabbitmq", reason="password")
        await_words(service, "RABBIT_PASSWORD_FILE names a file that is empty")
    file.write_text("new\n")
    for service in services:
        service.wait_ready()
    writer.stop()

    producer, lake, clean = services
    assert_stored(deployment, writer.path)
    assert_told(writer.lines, producer=producer, lake=lake, clean=clean)
    broker.api("DELETE", f"users/{user}")


def test_producer_killed_while_the_broker_is_away(
    deployment: Deployment, writer: Writer, to_broker: Proxy
) -> None:
    """The slice that it had in hand was never confirmed, so it is read again."""
    producer, lake, clean = start_all(deployment, writer.path, to_broker)
    await_stored(deployment, writer.path, 2_000)
    in_publish = to_broker.cut_within(1_000, for_good=True)
    writer.burst(3_000)
    assert in_publish.wait(PATIENCE)
    await_metric(producer, RETRIES, 4, dependency="rabbitmq")
    await_behind(producer)
    producer.kill()
    to_broker.accept()
    deployment.start("producer", str(writer.path), RABBIT_PORT=str(to_broker.port))

    assert_stored(deployment, writer.path)
    assert_told(writer.lines, lake=lake, clean=clean)
