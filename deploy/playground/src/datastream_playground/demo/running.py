"""The pipeline, running: private servers, their tables and queues, and the consumers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from datastream.config import MysqlSettings, RabbitSettings, Secret
from datastream.errors import Unavailable
from datastream.mysql import Session
from datastream.rabbitmq import declare_topology
from datastream_operator import interruption, migrate
from datastream_playground.demo.services import STOPS_WITHIN, Service, stopped_at_the_end
from datastream_playground.demo.subject import Subject
from datastream_playground.demo.tables import Tables
from datastream_playground.local import processes
from datastream_playground.local.packages import ensure
from datastream_playground.local.server import secret, write_private
from datastream_playground.local.servers import Broker, Database, both

#: The schema and the services' account.
NAME = "datastream"

#: In the folder: what `datastream sql --folder` reads of a demo that runs, and what MySQL's own
#: clients read as `--defaults-file`.
CLIENT_FILE = "mysql.cnf"
CLIENT_SETTINGS = """\
[client]
host = {host}
port = {port}
protocol = TCP
user = {user}
password = {password}
[mysql]
database = {database}
"""


class DatabaseFailed(Exception):
    """The database failed after it had been set up. The text says how."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The servers, services and settings of one run."""

    subject: Subject
    folder: Path
    broker: Broker
    database: Database
    rabbit: RabbitSettings
    mysql: MysqlSettings
    producer: Service
    lake: Service
    cleaners: tuple[Service, Service]

    @property
    def consumers(self) -> tuple[Service, ...]:
        """The services that write rows."""
        return (self.lake, *self.cleaners)

    @property
    def services(self) -> tuple[Service, ...]:
        """All services, in the order of a line's way."""
        return (self.producer, *self.consumers)

    @contextmanager
    def tables(self, files: Iterable[Path] | None = None) -> Iterator[Tables]:
        """Give what the tables hold of some files, or of those that the subject stands for now.

        Raises Unreadable and DatabaseFailed.
        """
        with closing(Session(self.mysql, "datastream demo")) as session:
            try:
                yield Tables.of(session, self.subject, files)
            except Unavailable as error:
                raise DatabaseFailed(f"The database: {error}") from error


@contextmanager
def running(subject: Subject, folder: Path, console: Console) -> Iterator[Pipeline]:
    """Run servers and consumers during the block; the producer is not started.

    Nothing is left running afterwards, also on an exception. Raises CannotServe, DidNotStart,
    FolderInUse, Unavailable, ServiceFailed and pymysql.MySQLError.
    """
    programs = ensure(console.print)
    begin = time.monotonic()
    console.print("Starting a private RabbitMQ and a private database")
    with both(folder, programs) as (broker, database), _nothing_left(folder):
        console.print(
            f"RabbitMQ {broker.version} and {product(database.version)} run on "
            f"{broker.host}:{broker.port} and :{database.port} ({time.monotonic() - begin:.0f} s)"
        )
        pipeline = _set_up(subject, folder, broker, database)
        with stopped_at_the_end(pipeline.services):
            for consumer in pipeline.consumers:
                consumer.start()
            for consumer in pipeline.consumers:
                consumer.wait_ready()
            try:
                yield pipeline
            except KeyboardInterrupt:
                console.print("\nInterrupted: stopping what was started")
                raise
            finally:
                interruption.ignore()


def product(version: str) -> str:
    """Return the name that goes with a server's version: `MariaDB 10.11.19`, `MySQL 8.4.3`."""
    number, is_mariadb, _ = version.partition("-MariaDB")
    return f"{'MariaDB' if is_mariadb else 'MySQL'} {number}"


@contextmanager
def _nothing_left(folder: Path) -> Iterator[None]:
    """Make sure that no service runs in `folder` before and after the block."""
    processes.end_marked(folder, STOPS_WITHIN)
    try:
        yield
    finally:
        processes.end_marked(folder, patience=1)


def _set_up(subject: Subject, folder: Path, broker: Broker, database: Database) -> Pipeline:
    """Create the account, the tables and the queues that do not exist yet."""
    rabbit = RabbitSettings(broker.host, broker.port, "/", broker.user, Secret(broker.password))
    password = secret(folder / "mysql_password")
    database.create(NAME, NAME, password)
    mysql = MysqlSettings(database.host, database.port, NAME, NAME, Secret(password))
    migrate.apply(mysql)
    declare_topology(rabbit)
    environment = _environment(subject, folder, rabbit, mysql)

    def service(name: str, module: str) -> Service:
        (folder / f"{name}.log").unlink(missing_ok=True)
        return Service(name, module, folder, environment)

    pipeline = Pipeline(
        subject,
        folder,
        broker,
        database,
        rabbit,
        mysql,
        producer=service("producer", "producer"),
        lake=service("lake_consumer", "lake_consumer"),
        cleaners=(
            service("clean_consumer-1", "clean_consumer"),
            service("clean_consumer-2", "clean_consumer"),
        ),
    )
    write_client_settings(folder, mysql)
    return pipeline


def write_client_settings(folder: Path, mysql: MysqlSettings) -> None:
    """Write how clients of this user reach the database while it runs."""
    write_private(
        folder / CLIENT_FILE,
        CLIENT_SETTINGS.format(
            host=mysql.host,
            port=mysql.port,
            user=mysql.user,
            password=mysql.password.read(),
            database=mysql.database,
        ),
    )


def _environment(
    subject: Subject, folder: Path, rabbit: RabbitSettings, mysql: MysqlSettings
) -> dict[str, str]:
    """Return the environment of the services, with none of the user's own settings."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return inherited | {
        "SOURCE": subject.source,
        "FORMAT": subject.format,
        "STATE_DIR": str(folder / "state"),
        "RABBIT_HOST": rabbit.host,
        "RABBIT_PORT": str(rabbit.port),
        "RABBIT_USER": rabbit.user,
        "RABBIT_PASSWORD": rabbit.password.read(),
        "MYSQL_HOST": mysql.host,
        "MYSQL_PORT": str(mysql.port),
        "MYSQL_DATABASE": mysql.database,
        "MYSQL_USER": mysql.user,
        "MYSQL_PASSWORD": mysql.password.read(),
    }
