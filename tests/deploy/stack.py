"""One installation of Datastream in containers, made and operated by the scripts of deploy/bin."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pika
import pymysql

from datastream import __version__
from datastream_playground.local.ports import free_port
from deployment import assert_settled

ROOT = Path(__file__).resolve().parents[2]
#: What `make deploy` needs of a checkout.
NEEDED = ("deploy", "migrations", "services", "shared")
COMPOSE_FILE = ROOT / "deploy" / "docker-compose.yml"
PORTS = ("RABBIT_PORT", "RABBIT_MANAGEMENT_PORT", "MYSQL_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")
SERVICES = ("producer", "lake_consumer", "clean_consumer")


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401
    """Run a command to its end and return it with its output as text."""
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def docker(*arguments: str) -> str:
    """Return what docker prints; it must succeed."""
    ended = run("docker", *arguments)
    assert ended.returncode == 0, f"docker {' '.join(arguments)}: {ended.stdout}{ended.stderr}"
    return ended.stdout


class Stack:
    """A project of its own, in a copy of the checkout that nobody works in.

    Its containers, images, ports, secrets and settings touch no other.
    """

    def __init__(
        self, folder: Path, images: Mapping[str, str], without: str, settings: Mapping[str, str]
    ) -> None:
        self.project = f"data-stream-test-{uuid.uuid4().hex[:6]}"
        self.checkout = folder / "checkout"
        self.secrets = self.checkout / "deploy" / "secrets"
        self.env_file = self.checkout / ".env"
        ignored = shutil.ignore_patterns("__pycache__", "secrets")
        for name in NEEDED:
            shutil.copytree(ROOT / name, self.checkout / name, symlinks=True, ignore=ignored)
        shutil.copy(ROOT / ".dockerignore", self.checkout)
        #: Lines stored that are none of the log's.
        self.other_lines = 0
        self.ports = {name: free_port() for name in PORTS}
        written = {**settings, **images, **{name: str(port) for name, port in self.ports.items()}}
        lines = [f"{name}={value}\n" for name, value in written.items()]
        self.env_file.write_text("".join(lines))
        keep = ("PATH", "HOME", "LANG", "DOCKER_HOST", "DOCKER_CONFIG")
        self.environment = {name: os.environ[name] for name in keep if name in os.environ} | {
            "COMPOSE_PROJECT_NAME": self.project,
            "DATASTREAM_IMAGES": self.project,
            "WITHOUT": without,
        }

    def try_script(
        self, script: str, sql: str = "", **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of deploy/bin to its end, with SQL, or nothing, piped in."""
        program = str(self.checkout / "deploy" / "bin" / script)
        return run(program, env=self.environment | settings, input=sql)

    def script(self, script: str, **settings: str) -> str:
        """Return what a script of deploy/bin prints; it must succeed."""
        ended = self.try_script(script, **settings)
        assert ended.returncode == 0, f"{script}: {ended.stdout}{ended.stderr}"
        return ended.stdout

    def image(self, name: str) -> str:
        """Return the name and tag of an image that is built."""
        return f"{self.project}/{name}:{__version__}"

    def containers(self, service: str = "") -> list[str]:
        """Return the containers of a service or of all, ended ones too."""
        filters = [f"label=com.docker.compose.project={self.project}"]
        if service:
            filters.append(f"label=com.docker.compose.service={service}")
        options = [word for text in filters for word in ("--filter", text)]
        return docker("ps", "--all", "--quiet", *options).split()

    def inspect(self, service: str = "") -> list[dict[str, Any]]:
        """Return all that docker tells about the containers of a service, or of all."""
        found: list[dict[str, Any]] = json.loads(docker("inspect", *self.containers(service)))
        return found

    def crash(self, *containers: str) -> None:
        """End containers as a crash would; nobody asked for it, so their restart policy counts."""
        found = json.loads(docker("inspect", *containers))
        pids = [str(c["State"]["Pid"]) for c in found if c["State"]["Running"]]
        docker("run", "--rm", "--pid=host", "--network=none", "--user=0", "--entrypoint=sh",
               self.image("producer"), "-c", f"kill -9 {' '.join(pids)}")  # fmt: skip

    def ready(self, service: str) -> list[str]:
        """Return the containers of a service that consume or tail."""
        ask = ("docker", "exec")
        return [
            container
            for container in self.containers(service)
            if run(*ask, container, "python3", "-m", "datastream.ready").returncode == 0
        ]

    def secret(self, name: str) -> str:
        """Return a secret."""
        return (self.secrets / name).read_text().rstrip("\n")

    def connect(self, account: str, password: str | None = None) -> Any:  # noqa: ANN401 - PyMySQL's
        """Return a connection to the database as an account."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.ports["MYSQL_PORT"],
            user=account,
            password=self.secret(f"{account}_mysql_password") if password is None else password,
            database="datastream",
            init_command="SET time_zone = '+00:00'",
        )

    def query(
        self, statement: str, *parameters: object, account: str = "operator"
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.connect(account) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return list(cursor.fetchall())

    def count(self, table: str) -> int:
        """Return the number of rows of a table."""
        return int(self.query(f"SELECT COUNT(*) FROM {table}")[0][0])

    def broker(self, account: str, password: str | None = None) -> Any:  # noqa: ANN401 - pika's
        """Return a connection to the broker as an account."""
        if password is None:
            password = self.secret(f"{account}_rabbit_password")
        return pika.BlockingConnection(
            pika.ConnectionParameters(
                "127.0.0.1",
                self.ports["RABBIT_PORT"],
                credentials=pika.PlainCredentials(account, password),
            )
        )

    def prometheus(self, path: str, **parameters: str) -> Any:  # noqa: ANN401 - what it answers
        """Return the data of an answer of Prometheus's API. Raises OSError."""
        query = urllib.parse.urlencode(parameters)
        url = f"http://127.0.0.1:{self.ports['PROMETHEUS_PORT']}/api/v1/{path}?{query}"
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)["data"]

    def value(self, expression: str) -> list[Any]:
        """Return what an expression of PromQL comes to now."""
        result: list[Any] = self.prometheus("query", query=expression)["result"]
        return result

    def assert_settled(self, lines: int) -> None:
        """Wait until so many lines of the log are in raw_log, and parsed or rejected, once each."""
        assert_settled(self, lines + self.other_lines)

    def queues(self) -> str:
        """Return how many messages each queue holds, or why that cannot be told."""
        ask = ("rabbitmqctl", "--quiet", "list_queues", "name", "messages")
        told = [run("docker", "exec", container, *ask) for container in self.containers("rabbitmq")]
        return "".join(each.stdout + each.stderr for each in told)

    def left_over(self) -> list[str]:
        """Return what is there of the project: containers, volumes, images, files."""
        label = f"label=com.docker.compose.project={self.project}"
        left = self.containers()
        for kind in ("volume", "network"):
            left += docker(kind, "ls", "--quiet", "--filter", label).split()
        left += docker("image", "ls", "--quiet", f"{self.project}/*").split()
        return left + ([str(self.secrets)] if self.secrets.exists() else [])

    def destroy(self) -> None:
        """Remove all of it, the images too."""
        self.try_script("destroy", YES="1")
        images = docker("image", "ls", "--quiet", f"{self.project}/*").split()
        if images:
            docker("image", "rm", "--force", *sorted(set(images)))


def image_settings() -> dict[str, str]:
    """Return each setting of docker-compose.yml that names an image, and its default."""
    text = COMPOSE_FILE.read_text(encoding="utf-8")
    return dict(re.findall(r"\$\{([A-Z_]+_IMAGE):-([^}]+)\}", text))


@contextmanager
def growing(log: Path, lines: list[bytes]) -> Iterator[None]:
    """Append lines to a log, over and over, some at a time, for the length of the block."""
    stop = Event()

    def grow() -> None:
        with log.open("ab", buffering=0) as file:
            at = 0
            while not stop.wait(0.01):
                file.write(b"".join(lines[at : at + 5]))
                at = (at + 5) % len(lines)

    with ThreadPoolExecutor(1) as pool:
        growth = pool.submit(grow)
        try:
            yield
        finally:
            stop.set()
            growth.result()
