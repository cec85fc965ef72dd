"""Visitors for the demo's web server: the endless requests of the samples, made for real."""

from __future__ import annotations

import base64
import http.client
import math
import sys
import time
from contextlib import suppress
from pathlib import Path

from datastream.config import EX_CONFIG, ConfigError, Environment
from datastream_playground.sample.traffic import Request, Traffic

#: The web server, and the seconds it has to answer.
HOST, PORT, TIMEOUT = "nginx", 8080, 10
LOG = Path("/var/log/demo/access.log")
#: Bytes at which the log is rotated: the demo must not fill a disk.
LOG_BYTES = 64 * 1024**2
#: Seconds from one rush hour to the next.
DAY = 300
#: How far the rate swings, as a share of itself; the first rush hour is at the start.
TIDE = 0.9
SEED = 1


def main() -> int:
    """Make requests until killed; return the exit code when a setting is wrong."""
    try:
        run(Environment.load())
    except ConfigError as error:
        sys.stderr.write(f"datastream: {error}\n")
        return EX_CONFIG
    return 0


def run(env: Environment) -> None:
    """Make TRAFFIC_RATE requests a second on average: nearly twice as many in a rush hour.

    Does not return. Raises ConfigError.
    """
    rate = env.number("TRAFFIC_RATE", 25, 1, 1000)
    visitors = Traffic(SEED, proxy=False)
    began, made = time.monotonic(), 0.0
    connection = http.client.HTTPConnection(HOST, PORT, timeout=TIMEOUT)
    while True:
        time.sleep(0.1)
        elapsed = time.monotonic() - began
        # The requests due by now: the area under a wave around the rate.
        due = rate * (elapsed + TIDE * math.sin(elapsed * math.tau / DAY) * DAY / math.tau)
        while made < due:
            made += 1
            visit(connection, visitors.next_request())
        rotate()


def visit(connection: http.client.HTTPConnection, request: Request) -> None:
    """Make one request; one that http.client cannot send is skipped.

    A server that does not answer is given a second, and is no error.
    """
    url = request.target.url
    if request.method is None or url is None or not url.startswith("/"):
        return
    try:
        connection.request(request.method, url, headers=headers(request))
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        connection.close()
        time.sleep(1)


def headers(request: Request) -> dict[str, str]:
    """Return the headers by which the server logs the visitor and answers with the status."""
    visitor = request.visitor
    wanted = {
        "Host": request.target.host or "www.example.com",
        "X-Forwarded-For": visitor.client.address,
        "X-Demo-Status": str(request.status),
        "User-Agent": visitor.agent,
        "Referer": request.referrer,
    }
    if visitor.user.name is not None:
        name = base64.b64encode(f"{visitor.user.name}:".encode()).decode("ascii")
        wanted["Authorization"] = f"Basic {name}"
    return {name: text for name, text in wanted.items() if text is not None and text.isascii()}


def rotate() -> None:
    """Rename the log once it is long; the server reopens it for each line."""
    with suppress(FileNotFoundError):
        if LOG.stat().st_size > LOG_BYTES:
            LOG.replace(LOG.with_name(f"{LOG.name}.1"))


if __name__ == "__main__":
    sys.exit(main())
