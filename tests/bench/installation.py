"""One installation for one scenario, and what each part of it uses."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from bench.revisions import Build
from bench.servers import Servers
from bench.usage import Meter, Reader, of_processes
from datastream.config import MysqlSettings, RabbitSettings
from datastream_playground.local.servers import Broker, Database
from deployment import Deployment, Service


@contextmanager
def installed(servers: Servers, folder: Path, build: Build | None = None) -> Iterator[Deployment]:
    """Give a vhost and a schema of the scenario's own; services are ended, all is removed.

    A build has its own code make what is in them, and run.
    """
    name = f"bench_{uuid.uuid4().hex[:8]}"
    place = folder / name
    place.mkdir()
    own = (name, servers.broker, servers.database, place)
    with closing(OfBuild(build, *own) if build else Deployment(*own)) as deployment:
        yield deployment


class OfBuild(Deployment):
    """An installation of a build: its commands make the queues and the tables."""

    def __init__(
        self, build: Build, name: str, broker: Broker, database: Database, folder: Path
    ) -> None:
        self.python = str(build.python)
        super().__init__(name, broker, database, folder)
        for command in ("topology", "migrate"):
            done = self.operate(command)
            if done.returncode:
                raise RuntimeError(f"datastream {command}: {done.stdout}{done.stderr}")

    def declare(self, settings: RabbitSettings) -> None:
        """Leave it to the build's command."""

    def make_tables(self, settings: MysqlSettings) -> None:
        """Leave it to the build's command."""

    def env(self, **changes: str) -> dict[str, str]:
        """Return the environment of a service, without a path to another build's code."""
        environment = super().env(**changes)
        environment.pop("PYTHONPATH", None)
        return environment


class Running:
    """The services of a deployment, ready, and following a log that is not there yet."""

    def __init__(
        self, deployment: Deployment, servers: Servers, *, clean: int = 1, **producer: str
    ) -> None:
        self.log = deployment.folder / "access.log"
        self.lake = deployment.start("lake_consumer")
        self.clean = [deployment.start("clean_consumer") for _ in range(clean)]
        self.producer = deployment.start("producer", str(self.log), **producer)
        self._services = (self.producer, self.lake, *self.clean)
        for service in (self.lake, *self.clean):
            service.wait_ready()
        #: By part, its processes on this machine.
        self.pids: dict[str, Callable[[], Sequence[int]]] = {
            "producer": _pids(self.producer),
            "lake": _pids(self.lake),
            "clean": _pids(*self.clean),
            "broker": lambda: servers.broker.pids,
            "database": lambda: servers.database.pids,
        }
        #: By part, what reads what it uses.
        self.parts: dict[str, Reader] = {
            name: of_processes(pids) for name, pids in self.pids.items()
        } | {"database": servers.database.usage}

    def meter(self) -> Meter:
        """Begin to count what each part uses."""
        return Meter(self.parts)

    def lines_stored(self) -> tuple[int, int]:
        """Return how many lines the lake and the clean consumers say that they have stored."""
        lake = self.lake.metric("datastream_lines_stored_total", table="raw_log")
        clean = sum(
            service.metric("datastream_lines_stored_total", table=table)
            for service in self.clean
            for table in ("clean_log", "error_log", "rejected_log")
        )
        return int(lake), int(clean)

    def check(self) -> None:
        """Raise RuntimeError with what it said when a service has ended."""
        for service in self._services:
            if service.process.poll() is not None:
                raise RuntimeError(f"a service has ended:\n{service.text()}")

    def stop(self) -> None:
        """End every service and return once they have ended."""
        for service in self._services:
            service.terminate()


def _pids(*services: Service) -> Callable[[], Sequence[int]]:
    return lambda: [service.process.pid for service in services]
