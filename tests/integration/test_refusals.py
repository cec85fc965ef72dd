"""What a real broker refuses is said with its own cause and with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datastream.config import RabbitSettings, Secret
from datastream.consuming import Preparation
from datastream.errors import Unavailable
from datastream.rabbitmq import Publisher, Queue, connect, declare_topology
from datastream.slices import Slice
from datastream.streams import Stream
from datastream.topology import CLEAN_QUEUE, LAKE_QUEUE
from datastream_playground import sample
from deployment import Deployment, eventually
from faults.installation import rabbitmqctl

PIECE = Slice(Stream(1, "test", "web1", "/var/log/access.log", "combined", 0), 0, b"x", 1, 0, 0)


def publish(settings: RabbitSettings) -> None:
    """Publish a slice."""
    with Publisher.open(settings) as publisher:
        publisher.publish("lake.test", PIECE)


def consume(settings: RabbitSettings) -> None:
    """Begin to consume."""
    with Queue.open(settings, LAKE_QUEUE, Preparation(lambda slice_: slice_)):
        pass


def refusal(action: Callable[[RabbitSettings], None], settings: RabbitSettings) -> str:
    """Return what is said, once the broker refuses: a new limit or right is not known at once."""

    def refused() -> str:
        with pytest.raises(Unavailable) as raised:
            action(settings)
        return str(raised.value)

    return eventually(refused)


@pytest.fixture
def limited(deployment: Deployment) -> Iterator[RabbitSettings]:
    """An account that may do nothing, in a virtual host that it may enter."""
    name = deployment.rabbit.vhost
    deployment.broker.api("PUT", f"users/{name}", {"password": "secret", "tags": ""})
    grant(deployment)
    yield replace(deployment.rabbit, user=name, password=Secret("secret"))
    deployment.broker.api("DELETE", f"users/{name}")


def grant(deployment: Deployment, **rights: str) -> None:
    """Give that account these rights and no others."""
    name = deployment.rabbit.vhost
    none = {"configure": "^$", "write": "^$", "read": "^$"}
    deployment.broker.api("PUT", f"permissions/{name}/{name}", none | rights)


def limit(deployment: Deployment, what: str, value: int) -> None:
    """Limit the virtual host."""
    deployment.broker.api("PUT", f"vhost-limits/{deployment.rabbit.vhost}/{what}", {"value": value})


@pytest.mark.parametrize("action", [publish, consume, declare_topology])
def test_a_virtual_host_that_is_not_there(
    deployment: Deployment, action: Callable[[RabbitSettings], None]
) -> None:
    """It is no matter of rights."""
    said = refusal(action, replace(deployment.rabbit, vhost="nowhere"))

    assert "vhost nowhere not found: check RABBIT_VHOST" in said


def test_a_virtual_host_that_the_account_may_not_enter(limited: RabbitSettings) -> None:
    """The right is named."""
    said = refusal(publish, replace(limited, vhost="/"))

    assert "access to vhost '/' refused" in said
    assert "datastream accounts --print --rabbitmq | sudo sh" in said


def test_a_virtual_host_that_takes_no_more_connections(deployment: Deployment) -> None:
    """A limit is no refusal of the account."""
    limit(deployment, "max-connections", 0)

    said = refusal(publish, deployment.rabbit)

    assert "connection limit (0) is reached: raise the virtual host's limit" in said


def test_an_account_that_may_open_no_more_connections(
    deployment: Deployment, limited: RabbitSettings
) -> None:
    """The limit is the account's, and so is the advice."""
    deployment.broker.api("PUT", f"user-limits/{limited.user}/max-connections", {"value": 0})

    said = refusal(publish, limited)

    assert "user connection limit (0) is reached: raise the account's limit" in said


def test_an_account_that_may_open_no_more_channels(
    deployment: Deployment, limited: RabbitSettings
) -> None:
    """The broker ends the connection for it; the limit is named all the same."""
    deployment.broker.api("PUT", f"user-limits/{limited.user}/max-channels", {"value": 0})

    said = refusal(publish, limited)

    assert "allowed user limit of (0): raise the account's limit" in said


def test_a_virtual_host_that_takes_no_more_queues(deployment: Deployment) -> None:
    """What an operator meets with `datastream topology`."""
    with connect(deployment.rabbit, "test") as connection:
        connection.channel().queue_delete(LAKE_QUEUE)
    limit(deployment, "max-queues", 1)

    said = refusal(declare_topology, deployment.rabbit)

    assert f"cannot declare queue '{LAKE_QUEUE}'" in said
    assert "raise the virtual host's limit" in said


