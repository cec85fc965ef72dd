"""The exchanges and queues: made where they are missing, and compared with what is there."""

from __future__ import annotations

from typing import Any

import pika.exceptions

from datastream import topology
from datastream.config import RabbitSettings
from datastream.errors import Unavailable
from datastream.rabbitmq.session import connect, translated


def declare_topology(settings: RabbitSettings) -> None:
    """Create the exchanges, the queues and their bindings where they are missing.

    Raises Unavailable, also when one exists with other arguments.
    """
    with connect(settings, "datastream topology") as connection, translated():
        channel = connection.channel()
        for exchange, kind in topology.EXCHANGES.items():
            channel.exchange_declare(exchange, exchange_type=kind, durable=True)
        for queue in topology.QUEUES:
            channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
            channel.queue_bind(queue.name, queue.exchange, routing_key=queue.binding_key)


def compare_topology(settings: RabbitSettings) -> dict[str, str]:
    """Return what is wrong with each exchange and queue, by name; empty when nothing is.

    Creates nothing. Raises Unavailable when there is no session.
    """
    found = {}
    with connect(settings, "datastream doctor") as connection:
        for name, kind in topology.EXCHANGES.items():
            found[name] = _fault(connection, "exchange_declare", name, exchange_type=kind)
        for queue in topology.QUEUES:
            arguments = dict(queue.arguments)
            found[queue.name] = _fault(connection, "queue_declare", queue.name, arguments=arguments)
    return found


def _fault(connection: Any, method: str, name: str, **declared: object) -> str:
    """Return what the broker says where the name is missing or declared otherwise, else nothing.

    Raises Unavailable when the session is lost.
    """
    try:
        with translated():
            # A refusal by the broker ends the channel.
            channel = connection.channel()
            declare = getattr(channel, method)
            declare(name, passive=True)
            # It exists, so this compares and creates nothing.
            declare(name, durable=True, **declared)
            channel.close()
    except Unavailable as error:
        if not isinstance(error.__cause__, pika.exceptions.ChannelClosedByBroker):
            raise
        return str(error).removeprefix("it closed the channel: ")
    return ""
