"""The naive design, to compare with: a message for each line, a commit for each row."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pika

from bench.corpus import Log
from bench.rows import columns
from datastream.rabbitmq import connect
from deployment import Deployment, lines_of

TABLES = ("raw_log", "clean_log")
#: Seconds in which the next message must come.
PATIENCE = 60.0


def measure(deployment: Deployment, log: Log) -> float:
    """Return how many lines a second come from a file into both tables.

    Each line is a message to two quorum queues, confirmed one by one; two consumers insert a row,
    commit and acknowledge. The rows are finished ones, out of the tables: nothing is parsed.
    """
    rows = {table: _finished(deployment, table, log.lines) for table in TABLES}
    lines = min(map(len, rows.values()))
    for table in TABLES:
        deployment.query(f"CREATE TABLE naive_{table} LIKE {table}")
        with connect(deployment.rabbit, "bench") as connection:
            connection.channel().queue_declare(
                f"naive_{table}", durable=True, arguments={"x-queue-type": "quorum"}
            )
    begin = time.monotonic()
    with ThreadPoolExecutor() as pool:
        parts = [pool.submit(_publish, deployment, log, lines)]
        parts += [pool.submit(_consume, deployment, table, rows[table][:lines]) for table in TABLES]
    for part in parts:
        part.result()
    return lines / (time.monotonic() - begin)


def _finished(deployment: Deployment, table: str, lines: int) -> list[tuple[Any, ...]]:
    return deployment.query(f"SELECT {_names(deployment, table)} FROM {table} LIMIT {lines:d}")


def _names(deployment: Deployment, table: str) -> str:
    connected = deployment.database.connect(deployment.mysql.database)
    with connected as connection, connection.cursor() as cursor:
        return ", ".join(f"`{column.name}`" for column in columns(cursor, table))


def _publish(deployment: Deployment, log: Log, lines: int) -> None:
    persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
    with connect(deployment.rabbit, "bench") as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for line, _ in zip(lines_of(log.path), range(lines), strict=False):
            for table in TABLES:
                channel.basic_publish("", f"naive_{table}", line, persistent, mandatory=True)


def _consume(deployment: Deployment, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    places = ", ".join(["%s"] * len(rows[0]))
    insert = f"INSERT INTO naive_{table} ({_names(deployment, table)}) VALUES ({places})"
    with (
        connect(deployment.rabbit, "bench") as broker,
        deployment.database.connect(deployment.mysql.database) as database,
        database.cursor() as cursor,
    ):
        channel = broker.channel()
        messages = channel.consume(f"naive_{table}", inactivity_timeout=PATIENCE)
        for row, (method, _, _) in zip(rows, messages, strict=False):
            if method is None:
                raise TimeoutError("nothing is published any more")
            cursor.execute(insert, row)
            database.commit()
            channel.basic_ack(method.delivery_tag)
