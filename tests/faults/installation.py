"""What a test of a fault needs: a log that grows, servers that fail, and the truth afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from containers import ContainerBroker, InContainer
from datastream.consuming import QUARANTINE_REASONS
from datastream_playground.local.server import Server
from datastream_playground.local.servers import Broker, Database
from deployment import PATIENCE, Deployment, Service, assert_settled, eventually


class Writer:
    """Writes a log as a web server does: on and on, by appending to a file that it keeps open.

    Writes end anywhere in a line, `reopen` is the server's signal USR1, and `streams` are the
    bytes of each file that was written, the one that is written now last.
    """

    def __init__(self, path: Path, data: bytes, lines_per_second: int = 2_000) -> None:
        self.path = path
        self.streams: list[bytearray] = [bytearray()]
        self._data = data
        self._at = 0
        self._piece = max(1, lines_per_second * (len(data) // data.count(b"\n")) // 50)
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._file = path.open("ab", buffering=0)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Writer:
        """Begin to write."""
        self._thread.start()
        return self

    def burst(self, lines: int) -> None:
        """Write so many lines at once, and end with a whole one."""
        with self._lock:
            end = self._at
            for _ in range(lines):
                end = self._data.index(b"\n", end) + 1
            self._write(end)

    def insert(self, line: bytes) -> None:
        """Write a line of the test's own."""
        with self._lock:
            self._finish_line()
            self._file.write(line)
            self.streams[-1] += line

    def reopen(self) -> None:
        """Finish the line and write to a new file under the same name from now on."""
        with self._lock:
            self._finish_line()
            self._file.close()
            self._file = self.path.open("ab", buffering=0)
            self.streams.append(bytearray())

    def truncate(self) -> None:
        """Empty the file in place, as copytruncate does; what is written then begins a stream."""
        with self._lock:
            self._finish_line()
            os.truncate(self.path, 0)
            self.streams.append(bytearray())

    def copy_and_truncate(self, copy: Path) -> None:
        """The same, after a copy that lacks nothing: no line is written between the two."""
        with self._lock:
            self._finish_line()
            shutil.copyfile(self.path, copy)
            os.truncate(self.path, 0)
            self.streams.append(bytearray())

    def stop(self) -> None:
        """Finish the line and end."""
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join()
        with self._lock:
            self._finish_line()
            self._file.close()

    @property
    def lines(self) -> int:
        """How many lines were written."""
        return sum(stream.count(b"\n") for stream in self.streams)

    def _run(self) -> None:
        while not self._end.wait(0.02):
            with self._lock:
                self._write(self._at + self._piece)

    def _finish_line(self) -> None:
        if self.streams[-1] and not self.streams[-1].endswith(b"\n"):
            self._write(self._data.index(b"\n", self._at) + 1)

    def _write(self, end: int) -> None:
        part = self._data[self._at : end]
        assert part, "the data of this writer is used up"
        self._at = end
        self._file.write(part)
        self.streams[-1] += part


def start_code(deployment: Deployment, module: str, code: str, **changes: str) -> Service:
    """Start a service after some code of the test's own, which may break or replace parts of it."""
    program = f"import sys\nsys.argv = [{module!r}]\n{code}\n"
    program += f"import runpy\nrunpy.run_module({module!r}, run_name='__main__')\n"
    return start_command(deployment, module, [sys.executable, "-c", program], **changes)


def start_without_privileges(
    deployment: Deployment, module: str, *arguments: str, **changes: str
) -> Service:
    """Start a service for which the permissions of files count, even where the tests are root's."""
    powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    command = [*powerless, sys.executable, "-m", module, *arguments]
    return start_command(deployment, module, command, **changes)


def start_command(
    deployment: Deployment, module: str, command: Sequence[str], **changes: str
) -> Service:
    """Start a service by a command of the test's own."""
    service = Service(
        command,
        deployment.env(**changes),
        deployment.folder,
        deployment.folder / f"{module}-{len(deployment.services)}.log",
    )
    deployment.services.append(service)
    return service


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Stop some processes where they are, and let them go on afterwards."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def paused(server: Server) -> Iterator[None]:
    """Stop all of a server where it is, and let it go on afterwards."""
    with server.paused() if isinstance(server, InContainer) else frozen(*server.pids):
        yield


