"""Free ports on the loopback address."""

from __future__ import annotations

import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LOWEST = 20_000
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def usable() -> range:
    """Return the ports of which a free one is looked for.

    They lie below the ports that the kernel gives to outgoing connections. A client that tries
    again and again to reach a stopped server on one of those would end up connected to itself
    one day, and hold the port that the server needs to come back.
    """
    first_ephemeral = int(_EPHEMERAL_RANGE.read_text().split()[0])
    return range(_LOWEST, max(first_ephemeral, _LOWEST + 5_000))


def free_port() -> int:
    """Return a port that nothing uses at this moment."""
    among = usable()
    for _ in range(200):
        port = random.choice(among)  # noqa: S311  # no secret
        if is_free(port):
            return port
    raise OSError(f"found no free port from {among[0]} to {among[-1]} on {LOOPBACK}")


def is_free(port: int) -> bool:
    """Say whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
