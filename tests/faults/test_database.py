"""The database's leg fails in every way, under load: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from threading import Barrier

import pytest

from containers import ContainerDatabase
from datastream.errors import Unavailable
from datastream.mysql import Session
from datastream.slices import Slice
from datastream.streams import Stream, stream_id
from datastream_operator import migrate
from datastream_playground.local.servers import Broker, Database
from deployment import PATIENCE, SOURCE, Deployment, Service, eventually
from faults.installation import (
    Writer,
    assert_quiet,
    assert_stored,
    assert_told,
    await_metric,
    await_stored,
    await_words,
    dead_letters_of,
    duplicates_of,
    end_sessions,
    redeliveries_of,
    run_sql,
)
from faults.proxy import Link, Proxy
from lake_consumer.store import Lake

RETRIES = "datastream_retries_total"


def start_all(deployment: Deployment, log: Path, proxy: Proxy | None = None) -> list[Service]:
    """Start the three services, the database behind a proxy; return them once they work."""
    changes = {"MYSQL_PORT": str(proxy.port)} if proxy else {}
    services = [
        deployment.start("producer", str(log), MAX_SLICE_LINES="50"),
        deployment.start("lake_consumer", **changes),
        deployment.start("clean_consumer", **changes),
    ]
    for service in services:
        service.wait_ready()
    return services


def await_outage(*consumers: Service, **labels: str) -> None:
    """Wait until each consumer waits for the database, and assert that it says so."""
    for consumer in consumers:
        await_metric(consumer, RETRIES, 1, dependency="mysql", **labels)
        assert consumer.get("/readyz") == (503, "waiting for mysql\n")


def assert_whole(
    deployment: Deployment, writer: Writer, producer: Service, lake: Service, clean: Service
) -> None:
    """Assert that all is stored and told, and that no message was given back for it."""
    assert_stored(deployment, writer.path)
    assert_told(writer.lines, producer=producer, lake=lake, clean=clean)
    assert redeliveries_of(lake, clean) == 0


def test_database_killed(deployment: Deployment, writer: Writer) -> None:
    """Killed in the middle of transactions: the batches in hand are stored again."""
    producer, lake, clean = start_all(deployment, writer.path)
    writer.start()
    await_stored(deployment, writer.path, 4_000)
    deployment.database.kill()
    await_outage(lake, clean)
    deployment.database.restart()
    writer.stop()

    assert_whole(deployment, writer, producer, lake, clean)
    for service in (lake, clean):
        assert_quiet(service, warnings=2)


def test_answer_to_a_commit_lost(
    deployment: Deployment, writer: Writer, to_database: Proxy
) -> None:
    """Nobody knows whether it holds; the batch is stored again, and its lines are there already."""
    producer, lake, clean = start_all(deployment, writer.path, to_database)
    await_stored(deployment, writer.path, 2_000)
    # Not of a look at the user agents, which holds no line.
    lost = to_database.lose_answer(b"COMMIT", after=(b"INTO raw_pack", b"INTO clean_log"))
    writer.start()
    assert lost.wait(PATIENCE)
    writer.stop()

    assert_whole(deployment, writer, producer, lake, clean)
    assert duplicates_of(lake, clean) > 0


def test_consumer_killed_before_its_commit(
    deployment: Deployment, writer: Writer, to_database: Proxy
) -> None:
    """Not committed is not acknowledged: the batch is delivered to the next consumer."""
    producer = deployment.start("producer", str(writer.path), MAX_SLICE_LINES="50")
    clean = deployment.start("clean_consumer")
    held = to_database.hold(b"COMMIT", after=b"INSERT INTO raw_pack")
    lake = deployment.start("lake_consumer", MYSQL_PORT=str(to_database.port))
    assert held.wait(PATIENCE)
    lake.kill()
    to_database.cut()
    lake = deployment.start("lake_consumer")
    lake.wait_ready()

    assert_stored(deployment, writer.path)
    assert_told(writer.lines, producer=producer, clean=clean)
    assert redeliveries_of(lake) > 0


def test_transaction_left_open_by_a_host_that_is_gone(
    deployment: Deployment, writer: Writer, to_database: Proxy
) -> None:
    """Its rows stay locked until the server ends its silent session; then the next one goes on."""
    producer = deployment.start("producer", str(writer.path), MAX_SLICE_LINES="50")
    clean = deployment.start("clean_consumer")
    held = to_database.hold(b"COMMIT", after=b"INSERT INTO raw_pack")
    gone = deployment.start("lake_consumer", MYSQL_PORT=str(to_database.port))
    assert held.wait(PATIENCE)
    gone.kill()  # the proxy keeps its connection open, as nobody tells the server
    lake = deployment.start("lake_consumer")
    lake.wait_ready()

    assert_stored(deployment, writer.path)
    assert_told(writer.lines, producer=producer, clean=clean)
    assert redeliveries_of(lake) > 0


def test_database_unreachable(deployment: Deployment, writer: Writer, to_database: Proxy) -> None:
    """Connections that break, and cannot be made for a while, are told once."""
    producer, lake, clean = start_all(deployment, writer.path, to_database)
    writer.start()
    await_stored(deployment, writer.path, 4_000)
    to_database.refuse()
    for service in (lake, clean):
        await_metric(service, RETRIES, 4, dependency="mysql", reason="connection")
    await_outage(lake, clean)
    to_database.accept()
    writer.stop()

    assert_whole(deployment, writer, producer, lake, clean)
    for service in (lake, clean):
        assert_quiet(service, warnings=2)


def test_idle_session_ended_by_the_server(deployment: Deployment, writer: Writer) -> None:
    """A session that the server has ended meanwhile costs one attempt."""
    producer, lake, clean = start_all(deployment, writer.path)
    await_stored(deployment, writer.path, 2_000)
    assert_stored(deployment, writer.path)
    end_sessions(deployment)
    writer.burst(1_000)

    assert_whole(deployment, writer, producer, lake, clean)
    for service in (lake, clean):
        assert service.metric(RETRIES, dependency="mysql") == 1


def test_password_changed(deployment: Deployment, writer: Writer, tmp_path: Path) -> None:
    """The consumers say so and keep what they have; once the file has the new one they go on."""
    file = tmp_path / "password"
    file.write_text("secret\n")
    env = {"MYSQL_PASSWORD": "", "MYSQL_PASSWORD_FILE": str(file)}
    producer = deployment.start("producer", str(writer.path), MAX_SLICE_LINES="50")
    lake = deployment.start("lake_consumer", **env)
    clean = deployment.start("clean_consumer", **env)
    for consumer in (lake, clean):
        consumer.wait_ready()
    writer.start()
    await_stored(deployment, writer.path, 2_000)
    deployment.database.create(deployment.mysql.database, deployment.mysql.user, "new")
    end_sessions(deployment)
    await_outage(lake, clean, reason="statement")
    for consumer in (lake, clean):
        await_words(consumer, "check MYSQL_USER and MYSQL_PASSWORD")
    file.unlink()
    await_outage(lake, clean, reason="password")
    for consumer in (lake, clean):
        await_words(consumer, "MYSQL_PASSWORD_FILE names a file that cannot be read")
    file.write_text("new\n")
    for consumer in (lake, clean):
        consumer.wait_ready()
    writer.stop()

    assert_whole(deployment, writer, producer, lake, clean)


def aborted_clients(deployment: Deployment) -> int:
    """Return how many sessions the server has ended, as it does to one that says nothing."""
    return int(deployment.query("SHOW GLOBAL STATUS LIKE %s", "Aborted_clients")[0][1])


def test_idle_for_longer_than_the_server_allows(deployment: Deployment, writer: Writer) -> None:
    """The server ends each session for its silence, and the next line loses nothing."""
    producer, lake, clean = start_all(deployment, writer.path)
    assert_stored(deployment, writer.path)
    before = aborted_clients(deployment)

    def ended() -> None:
        assert aborted_clients(deployment) >= before + 2

    eventually(ended)
    writer.burst(1_000)

    assert_whole(deployment, writer, producer, lake, clean)


def test_database_read_only(deployment: Deployment, writer: Writer) -> None:
    """A server that takes no writes is an outage, not the fault of any line."""
    producer, lake, clean = start_all(deployment, writer.path)
    await_stored(deployment, writer.path, 2_000)
    run_sql(deployment.database, "SET GLOBAL read_only = ON")
    try:
        writer.start()
        await_outage(lake, clean)
    finally:
        run_sql(deployment.database, "SET GLOBAL read_only = OFF")
    writer.stop()

    assert_whole(deployment, writer, producer, lake, clean)


def test_database_out_of_connections(
    deployment: Deployment, writer: Writer, to_database: Proxy
) -> None:
    """A server that has no session left is waited for."""
    producer, lake, clean = start_all(deployment, writer.path, to_database)
    await_stored(deployment, writer.path, 2_000)
    with ExitStack() as guests:
        administrator = guests.enter_context(deployment.database.connect())
        cursor = administrator.cursor()
        cursor.execute("SET GLOBAL max_connections = 10")
        to_database.refuse()
        for _ in range(9):
            guests.enter_context(deployment.database.connect())
        to_database.accept()
        writer.start()
        await_outage(lake, clean)
        await_words(lake, "Too many connections")
        cursor.execute("SET GLOBAL max_connections = 151")
    writer.stop()

    assert_whole(deployment, writer, producer, lake, clean)


def first_key(writer: Writer) -> int:
    """Return the stream that the lines of a writer are going to be in."""
    first_line = bytes(writer.streams[0]).partition(b"\n")[0]
    return stream_id(SOURCE, str(writer.path), first_line, 0)


#: A stream's first pack, and what the lake holds while it writes one.
ADD_PACK = "INSERT INTO raw_pack (stream_id, line_offset, flags, body) VALUES (%s, 0, 0, '')"
LOCK_STREAM = "SELECT stream_id FROM log_stream WHERE stream_id = %s FOR UPDATE"


def deadlocks_of(deployment: Deployment) -> int:
    """Return how many deadlocks the server has ended."""
    counter = "SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'"
    return int(deployment.query(counter)[0][0])


def assert_waits_for_lock(deployment: Deployment) -> None:
    """Assert that an INSERT has begun to wait, and will go on waiting for a while."""
    waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE time = 1 AND info LIKE %s"
    assert deployment.query(waiting, "%INSERT INTO raw_pack%VALUES%") >= [(1,)]


def test_lock_wait_and_deadlock(deployment: Deployment, writer: Writer) -> None:
    """The transaction that the server gives up (1205, 1213) is repeated, on the same session."""
    database = deployment.database
    run_sql(
        database,
        "SET GLOBAL innodb_lock_wait_timeout = 3",
        "CREATE TABLE heavy (number INT PRIMARY KEY)",
        f"INSERT INTO heavy VALUES {','.join(f'({number})' for number in range(20_000))}",
        "COMMIT",
        schema=deployment.mysql.database,
    )
    key = first_key(writer)
    try:
        with database.connect(deployment.mysql.database) as other, other.cursor() as cursor:
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 50")
            # A transaction that has changed more is not the one that the server gives up.
            cursor.execute("UPDATE heavy SET number = number + 100000")
            cursor.execute(ADD_PACK, (key,))
            producer, lake, clean = start_all(deployment, writer.path)
            await_metric(lake, RETRIES, dependency="mysql", reason="lock")
            await_words(lake, "1205")
            deadlocks = deadlocks_of(deployment)
            eventually(lambda: assert_waits_for_lock(deployment))
            # Waits for the lake, which holds the stream, and the lake waits for us.
            cursor.execute(LOCK_STREAM, (key,))
            assert deadlocks_of(deployment) > deadlocks
            other.rollback()
    finally:
        run_sql(database, "SET GLOBAL innodb_lock_wait_timeout = 50")

    assert_whole(deployment, writer, producer, lake, clean)
    assert lake.metric(RETRIES, dependency="mysql", reason="connection") == 0


def test_consumers_that_overlap_never_deadlock(deployment: Deployment) -> None:
    """Rows go in the order of their keys, whatever order they come in: nobody waits in a circle."""
    stream = Stream(1, SOURCE, "host", "/var/log/nginx/access.log", "combined", 0)
    slices = [
        Slice(stream, part * 10_000, b"\n".join([b"a line"] * 100), 100, 0, 0) for part in range(16)
    ]

    at_once = Barrier(3)

    def add_all(order: list[Slice], name: str) -> list[str]:
        failures = []
        with closing(Session(deployment.mysql, name)) as session:
            lake = Lake(session)
            for number in range(30):
                streamed = replace(stream, stream_id=number)
                batch = [replace(slice_, stream=streamed) for slice_ in order]
                at_once.wait(PATIENCE)
                try:
                    lake.store(batch)
                except Unavailable as error:
                    failures.append(str(error))
        return failures

    before = deadlocks_of(deployment)
    with ThreadPoolExecutor() as pool:
        orders = [slices, slices[::-1], slices[8:] + slices[:8]]
        failures = list(pool.map(add_all, orders, ["one", "two", "three"]))

    assert failures == [[], [], []]
    assert deadlocks_of(deployment) == before
    assert deployment.count("raw_log") == 30 * 1_600


def random_line(length: int) -> bytes:
    """Return a line of about so many bytes that no pack makes much smaller."""
    random = Random(length)  # noqa: S311 - no secret
    return random.randbytes(length).translate(None, b"\0\n") + b"\n"


@pytest.mark.skipif(os.environ.get("MYSQL_LOCAL_INFILE") == "no", reason="no row goes that way")
@pytest.mark.parametrize("is_within_rows", [False, True], ids=["statement", "rows"])
def test_every_session_ends_at_load_data(
    deployment: Deployment, writer: Writer, to_database: Proxy, *, is_within_rows: bool
) -> None:
    """As behind a proxy that does not know it: rows go by INSERT, and none is half there."""
    ended = []

    def look(link: Link, data: bytes) -> bytes:
        is_rows, link.is_marked = link.is_marked, b"LOAD DATA LOCAL" in data
        if not (is_rows if is_within_rows else link.is_marked):
            return data
        ended.append(data)
        with suppress(OSError):
            link.server.sendall(data[: len(data) // 2])
        link.cut()
        return b""

    to_database.on_sending(look)
    writer.burst(20_000)
    producer, lake, clean = start_all(deployment, writer.path, to_database)

    assert_whole(deployment, writer, producer, lake, clean)
    assert ended


def test_statement_over_max_allowed_packet(deployment: Deployment, writer: Writer) -> None:
    """Rows that do not fit into one statement go in several; one that is longer is waited for."""
    run_sql(deployment.database, "SET GLOBAL max_allowed_packet = 1048576")
    try:
        producer = deployment.start("producer", str(writer.path))
        lake, clean = deployment.start_consumers()
        writer.burst(10_000)
        assert_stored(deployment, writer.path)
        for service in (lake, clean):
            assert service.metric(RETRIES, dependency="mysql") == 0
        writer.insert(random_line(900_000))
        await_outage(lake, reason="statement")
        await_words(lake, "raise its max_allowed_packet")
    finally:
        run_sql(deployment.database, "SET GLOBAL max_allowed_packet = DEFAULT")

    assert_whole(deployment, writer, producer, lake, clean)


#: Not killed for it, but told, like a program whose disk is full.
UNTIL_FULL = ["/bin/sh", "-c", 'trap \'\' XFSZ; exec "$0" "$@"']
#: Larger than any file of a new server, of either product; the table of the test outgrows it.
FULL_AT = 40 * 1024**2


class SmallDatabase(Database):
    """A server of its own that can be told how large a file may grow, as a disk is full."""

    def _command(self, data: Path, *arguments: str) -> list[str]:
        # The redo log is small, so that the tables are what grows.
        return [*UNTIL_FULL, *super()._command(data, *arguments, "--innodb-log-file-size=4M")]

    def limit_files(self, size: int) -> None:
        """Let no file grow beyond a size in bytes, from now on."""
        for pid in self.pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class SmallContainerDatabase(ContainerDatabase):
    """The same in a container."""

    def _options(self) -> list[str]:
        return [*super()._options(), f"--entrypoint={UNTIL_FULL[0]}"]

    def _arguments(self) -> list[str]:
        # As above; and each file of the binary log ends before it is too large.
        own = ["--innodb-redo-log-capacity=32M", "--max-binlog-size=4M"]
        return [*UNTIL_FULL[1:], *self.entrypoint(), *super()._arguments(), *own]

    def limit_files(self, size: int) -> None:
        """Let no file grow beyond a size in bytes, from now on."""
        limit = "unlimited" if size == resource.RLIM_INFINITY else str(size)
        self.execute("prlimit", "--pid=1", f"--fsize={limit}:unlimited")


@pytest.fixture
def on_small_database(
    servers: tuple[Broker, Database], tmp_path: Path
) -> Iterator[tuple[Deployment, SmallDatabase | SmallContainerDatabase]]:
    """An installation whose database's disk can be full."""
    broker, shared = servers
    small: SmallDatabase | SmallContainerDatabase
    if isinstance(shared, ContainerDatabase):
        small = SmallContainerDatabase(tmp_path / "database", shared.image)
    else:
        small = SmallDatabase(tmp_path / "database", broker.programs)
    with small as database, closing(Deployment("t_disk_full", broker, database, tmp_path)) as made:
        yield made, database


