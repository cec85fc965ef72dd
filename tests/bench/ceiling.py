"""The ceiling: the same finished rows put into both tables by LOAD DATA, nothing else running."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from bench.rows import export, load
from bench.servers import PrivateDatabase
from deployment import Deployment

TABLES = ("raw_log", "clean_log")


def measure(deployment: Deployment, database: PrivateDatabase) -> float:
    """Return how many lines a second the server takes of those that the tables hold.

    Its services must have ended. Both tables are filled at once, by a session each, in one
    transaction each: no client of rows can be faster.
    """
    schema = deployment.mysql.database
    lines = deployment.count("raw_log")
    files = {table: export(database, schema, table) for table in TABLES}
    for table in TABLES:
        deployment.query(f"CREATE TABLE ceiling_{table} LIKE {table}")
    begin = time.monotonic()
    with ThreadPoolExecutor() as pool:
        loads = [
            pool.submit(load, database, schema, f"ceiling_{table}", path)
            for table, path in files.items()
        ]
    for done in loads:
        done.result()
    return lines / (time.monotonic() - begin)
