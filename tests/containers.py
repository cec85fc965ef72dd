"""The broker and the database as containers, with the face of those that are processes."""

from __future__ import annotations

import json
import re
import uuid
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from datastream_playground.local import broker, database
from datastream_playground.local.ports import free_port
from datastream_playground.local.server import Server, secret
from datastream_playground.local.sizes import SMALL
from deploy import images
from deploy.stack import docker, run
from deployment import eventually

#: The newest of both, whatever docker-compose.yml names: the processes are the oldest.
IMAGES = {"RABBITMQ_IMAGE": "rabbitmq:4.3-management", "MYSQL_IMAGE": "mysql:9"}


class InContainer(Server):
    """A server's life as a container. It keeps its data and its ports until `stop` removes it."""

    #: The ports that it listens on inside, in the order of `_ports`.
    inner_ports: ClassVar[tuple[int, ...]]

    def __init__(self, folder: Path, image: str) -> None:
        Server.__init__(self, folder)  # not the product's: it needs no programs of this machine
        self.image = image
        self.container = f"datastream-test-{uuid.uuid4().hex[:8]}"

    @abstractmethod
    def _options(self) -> list[str]:
        """Return what `docker run` takes for it before the image."""

    def _arguments(self) -> list[str]:
        """Return what its program takes."""
        return []

    @property
    def pids(self) -> list[int]:
        """Of no use: a fault is done to the container, by `pause`, `kill` and `execute`."""
        # Who asks would signal processes of this machine that are not the server's.
        raise NotImplementedError("a container has no processes of this machine")

    def launch(self) -> None:
        """Make the container and start it, but do not wait: `wait_until_ready` must follow."""
        self.folder.mkdir(parents=True)
        self._prepare()
        self._choose_ports()
        pairs = zip(self._ports(), self.inner_ports, strict=True)
        published = [f"--publish={self.host}:{outer}:{inner}" for outer, inner in pairs]
        named = ["--detach", "--name", self.container]
        docker("run", *named, *published, *self._options(), self.image, *self._arguments())

    def wait_until_ready(self) -> None:
        """Return once it serves. On any failure nothing is left running."""

        def ready() -> None:
            state = docker("inspect", "--format={{.State.Status}}", self.container).strip()
            assert state == "running", self.said()
            assert self._answers(), self.said()

        try:
            eventually(ready)
        except BaseException:
            self.stop()
            raise

    def restart(self) -> None:
        """Stop it if it runs, and start it again."""
        docker("stop", f"--time={self.patience:.0f}", self.container)
        docker("start", self.container)
        self.wait_until_ready()

    def kill(self) -> None:
        """Kill it as a power cut would; restart() brings it back."""
        docker("kill", self.container)

    def stop(self) -> None:
        """Remove it, and its data. Not there: nothing."""
        run("docker", "rm", "--force", "--volumes", self.container)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop all of it where it is for the length of the block."""
        # On a busy machine an engine may find some of many threads still at work, and give up.
        eventually(lambda: docker("pause", self.container))
        try:
            yield
        finally:
            docker("unpause", self.container)

    def execute(self, *command: str) -> str:
        """Run a command inside, as the server's own user, and return what it prints."""
        return docker("exec", self.container, *command)

    def entrypoint(self) -> list[str]:
        """Return what the image runs its program by."""
        of_image = "{{json .Config.Entrypoint}}"
        found: list[str] | None = json.loads(docker("inspect", f"--format={of_image}", self.image))
        return found or []

    def said(self) -> str:
        """Return the end of its log."""
        ended = run("docker", "logs", "--tail=30", self.container)
        return ended.stdout + ended.stderr

    def _mounted(self, name: str, text: str, target: str) -> str:
        """Return the option that mounts a file with this text, which the server's user can read."""
        file = self.folder / name
        file.write_text(text)
        file.chmod(0o644)
        return f"--volume={file}:{target}:ro"


class ContainerBroker(InContainer, broker.Broker):
    """A RabbitMQ in a container, with the settings of the one that is a process."""

    inner_ports = (5672, 15672)

    def _prepare(self) -> None:
        self.password = secret(self.folder / "password")

    def _choose_ports(self) -> None:
        self.port, self.management_port = free_port(), free_port()

    def _ports(self) -> tuple[int, ...]:
        return self.port, self.management_port

    def _options(self) -> list[str]:
        port, management_port = self.inner_ports
        settings = broker.SETTINGS.format(
            host="0.0.0.0",  # noqa: S104 - of the container alone
            port=port,
            management_port=management_port,
            user=self.user,
            password=self.password,
        )
        settings += SMALL.broker
        plugins = "[rabbitmq_management].\n"
        return [
            "--hostname=rabbitmq",  # part of where the data lies
            "--user=rabbitmq",
            # As in docker-compose.yml: an idle scheduler sleeps at once.
            "--env=RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none +sbwtdcpu none +sbwtdio none",
            self._mounted("rabbitmq.conf", settings, "/etc/rabbitmq/conf.d/50-test.conf"),
            self._mounted("enabled_plugins", plugins, "/etc/rabbitmq/enabled_plugins"),
        ]


class ContainerDatabase(InContainer, database.Database):
    """A MySQL in a container, as it is by default: it writes a binary log."""

    inner_ports = (3306,)

    def _prepare(self) -> None:
        self.password = secret(self.folder / "password")

    def _options(self) -> list[str]:
        inside = "/run/secrets/mysql_root_password"
        return [
            "--user=mysql",
            f"--env=MYSQL_ROOT_PASSWORD_FILE={inside}",
            self._mounted("root_password", self.password, inside),
        ]

    def _arguments(self) -> list[str]:
        return [
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_bin",
        ]


def number(version: str) -> tuple[int, ...]:
    """Return a version as numbers: `4.3.6-1` is (4, 3, 6)."""
    return tuple(map(int, re.findall(r"[0-9]+", version.partition("-")[0])))


@contextmanager
def both(folder: Path) -> Iterator[tuple[ContainerBroker, ContainerDatabase]]:
    """Run a broker and a database in containers for the length of the block."""
    with images.engine():
        chosen = images.choose(IMAGES)
        running = (
            ContainerBroker(folder / "rabbitmq", chosen["RABBITMQ_IMAGE"]),
            ContainerDatabase(folder / "database", chosen["MYSQL_IMAGE"]),
        )
        try:
            for server in running:
                server.launch()
            for server in running:
                server.wait_until_ready()
            rabbitmq, mysql = (server.version for server in running)
            # An older image under the same name would show nothing new.
            assert number(rabbitmq) >= (4, 3), rabbitmq
            assert number(mysql) >= (9,), mysql
            images.said.append(f"The servers were containers: RabbitMQ {rabbitmq}, MySQL {mysql}")
            yield running
        finally:
            for server in running:
                server.stop()
