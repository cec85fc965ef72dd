"""One installation of Datastream for one test: a vhost, a schema, and services as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pymysql
import tenacity
from prometheus_client.parser import text_string_to_metric_families

from datastream.config import MysqlSettings, RabbitSettings, Secret
from datastream.rabbitmq import connect, declare_topology
from datastream_operator import migrate
from datastream_playground.local.ports import free_port
from datastream_playground.local.servers import Broker, Database

SOURCE = "test"
#: Seconds a test waits for a condition; far above what any takes, so that it decides nothing.
PATIENCE = 60.0

#: Whatever the machine's proxies are: the services are on this machine.
WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))

T = TypeVar("T")


def eventually(probe: Callable[[], T], patience: float = PATIENCE) -> T:
    """Return what the probe returns once it asserts nothing any more; its failure at the end."""
    policy = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((AssertionError, OSError, pymysql.MySQLError)),
        wait=tenacity.wait_fixed(0.02),
        stop=tenacity.stop_after_delay(patience),
        reraise=True,
    )
    return policy(probe)


#: Runs a module without a package that only the tests' certificates need: no image holds it, and
#: PyMySQL would load its 10 MB.
_RUN = """
import runpy, sys
sys.modules["cryptography"] = None
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


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
            with WITHOUT_PROXY.open(url, timeout=5) as response:
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

    def terminate(self, patience: float = 10.0) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience)

    def wait(self, patience: float = PATIENCE) -> int:
        """Return its exit code once it has ended by itself."""
        return self.process.wait(patience)


class Deployment:
    """Everything that Datastream needs, for one test, on servers that tests share."""

    MODULES = ("producer", "lake_consumer", "clean_consumer")

    def __init__(self, name: str, broker: Broker, database: Database, folder: Path) -> None:
        self.folder = folder
        self.broker = broker
        self.database = database
        self.services: list[Service] = []
        broker.create_vhost(name)
        database.create(name, name, "secret")
        self.rabbit = RabbitSettings(
            broker.host, broker.port, name, broker.user, Secret(broker.password)
        )
        self.mysql = MysqlSettings(database.host, database.port, name, name, Secret("secret"))
        declare_topology(self.rabbit)
        migrate.apply(self.mysql)

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
            "STATE_DIR": str(self.folder / "state"),
            "METRICS_PORT": str(free_port()),
            **changes,
        }

    def start(self, module: str, *arguments: str, **changes: str) -> Service:
        """Start a service: one of MODULES."""
        number = len(self.services)
        service = Service(
            [sys.executable, "-c", _RUN, module, *arguments],
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
            [sys.executable, "-m", "datastream_operator", *arguments],
            env=self.env(**changes),
            cwd=self.folder,
            input=words,
            capture_output=True,
            text=True,
            timeout=120,
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
        code = producer.wait(120)
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

    def assert_settled(self, lines: int, patience: float = PATIENCE) -> None:
        """Wait until raw_log, and the tables of parsed lines, have this many rows, one to one."""

        def settled() -> None:
            assert self.count("raw_log") == lines
            tables = ("clean_log", "error_log", "rejected_log")
            assert sum(map(self.count, tables)) == lines
            keys = (f"SELECT stream_id, line_offset FROM {table}" for table in tables)
            parsed = f"({' UNION ALL '.join(keys)}) p"
            joined = f"raw_log r JOIN {parsed} USING (stream_id, line_offset)"
            assert self.count(joined) == lines

        eventually(settled, patience)

    def close(self) -> None:
        """End every service that still runs, and remove the vhost and the schema."""
        for service in self.services:
            if service.process.poll() is None:
                service.kill()
        self.broker.delete_vhost(self.rabbit.vhost)
        with self.database.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {self.mysql.database}")


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, without their newlines."""
    with path.open("rb") as file:
        for line in file:
            yield line.removesuffix(b"\n")
