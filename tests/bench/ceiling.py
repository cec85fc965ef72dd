"""The ceiling: the same finished rows put into both tables by LOAD DATA, nothing else running."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.rows import export, load
from bench.servers import PrivateDatabase
from bench.usage import Meter
from deployment import Deployment

TABLES = ("raw_log", "clean_log")
#: What else the machine does makes it lower, never higher: the best of some counts.
TIMES = 3


@dataclass(frozen=True)
class Ceiling:
    """How fast the server took the rows, and what that took of its CPU time."""

    lines_per_s: float
    cpu_us_per_line: float


def measure(deployment: Deployment, database: PrivateDatabase) -> list[Ceiling]:
    """Return, the best first, how the server took the rows that the tables hold.

    Its services must have ended. Both tables are filled at once, by a session each, in one
    transaction each: no client of rows can be faster.
    """
    schema = deployment.mysql.database
    lines = deployment.count("raw_log")
    files = {table: export(database, schema, table) for table in TABLES}
    found = [_fill(deployment, database, files, lines) for _ in range(TIMES)]
    return sorted(found, key=lambda ceiling: ceiling.lines_per_s, reverse=True)


def _fill(
    deployment: Deployment, database: PrivateDatabase, files: dict[str, str], lines: int
) -> Ceiling:
    """Fill two new tables, and remove them."""
    schema = deployment.mysql.database
    for table in files:
        deployment.query(f"CREATE TABLE ceiling_{table} LIKE {table}")
    meter = Meter({"database": database.usage})
    begin = time.monotonic()
    with ThreadPoolExecutor() as pool:
        loads = [
            pool.submit(load, database, schema, f"ceiling_{table}", path)
            for table, path in files.items()
        ]
    for done in loads:
        done.result()
    seconds = time.monotonic() - begin
    result = Ceiling(lines / seconds, meter.cpu_us(lines)["database"])
    for table in files:
        deployment.query(f"DROP TABLE ceiling_{table}")
    return result
