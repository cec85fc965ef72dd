"""A steady load: how long it takes from a line's writing to its rows in both tables."""

from __future__ import annotations

import time
from contextlib import closing
from itertools import islice
from threading import Thread
from typing import BinaryIO

from bench.corpus import SEED
from bench.figures import Moment, quantile, waits
from bench.installation import Running
from bench.servers import Servers
from bench.tables import Tables
from datastream_playground.sample.lines import generate
from deployment import Deployment, eventually

#: Seconds between two writes, each of as many lines as are due: web servers write in bursts too.
WRITE_EVERY = 0.01
#: Seconds between two looks at the tables; up to as much is in each figure.
LOOK_EVERY = 0.005
PATIENCE = 60.0


def measure(
    deployment: Deployment, servers: Servers, rate: int, seconds: float
) -> dict[str, float]:
    """Write `rate` lines a second to a log that is being followed; return how long lines take.

    In milliseconds, over all lines but a first one: `p50`, `p99` and `max`.
    """
    first, *lines = (
        line + b"\n"
        for line, _ in islice(generate(1 + int(rate * seconds), "combined", SEED), None)
    )
    running = Running(deployment, servers)
    with running.log.open("ab", buffering=0) as file, closing(Tables(deployment)) as tables:
        # A session begins with care; what is measured is how it goes on.
        file.write(first)

        def begun() -> None:
            assert tables.last() == 0

        eventually(begun)
        written: list[Moment] = []
        writer = Thread(target=_write, args=(file, lines, rate, len(first), written))
        writer.start()
        seen = _look(tables, len(first) + sum(map(len, lines[:-1])), seconds + PATIENCE)
        writer.join()
    found = [1e3 * wait for wait in waits(written, seen)]
    running.stop()
    return {"p50": quantile(found, 0.5), "p99": quantile(found, 0.99), "max": max(found)}


def _write(
    file: BinaryIO, lines: list[bytes], rate: int, offset: int, written: list[Moment]
) -> None:
    """Write the lines at their times, and note when each was."""
    begin = time.monotonic()
    done = 0
    while done < len(lines):
        due = min(len(lines), int((time.monotonic() - begin) * rate) + 1)
        burst = lines[done:due]
        at = time.monotonic()
        file.write(b"".join(burst))
        for line in burst:
            written.append((offset, at))
            offset += len(line)
        done = due
        time.sleep(WRITE_EVERY)


def _look(tables: Tables, last: int, patience: float) -> list[Moment]:
    """Look at the tables again and again, until the line at `last` is there."""
    end = time.monotonic() + patience
    seen = [(tables.last(), time.monotonic())]
    while seen[-1][0] < last and time.monotonic() < end:
        time.sleep(LOOK_EVERY)
        seen.append((tables.last(), time.monotonic()))
    return seen
