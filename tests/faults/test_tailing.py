"""What happens to a log, under load and across restarts: nothing lost, nothing doubled."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from datastream_operator.local.servers import Broker, Database
from deployment import Deployment, Service, eventually, lines_of
from faults.installation import (
    PATIENCE,
    Writer,
    assert_stored,
    await_behind,
    await_metric,
    await_stored,
    await_words,
    frozen,
    start_without_privileges,
)
from faults.proxy import Proxy

Start = Callable[..., Service]


@pytest.fixture(scope="module")
def running(
    servers: tuple[Broker, Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """One installation, whose consumers run, for all tests of this file."""
    folder = tmp_path_factory.mktemp("tailing")
    with closing(Deployment("t_tailing", *servers, folder)) as made:
        made.start_consumers()
        yield made


@pytest.fixture
def start(running: Deployment, tmp_path: Path) -> Iterator[Start]:
    """Starts a producer with a state of the test's own; none outlives the test."""
    started = []

    def start_producer(*logs: Path | str, **changes: str) -> Service:
        state = {"STATE_DIR": str(tmp_path / "state")}
        producer = running.start("producer", *map(str, logs), **(state | changes))
        started.append(producer)
        return producer

    yield start_producer
    for producer in started:
        producer.kill()


def rotate(log: Path, *, pack: bool) -> None:
    """Rename the log and its rotated files as logrotate does; all but the newest are packed."""
    suffix = ".gz" if pack else ""
    for age in range(9, 0, -1):
        for name in (f"{log.name}.{age}", f"{log.name}.{age}{suffix}"):
            older = log.with_name(name)
            if older.exists():
                newer = log.with_name(f"{log.name}.{age + 1}{suffix}")
                if pack and not name.endswith(".gz"):
                    beside = newer.with_suffix(".new")
                    beside.write_bytes(gzip.compress(older.read_bytes()))
                    status = older.stat()
                    os.utime(beside, (status.st_atime, status.st_mtime))
                    beside.rename(newer)
                    older.unlink()
                else:
                    older.rename(newer)
    if log.exists():
        log.rename(log.with_name(f"{log.name}.1"))


def test_renamed_and_created(running: Deployment, start: Start, writer: Writer) -> None:
    """Rotated while it grows: the server writes on to the old file until it is told."""
    start(writer.path, MAX_SLICE_LINES="50")
    await_stored(running, writer.path)
    writer.start()
    for _ in range(5):
        rotate(writer.path, pack=False)
        writer.burst(500)
        writer.reopen()
        writer.burst(500)
    writer.stop()

    assert_stored(running, writer.path, *writer.streams)


def test_rotated_several_times_while_the_producer_was_down(
    running: Deployment, start: Start, writer: Writer
) -> None:
    """The files are found again by their content, packed ones too, and read from the place on."""
    producer = start(writer.path)
    await_stored(running, writer.path, 2_000)
    assert producer.terminate() == 0
    for _ in range(3):
        writer.burst(1_000)
        rotate(writer.path, pack=True)
        writer.reopen()
    writer.burst(100)
    producer = start(writer.path)

    assert_stored(running, writer.path, *writer.streams)
    await_words(producer, f"Reading on where the checkpoint says (file={writer.path}.3.gz")


def test_copied_and_truncated(
    running: Deployment, start: Start, writer: Writer, record_property: Callable[[str, int], None]
) -> None:
    """Lost is what was written between the copy and the truncation and not read; no line more."""
    producer = start(writer.path)
    await_stored(running, writer.path, 2_000)
    kept: list[bytes] = []
    lost = 0
    for _ in range(3):
        writer.burst(300)
        await_metric(producer, "datastream_lines_published_total", count(b"".join(kept)) + 300)
        with frozen(producer.process.pid):
            writer.burst(200)  # written, and not read: it is in the copy
            rotate_copies(writer.path)
            shutil.copyfile(writer.path, f"{writer.path}.1")
            kept.append(writer.path.read_bytes())
            writer.burst(100)  # in neither
            writer.truncate()
            lost += 100
    writer.burst(100)
    kept.append(bytes(writer.streams[-1]))

    assert_stored(running, writer.path, *kept)
    record_property("lines_lost", lost)
    assert writer.lines - count(b"".join(kept)) == lost


