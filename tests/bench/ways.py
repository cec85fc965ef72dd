"""`make bench-ways`: parsed rows by LOAD DATA and by INSERT, in turns on one server."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from bench.command import end, workplace
from bench.corpus import write
from bench.guarded import slices
from bench.installation import installed
from bench.servers import Servers, running
from bench.usage import Meter
from clean_consumer.rows import parse
from clean_consumer.tables import INSERT_CLEAN
from datastream import loading
from datastream.config import MysqlSettings
from datastream.mysql import Session
from datastream.slices import decode

LINES = 60_000
ROUNDS = 5
#: Rows of a batch: that of a producer that is behind, and the smaller ones of a followed log.
BATCHES = (4_000, 1_000, 400, 200, 100, 50, 20)
#: Rows of a round, where batches are small and each costs more.
FEW = 12_000
EMPTY = "TRUNCATE clean_log"


class Cost(NamedTuple):
    """What a row takes: CPU µs."""

    client: float
    server: float

    @property
    def both(self) -> float:
        """What it takes in all."""
        return self.client + self.server


def measure(servers: Servers, folder: Path) -> Iterator[str]:
    """Measure both ways by the size of a batch, and yield what is to be printed."""
    log = write(folder / "ways.log", LINES)
    rows = [row for message in slices(log.path, 0) for row in parse(decode(*message)).clean]
    yield servers.description
    yield f"CPU µs of a parsed row of a line of {log.line_bytes:.0f} bytes, a commit for each"
    yield f"batch: the least of {ROUNDS} rounds of either way, in turns"
    yield f"{'':>10}{'INSERT':>24}{'LOAD DATA':>24}"
    yield f"{'a batch':>10}{'client':>8}{'server':>8}{'both':>8}" + (
        f"{'client':>8}{'server':>8}{'both':>8}{'ratio':>8}"
    )
    with installed(servers, folder) as deployment:
        for size in BATCHES:
            some = rows[: max(FEW, min(len(rows), 60 * size))]
            by_insert, by_load = both_ways(deployment.mysql, servers, deployment.query, some, size)
            yield (
                f"{size:>10,}"
                + "".join(
                    f"{cost.client:>8.2f}{cost.server:>8.2f}{cost.both:>8.2f}"
                    for cost in (by_insert, by_load)
                )
                + f"{by_load.both / by_insert.both:>8.2f}"
            )


def both_ways(
    settings: MysqlSettings,
    servers: Servers,
    query: Callable[[str], object],
    rows: Sequence[tuple[Any, ...]],
    size: int,
) -> tuple[Cost, Cost]:
    """Return what a row takes by INSERT and by LOAD DATA: the least of the rounds of each."""
    costs: dict[bool, list[Cost]] = {False: [], True: []}
    fewest, loading.FEWEST = loading.FEWEST, 1  # what is measured is where it should be
    try:
        for _ in range(ROUNDS):
            for is_load, found in costs.items():
                query(EMPTY)
                with closing(Session(replace(settings, local_infile=is_load), "bench")) as session:
                    found.append(stored(session, servers, rows, size))
    finally:
        loading.FEWEST = fewest
    by_insert, by_load = (
        Cost(min(cost.client for cost in found), min(cost.server for cost in found))
        for found in costs.values()
    )
    return by_insert, by_load


def stored(session: Session, servers: Servers, rows: Sequence[tuple[Any, ...]], size: int) -> Cost:
    """Store rows in batches of a size, and return what one takes."""
    with session.transaction():
        pass  # opened before anything counts
    meter = Meter({"server": servers.database.usage})
    begin = time.thread_time()
    for start in range(0, len(rows), size):
        with session.transaction() as transaction:
            transaction.insert(INSERT_CLEAN, rows[start : start + size])
    client = (time.thread_time() - begin) / len(rows) * 1e6
    return Cost(client, meter.cpu_us(len(rows))["server"])


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="bench.ways", description=__doc__)
    parser.add_argument("--db", choices=("mariadb", "mysql"), default="mariadb")
    arguments = parser.parse_args()
    with workplace("ways") as folder, running(arguments.db, folder) as servers:
        for line in measure(servers, folder):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    end(main)