def rabbitmqctl(broker: Broker, *arguments: str) -> str:
    """Run rabbitmqctl on a private broker and return what it says."""
    if isinstance(broker, ContainerBroker):
        return broker.execute("rabbitmqctl", "--quiet", *arguments)
    program = broker.programs.rabbitmq_server.with_name("rabbitmqctl")
    done = subprocess.run(
        [program, "--quiet", *arguments],
        env=broker.environment(),
        cwd=broker.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def run_sql(database: Database, *statements: str, schema: str | None = None) -> None:
    """Run some statements with the administrator's account."""
    with database.connect(schema) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def end_sessions(deployment: Deployment) -> None:
    """End every session that the services have with the database."""
    with deployment.database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM information_schema.processlist WHERE user = %s",
            (deployment.mysql.user,),
        )
        for (number,) in cursor.fetchall():
            cursor.execute("KILL %s", (number,))


def assert_stored(
    deployment: Deployment, log: Path, *streams: bytes | bytearray, patience: float = PATIENCE
) -> None:
    """Wait until the tables hold the streams of a log, and assert that they hold nothing else.

    Each stream is a file's bytes, by default the log's as it is now. raw_log has its lines byte for
    byte and in order; the tables of parsed lines together have each line once.
    """
    wanted = [stream for stream in streams or (log.read_bytes(),) if stream]
    expected = sorted(stream.removesuffix(b"\n").split(b"\n") for stream in map(bytes, wanted))
    lines = sum(map(len, expected))
    assert_settled(deployment, lines, log, patience=patience)
    found: dict[int, list[bytes]] = {}
    for stream, line in deployment.query(
        "SELECT r.stream_id, r.line FROM raw_log r JOIN log_stream s USING (stream_id)"
        " WHERE s.path = %s ORDER BY stream_id, line_offset",
        str(log),
    ):
        found.setdefault(stream, []).append(line)
    assert sorted(found.values()) == expected


def assert_told(
    lines: int,
    *,
    producer: Service | None = None,
    lake: Service | None = None,
    clean: Service | None = None,
) -> None:
    """Assert that the metrics of services that lived through it all say what happened."""

    def told() -> None:
        if producer:
            assert producer.metric("datastream_behind_bytes") == 0
            assert producer.metric("datastream_behind_seconds") == 0
            assert producer.metric("datastream_lines_published_total") == lines
            assert producer.get("/readyz")[0] == 200
        for consumer in (lake, clean):
            if consumer:
                stored, again = stored_by(consumer), duplicates_of(consumer)
                # A commit whose answer was lost is stored, and is counted when it is repeated.
                assert stored <= lines <= stored + again
                assert dead_letters_of(consumer) == 0
                assert consumer.get("/readyz")[0] == 200

    eventually(told)


def stored_by(*consumers: Service) -> float:
    """Return how many new rows consumers say that they have stored."""
    tables = "raw_log", "clean_log", "rejected_log"
    return sum(
        consumer.metric("datastream_lines_stored_total", table=table)
        for consumer in consumers
        for table in tables
    )


def duplicates_of(*consumers: Service) -> float:
    """Return how many lines were there already."""
    return sum(consumer.metric("datastream_lines_duplicate_total") for consumer in consumers)


def redeliveries_of(*consumers: Service) -> float:
    """Return how many messages came again."""
    return sum(consumer.metric("datastream_redeliveries_total") for consumer in consumers)


def dead_letters_of(consumer: Service) -> float:
    """Return how many messages a consumer put on the dead-letter queue."""
    return sum(
        consumer.metric("datastream_dead_letters_total", reason=reason)
        for reason in QUARANTINE_REASONS
    )


def await_metric(service: Service, name: str, at_least: float = 1, **labels: str) -> None:
    """Wait until a metric of a service is that great."""

    def reached() -> None:
        assert service.metric(name, **labels) >= at_least, service.text()

    eventually(reached)


def await_stored(deployment: Deployment, log: Path, at_least: int = 1) -> None:
    """Wait until so many lines of a log are in raw_log."""

    def stored() -> None:
        rows = deployment.query(
            "SELECT COUNT(*) FROM raw_log JOIN log_stream s USING (stream_id) WHERE s.path = %s",
            str(log),
        )
        assert rows[0][0] >= at_least

    eventually(stored)


def await_words(service: Service, words: str) -> None:
    """Wait until a service has said something."""

    def said() -> None:
        assert words in service.text()

    eventually(said)


def await_behind(producer: Service) -> None:
    """Wait until the producer shows that it is behind its log, in bytes and in seconds."""

    def behind() -> None:
        assert producer.metric("datastream_behind_bytes") > 0
        assert producer.metric("datastream_behind_seconds") > 0

    eventually(behind)


def assert_quiet(service: Service, *, warnings: int) -> None:
    """Assert that a service said what it waited for, and did not say it again and again."""
    told = sum("WARNING" in line or "ERROR" in line for line in service.text().splitlines())
    assert 0 < told <= warnings, service.text()
    assert "Traceback" not in service.text(), service.text()