def count(data: bytes) -> int:
    """Return the number of lines."""
    return data.count(b"\n")


def rotate_copies(log: Path) -> None:
    """Rename the older copies; the log itself stays where it is."""
    for age in range(9, 0, -1):
        older = log.with_name(f"{log.name}.{age}")
        if older.exists():
            older.rename(log.with_name(f"{log.name}.{age + 1}"))


@pytest.mark.parametrize("length", [100, 4_000], ids=["shorter", "grown past the position"])
@pytest.mark.parametrize("is_down", [False, True], ids=["running", "down"])
def test_another_file_in_its_place(
    running: Deployment, start: Start, writer: Writer, length: int, *, is_down: bool
) -> None:
    """The same name, device and inode but other bytes: another stream, from its beginning."""
    producer = start(writer.path)
    await_stored(running, writer.path, 2_000)
    if is_down:
        assert producer.terminate() == 0
        writer.truncate()
        writer.burst(length)
        start(writer.path)
    else:
        with frozen(producer.process.pid):
            writer.truncate()
            writer.burst(length)

    assert_stored(running, writer.path, *writer.streams)


def test_removed_and_made_again(running: Deployment, start: Start, writer: Writer) -> None:
    """A log that is gone is waited for; a new one under its name is another stream."""
    producer = start(writer.path)
    await_stored(running, writer.path, 2_000)
    writer.path.unlink()
    await_words(producer, "waiting for it")
    writer.reopen()
    writer.burst(100)

    assert_stored(running, writer.path, *writer.streams)


def test_moved_away_and_back(running: Deployment, start: Start, writer: Writer) -> None:
    """It is the same stream, whatever it was called meanwhile."""
    producer = start(writer.path)
    await_stored(running, writer.path, 2_000)
    away = writer.path.with_name("elsewhere")
    writer.path.rename(away)
    writer.burst(100)
    await_words(producer, "waiting for it")
    away.rename(writer.path)
    writer.burst(100)

    assert_stored(running, writer.path)


def test_the_same_beginning(
    running: Deployment, start: Start, tmp_path: Path, lines: bytes
) -> None:
    """Two logs that begin alike, for longer than any fingerprint, are two."""
    common = lines[:100_000].rpartition(b"\n")[0] + b"\n"
    logs = tmp_path / "one.log", tmp_path / "two.log"
    for log in logs:
        log.write_bytes(common + log.name.encode() + b"\n")
    producer = start(*logs)
    for log in logs:
        assert_stored(running, log)
    producer.kill()
    for log in logs:
        with log.open("ab") as file:
            file.write(b"more of " + log.name.encode() + b"\n")
    start(*logs)

    for log in logs:
        assert_stored(running, log)


def test_the_same_first_line_after_the_checkpoint_was_lost(
    running: Deployment, start: Start, tmp_path: Path
) -> None:
    """Other lines under keys that are taken: they are kept as dead letters, and that is told."""
    log = tmp_path / "access.log"
    log.write_bytes(b"first\n" + b"".join(b"old %04d\n" % n for n in range(500)))
    old = log.read_bytes()
    lake = running.services[0]
    producer = start(log)
    assert_stored(running, log)
    producer.kill()
    shutil.rmtree(tmp_path / "state")
    log.write_bytes(b"first\n" + b"".join(b"another one %d\n" % n for n in range(200)))
    before = running.queue_depth("queue-data-lake-dead")
    start(log, MAX_SLICE_LINES="5")

    await_metric(lake, "datastream_dead_letters_total", 41, reason="identity_conflict")
    await_words(lake, "Slice cannot be stored, kept on the dead-letter queue")

    def kept() -> None:
        assert running.queue_depth("queue-data-lake-dead") == before + 41

    eventually(kept, PATIENCE)
    assert running.raw_lines(log) == old.removesuffix(b"\n").split(b"\n")


def test_tiny_files(running: Deployment, start: Start, tmp_path: Path) -> None:
    """A log of a few bytes is read at once, and known again after a rotation and a restart."""
    log = tmp_path / "access.log"
    log.write_bytes(b"a\n")
    producer = start(log)
    assert_stored(running, log)
    producer.kill()
    with log.open("ab") as file:
        file.write(b"b\n")
    log.rename(tmp_path / "access.log.1")
    log.write_bytes(b"c\n")
    start(log)

    assert_stored(running, log, b"a\nb\n", b"c\n")


