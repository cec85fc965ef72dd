"""What happens to a log, under load and across restarts: nothing lost, nothing doubled."""

from __future__ import annotations

import gzip
import lzma
import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from datastream_playground.local.servers import Broker, Database
from deployment import Deployment, Service, eventually, lines_of
from faults.installation import (
    Writer,
    assert_stored,
    await_behind,
    await_metric,
    await_stored,
    await_words,
    dead_letters_of,
    frozen,
    start_code,
    start_without_privileges,
)
from faults.proxy import Proxy

Start = Callable[..., Service]

#: Shortens the minute for which a rotated file has to be quiet before it is closed.
SHORT_QUIET = "import producer.open_files\nproducer.open_files.ROTATED_QUIET = 0.5"


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

    def start_producer(*logs: Path | str, code: str = "", **changes: str) -> Service:
        changes = {"STATE_DIR": str(tmp_path / "state")} | changes
        if code:
            paths = ",".join(map(str, logs))
            producer = start_code(running, "producer", code, LOG_PATH=paths, **changes)
        else:
            producer = running.start("producer", *map(str, logs), **changes)
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

    eventually(kept)
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

    eventually(confirmed)
    assert producer.metric("datastream_behind_bytes") > 0
    assert_stored(running, fresh)
    assert_stored(running, backlog)