@pytest.mark.parametrize("action", [publish, consume])
def test_a_right_that_is_missing(
    limited: RabbitSettings, action: Callable[[RabbitSettings], None]
) -> None:
    """What it is missing on, and the command that gives it."""
    said = refusal(action, limited)

    assert "access to " in said
    assert "give the account its rights: `datastream accounts --print --rabbitmq | sudo sh`" in said


def test_a_routing_key_that_the_account_may_not_use(
    deployment: Deployment, limited: RabbitSettings
) -> None:
    """It is another right than that on the exchange."""
    grant(deployment, write=".*")
    deployment.broker.api(
        "PUT",
        f"topic-permissions/{deployment.rabbit.vhost}/{limited.user}",
        {"exchange": "logs", "write": "^clean[.]", "read": "^$"},
    )

    said = refusal(publish, limited)

    assert "access to topic 'lake.test'" in said
    assert "give the account its routing keys: `datastream accounts --print --rabbitmq" in said


@pytest.mark.parametrize(
    "arguments",
    [{}, {"x-queue-type": "quorum"}, {"x-queue-type": "quorum", "x-delivery-limit": 20}],
    ids=["classic", "bare", "other limit"],
)
def test_a_queue_that_is_there_as_another_one(
    deployment: Deployment, arguments: dict[str, Any]
) -> None:
    """Of another type or with other arguments: it is left as it is, and named."""
    with connect(deployment.rabbit, "test") as connection:
        channel = connection.channel()
        channel.queue_delete(LAKE_QUEUE)
        channel.queue_declare(LAKE_QUEUE, durable=True, arguments=arguments)

    said = refusal(declare_topology, deployment.rabbit)

    assert f"for queue '{LAKE_QUEUE}'" in said
    assert "once it is empty remove it, and run `datastream topology`" in said


def test_a_queue_that_another_connection_holds(deployment: Deployment) -> None:
    """It is not missing, and no right is."""
    with connect(deployment.rabbit, "test") as connection:
        channel = connection.channel()
        channel.queue_delete(LAKE_QUEUE)
        channel.queue_declare(LAKE_QUEUE, exclusive=True)

        said = refusal(consume, deployment.rabbit)

    assert "RESOURCE_LOCKED" in said
    assert "another connection holds it as its own" in said


@pytest.fixture
def small_messages(deployment: Deployment) -> Iterator[None]:
    """A broker that takes no message of more than 2,000 bytes."""
    setting = "application:set_env(rabbit, max_message_size, {})."
    rabbitmqctl(deployment.broker, "eval", setting.format(2_000))
    yield
    rabbitmqctl(deployment.broker, "eval", setting.format(134_217_728))


@pytest.mark.usefixtures("small_messages")
def test_a_message_that_is_larger_than_the_broker_takes(
    deployment: Deployment, tmp_path: Path
) -> None:
    """The producer names the settings; with a smaller one it goes on at the same line."""
    log = tmp_path / "access.log"
    sample.write(log, 100, "combined", seed=3)
    producer = deployment.start("producer", str(log))

    def told() -> None:
        assert "set the producer's MAX_SLICE_BYTES and MAX_LINE_BYTES" in producer.text()

    eventually(told)
    assert producer.text().count("Traceback") == 0
    assert producer.terminate() == 0
    deployment.publish_once(log, MAX_SLICE_BYTES="1024", MAX_LINE_BYTES="1024")
    deployment.start_consumers()
    deployment.assert_settled(100)


@pytest.mark.parametrize("service", ["producer", "lake_consumer"])
def test_a_service_says_so_at_once(deployment: Deployment, tmp_path: Path, service: str) -> None:
    """With its first attempt, in one line; it waits, and goes on once the cause is gone."""
    log = tmp_path / "access.log"
    log.write_bytes(b"a line\n")
    limit(deployment, "max-connections", 0)
    refusal(publish, deployment.rabbit)
    running = deployment.start(service, *([str(log)] if service == "producer" else []))

    def told() -> None:
        assert "raise the virtual host's limit" in running.text()

    eventually(told)
    assert "attempts=1" in running.text()
    assert "Traceback" not in running.text()
    deployment.broker.api("DELETE", f"vhost-limits/{deployment.rabbit.vhost}/max-connections")
    running.wait_ready()
    assert deployment.queue_depth(CLEAN_QUEUE) == (service == "producer")