def test_database_disk_full(
    on_small_database: tuple[Deployment, SmallDatabase | SmallContainerDatabase], writer: Writer
) -> None:
    """A table that cannot grow is an outage, until there is room."""
    deployment, database = on_small_database
    producer, lake, clean = start_all(deployment, writer.path)
    await_stored(deployment, writer.path, 2_000)
    database.limit_files(FULL_AT)
    for number in range(24_000):
        writer.insert(random_line(2_000 + number % 100))
    await_outage(lake)
    await_words(lake, "is full")
    database.limit_files(resource.RLIM_INFINITY)

    assert_whole(deployment, writer, producer, lake, clean)


def test_migration_meanwhile(deployment: Deployment, writer: Writer) -> None:
    """Tables that are rebuilt, and migrations that run, hold the consumers up and break nothing."""
    producer, lake, clean = start_all(deployment, writer.path)
    writer.start()
    await_stored(deployment, writer.path, 4_000)
    waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE %s"
    with (
        deployment.database.connect(deployment.mysql.database) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("LOCK TABLES raw_pack WRITE, clean_log WRITE")

        def held_up() -> None:
            assert deployment.query(waiting, "Waiting for table%lock") >= [(2,)]

        eventually(held_up)
        cursor.execute("ALTER TABLE raw_pack ADD COLUMN more INT NULL, ALGORITHM=COPY")
        cursor.execute("ALTER TABLE clean_log ADD COLUMN more INT NULL, ALGORITHM=COPY")
        cursor.execute("UNLOCK TABLES")
    migrate.apply(deployment.mysql)
    writer.stop()

    assert_whole(deployment, writer, producer, lake, clean)
    assert dead_letters_of(lake) == dead_letters_of(clean) == 0


def test_slower_than_a_heartbeat(deployment: Deployment, writer: Writer) -> None:
    """While a statement takes longer than two heartbeats the session with the broker lives on."""
    producer, lake, clean = start_all(deployment, writer.path)
    await_stored(deployment, writer.path, 2_000)
    with (
        deployment.database.connect(deployment.mysql.database) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("LOCK TABLES raw_pack WRITE, clean_log WRITE, rejected_log WRITE")
        writer.burst(2_000)
        await_metric(producer, "datastream_lines_published_total", 4_000)
        # The server's clock decides: three heartbeats of ten seconds.
        cursor.execute("DO SLEEP(30)")
        cursor.execute("UNLOCK TABLES")

    assert_whole(deployment, writer, producer, lake, clean)
    for service in (lake, clean):
        assert service.metric(RETRIES, dependency="rabbitmq") == 0
        assert service.metric("datastream_store_seconds_sum") > 25


def test_grant_missing(deployment: Deployment, writer: Writer) -> None:
    """Nothing is quarantined for it: everybody waits until somebody gives the right back."""
    schema, user = deployment.mysql.database, deployment.mysql.user
    pattern = schema.replace("_", r"\_")
    producer, lake, clean = start_all(deployment, writer.path)
    await_stored(deployment, writer.path, 2_000)
    run_sql(deployment.database, f"REVOKE INSERT ON `{pattern}`.* FROM '{user}'@'%'")
    end_sessions(deployment)
    writer.start()
    await_outage(lake, clean, reason="statement")
    await_words(lake, "check the grants of the account")
    run_sql(deployment.database, f"GRANT INSERT ON `{pattern}`.* TO '{user}'@'%'")
    end_sessions(deployment)
    writer.stop()

    assert_whole(deployment, writer, producer, lake, clean)


def test_column_missing(deployment: Deployment, writer: Writer) -> None:
    """Nothing is quarantined for it: everybody waits until somebody migrates."""
    producer, lake, clean = start_all(deployment, writer.path)
    await_stored(deployment, writer.path, 2_000)
    schema = deployment.mysql.database
    for table, column in {"raw_pack": "body", "clean_log": "file_type"}.items():
        statement = f"ALTER TABLE {table} RENAME COLUMN {column} TO other"
        run_sql(deployment.database, statement, schema=schema)
    writer.start()
    await_outage(lake, clean, reason="statement")
    await_words(clean, "the schema is older than the code: run the migrations")
    for table, column in {"raw_pack": "body", "clean_log": "file_type"}.items():
        statement = f"ALTER TABLE {table} RENAME COLUMN other TO {column}"
        run_sql(deployment.database, statement, schema=schema)
    writer.stop()

    assert_whole(deployment, writer, producer, lake, clean)


#: In the order in which a dump has them.
TABLES = (
    "clean_log",
    "error_log",
    "log_stream",
    "raw_pack",
    "referrer",
    "rejected_log",
    "user_agent",
)
#: Rows of lines that name what is not there.
NAMELESS = """
    SELECT
        (SELECT COUNT(*) FROM raw_log LEFT JOIN log_stream USING (stream_id) WHERE source IS NULL)
        + (SELECT COUNT(*) FROM clean_log
            LEFT JOIN log_stream USING (stream_id)
            LEFT JOIN user_agent USING (user_agent_id)
            LEFT JOIN referrer USING (referrer_id)
            WHERE source IS NULL
                OR (user_agent_id IS NOT NULL AND user_agent IS NULL)
                OR (referrer_id IS NOT NULL AND referrer IS NULL))
"""


def test_database_set_back_while_consumers_run(deployment: Deployment, writer: Writer) -> None:
    """An older backup is restored: every new row has the stream and the texts that it names."""
    schema = deployment.mysql.database
    run_sql(deployment.database, *(f"CREATE TABLE old_{t} LIKE {t}" for t in TABLES), schema=schema)
    producer, lake, clean = start_all(deployment, writer.path)
    assert_stored(deployment, writer.path)
    before = deployment.count("raw_log")
    for table in TABLES:
        run_sql(
            deployment.database,
            f"DROP TABLE {table}",
            f"CREATE TABLE {table} LIKE old_{table}",
            f"INSERT INTO {table} SELECT * FROM old_{table}",
            "COMMIT",
            schema=schema,
        )
    writer.burst(1_000)
    deployment.assert_settled(1_000)

    assert before >= 1_000
    assert deployment.query(NAMELESS) == [(0,)]
    assert deployment.query("SELECT COUNT(*) > 0 FROM user_agent") == [(1,)]
    for consumer in (lake, clean):
        assert "the database was set back" in consumer.text()
        assert consumer.metric(RETRIES, dependency="mysql", reason="lock") >= 1
    assert dead_letters_of(lake) == dead_letters_of(clean) == redeliveries_of(lake, clean) == 0
    assert producer.process.poll() is None
