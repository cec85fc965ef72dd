"""TLS as a connection uses it, and how long the server's certificate is still valid."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass

from datastream.config import RabbitSettings
from datastream.how_many import how_many
from datastream.tls import TlsSettings, Unusable
from datastream_operator.doctor.report import Check, State

#: Days before the end of a certificate from which on it is reported.
RENEWAL = 21

TIMEOUT = 5.0
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Encryption:
    """What two sides agreed on; empty where they speak plain text."""

    version: str
    cipher: str
    #: The end of the server's certificate as OpenSSL writes it; empty where not known.
    ends: str


def of_broker(rabbit: RabbitSettings, tls: TlsSettings) -> Encryption:
    """Return what a connection to the broker's TLS port agrees on.

    The broker's client does not tell, so this is a connection of its own, which ends before any
    AMQP. Raises OSError and Unusable.
    """
    address = (rabbit.host, rabbit.port)
    with (
        socket.create_connection(address, TIMEOUT) as plain,
        tls.context().wrap_socket(plain, server_hostname=rabbit.host) as encrypted,
    ):
        certificate = encrypted.getpeercert() or {}
        cipher = encrypted.cipher()
        return Encryption(
            encrypted.version() or "",
            cipher[0] if cipher else "",
            str(certificate.get("notAfter", "")),
        )


def check_broker(name: str, rabbit: RabbitSettings) -> Check:
    """Return the row of the broker's TLS."""
    if rabbit.tls is None:
        return check(name, None, Encryption("", "", ""))
    try:
        return check(name, rabbit.tls, of_broker(rabbit, rabbit.tls))
    except (OSError, Unusable) as error:
        return Check(name, State.BROKEN, (rabbit.tls.refusal(error, rabbit.host) or str(error),))


def check(name: str, tls: TlsSettings | None, found: Encryption) -> Check:
    """Return the row of a connection, from its settings and what was agreed on."""
    if tls is None:
        words = f"{found.version}, not verified: it is not set" if found.version else "off"
        return Check(name, State.OK, (words,))
    parts = [found.version, found.cipher, "verified" if tls.verify else "not verified"]
    days = _days_left(found.ends)
    if days is not None:
        parts.append(f"{how_many(days, 'day')} left" if days >= 0 else "expired")
    words = ", ".join(parts)
    if not tls.verify:
        advice = f"Name the CA in {tls.prefix}_TLS_CA and leave {tls.prefix}_TLS_VERIFY at yes."
        return Check(name, State.ATTENTION, (f"{words}: any server is believed",), advice)
    if days is not None and days < RENEWAL:
        return Check(name, State.ATTENTION, (words,), "Renew the server's certificate.")
    return Check(name, State.OK, (words,))


def _days_left(ends: str) -> float | None:
    """Return for how many days a certificate is still valid; None where that is not known."""
    if not ends:
        return None
    return (ssl.cert_time_to_seconds(ends) - time.time()) // DAY
