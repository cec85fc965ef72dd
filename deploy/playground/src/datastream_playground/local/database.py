"""A private MariaDB or MySQL: its own data, port and accounts, nothing of the system's settings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from subprocess import Popen

from pymysql.connections import Connection
from pymysql.cursors import Cursor

from datastream import mysql
from datastream_playground.local import processes
from datastream_playground.local.errors import DidNotStart
from datastream_playground.local.packages import Programs
from datastream_playground.local.ports import free_port
from datastream_playground.local.server import Server, secret, write_private
from datastream_playground.local.sizes import SMALL, Size

# Commits survive a power cut (innodb_flush_log_at_trx_commit stays 1).
SETTINGS = """\
[mysqld]
bind-address = 127.0.0.1
skip-name-resolve
skip-log-bin
performance-schema = OFF
character-set-server = utf8mb4
collation-server = utf8mb4_bin
"""
MARIADB_SETTINGS = """\
innodb-log-file-size = 128M
"""
MYSQL_SETTINGS = """\
innodb-redo-log-capacity = 128M
mysqlx = OFF
secure-file-priv = NULL
"""

# Run at each start, before the first client: the password is always the one in the folder.
ACCOUNTS = """\
CREATE USER IF NOT EXISTS 'root'@'%' IDENTIFIED BY '{password}';
ALTER USER 'root'@'%' IDENTIFIED BY '{password}';
ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;
"""

# MariaDB's system tables come as SQL, named after either product. Its own installer script
# needs programs of two more packages; it pipes these same files.
MARIADB_SYSTEM_SQL = (
    "{product}_system_tables.sql",
    "{product}_performance_tables.sql",
    "{product}_system_tables_data.sql",
    "maria_add_gis_sp_bootstrap.sql",
)

_NAME = re.compile(r"[A-Za-z0-9_]{1,32}")


class Database(Server):
    """A MySQL-compatible server on loopback; `user` has all rights on it."""

    name = "The database"
    user = "root"
    patience = 30.0

    def __init__(self, folder: Path, programs: Programs, size: Size = SMALL) -> None:
        super().__init__(folder)
        self.size = size
        self._server = programs.database
        self._data = self.folder / "data"
        self._temporary = self.folder / "tmp"
        self._is_mariadb = True

    def connect(
        self, database: str | None = None, *, read_timeout: float = 60
    ) -> Connection[Cursor]:
        """Connect as the administrator; `read_timeout` is in seconds. Raises pymysql.MySQLError."""
        return mysql.Connection(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=database,
            connect_timeout=5,
            read_timeout=read_timeout,
        )

    def create(self, database: str, user: str, password: str) -> None:
        """Create a schema, and an account with all rights on it and this password.

        What exists is kept, but for the password. Raises pymysql.MySQLError, and ValueError for
        names of other characters than letters, digits and underscores.
        """
        for name in (database, user):
            if not _NAME.fullmatch(name):
                raise ValueError(f"not a name for a schema or an account: {name!r}")
        account = (user, "%")
        # An underscore would match any character in a GRANT.
        pattern = database.replace("_", r"\_")
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(
                f"CREATE DATABASE IF NOT EXISTS `{database}`"
                " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            )
            cursor.execute("CREATE USER IF NOT EXISTS %s@%s IDENTIFIED BY %s", (*account, password))
            cursor.execute("ALTER USER %s@%s IDENTIFIED BY %s", (*account, password))
            cursor.execute(f"GRANT ALL PRIVILEGES ON `{pattern}`.* TO %s@%s", account)

    def _prepare(self) -> None:
        self._is_mariadb = "MariaDB" in _output([str(self._server), "--no-defaults", "--version"])
        self.password = secret(self.folder / "password")
        settings = SETTINGS + self.size.database
        if self._is_mariadb:
            settings += MARIADB_SETTINGS + self.size.mariadb
        else:
            settings += MYSQL_SETTINGS
        write_private(self.folder / "my.cnf", settings)
        write_private(self.folder / "accounts.sql", ACCOUNTS.format(password=self.password))
        self._temporary.mkdir(exist_ok=True)
        if not self._data.exists():
            self._initialise()

    def _initialise(self) -> None:
        """Create the system tables, in another folder until they are complete."""
        unfinished = self.folder / "data.unfinished"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        if self._is_mariadb:
            arguments = ["--bootstrap", "--enforce-storage-engine=", "--log-warnings=0"]
            sql = _mariadb_system_sql(self._server)
        else:
            arguments, sql = ["--initialize-insecure"], b""
        with self.log.open("ab") as log:
            done = subprocess.run(  # noqa: S603  # no shell
                self._command(unfinished, *arguments),
                env={**self._environment(), processes.MARK: str(self.folder)},
                input=sql,
                stdout=log,
                stderr=log,
                start_new_session=True,
                check=False,
            )
        if done.returncode != 0:
            raise self._failed("could not make its system tables")
        unfinished.rename(self._data)

    def _choose_ports(self) -> None:
        self.port = free_port()

    def _ports(self) -> tuple[int, ...]:
        return (self.port,)

    def _run(self) -> list[Popen[bytes]]:
        command = self._command(
            self._data,
            f"--port={self.port}",
            f"--init-file={self.folder / 'accounts.sql'}",
            f"--pid-file={self.folder / 'pid'}",
        )
        return [
            processes.spawn(
                command, folder=self.folder, environment=self._environment(), log=self.log
            )
        ]

    def _command(self, data: Path, *arguments: str) -> list[str]:
        return [
            str(self._server),
            f"--defaults-file={self.folder / 'my.cnf'}",
            *(["--user=root"] if os.geteuid() == 0 else []),
            f"--datadir={data}",
            # Its own: a server that starts removes the temporary tables it finds there.
            f"--tmpdir={self._temporary}",
            "--socket=",  # none: the path might be too long for one
            *arguments,
        ]

    def _environment(self) -> dict[str, str]:
        path = "/usr/sbin:/usr/bin:/sbin:/bin"
        own = {"PATH": path, "LANG": "C.UTF-8", "HOME": str(self.folder)}
        return own | dict(self.size.environment)

    def _answers(self) -> bool:
        try:
            with self.connect(read_timeout=3) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT VERSION()")
                row = cursor.fetchone()
        except Exception:  # noqa: BLE001  # another program may have the port, and answer anything
            return False
        self.version = _without_suffix(str(row[0])) if row else ""
        return True


def _without_suffix(version: str) -> str:
    """Leave out what the distribution adds: 10.11.19-MariaDB-0+deb12u1, 9.7.4-2."""
    found = re.match(r"[\d.]+(-MariaDB)?", version)
    return found[0] if found else version


def _mariadb_system_sql(server: Path) -> bytes:
    for product in ("mariadb", "mysql"):
        for share in (server.resolve().parent.parent / "share").glob("m*"):
            files = [share / name.format(product=product) for name in MARIADB_SYSTEM_SQL]
            if all(file.exists() for file in files):
                text = b"".join(file.read_bytes() for file in files)
                return (
                    b"CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = 'root';\n" + text
                )
    raise DidNotStart(f"found no SQL files for the system tables of {server}")


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603  # no shell
