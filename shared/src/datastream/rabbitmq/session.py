"""A session with the broker: a connection and its channels, and what ends them, in words.

A session is opened, used until it fails and then replaced: pika recovers nothing by itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pika
import pika.data
import pika.exceptions
from pika.adapters.utils.connection_workflow import (
    AMQPConnectorException,
    AMQPConnectorSocketConnectError,
)

from datastream import greetings, refusals
from datastream.config import RabbitSettings
from datastream.errors import Unavailable
from datastream.tls import Unusable

#: Seconds. A dead peer is noticed after two heartbeats.
HEARTBEAT = 10
#: Seconds. A broker in alarm (memory, disk) blocks publishers; after this long the publisher gives
#: up the session and logs what it waits for. Below the grace of a shutdown.
BLOCKED_TIMEOUT = 5
CONNECT_TIMEOUT = 5
#: Seconds that one look at the socket lasts while there is nothing to do: the delay of a stop.
LOOK = 0.2


class _Connection(pika.BlockingConnection):  # type: ignore[misc]  # pika has no types
    """Of several addresses of a name, pika raises the failure of the last one.

    This raises that of one that answered before any other: a refused certificate is not hidden by
    an address of the other IP version, to which there is no route.
    """

    @staticmethod
    def _reap_last_connection_workflow_error(error: Any) -> Any:
        attempts = getattr(error, "exceptions", [])
        answered = [e for e in attempts if not isinstance(e, AMQPConnectorSocketConnectError)]
        if answered:
            error.exceptions = answered
        return pika.BlockingConnection._reap_last_connection_workflow_error(error)  # noqa: SLF001


@contextmanager
def connect(settings: RabbitSettings, name: str) -> Iterator[Any]:
    """Open a connection, and close it at the end. Raises Unavailable."""
    tls = settings.tls
    where = f"{settings.host}:{settings.port}"
    try:
        options = None if tls is None else pika.SSLOptions(tls.context(), settings.host)
    except Unusable as error:
        raise Unavailable(f"no session with {where}: {error}", "tls") from error
    parameters = pika.ConnectionParameters(
        host=settings.host,
        port=settings.port,
        virtual_host=settings.vhost,
        credentials=pika.PlainCredentials(settings.user, settings.password.read()),
        heartbeat=HEARTBEAT,
        blocked_connection_timeout=BLOCKED_TIMEOUT,
        socket_timeout=CONNECT_TIMEOUT,
        stack_timeout=CONNECT_TIMEOUT,
        client_properties={"connection_name": name},
        ssl_options=options,
    )
    try:
        connection = _opened(parameters)
    except Unavailable as error:
        why, reason = _told(error, settings)
        raise Unavailable(f"no session with {where}: {why}", reason) from error
    try:
        yield connection
    finally:
        with suppress(pika.exceptions.AMQPError, OSError):
            connection.close()


def _opened(parameters: Any) -> Any:
    """Return a new connection. Raises Unavailable, with the reason `protocol` for no AMQP."""
    try:
        with translated():
            return _Connection(parameters)
    except AMQPConnectorException as error:  # an attempt that lasts too long; it is no AMQPError
        raise Unavailable(f"no answer for {CONNECT_TIMEOUT} s") from error
    except Unavailable:
        raise
    except Exception as error:  # pika decodes what it gets without looking at it
        words = f"it speaks no AMQP: {type(error).__name__}: {error}"
        raise Unavailable(words, "protocol") from error


@contextmanager
def translated() -> Iterator[None]:
    """Turn what pika raises when a session cannot begin, or ends, into Unavailable."""
    try:
        yield
    except pika.exceptions.ConnectionBlockedTimeout as error:
        raise Unavailable("blocked by its memory or disk alarm", "blocked") from error
    except (
        pika.exceptions.ProbableAuthenticationError,
        pika.exceptions.AuthenticationError,
    ) as error:
        raise Unavailable(
            "it refuses the account (ACCESS_REFUSED): check RABBIT_USER and RABBIT_PASSWORD, or"
            f" make it: {refusals.MAKE_ACCOUNTS}",
            "refused",
        ) from error
    except pika.exceptions.ProbableAccessDeniedError as error:
        # pika guesses one cause of several: a limit of connections closes it at that stage too.
        refusal = refusals.within(str(error)) or (530, "access to vhost refused")
        raise Unavailable(refusals.told(*refusal), "refused") from error
    except pika.exceptions.ChannelClosedByBroker as error:
        told = refusals.told(error.reply_code, error.reply_text)
        reason = (
            "refused" if refusals.is_of_a_right(error.reply_code, error.reply_text) else "channel"
        )
        raise Unavailable(f"it closed the channel: {told}", reason) from error
    except pika.exceptions.ConnectionClosedByBroker as error:
        raise Unavailable(refusals.told(error.reply_code, error.reply_text)) from error
    except (pika.exceptions.AMQPError, OSError) as error:
        raise Unavailable(_innermost(error)) from error


def _innermost(error: BaseException) -> str:
    """Return the operating system's words, which pika wraps several times, or pika's own."""
    for argument in getattr(error, "args", ()):
        cause = getattr(argument, "exception", argument)
        if isinstance(cause, BaseException):
            return _innermost(cause)
    return str(error) or type(error).__name__


def _told(error: Unavailable, settings: RabbitSettings) -> tuple[str, str]:
    """Return why there is no connection, with what to look at, and the reason in one word."""
    tls = settings.tls
    refusal = tls.refusal(error, settings.host) if tls is not None else None
    is_no_tls = tls is not None and refusal == tls.not_offered(settings.host)
    hung_up = isinstance(error.__cause__, pika.exceptions.IncompatibleProtocolError)
    is_silent = isinstance(error.__cause__, AMQPConnectorException)
    if hung_up or is_silent or is_no_tls or error.reason == "protocol":
        stranger = greetings.stranger("RABBIT", settings.host, settings.port)
        if stranger:
            return stranger, "protocol"
    if refusal is not None:
        return refusal, "tls"
    if not hung_up:
        return str(error), error.reason
    hint = "if it speaks TLS at this port, set RABBIT_TLS" if tls is None else tls.hung_up()
    return f"{error}; {hint}", error.reason


def confirming_channel(connection: Any) -> Any:
    """Return a channel whose publishes wait for the broker's confirm. Raises Unavailable."""
    with translated():
        channel = connection.channel()
        channel.confirm_delivery()
        return channel


def publish(channel: Any, exchange: str, routing_key: str, body: bytes, properties: Any) -> None:
    """Publish one message and wait for its confirm. Raises Unavailable."""
    try:
        with translated():
            channel.basic_publish(exchange, routing_key, body, properties, mandatory=True)
    except Unavailable as error:
        if isinstance(error.__cause__, pika.exceptions.NackError):
            raise Unavailable(
                f"the queue behind {routing_key} refuses: it is full, or has no leader", "nack"
            ) from error
        if isinstance(error.__cause__, pika.exceptions.UnroutableError):
            raise Unavailable(
                f"no queue is bound for {routing_key}: an operator must run `datastream topology`",
                "returned",
            ) from error
        raise


def encodable(value: Any) -> Any:
    """Return the value of a header, or its text where pika can decode but not encode it.

    That is a float, or an integer above 63 bits: not in a slice's header, but in a foreign message.
    """
    try:
        pika.data.encode_value([], value)
    except (pika.exceptions.UnsupportedAMQPFieldException, struct.error):
        return str(value)
    return value
