"""The private servers, real ones: they start, keep their data, and leave nothing behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pika
import pymysql
import pytest

from datastream_playground.local import broker as broker_module
from datastream_playground.local import database as database_module
from datastream_playground.local.broker import Broker
from datastream_playground.local.database import Database
from datastream_playground.local.errors import CannotServe, DidNotStart, FolderInUse
from datastream_playground.local.packages import Programs, find
from datastream_playground.local.ports import free_port
from datastream_playground.local.processes import marked
from datastream_playground.local.servers import both
from datastream_playground.local.sizes import LARGE, SMALL, Size
from deployment import eventually

# Runs both servers on the folder given, says so, and is never stopped in good order.
OWNER = """
import sys, time
from pathlib import Path
from datastream_playground.local.packages import ensure
from datastream_playground.local.servers import both
with both(Path(sys.argv[1]), ensure()):
    print("serving", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def programs() -> Programs:
    """The system's own."""
    found, missing = find()
    if found is None:
        raise CannotServe(f"install {missing} to run these tests")
    return found


@pytest.fixture
def database(tmp_path: Path, programs: Programs) -> Iterator[Database]:
    """One that runs."""
    with Database(tmp_path / "database", programs) as running:
        yield running


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for a broker that closes in good order."""
    monkeypatch.setattr(Broker, "patience", 0.3)


def publish_one(broker: Broker, vhost: str) -> None:
    """Have one message confirmed by a quorum queue."""
    with pika.BlockingConnection(amqp(broker, vhost)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
        channel.basic_publish("", "kept", b"a line", pika.BasicProperties(delivery_mode=2))


def take_one(broker: Broker, vhost: str) -> bytes | None:
    """Take the message out of it."""
    with pika.BlockingConnection(amqp(broker, vhost)) as connection:
        channel = connection.channel()
        body: bytes | None = channel.basic_get("kept", auto_ack=True)[2]
        return body


def amqp(broker: Broker, vhost: str) -> pika.ConnectionParameters:
    """Return how to log in."""
    login = pika.PlainCredentials(broker.user, broker.password)
    return pika.ConnectionParameters(broker.host, broker.port, vhost, login)


def listening(pids: list[int]) -> set[str]:
    """Return the local addresses on which these processes listen."""
    inodes = set()
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):  # a helper of the broker's has ended
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                if found := re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())):
                    inodes.add(found[1])
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                addresses.add(fields[1].split(":")[0])
    return addresses


def test_the_life_of_a_broker(tmp_path: Path, programs: Programs) -> None:
    """Serves on loopback only; messages survive a kill and a restart on the same ports."""
    folder = tmp_path / "it's a long way" / ("x" * 90) / "rabbitmq"
    with Broker(folder, programs) as broker:
        assert re.fullmatch(r"\d+\.\d+\.\d+", broker.version)
        loopback = {"0100007F", "00000000000000000000000001000000"}
        assert listening(broker.pids) <= loopback
        broker.create_vhost("one")
        publish_one(broker, "one")
        broker.create_vhost("one")
        # RabbitMQ (3.10 to 4.3) does not find what was published to a quorum queue, confirmed or
        # not, when the power is cut within a second after the queue was declared.
        time.sleep(1.5)
        before = (broker.port, broker.management_url, broker.password)

        broker.kill()
        assert broker.pids == []
        broker.restart()

        assert (broker.port, broker.management_url, broker.password) == before
        assert take_one(broker, "one") == b"a line"
        broker.delete_vhost("one")
        with pytest.raises(pika.exceptions.ProbableAccessDeniedError):
            pika.BlockingConnection(amqp(broker, "one"))
    assert marked(folder) == []


def test_the_life_of_a_database(tmp_path: Path, programs: Programs) -> None:
    """Rows survive a stop, other ports, a restart, and a kill; accounts have their rights only."""
    folder = tmp_path / "it's a long way" / ("x" * 90) / "database"
    with Database(folder, programs) as database:
        assert re.match(r"\d+\.\d+\.\d+(-MariaDB)?$", database.version)
        assert listening(database.pids) == {"0100007F"}
        for _ in range(2):
            database.create("logs_1", "app", "it's \\ 100%")
        with account(database) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE kept (line TEXT)")
            cursor.execute("SHOW CREATE TABLE kept")
            assert "utf8mb4_bin" in str(cursor.fetchall())
            cursor.execute("INSERT INTO kept VALUES ('a line')")
            connection.commit()
            # The underscore of the schema's name is no wildcard.
            with pytest.raises(pymysql.err.OperationalError, match="denied"):
                cursor.execute("CREATE DATABASE logsX1")
        for stop in (database.stop, database.kill):
            stop()
            assert database.pids == []
            with pytest.raises(pymysql.err.OperationalError):
                database.connect()
            database.start()
            assert rows(database) == (("a line",),)
        port = database.port
        database.restart()
        assert database.port == port
        assert rows(database) == (("a line",),)
    assert marked(folder) == []


@pytest.mark.parametrize(
    ("size", "megabytes", "schedulers"), [(SMALL, 16, ["1"]), (LARGE, 256, [])]
)
def test_a_server_is_as_large_as_its_size(
    size: Size, megabytes: int, schedulers: list[str], tmp_path: Path, programs: Programs
) -> None:
    """The database caches so many rows, and so many of the broker's schedulers have memory."""
    with (
        Database(tmp_path / "database", programs, size) as database,
        database.connect() as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT @@innodb_buffer_pool_size DIV 1048576")
        assert cursor.fetchall() == ((megabytes,),)
    flags = Broker(tmp_path, programs, size).environment()["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]

    assert re.findall(r"\+S (\d+)", flags) == schedulers
    assert Broker(tmp_path, programs).size is Database(tmp_path, programs).size is SMALL


def account(database: Database) -> pymysql.connections.Connection:
    """Log in with the account that was made for the application."""
    return pymysql.connect(
        host=database.host,
        port=database.port,
        user="app",
        password="it's \\ 100%",
        database="logs_1",
    )


def rows(database: Database) -> object:
    """Read what was kept."""
    with account(database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT line FROM kept")
        return cursor.fetchall()


@pytest.mark.parametrize("name", ["", "a-b", "a`b", "a b", "a'b", "x" * 33, "é"])
def test_names_that_need_quoting_are_refused(tmp_path: Path, programs: Programs, name: str) -> None:
    """An identifier is no parameter, so it is letters, digits and underscores."""
    database = Database(tmp_path, programs)
    with pytest.raises(ValueError, match="not a name"):
        database.create(name, "app", "secret")
    with pytest.raises(ValueError, match="not a name"):
        database.create("logs", name, "secret")


def test_secrets_are_private(database: Database) -> None:
    """The folder and what has a password in it are the owner's; no command line shows it."""
    assert stat.S_IMODE(database.folder.stat().st_mode) == 0o700
    for name in ("password", "accounts.sql"):
        assert stat.S_IMODE((database.folder / name).stat().st_mode) == 0o600
    for pid in database.pids:
        assert database.password.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_second_owner_is_refused(database: Database, programs: Programs) -> None:
    """With a message that names the first, which is not disturbed."""
    with pytest.raises(FolderInUse, match=f"process {os.getpid()}"):
        Database(database.folder, programs).start()
    database.connect().close()


def test_a_taken_port_does_no_harm(
    tmp_path: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program took the port just after it was found free: another port is used."""
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        taken = foreign.getsockname()[1]
        choices = iter([taken])
        monkeypatch.setattr(
            database_module, "free_port", lambda: next(choices, None) or free_port()
        )
        with Database(tmp_path, programs) as database:
            assert database.port != taken
            database.connect().close()


@pytest.mark.usefixtures("hurry")
def test_a_taken_port_of_epmd_does_no_harm(
    tmp_path: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for the broker, which says nothing when it is its epmd that ends."""
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        choices = [free_port() for _ in range(4)]
        choices[2] = foreign.getsockname()[1]
        monkeypatch.setattr(
            broker_module, "free_port", lambda: choices.pop(0) if choices else free_port()
        )
        with Broker(tmp_path, programs) as broker:
            assert choices == []
            broker.create_vhost("one")
        assert marked(tmp_path) == []


def test_a_server_that_cannot_start_says_why(database: Database) -> None:
    """At once, with the end of its log, and nothing is left running."""
    database.stop()
    (database.folder / "data" / "ibdata1").write_bytes(b"no tablespace")
    began = time.monotonic()
    with pytest.raises(
        DidNotStart, match=r"(?s)ended while starting.*server\.log.*(ibdata1|InnoDB)"
    ):
        database.start()
    assert time.monotonic() - began < 20
    assert database.pids == []


def start_owner(folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Start a process that runs both servers in a folder, and return it once they serve."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "serving\n"
    return owner


@pytest.mark.usefixtures("hurry")
def test_a_killed_owner_takes_its_servers_along(tmp_path: Path) -> None:
    """The kernel ends them with it, even one that is stuck."""
    folders = (tmp_path / "rabbitmq", tmp_path / "database")
    with start_owner(tmp_path) as owner:
        for pid in marked(folders[1]):
            os.kill(pid, signal.SIGSTOP)
        owner.kill()

    def gone() -> None:
        assert [pid for folder in folders for pid in marked(folder)] == []

    eventually(gone)


@pytest.mark.usefixtures("hurry")
def test_what_a_killed_owner_left_is_ended(tmp_path: Path, programs: Programs) -> None:
    """Where the kernel was not asked to end it, the next run on the same folder does."""
    folders = (tmp_path / "rabbitmq", tmp_path / "database")
    with start_owner(tmp_path, PATH="/nowhere") as owner:
        before = {pid for folder in folders for pid in marked(folder)}
        owner.kill()
    left = {pid for folder in folders for pid in marked(folder)}
    with both(tmp_path, programs) as (broker, database):
        running = {*broker.pids, *database.pids}
        database.connect().close()

    assert left == before
    assert not before & running
    assert [*marked(folders[0]), *marked(folders[1])] == []


@pytest.mark.usefixtures("hurry")
def test_an_exception_in_the_block_stops_all(tmp_path: Path, programs: Programs) -> None:
    """What a signal is turned into, too, and while the servers still start."""

    def interrupted() -> None:
        with both(tmp_path, programs) as (_, database):
            database.launch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [*marked(tmp_path / "rabbitmq"), *marked(tmp_path / "database")] == []
