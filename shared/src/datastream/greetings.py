"""What answers at a port where it should be the broker or the database, told by its first bytes."""

from __future__ import annotations

import socket
from contextlib import suppress

#: Seconds for each step. MySQL greets at once; the others wait to be spoken to.
PATIENCE = 1.0
#: Eight bytes, as many as a broker reads before it says which protocol it speaks, and the end of a
#: request for a server of HTTP. Neither knows them, and both say so in their own words.
QUESTION = b"AMQP\r\n\r\n"

BROKER, DATABASE, TLS = "RabbitMQ's port", "MySQL's port", "a port of TLS alone"
#: Where each is unless it was set up otherwise, by how the names of the settings begin.
_USUAL = {"RABBIT": "5672, with TLS 5671", "MYSQL": "3306"}
_RIGHT = {"RABBIT": (BROKER, TLS, ""), "MYSQL": (DATABASE, "")}
_BEGINNINGS = {
    b"AMQP": BROKER,
    b"HTTP/": "a port of HTTP, as RabbitMQ's management has",
    b"\x15\x03": TLS,
    b"\x05\0\0\0\x0b": "MySQL's port for the X protocol",
}


def stranger(prefix: str, host: str, port: int) -> str:
    """Return in words what answers at a port instead of the broker or the database.

    `prefix` is how the names of its settings begin: `RABBIT` or `MYSQL`. Empty when it is the right
    one or cannot be told; that may take two seconds.
    """
    name = named(_first_words(host, port))
    if name in _RIGHT[prefix]:
        return ""
    return f"that is {name}: check {prefix}_HOST and {prefix}_PORT (usually {_USUAL[prefix]})"


def named(said: bytes) -> str:
    """Return whose port it is, by the first bytes that come from it; empty if that is not known."""
    for beginning, name in _BEGINNINGS.items():
        if said.startswith(beginning):
            return name
    # The header of a first packet; then the protocol's version, or an error.
    if said[3:5] in (b"\0\x0a", b"\0\xff"):
        return DATABASE
    line = said.partition(b"\r")[0].partition(b"\n")[0].decode("latin-1")
    if line.isascii() and line.isprintable() and line:
        return f"a port of another program, which says {line[:60]}"
    return ""


def _first_words(host: str, port: int) -> bytes:
    with suppress(OSError), socket.create_connection((host, port), PATIENCE) as peer:
        with suppress(TimeoutError):
            return peer.recv(100)
        peer.sendall(QUESTION)
        return peer.recv(100)
    return b""
