"""The names on the broker are kept by many installations: changing one is a migration."""

from __future__ import annotations

from datastream import topology
from datastream.topology import EXCHANGES, QUEUES, QueueDeclaration

BY_NAME = {queue.name: queue for queue in QUEUES}


def targets() -> list[tuple[QueueDeclaration, QueueDeclaration]]:
    """Return each queue that has dead letters, with the queue that keeps them."""
    return [
        (queue, BY_NAME[topology.dead_letter_queue(queue.name)])
        for queue in QUEUES
        if "x-dead-letter-exchange" in queue.arguments
    ]


def test_the_names_are_fixed() -> None:
    """They are in everybody's brokers, dashboards and alerts."""
    assert EXCHANGES == {"logs": "topic", "logs-dead": "direct"}
    assert sorted(BY_NAME) == [
        "queue-data-clean",
        "queue-data-clean-dead",
        "queue-data-lake",
        "queue-data-lake-dead",
    ]


def test_each_side_has_its_words() -> None:
    """The key that a producer uses is one that the binding takes."""
    keys = [topology.routing_key(side, "web.eu") for side in ("lake", "clean")]

    assert keys == ["lake.web.eu", "clean.web.eu"]
    assert [BY_NAME[name].binding_key for name in ("queue-data-lake", "queue-data-clean")] == [
        "lake.#",
        "clean.#",
    ]


def test_every_exchange_is_declared() -> None:
    """Whatever a queue is bound to, or sends its dead letters to."""
    named = {queue.exchange for queue in QUEUES}
    named |= {str(queue.arguments["x-dead-letter-exchange"]) for queue, _ in targets()}

    assert named == set(EXCHANGES)


def test_dead_letters_reach_the_queue_that_keeps_them() -> None:
    """By the key and the exchange that it is bound with; it is declared first."""
    pairs = targets()

    assert len(pairs) == 2
    for queue, keeps in pairs:
        assert keeps.exchange == queue.arguments["x-dead-letter-exchange"]
        assert keeps.binding_key == queue.arguments["x-dead-letter-routing-key"] == queue.name
        assert QUEUES.index(keeps) < QUEUES.index(queue)


def test_nothing_is_ever_dropped() -> None:
    """Queues are replicated, refuse when full, and no dead letter expires or leads further."""
    for queue, keeps in targets():
        assert queue.arguments["x-queue-type"] == keeps.arguments["x-queue-type"] == "quorum"
        assert queue.arguments["x-overflow"] == "reject-publish"
        assert queue.arguments["x-dead-letter-strategy"] == "at-least-once"
        assert set(keeps.arguments) == {"x-queue-type", "x-delivery-limit"}
        assert "x-message-ttl" not in queue.arguments
        assert int(keeps.arguments["x-delivery-limit"]) > int(queue.arguments["x-delivery-limit"])
