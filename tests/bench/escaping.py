"""Rows as SQL text, beside the driver's own value by value: two claims of datastream.inserts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from pymysql.converters import escape_string

from bench.guarded import slices
from clean_consumer.rows import parse
from clean_consumer.tables import INSERT_CLEAN
from datastream.config import MysqlSettings
from datastream.inserts import binaries
from datastream.mysql import connect
from datastream.slices import decode

ROUNDS = 5
_ROW = f"({','.join(['%s'] * len(INSERT_CLEAN.columns))})"


class Claim(NamedTuple):
    """What is done, what it takes, and what the other way takes: CPU µs a line."""

    what: str
    ours: float
    other_way: str
    theirs: float


def claims(log: Path, mysql: MysqlSettings) -> Iterator[Claim]:
    """Measure both ways of both claims, on the lines of a log."""
    sent = [decode(*message) for message in slices(log, 0)]
    rows = [row for slice_ in sent for row in parse(slice_).clean]
    # The driver has no words for a JSON value: as text, which does it a favour.
    flat = [(*row[:-1], row[-1] and json.dumps(row[-1])) for row in rows]
    lines = [line for slice_ in sent for line in slice_.body.split(b"\n")]
    with closing(connect(mysql)) as connection, connection.cursor() as cursor:
        yield Claim(
            "parsed rows as SQL text",
            _us(len(rows), lambda: [str(part).encode() for part in INSERT_CLEAN.statements(rows)]),
            "as the driver's executemany does",
            _us(len(rows), lambda: [cursor.mogrify(_ROW, row).encode() for row in flat]),
        )
    yield Claim(
        "lines as hexadecimal digits",
        _us(len(lines), lambda: binaries(lines)),
        "the driver's escape_string",
        _us(len(lines), lambda: [f"'{escape_string(line.decode('latin-1'))}'" for line in lines]),
    )


def _us(lines: int, do: Callable[[], object]) -> float:
    """Return the least CPU time of several rounds, in microseconds a line."""
    times = []
    for _ in range(ROUNDS):
        begin = time.thread_time()
        do()
        times.append(time.thread_time() - begin)
    return min(times) / lines * 1e6
