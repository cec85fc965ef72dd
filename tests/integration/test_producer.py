"""The producer as a process, on real servers."""

from __future__ import annotations

import gzip
import json
import os
import signal
from pathlib import Path

import pytest

from datastream.rabbitmq import connect, declare_topology
from datastream.topology import CLEAN_QUEUE
from datastream_playground import sample
from deployment import Deployment, eventually, lines_of


def append(path: Path, lines: range) -> None:
    """Append numbered lines."""
    with path.open("ab") as file:
        file.write(b"".join(b"line %d\n" % number for number in lines))


def test_a_history_is_read_once(deployment: Deployment, tmp_path: Path) -> None:
    """Several logs, rotated and compressed files among them, each line once."""
    for age, name in enumerate(["access.log", "access.log.1", "access.log.2.gz"]):
        path = tmp_path / name
        append(path, range(age * 1_000, age * 1_000 + 1_000))
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(path.read_bytes()))
        os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))
    append(tmp_path / "other.log", range(100))
    deployment.start_consumers()

    pattern = f"{tmp_path}/access.log*"
    for _ in range(2):
        producer = deployment.start("producer", "--once", pattern, f"{tmp_path}/other.log")
        assert producer.wait() == 0, producer.text()

    deployment.assert_settled(3_100)
    assert len(deployment.raw_lines(tmp_path / "access.log")) == 3_000
    assert len(deployment.raw_lines(tmp_path / "other.log")) == 100


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_a_history_that_was_not_read_to_its_end(
    deployment: Deployment, tmp_path: Path, asked: signal.Signals
) -> None:
    """`--once` that is asked to stop in the middle ends with 128 + signal, and goes on later."""
    log = tmp_path / "access.log"
    sample.write(log, 1_000, "combined", seed=4)
    with connect(deployment.rabbit, "test") as connection:
        connection.channel().queue_delete(CLEAN_QUEUE)
    producer = deployment.start("producer", "--once", str(log))

    def in_the_middle() -> None:
        assert producer.metric("datastream_retries_total", reason="returned") > 0

    eventually(in_the_middle)
    producer.process.send_signal(asked)

    assert producer.wait() == 128 + asked
    assert "Read to the end" not in producer.text()
    declare_topology(deployment.rabbit)
    deployment.start_consumers()
    deployment.publish_once(log)
    deployment.assert_settled(1_000)


def test_rotation_while_lines_are_written(deployment: Deployment, tmp_path: Path) -> None:
    """A log that is renamed and begun anew, again and again, loses and doubles nothing."""
    log = tmp_path / "access.log"
    log.touch()
    deployment.start_consumers()
    deployment.start("producer", str(log)).wait_ready()

    for rotation in range(10):
        append(log, range(rotation * 1_000, rotation * 1_000 + 900))
        log.rename(tmp_path / f"access.log.{10 - rotation}")
        append(
            tmp_path / f"access.log.{10 - rotation}",
            range(rotation * 1_000 + 900, rotation * 1_000 + 1_000),
        )
        append(log, range(0))

    deployment.assert_settled(10_000)
    assert sorted(deployment.raw_lines()) == sorted(b"line %d" % n for n in range(10_000))


def test_one_line_a_message(deployment: Deployment, tmp_path: Path) -> None:
    """MAX_SLICE_LINES=1 is for consumers that want it so; the rows are the same."""
    log = tmp_path / "access.log"
    sample.write(log, 300, "combined", seed=6)
    lake, _ = deployment.start_consumers()

    deployment.publish_once(log, MAX_SLICE_LINES="1")

    deployment.assert_settled(300)
    assert deployment.raw_lines() == list(lines_of(log))

    def all_delivered() -> None:
        assert lake.metric("datastream_deliveries_total") == 300

    eventually(all_delivered)


def test_a_line_over_the_limit_is_kept_as_its_head(deployment: Deployment, tmp_path: Path) -> None:
    """Its row says so, it is counted, and the log goes on."""
    log = tmp_path / "access.log"
    log.write_bytes(b"before\n" + b"x" * 5_000 + b"\nafter\n")
    deployment.start_consumers()
    producer = deployment.start("producer", str(log), MAX_LINE_BYTES="1000")
    deployment.assert_settled(3)

    assert deployment.query("SELECT line_offset, flags, LENGTH(line) FROM raw_log ORDER BY 1") == [
        (0, 0, 6),
        (7, 2, 1_000),
        (5_008, 0, 5),
    ]
    assert deployment.query("SELECT reason FROM rejected_log WHERE flags = 2") == [("truncated",)]
    assert producer.metric("datastream_lines_truncated_total") == 1


def test_a_missing_log_ends_a_single_reading(deployment: Deployment, tmp_path: Path) -> None:
    """There is nothing to wait for: the log is named, and the exit code is 66."""
    producer = deployment.start("producer", "--once", str(tmp_path / "missing.log"))

    assert producer.wait() == 66
    assert f"{tmp_path}/missing.log: No such file or directory" in producer.text()
    assert "Traceback" not in producer.text()


