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
from datastream_operator.local import processes
from datastream_operator.local.packages import Programs, ensure
from datastream_operator.local.server import secret
from datastream_operator.local.servers import Broker, Database

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

    def stop(self) -> None:
        """Stop it and remove the container with its data."""
        super().stop()
        _docker("rm", "--force", "--volumes", self.container)

    @property
    def usage(self) -> Reader:
        """Reads what the server has used, inside the container: the engine may be elsewhere."""

        def read() -> list[tuple[str, str]]:
            stat, status = (
                _docker("exec", self.container, "cat", f"/proc/1/{name}").stdout
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
            _image(),
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
def running(kind: str, folder: Path) -> Iterator[Servers]:
    """Run a broker and a database, `mariadb` or `mysql`, for the length of the block."""
    programs = ensure()
    broker = Broker(folder / "rabbitmq", programs)
    database = _database(kind, folder / "database", programs)
    with ExitStack() as started:
        for server in (broker, database):
            server.launch()
            started.callback(server.stop)
        for server in (database, broker):
            server.wait_until_ready()
        yield Servers(broker, database)


def _database(kind: str, folder: Path, programs: Programs) -> PrivateDatabase:
    if kind == "mariadb":
        return PrivateDatabase(folder, programs)
    own = shutil.which("mysqld", path="/usr/sbin:/usr/local/sbin:/usr/libexec:/usr/bin")
    if own and "mariadb" not in str(Path(own).resolve()):
        return PrivateDatabase(folder, replace(programs, database=Path(own)))
    if not shutil.which("docker"):
        raise SystemExit("DB=mysql needs Oracle's mysqld, or a Docker engine")
    return ContainedDatabase(folder, programs)


def _image() -> str:
    """Return the image of MySQL: the one that was asked for, or is here, or that is deployed."""
    asked = os.environ.get("MYSQL_IMAGE")
    stand_in = "local/mysql:9"
    is_here = _docker("image", "inspect", stand_in).returncode == 0
    return asked or (stand_in if is_here else "mysql:8.4")


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [shutil.which("docker") or "docker", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
