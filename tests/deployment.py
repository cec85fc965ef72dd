"""One installation of Datastream for one test: a vhost, a schema, and services as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar
from weakref import WeakKeyDictionary

import pymysql
from prometheus_client.parser import text_string_to_metric_families

from datastream import mysql
from datastream.config import MysqlSettings, RabbitSettings, Secret
from datastream.errors import Unavailable
from datastream.rabbitmq import connect, declare_topology
from datastream.topology import QUEUES
from datastream_operator import migrate
from datastream_playground.demo.services import RUN
from datastream_playground.local.ports import free_port
from datastream_playground.local.servers import Broker, Database

SOURCE = "test"
#: Seconds in which nothing changes before a test gives up waiting; far above what anything takes,
#: on a busy machine too, so that it decides nothing. A test as a whole has pytest's `timeout`.
PATIENCE = 180.0
#: Of what changes for ever, such as a log that tells of a retry.
LONGEST_PATIENCE = 600.0
#: Seconds between two looks, at first and at last: a look takes time from what it waits for.
PAUSES = (0.02, 0.1)
#: Each line of raw_log is in one of them.
PARSED = ("clean_log", "error_log", "rejected_log")

#: Whatever the machine's proxies are: the services are on this machine.
WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))

T = TypeVar("T")


def eventually(probe: Callable[[], T], patience: float = PATIENCE) -> T:
    """Return what the probe returns once it asserts nothing any more; its failure at the end.

    The end is when it has failed with the same words for that long: what goes on, goes on.
    """
    words, since = "", time.monotonic()
    last = since + max(patience, LONGEST_PATIENCE)
    pause, longest = PAUSES
    while True:
        try:
            return probe()
        except (AssertionError, OSError, pymysql.MySQLError) as error:
            now = time.monotonic()
            if str(error) != words:
                words, since = str(error), now
            if now - since >= patience or now >= last:
                raise
        time.sleep(pause)
        pause = min(pause * 1.2, longest)


class Store(Protocol):
    """Tables, and the queues in front of them."""

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""

    def queues(self) -> str:
        """Return how many messages each queue holds, or why that cannot be told."""


def assert_settled(
    store: Store, lines: int, log: Path | None = None, *, patience: float = PATIENCE
) -> None:
    """Wait until so many lines, of one log or of all, are in raw_log, and parsed one to one."""
    of_log = "" if log is None else "JOIN log_stream s USING (stream_id) WHERE s.path = %s"
    path = () if log is None else (str(log),)
    keys = " UNION ALL ".join(f"SELECT stream_id, line_offset FROM {table}" for table in PARSED)
    one_to_one = (
        "SELECT COUNT(*), COUNT(DISTINCT stream_id, line_offset)"
        f" FROM raw_log r JOIN ({keys}) p USING (stream_id, line_offset) {of_log}"
    )

    def settled() -> None:
        found = {
            table: store.query(f"SELECT COUNT(*) FROM {table} {of_log}", *path)[0][0]
            for table in ("raw_log", *PARSED)
        }
        parsed = sum(found[table] for table in PARSED)
        assert found["raw_log"] == parsed == lines, f"expected {lines}, parsed; found {found}"
        pairs, different = store.query(one_to_one, *path)[0]
        assert pairs == different == lines, (
            f"expected {lines}, one to one; found {pairs} pairs of {different} keys; {found}"
        )

    try:
        eventually(settled, patience)
    except AssertionError as error:
        error.add_note(f"queues: {store.queues()}")
        raise


class Service:
    """A service as a process; its log is in a file."""

    def __init__(self, command: Sequence[str], env: dict[str, str], cwd: Path, log: Path) -> None:
        self.metrics_port = int(env["METRICS_PORT"])
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, env=env, cwd=cwd, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )

    def get(self, path: str) -> tuple[int, str]:
        """Return the status and the text of a page of its HTTP server. Raises OSError."""
        url = f"http://127.0.0.1:{self.metrics_port}{path}"
        try:
            with WITHOUT_PROXY.open(url, timeout=PATIENCE) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a name and some labels. Raises OSError."""
        return sum(
            float(sample.value)
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def wait_ready(self) -> None:
        """Return once the service says that it works."""

        def ready() -> None:
            assert self.process.poll() is None, self.text()
            status, words = self.get("/readyz")
            assert status == 200, f"{words}\n{self.text()}"

        eventually(ready)

    def text(self) -> str:
        """Return what it has logged."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Return its exit code once it has ended."""
        return self.process.wait(PATIENCE)


class Schema:
    """What the migrations make, as statements that make it anew in a fraction of the time."""

    def __init__(self, database: Database, name: str) -> None:
        """Take it down from a database that is migrated, and whose account has its name."""
        self._name = name
        self.statements: list[str] = []
        self.rows: list[tuple[str, tuple[tuple[Any, ...], ...]]] = []
        with database.connect(name) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW FULL TABLES")
            # A view names tables, which must be there: those are first.
            for table, kind in sorted(cursor.fetchall(), key=lambda found: (found[1], found[0])):
                cursor.execute(f"SHOW CREATE TABLE `{table}`")
                self.statements.append(cursor.fetchall()[0][1])
                if kind == "BASE TABLE" and cursor.execute(f"SELECT * FROM `{table}`"):
                    values = ", ".join(["%s"] * len(cursor.description or ()))
                    self.rows.append(
                        (f"INSERT INTO `{table}` VALUES ({values})", cursor.fetchall())
                    )
            cursor.execute("SHOW PROCEDURE STATUS WHERE db = DATABASE()")
            for procedure in [row[1] for row in cursor.fetchall()]:
                cursor.execute(f"SHOW CREATE PROCEDURE `{procedure}`")
                self.statements.append(cursor.fetchall()[0][2])

    def make(self, settings: MysqlSettings) -> None:
        """Make it in an empty database, as the account of the database's name."""
        session = mysql.connect(settings)
        with session, session.cursor() as cursor:
            for statement in self.statements:
                cursor.execute(statement.replace(f"`{self._name}`", f"`{settings.database}`"))
            for statement, rows in self.rows:
                cursor.executemany(statement, rows)
            session.commit()


class Deployment:
    """Everything that Datastream needs, for one test, on servers that tests share."""

    #: What the migrations have made, on each server.
    _schemas: ClassVar[WeakKeyDictionary[Database, Schema]] = WeakKeyDictionary()

    MODULES = ("producer", "lake_consumer", "clean_consumer")
    #: What runs the services and the command `datastream`.
    python = sys.executable

    def __init__(self, name: str, broker: Broker, database: Database, folder: Path) -> None:
        self.folder = folder
        self.broker = broker
        self.database = database
        self.services: list[Service] = []
        self._name = name

    @cached_property
    def rabbit(self) -> RabbitSettings:
        """The virtual host with the topology: made when it is first asked for, as many do not."""
        broker = self.broker
        broker.create_vhost(self._name)
        settings = RabbitSettings(
            broker.host, broker.port, self._name, broker.user, Secret(broker.password)
        )
        self.declare(settings)
        return settings

    @cached_property
    def mysql(self) -> MysqlSettings:
        """The schema with the tables and its account: made when it is first asked for."""
        database = self.database
        database.create(self._name, self._name, "secret")
        settings = MysqlSettings(
            database.host, database.port, self._name, self._name, Secret("secret")
        )
        self.make_tables(settings)
        return settings

    def declare(self, settings: RabbitSettings) -> None:
        """Make the exchange and the queues."""
        declare_topology(settings)

    def make_tables(self, settings: MysqlSettings) -> None:
        """Make the tables."""
        if schema := self._schemas.get(self.database):
            schema.make(settings)
        else:
            migrate.apply(settings)
            self._schemas[self.database] = Schema(self.database, self._name)

    def env(self, **changes: str) -> dict[str, str]:
        """Return the environment of a service."""
        names = ("PATH", "HOME", "LANG", "PYTHONPATH")
        inherited = {k: os.environ[k] for k in names if k in os.environ}
        return inherited | {
            "RABBIT_HOST": self.rabbit.host,
            "RABBIT_PORT": str(self.rabbit.port),
            "RABBIT_VHOST": self.rabbit.vhost,
            "RABBIT_MANAGEMENT_URL": self.broker.management_url,
            "RABBIT_USER": self.rabbit.user,
            "RABBIT_PASSWORD": self.rabbit.password.read(),
            "MYSQL_HOST": self.mysql.host,
            "MYSQL_PORT": str(self.mysql.port),
            "MYSQL_DATABASE": self.mysql.database,
            "MYSQL_USER": self.mysql.user,
            "MYSQL_PASSWORD": self.mysql.password.read(),
            "SOURCE": SOURCE,
            # Their lines may be anything, which FORMAT=auto would not take.
            "FORMAT": "combined",
            "STATE_DIR": str(self.folder / "state"),
            "METRICS_PORT": str(free_port()),
            **changes,
        }

    def start(self, module: str, *arguments: str, **changes: str) -> Service:
        """Start a service: one of MODULES."""
        number = len(self.services)
        service = Service(
            [self.python, "-c", RUN, module, *arguments],
            self.env(**changes),
            self.folder,
            self.folder / f"{module}-{number}.log",
        )
        self.services.append(service)
        return service

    def start_consumers(self) -> tuple[Service, Service]:
        """Start a lake and a clean consumer and wait until both consume."""
        lake, clean = self.start("lake_consumer"), self.start("clean_consumer")
        lake.wait_ready()
        clean.wait_ready()
        return lake, clean

    def operate(
        self, *arguments: str, words: str = "", **changes: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command `datastream` to its end; `words` are typed at it."""
        return subprocess.run(
            [self.python, "-m", "datastream_operator", *arguments],
            env=self.env(**changes),
            cwd=self.folder,
            input=words,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def change(self, statement: str, *parameters: object) -> int:
        """Run a statement on the tables, commit, and return how many rows it changed."""
        connected = self.database.connect(self.mysql.database)
        with connected as connection, connection.cursor() as cursor:
            changed = cursor.execute(statement, parameters)
            connection.commit()
            return changed

    def publish_once(self, *logs: Path, **changes: str) -> Service:
        """Run the producer over some logs to their end and return it; it must have succeeded."""
        producer = self.start("producer", "--once", *map(str, logs), **changes)
        code = producer.wait()
        assert code == 0, producer.text()
        return producer

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        connected = self.database.connect(self.mysql.database)
        with connected as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())

    def count(self, table: str) -> int:
        """Return the number of rows of a table."""
        return int(self.query(f"SELECT COUNT(*) FROM {table}")[0][0])

    def raw_lines(self, path: Path | None = None) -> list[bytes]:
        """Return the lines that raw_log holds, of a log or of all, in the order of their keys."""
        rows = self.query(
            "SELECT r.line FROM raw_log r JOIN log_stream s USING (stream_id)"
            " WHERE %s IS NULL OR s.path = %s ORDER BY s.path, r.stream_id, r.line_offset",
            *([str(path) if path else None] * 2),
        )
        return [row[0] for row in rows]

    def queue_depth(self, queue: str) -> int:
        """Return how many messages of a queue are ready."""
        with connect(self.rabbit, "test") as connection:
            method = connection.channel().queue_declare(queue, passive=True).method
            return int(method.message_count)

    def queues(self) -> str:
        """Return how many messages of each queue are ready, or why that cannot be told."""
        try:
            depths = (f"{queue.name} {self.queue_depth(queue.name)}" for queue in QUEUES)
            return ", ".join(depths)
        except Unavailable as error:
            return str(error)

    def assert_settled(self, lines: int) -> None:
        """Wait until raw_log, and the tables of parsed lines, have this many rows, one to one."""
        assert_settled(self, lines)

    def close(self) -> None:
        """End every service that still runs, and remove the vhost and the schema."""
        for service in self.services:
            if service.process.poll() is None:
                service.kill()
        if "rabbit" in vars(self):
            self.broker.delete_vhost(self._name)
        if "mysql" in vars(self):
            with self.database.connect() as connection, connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE {self._name}")


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, without their newlines."""
    with path.open("rb") as file:
        for line in file:
            yield line.removesuffix(b"\n")
