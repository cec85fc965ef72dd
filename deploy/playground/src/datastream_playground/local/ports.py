"""Free ports on the loopback address."""

from __future__ import annotations

import random
import socket
from collections import deque
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LOWEST = 20_000
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
#: What was given lately: it stays free until whoever asked for it listens there.
_given: deque[int] = deque(maxlen=500)


def usable() -> range:
    """Return the range in which free ports are looked for.

    It is below the ephemeral ports. A client that keeps trying to reach a stopped server on an
    ephemeral port can end up connected to itself, and hold the port that the server needs to
    restart.
    """
    first_ephemeral = int(_EPHEMERAL_RANGE.read_text().split()[0])
    return range(_LOWEST, max(first_ephemeral, _LOWEST + 5_000))


def free_port() -> int:
    """Return a port that is free now, and was not given lately. Raises OSError without one."""
    among = usable()
    for _ in range(200):
        port = random.choice(among)  # noqa: S311  # no secret
        if port not in _given and is_free(port):
            _given.append(port)
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
