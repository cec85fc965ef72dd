"""Measures the time from a line's writing to its rows, on real servers: `make bench-latency`."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from datastream_operator.local.packages import ensure
from datastream_operator.local.servers import both
from deployment import Deployment, eventually

LINE = b'192.0.2.7 - - [10/Oct/2026:13:55:36 +0200] "GET /%d HTTP/1.1" 200 512 "-" "example/1.0"\n'


def say(text: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def measure(deployment: Deployment, log: Path, lines: int, times: int) -> None:
    """Append `lines` at once, `times` times, and say how long both tables took to show them."""
    seconds = []
    total = deployment.count("raw_log")
    for _ in range(times):
        total += lines
        begin = time.perf_counter()
        with log.open("ab") as file:
            file.write(b"".join(LINE % number for number in range(lines)))

        def visible(total: int = total) -> None:
            assert deployment.count("clean_log") == total
            assert deployment.count("raw_log") == total

        eventually(visible)
        seconds.append(time.perf_counter() - begin)
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    say(
        f"{lines:>6,} lines at once, {times} times: median {cuts[49] * 1000:.0f} ms,"
        f" 99 % within {cuts[98] * 1000:.0f} ms, slowest {max(seconds) * 1000:.0f} ms"
    )


def main() -> None:
    """Measure one line and a thousand; a look every 20 ms and its query are in the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "access.log"
        log.touch()
        with (
            both(folder / "servers", ensure(say)) as servers,
            closing(Deployment("latency", *servers, folder)) as deployment,
        ):
            deployment.start_consumers()
            deployment.start("producer", str(log)).wait_ready()
            say(f"RabbitMQ {servers[0].version}, {servers[1].version}")
            measure(deployment, log, 1, 5)
            measure(deployment, log, 1, 200)
            measure(deployment, log, 1_000, 50)


if __name__ == "__main__":
    main()
