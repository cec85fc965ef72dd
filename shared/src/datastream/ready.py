"""Exits with 0 when the service beside it is ready: `python3 -m datastream.ready`.

The health check of the images: the service consumes or tails, and is not merely alive.
"""

from __future__ import annotations

import http.client
import os
import sys


def main() -> int:
    """Ask /readyz of the service on this machine's METRICS_PORT; return the exit code."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["METRICS_PORT"]), timeout=2)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        sys.stdout.write(response.read().decode())
    except OSError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0 if response.status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())
