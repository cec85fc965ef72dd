"""A port of another server is told from one of a server that is away."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from datastream import rabbitmq
from datastream.errors import Unavailable
from datastream.mysql import Session
from datastream.tls import TlsSettings
from datastream_operator import migrate
from deployment import Deployment

UNCHECKED = TlsSettings("RABBIT", verify=False)


def management_port(deployment: Deployment) -> int:
    """Return the port of the broker's management API."""
    return urlsplit(deployment.broker.management_url).port or 0


def said_of_broker(deployment: Deployment, port: int, tls: TlsSettings | None = None) -> str:
    """Return why there is no session with a broker at a port."""
    settings = replace(deployment.rabbit, port=port, tls=tls)
    with pytest.raises(Unavailable) as raised, rabbitmq.connect(settings, "test"):
        pass
    assert raised.value.reason == "protocol"
    return str(raised.value)


def said_of_database(deployment: Deployment, port: int) -> str:
    """Return why there is no session with a database at a port."""
    session = Session(replace(deployment.mysql, port=port), "test")
    with pytest.raises(Unavailable) as raised, closing(session), session.transaction():
        pass
    assert raised.value.reason == "protocol"
    return str(raised.value)


@pytest.mark.parametrize("tls", [None, UNCHECKED], ids=["plain", "tls"])
def test_the_broker_s_port_is_mysql_s_or_the_management_s(
    deployment: Deployment, tls: TlsSettings | None
) -> None:
    """What answers there is named, and the settings to correct."""
    mysql = said_of_broker(deployment, deployment.mysql.port, tls)
    management = said_of_broker(deployment, management_port(deployment), tls)

    assert "that is MySQL's port: check RABBIT_HOST and RABBIT_PORT" in mysql
    assert "that is a port of HTTP, as RabbitMQ's management has: check RABBIT_HOST" in management


def test_the_database_s_port_is_the_broker_s_or_the_management_s(deployment: Deployment) -> None:
    """For a service, and for the migrations, which have no limit for a statement."""
    broker = said_of_database(deployment, deployment.rabbit.port)
    management = said_of_database(deployment, management_port(deployment))

    assert "that is RabbitMQ's port: check MYSQL_HOST and MYSQL_PORT" in broker
    assert "that is a port of HTTP, as RabbitMQ's management has: check MYSQL_HOST" in management
    with pytest.raises(Unavailable, match="that is RabbitMQ's port: check MYSQL_HOST"):
        migrate.apply(replace(deployment.mysql, port=deployment.rabbit.port))
