"""Lines read back out of raw_log in SQL: a whole stream of them, and one by its key.

Nothing but the server is measured: what it reads it makes a checksum of, and no client is slower.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from functools import reduce
from itertools import cycle
from operator import xor
from typing import NamedTuple

from bench.corpus import Log
from bench.results import Reading
from bench.usage import Meter, Reader
from deployment import Deployment, lines_of

STREAM = "SELECT stream_id FROM log_stream"
ALL = "SELECT COUNT(*), BIT_XOR(CRC32(line)) FROM raw_log WHERE stream_id = %s"
ONE = "SELECT line FROM raw_log WHERE stream_id = %s AND line_offset = %s"
#: What else the machine does makes it slower, never faster: the best of some counts.
TIMES = 3
#: Seconds in which one line after the other is asked for: the kernel counts CPU time in hundredths.
SECONDS = 2.0
#: So many lines are asked for, in turn.
KEYS = 1_000
#: Seconds that the server may take for a whole stream.
PATIENCE = 3600.0


class Line(NamedTuple):
    """A line and where it begins."""

    offset: int
    text: bytes


def measure(deployment: Deployment, usage: Reader, log: Log) -> Reading:
    """Return how the server reads the lines of a log, the only one that is stored.

    `usage` reads what the server has used. Raises ValueError when they are not those of the log.
    """
    [[stream]] = deployment.query(STREAM)
    seconds, cpu = min(_all(deployment, usage, stream, log) for _ in range(TIMES))
    return Reading(log.lines / seconds, cpu, _one(deployment, usage, stream, some(log)))


def some(log: Log) -> list[Line]:
    """Return KEYS lines of a log, or all, from its whole length."""
    every = max(1, log.lines // KEYS)
    found, offset = [], 0
    for number, text in enumerate(lines_of(log.path)):
        if number % every == 0:
            found.append(Line(offset, text))
        offset += len(text) + 1
    return found


def _all(deployment: Deployment, usage: Reader, stream: int, log: Log) -> tuple[float, float]:
    """Return the seconds for all lines and the CPU time for each, in microseconds."""
    expected = log.lines, reduce(xor, map(zlib.crc32, lines_of(log.path)), 0)
    connected = deployment.database.connect(deployment.mysql.database, read_timeout=PATIENCE)
    with connected as connection, connection.cursor() as cursor:
        meter, begin = Meter({"database": usage}), time.monotonic()
        cursor.execute(ALL, (stream,))
        seconds = time.monotonic() - begin
        found = cursor.fetchone()
    if found != expected:
        raise ValueError(f"lines and checksum are {found}, those of the log {expected}")
    return seconds, meter.cpu_us(log.lines)["database"]


def _one(deployment: Deployment, usage: Reader, stream: int, lines: Sequence[Line]) -> float:
    """Return the CPU time for one line by its key, in milliseconds."""
    connected = deployment.database.connect(deployment.mysql.database)
    with connected as connection, connection.cursor() as cursor:
        asked, count = cycle(lines), 0
        meter, begin = Meter({"database": usage}), time.monotonic()
        while time.monotonic() - begin < SECONDS:
            line = next(asked)
            cursor.execute(ONE, (stream, line.offset))
            if cursor.fetchall() != ((line.text,),):
                raise ValueError(f"the line at {line.offset} is not the log's")
            count += 1
        return meter.cpu_us(count)["database"] / 1e3