def test_symbolic_link_switched(
    running: Deployment, start: Start, tmp_path: Path, lines: bytes
) -> None:
    """What was not read of the old file is read, then the new one."""
    link = tmp_path / "access.log"
    days = tmp_path / "monday", tmp_path / "tuesday"
    for day, data in zip(days, (lines[:300_000], lines[300_000:600_000]), strict=True):
        day.write_bytes(data.rpartition(b"\n")[0] + b"\n")
    link.symlink_to(days[0])
    start(link, MAX_SLICE_LINES="20")
    await_stored(running, link, 20)
    other = tmp_path / "other"
    other.symlink_to(days[1])
    other.rename(link)

    assert_stored(running, link, *(day.read_bytes() for day in days))


def test_permission_lost_and_regained(running: Deployment, writer: Writer, tmp_path: Path) -> None:
    """A new file that may not be read is waited for; that is told once, and nothing is skipped."""
    state = str(tmp_path / "state")
    producer = start_without_privileges(running, "producer", str(writer.path), STATE_DIR=state)
    await_stored(running, writer.path, 2_000)
    rotate(writer.path, pack=False)
    writer.path.touch(0o000)
    writer.reopen()
    writer.burst(500)
    await_words(producer, "Permission denied")
    assert producer.get("/readyz") == (503, "waiting for log\n")
    writer.path.chmod(0o600)

    assert_stored(running, writer.path, *writer.streams)
    producer.wait_ready()
    assert producer.text().count("waiting for it") == 1
    producer.kill()


@pytest.mark.parametrize("length", [500, 3_000_000], ids=["short", "longer than a line may be"])
def test_zeros_after_a_truncation(
    running: Deployment, start: Start, tmp_path: Path, length: int
) -> None:
    """A server that writes on at its old offset leaves a hole: it is part of the line after it."""
    log = tmp_path / "access.log"
    log.write_bytes(b"x" * (length - 1) + b"\n")
    producer = start(log)
    await_stored(running, log, 1)
    with frozen(producer.process.pid), log.open("r+b") as file:
        file.truncate(0)
        file.seek(length)
        file.write(b"after the hole\nnext\n")
    limit = 1024**2
    first, *others = lines_of(log)

    assert_stored(
        running,
        log,
        b"x" * min(length - 1, limit) + b"\n",
        b"\n".join([first[:limit], *others]) + b"\n",
    )


def test_deleted_while_the_broker_is_away(
    running: Deployment, start: Start, writer: Writer
) -> None:
    """A rotated file that is removed before it could be sent is still open, and read."""
    with Proxy(running.broker.host, running.broker.port) as to_broker:
        producer = start(writer.path, RABBIT_PORT=str(to_broker.port))
        await_stored(running, writer.path, 2_000)
        to_broker.refuse()
        writer.burst(2_000)
        await_behind(producer)
        rotate(writer.path, pack=False)
        writer.reopen()
        writer.burst(100)
        await_metric(producer, "datastream_retries_total", 3, dependency="rabbitmq")
        writer.path.with_name("access.log.1").unlink()
        to_broker.accept()

        assert_stored(running, writer.path, *writer.streams)


def test_backlog_and_a_fresh_line(
    running: Deployment, start: Start, tmp_path: Path, lines: bytes
) -> None:
    """A line in one log is stored while there is still a huge backlog in another."""
    backlog, fresh = tmp_path / "backlog.log", tmp_path / "fresh.log"
    backlog.write_bytes(lines[:25_000_000].rpartition(b"\n")[0] + b"\n")
    fresh.touch()
    # Small slices, so that the backlog lasts for longer than a checkpoint is waited for.
    producer = start(f"{tmp_path}/*.log", MAX_SLICE_LINES="20")
    await_metric(producer, "datastream_lines_published_total", 1)
    fresh.write_bytes(b"fresh\n")

    def confirmed() -> None:
        assert f'"path": "{fresh}"' in (tmp_path / "state" / "checkpoint.json").read_text()

    eventually(confirmed, PATIENCE)
    assert producer.metric("datastream_behind_bytes") > 0
    assert_stored(running, fresh)
    assert_stored(running, backlog)