@contextmanager
def freezing(pid: int, seed: int) -> Iterator[None]:
    """Stop a process and let it go on, again and again, after random times."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    end = threading.Event()

    def run() -> None:
        while not end.wait(chance.uniform(0.0, 0.06)):
            with frozen(pid):
                end.wait(chance.uniform(0.0, 0.2))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def logrotate(writer: Writer, *, copies: bool) -> None:
    """Rotate as logrotate does with `compress`, and with `copytruncate` or `create`."""
    log = writer.path
    for age in range(9, 0, -1):
        older = log.with_name(f"{log.name}.{age}.gz")
        if older.exists():
            older.rename(log.with_name(f"{log.name}.{age + 1}.gz"))
    rotated = log.with_name(f"{log.name}.1")
    if copies:
        writer.copy_and_truncate(rotated)
    else:
        log.rename(rotated)
        writer.reopen()
    packed = log.with_name(f"{log.name}.1.gz")
    with rotated.open("rb") as plain, gzip.open(packed, "wb", compresslevel=1) as file:
        shutil.copyfileobj(plain, file, 10_000)
    status = rotated.stat()
    os.utime(packed, (status.st_atime, status.st_mtime))
    rotated.unlink()


@pytest.mark.parametrize("copies", [True, False], ids=["copytruncate", "create"])
def test_packed_at_once_while_the_producer_is_stopped_at_random(
    running: Deployment, start: Start, writer: Writer, *, copies: bool
) -> None:
    """Whatever of a rotation the producer sees: each line once, in one stream a generation."""
    producer = start(writer.path)
    await_stored(running, writer.path, 2_000)
    writer.start()
    with freezing(producer.process.pid, seed=8):
        for _ in range(8):
            logrotate(writer, copies=copies)
            await_written(writer, writer.lines + 250)
    writer.stop()

    assert_stored(running, writer.path, *writer.streams)


def await_written(writer: Writer, lines: int) -> None:
    """Wait until a writer that was started has written so many lines in all."""

    def written() -> None:
        assert writer.lines >= lines

    eventually(written)


def test_a_dated_current_file(
    running: Deployment, start: Start, tmp_path: Path, lines: bytes
) -> None:
    """It is read as it grows, then the next day's; what is deleted is not held open."""
    days = [tmp_path / f"access_log.2026112{day}" for day in (5, 6, 7)]
    every = lines[:200_000].splitlines(keepends=True)
    written = [b"".join(every[n::3]) for n in range(3)]
    producer = start(f"{tmp_path}/access_log.*", code=SHORT_QUIET)
    log = tmp_path / "access_log"
    for number, (day, data) in enumerate(zip(days, written, strict=True)):
        middle = data.index(b"\n", len(data) // 2) - 10
        day.write_bytes(data[:middle])
        await_stored(running, log, sum(map(count, written[:number])) + count(data[:middle]))
        append(day, data[middle:])
    assert_stored(running, log, *written)
    for day in days[:-1]:
        day.unlink()

    def given_back() -> None:
        opened = Path(f"/proc/{producer.process.pid}/fd").iterdir()
        targets = [str(entry.readlink()) for entry in opened]
        assert [t for t in targets if t.startswith(str(log))] == [str(days[-1])]

    eventually(given_back)
    append(days[-1], b"the last one\n")
    assert_stored(running, log, *written[:-1], written[-1] + b"the last one\n")


@pytest.mark.parametrize("is_down", [False, True], ids=["running", "down"])
def test_replaced_by_its_own_content(
    running: Deployment, start: Start, writer: Writer, *, is_down: bool
) -> None:
    """As rsync does, again and again: the same stream goes on, and no line is there twice."""
    producer = start(writer.path)
    await_stored(running, writer.path, 2_000)
    for _ in range(3):
        if is_down:
            assert producer.terminate() == 0
        beside = writer.path.with_name(".access.log.x1y2z3")
        shutil.copyfile(writer.path, beside)
        append(beside, b"of the new file\n" * 100)
        beside.replace(writer.path)
        if is_down:
            producer = start(writer.path)
        assert_stored(running, writer.path)
    streams = running.query("SELECT 1 FROM log_stream WHERE path = %s", str(writer.path))

    assert len(streams) == 1


@pytest.mark.parametrize(
    ("name", "rotated_dir"),
    [("access.1.log", ""), ("access-20261126.log.xz", ""), ("old/access.log.1", "old")],
)
def test_rotated_to_another_name_while_the_producer_was_down(
    running: Deployment, start: Start, writer: Writer, name: str, rotated_dir: str
) -> None:
    """The rest of what was being read is found by its content, wherever logrotate put it."""
    producer = start(writer.path, ROTATED_DIR=rotated_dir)
    await_stored(running, writer.path, 2_000)
    assert producer.terminate() == 0
    writer.burst(1_000)
    rotated = writer.path.parent / name
    rotated.parent.mkdir(exist_ok=True)
    if rotated.suffix == ".xz":
        rotated.write_bytes(lzma.compress(writer.path.read_bytes()))
        writer.path.unlink()
    else:
        writer.path.rename(rotated)
    writer.reopen()
    writer.burst(100)
    producer = start(writer.path, ROTATED_DIR=rotated_dir)

    assert_stored(running, writer.path, *writer.streams)
    await_words(producer, f"Reading on where the checkpoint says (file={rotated}")


def test_many_rotations_under_one_first_line(
    running: Deployment, start: Start, tmp_path: Path
) -> None:
    """Each is a stream of its own, though few files are left: nothing is a dead letter."""
    log = tmp_path / "access.log"
    consumers = running.services[:2]
    before = [dead_letters_of(consumer) for consumer in consumers]
    contents = [b"# one header\nline %d\n" % number for number in range(111)]
    producer = start(log, code=SHORT_QUIET)
    published = 0
    for number, content in enumerate(contents):
        if number == 60:
            assert producer.terminate() == 0
            producer, published = start(log, code=SHORT_QUIET), 0
        rotate(log, pack=False)
        log.with_name("access.log.4").unlink(missing_ok=True)
        log.write_bytes(content)
        published += 2
        await_metric(producer, "datastream_lines_published_total", published)

    assert_stored(running, log, *contents)
    assert [dead_letters_of(consumer) for consumer in consumers] == before


def test_a_gzip_file_that_grows(running: Deployment, start: Start, tmp_path: Path) -> None:
    """Each member is read as it comes, also one that comes in two parts, and after a restart."""
    log = tmp_path / "access.log"
    packed = tmp_path / "access.log.gz"
    members = [b"".join(b"%d of %d\n" % (n, m) for n in range(500)) for m in range(4)]
    packed.write_bytes(gzip.compress(members[0]))
    producer = start(packed)
    assert_stored(running, log, members[0])
    append(packed, gzip.compress(members[1]))
    assert_stored(running, log, b"".join(members[:2]))
    cut = gzip.compress(members[2])
    append(packed, cut[:-300])
    await_stored(running, log, 1_001)
    append(packed, cut[-300:])
    assert_stored(running, log, b"".join(members[:3]))
    assert producer.terminate() == 0
    append(packed, gzip.compress(members[3]))
    start(packed)

    assert_stored(running, log, b"".join(members))


def append(path: Path, data: bytes) -> None:
    """Write at the end of a file."""
    with path.open("ab") as file:
        file.write(data)


def test_one_log_by_two_names(running: Deployment, start: Start, writer: Writer) -> None:
    """A pattern that matches a log and a symbolic link to it stands for one log."""
    link = writer.path.with_name("link.log")
    link.symlink_to(writer.path)
    producer = start(f"{writer.path.parent}/*.log")
    await_words(producer, "is the file of another one under another name")
    writer.burst(100)

    assert_stored(running, writer.path)
    assert running.raw_lines(link) == []
