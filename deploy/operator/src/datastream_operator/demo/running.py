"""The pipeline, running: private servers, their tables and queues, and the consumers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pymysql
from pymysql.cursors import Cursor
from rich.console import Console

from datastream.config import MysqlSettings, RabbitSettings
from datastream.rabbitmq import declare_topology
from datastream_operator import migrate
from datastream_operator.demo.services import Service, stopped_at_the_end
from datastream_operator.demo.subject import Subject
from datastream_operator.local.packages import ensure
from datastream_operator.local.server import secret
from datastream_operator.local.servers import Broker, Database, both

NAME = "datastream"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What runs, and where."""

    subject: Subject
    folder: Path
    broker: Broker
    database: Database
    rabbit: RabbitSettings
    mysql: MysqlSettings
    producer: Service
    lake: Service
    cleaners: tuple[Service, Service]

    def connect(self) -> pymysql.Connection[Cursor]:
        """Open a connection to the tables."""
        return self.database.connect(self.mysql.database)


@contextmanager
def running(subject: Subject, folder: Path, console: Console) -> Iterator[Pipeline]:
    """Run servers and consumers for the length of the block; the producer is not started.

    Whatever happens, nothing is left running. Raises CannotServe, DidNotStart, FolderInUse,
    Unavailable and ServiceFailed.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    programs = ensure(console.print)
    begin = time.monotonic()
    console.print("Starting a private RabbitMQ and a private database …")
    with both(folder, programs) as (broker, database):
        console.print(
            f"RabbitMQ {broker.version} and {product(database.version)} run on "
            f"{broker.host}:{broker.port} and :{database.port} ({time.monotonic() - begin:.0f} s)"
        )
        rabbit = RabbitSettings(broker.host, broker.port, "/", broker.user, broker.password)
        password = secret(folder / "mysql_password")
        database.create(NAME, NAME, password)
        mysql = MysqlSettings(database.host, database.port, NAME, NAME, password)
        migrate.apply(mysql)
        declare_topology(rabbit)
        environment = _environment(subject, folder, rabbit, mysql)
        pipeline = Pipeline(
            subject,
            folder,
            broker,
            database,
            rabbit,
            mysql,
            producer=Service("producer", "producer", folder, environment),
            lake=Service("lake_consumer", "lake_consumer", folder, environment),
            cleaners=(
                Service("clean_consumer-1", "clean_consumer", folder, environment),
                Service("clean_consumer-2", "clean_consumer", folder, environment),
            ),
        )
        consumers = [pipeline.lake, *pipeline.cleaners]
        with stopped_at_the_end([*consumers, pipeline.producer]):
            for consumer in consumers:
                consumer.log.unlink(missing_ok=True)
                consumer.start()
            for consumer in consumers:
                consumer.wait_ready()
            yield pipeline


def product(version: str) -> str:
    """Return the name that goes with a server's version: `MariaDB 10.11.19`, `MySQL 8.4.3`."""
    number, is_mariadb, _ = version.partition("-MariaDB")
    return f"{'MariaDB' if is_mariadb else 'MySQL'} {number}"


def _environment(
    subject: Subject, folder: Path, rabbit: RabbitSettings, mysql: MysqlSettings
) -> dict[str, str]:
    """Return the settings of the services: these, and nothing of the person's own."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return inherited | {
        "SOURCE": subject.source,
        "FORMAT": subject.format,
        "STATE_DIR": str(folder / "state"),
        "RABBIT_HOST": rabbit.host,
        "RABBIT_PORT": str(rabbit.port),
        "RABBIT_USER": rabbit.user,
        "RABBIT_PASSWORD": rabbit.password,
        "MYSQL_HOST": mysql.host,
        "MYSQL_PORT": str(mysql.port),
        "MYSQL_DATABASE": mysql.database,
        "MYSQL_USER": mysql.user,
        "MYSQL_PASSWORD": mysql.password,
    }