@pytest.mark.parametrize(
    "content",
    ["\0" * 200, "", '{"version": 1, "source": "te', '{"version": 99, "source": "test"}'],
    ids=["zeros", "empty", "half", "another version"],
)
def test_a_damaged_checkpoint_stops_the_producer(
    deployment: Deployment, tmp_path: Path, content: str
) -> None:
    """With words and exit code 65; it never starts at 0 because of that."""
    log = tmp_path / "access.log"
    append(log, range(10))
    deployment.publish_once(log)
    checkpoint = tmp_path / "state" / "checkpoint.json"
    checkpoint.write_text(content)

    producer = deployment.start("producer", "--once", str(log))

    assert producer.wait() == 65
    assert str(checkpoint) in producer.text()
    assert "Traceback" not in producer.text()
    assert checkpoint.read_text() == content


def test_a_log_that_appears_and_grows_byte_by_byte(deployment: Deployment, tmp_path: Path) -> None:
    """A missing log is waited for, a part of a line too; SIGTERM ends at leisure, with 0."""
    log = tmp_path / "access.log"
    deployment.start_consumers()
    producer = deployment.start("producer", str(log))

    def waits() -> None:
        assert "Log cannot be read, waiting for it" in producer.text()
        assert "Connected to RabbitMQ" in producer.text()

    eventually(waits)
    log.write_bytes(b"whole\npar")
    producer.wait_ready()
    deployment.assert_settled(1)
    with log.open("ab") as file:
        file.write(b"tial\nlast\nnever whole")
    deployment.assert_settled(3)
    code = producer.terminate()

    assert code == 0, producer.text()
    assert deployment.raw_lines() == [b"whole", b"partial", b"last"]
    assert producer.text().count("waiting for it") == 1
    checkpoint = json.loads((tmp_path / "state" / "checkpoint.json").read_text())
    assert [place["position"] for place in checkpoint["places"]] == [19]


def test_a_checkpoint_that_is_lost(deployment: Deployment, tmp_path: Path) -> None:
    """Everything is read again, under the same keys: it adds no row."""
    log = tmp_path / "access.log"
    sample.write(log, 2_000, "combined", seed=8)
    lake, clean = deployment.start_consumers()
    deployment.publish_once(log)
    deployment.assert_settled(2_000)
    for path in (tmp_path / "state").iterdir():
        path.unlink()

    deployment.publish_once(log)

    def all_again() -> None:
        assert lake.metric("datastream_lines_duplicate_total") == 2_000
        assert clean.metric("datastream_lines_duplicate_total") == 2_000

    eventually(all_again)
    deployment.assert_settled(2_000)
    assert deployment.raw_lines() == list(lines_of(log))


def test_a_last_line_that_is_completed_later(deployment: Deployment, tmp_path: Path) -> None:
    """Read once it is stored as it stands; read once more, its row is the whole line."""
    log = tmp_path / "access.log"
    log.write_bytes(b"only")
    deployment.start_consumers()
    deployment.publish_once(log)
    deployment.assert_settled(1)
    before = deployment.query("SELECT flags, line FROM raw_log")
    with log.open("ab") as file:
        file.write(b" line\n")

    deployment.publish_once(log)

    def completed() -> None:
        assert deployment.query("SELECT flags, line FROM raw_log") == [(0, b"only line")]

    assert before == [(1, b"only")]
    eventually(completed)
    assert deployment.count("log_stream") == 1


def test_rotations_while_the_broker_is_away(deployment: Deployment, tmp_path: Path) -> None:
    """What came and went meanwhile is found, by renaming and by copying, and in order of keys."""
    log = tmp_path / "access.log"
    append(log, range(1_000))
    deployment.start_consumers()
    producer = deployment.start("producer", str(log))
    deployment.assert_settled(1_000)
    deployment.broker.stop()

    def away() -> None:
        assert "RabbitMQ unavailable" in producer.text()

    eventually(away)
    append(log, range(1_000, 2_000))
    log.rename(tmp_path / "access.log.2")
    append(log, range(2_000, 3_000))
    log.rename(tmp_path / "access.log.1")
    append(log, range(3_000, 4_000))
    deployment.broker.restart()

    deployment.assert_settled(4_000)
    assert sorted(deployment.raw_lines()) == sorted(b"line %d" % n for n in range(4_000))
    assert "Traceback" not in producer.text()


def test_settings_that_stop_the_producer(deployment: Deployment, tmp_path: Path) -> None:
    """Each with a code of its own and one line that says what to do."""
    log = tmp_path / "access.log"
    append(log, range(10))
    first = deployment.start("producer", str(log))
    first.wait_ready()
    codes = {}
    for words, changes in {
        "another producer uses STATE_DIR": {},
        "SOURCE is not set": {"SOURCE": "", "STATE_DIR": str(tmp_path / "other")},
        "MAX_SLICE_LINES is 0": {"MAX_SLICE_LINES": "0"},
    }.items():
        producer = deployment.start("producer", "--once", str(log), **changes)
        codes[words] = producer.wait()
        assert words in producer.text()
        assert producer.text().count("\n") == 1
    first.terminate()
    other = deployment.start("producer", "--once", str(log), SOURCE="another")
    codes["belongs to SOURCE 'test'"] = other.wait()

    assert list(codes.values()) == [75, 78, 78, 65]
    assert "belongs to SOURCE 'test', not 'another'" in other.text()
    assert other.text().count("\n") == 1
