"""The servers that are measured: private ones, or MySQL in a container, set as it is deployed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import Popen

from bench.usage import Reader, of_processes
from datastream_operator.interruption import interruptible
from datastream_playground.local import processes
from datastream_playground.local.errors import CannotServe
from datastream_playground.local.packages import Programs, ensure, to_stderr
from datastream_playground.local.server import secret
from datastream_playground.local.servers import Broker, Database
from datastream_playground.local.sizes import LARGE, Size
from deploy import images
from deploy.stack import docker, image_settings, run

ROOT = Path(__file__).parents[2]
SETTINGS = ROOT / "deploy/mysql/datastream.cnf"


class PrivateDatabase(Database):
    """A private server that may read and write the files in one folder."""

    @property
    def files(self) -> str:
        """The folder in which the server reads and writes files."""
        return str(self.folder / "files")

    @property
    def usage(self) -> Reader:
        """Reads what the server has used."""
        return of_processes(lambda: self.pids)

    def _command(self, data: Path, *arguments: str) -> list[str]:
        Path(self.files).mkdir(exist_ok=True)
        return super()._command(data, *arguments, f"--secure-file-priv={self.files}")


class ContainedDatabase(PrivateDatabase):
    """MySQL in a container, with the settings and the binary log that it is deployed with."""

    # Started by the engine and not by us: the client waits for it, and passes signals on.
    files = "/var/lib/mysql-files"
    container = f"datastream-bench-{os.getpid()}"

    def __init__(self, folder: Path, programs: Programs, image: str) -> None:
        super().__init__(folder, programs, LARGE)
        self.image = image

    def stop(self) -> None:
        """Stop it and remove the container with its data."""
        try:
            super().stop()
        finally:
            run("docker", "rm", "--force", "--volumes", self.container)

    @property
    def usage(self) -> Reader:
        """Reads what the server has used, inside the container: the engine may be elsewhere."""

        def read() -> list[tuple[str, str]]:
            stat, status = (
                docker("exec", self.container, "cat", f"/proc/1/{name}")
                for name in ("stat", "status")
            )
            return [(stat, status)]

        return read

    def _prepare(self) -> None:
        self.password = secret(self.folder / "password")
        # The server's user is another one; the folder is for its owner's eyes alone all the same.
        (self.folder / "password").chmod(0o644)

    def _run(self) -> list[Popen[bytes]]:
        options = {
            "--name": self.container,
            "--network": "host",
            "--env": "MYSQL_ROOT_PASSWORD_FILE=/run/secrets/password",
            "--volume": f"{self.folder / 'password'}:/run/secrets/password:ro",
            "--mount": f"type=bind,src={SETTINGS},dst=/etc/mysql/conf.d/datastream.cnf,readonly",
        }
        command = [
            *("docker", "run", "--rm"),
            *(f"{name}={value}" for name, value in options.items()),
            self.image,
            f"--port={self.port}",
            f"--bind-address={self.host}",
            "--innodb-buffer-pool-size=512M",
        ]
        environment = dict(os.environ)
        return [processes.spawn(command, folder=self.folder, environment=environment, log=self.log)]


@dataclass(frozen=True)
class Servers:
    """What the services run on."""

    broker: Broker
    database: PrivateDatabase

    @property
    def description(self) -> str:
        """The names and versions, and whether the database keeps a binary log."""
        with self.database.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT @@version, @@log_bin")
            row = cursor.fetchone()
        version, log = row or ("", 0)
        number = version.partition("-")[0]
        name = "MariaDB" if "MariaDB" in version else "MySQL"
        return f"{name} {number}, binary log {'on' if log else 'off'}"


@contextmanager
def running(kind: str, folder: Path, size: Size = LARGE) -> Iterator[Servers]:
    """Run a broker and a database, `mariadb` or `mysql`, for the length of the block.

    Where no mysqld of Oracle's is installed, MySQL is a container, and an engine is started for it
    if none answers. Within the block SIGTERM and SIGHUP raise KeyboardInterrupt too: so whoever
    started services ends them. Raises CannotServe and DidNotStart.
    """
    programs = ensure()
    with interruptible(), ExitStack() as started:
        broker = Broker(folder / "rabbitmq", programs, size)
        database = _database(kind, folder / "database", programs, started, size)
        for server in (broker, database):
            server.launch()
            started.callback(server.stop)
        for server in (database, broker):
            server.wait_until_ready()
        yield Servers(broker, database)


def _database(
    kind: str, folder: Path, programs: Programs, started: ExitStack, size: Size
) -> PrivateDatabase:
    if kind == "mariadb":
        return PrivateDatabase(folder, programs, size)
    own = shutil.which("mysqld", path="/usr/sbin:/usr/local/sbin:/usr/libexec:/usr/bin")
    if own and "mariadb" not in str(Path(own).resolve()):
        return PrivateDatabase(folder, replace(programs, database=Path(own)), size)
    try:
        started.enter_context(images.engine())
        chosen = images.choose({"MYSQL_IMAGE": image_settings()["MYSQL_IMAGE"]})
    except subprocess.CalledProcessError as error:  # its script has said why
        raise CannotServe("DB=mysql needs Oracle's mysqld, or a Docker engine") from error
    for text in images.said:
        to_stderr(text)
    return ContainedDatabase(folder, programs, chosen["MYSQL_IMAGE"])
