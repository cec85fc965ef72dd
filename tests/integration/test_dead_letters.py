"""`datastream dead-letters`: looked at, put back, made a stream of its own, or forgotten."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pika
import pytest

from datastream.rabbitmq import connect
from datastream.slices import Slice
from datastream.streams import Stream, stream_id
from datastream.topology import CLEAN_QUEUE, LAKE_QUEUE, dead_letter_queue
from deployment import SOURCE, Deployment, eventually, lines_of

DEAD_LAKE, DEAD_CLEAN = dead_letter_queue(LAKE_QUEUE), dead_letter_queue(CLEAN_QUEUE)


def put(deployment: Deployment, queue: str, body: bytes, headers: Mapping[str, object]) -> None:
    """Put a message into a queue."""
    with connect(deployment.rabbit, "test") as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", queue, body, pika.BasicProperties(headers=dict(headers)))


def put_dead(deployment: Deployment, body: bytes, reason: str = "refused") -> Slice:
    """Put a slice of a log of its own onto the lake's dead-letter queue."""
    number = stream_id(SOURCE, "/var/log/dead.log", body.split(b"\n")[0], 0)
    stream = Stream(number, SOURCE, "host", "/var/log/dead.log", "combined", 0)
    slice_ = Slice(stream, 0, body, body.count(b"\n") + 1, 0, 1)
    put(deployment, DEAD_LAKE, body, slice_.headers() | {"x-reason": reason})
    return slice_


def ids(deployment: Deployment) -> list[str]:
    """Return the IDs that `list` shows."""
    return re.findall(r"^[0-9a-f]{12}", deployment.operate("dead-letters", "list").stdout, re.M)


def test_looking_changes_nothing(deployment: Deployment) -> None:
    """List and show tell what there is, safely to a terminal, however often; it stays there."""
    put_dead(deployment, b"one\n\x1b[2J two")
    put(deployment, DEAD_CLEAN, b"\x00rubbish\x1b", {"x-reason": "not_a_slice", "a\x1b": "\x1b"})

    for _ in range(3):
        listed = deployment.operate("dead-letters", "list")
    first, second = ids(deployment)
    shown = deployment.operate("dead-letters", "show", first)
    rubbish = deployment.operate("dead-letters", "show", second)

    assert (listed.returncode, shown.returncode, rubbish.returncode) == (0, 0, 0)
    assert re.search(r"refused +stream [0-9a-f]{16}, position 0, 2 lines, test /var", listed.stdout)
    assert "queue-data-lake-dead: 1 refused\n" in listed.stdout
    assert "not_a_slice        9 bytes: the header version is not" in listed.stdout
    assert "queue-data-clean-dead: 1 not_a_slice\n" in listed.stdout
    assert "\n  byte 0: one\n  byte 4: \\x1b[2J two\n" in shown.stdout
    assert "  position: 0\n" in shown.stdout
    assert "  9 bytes: \\x00rubbish\\x1b\n" in rubbish.stdout
    assert "\x1b" not in listed.stdout + shown.stdout + rubbish.stdout
    assert (deployment.queue_depth(DEAD_LAKE), deployment.queue_depth(DEAD_CLEAN)) == (1, 1)


def test_what_the_services_put_aside_says_since_when(deployment: Deployment) -> None:
    """A message that is no slice is listed with the time, and comes back when it is put back."""
    deployment.start("lake_consumer").wait_ready()
    put(deployment, LAKE_QUEUE, b"no slice", {"a": 1})

    def arrived() -> None:
        assert deployment.queue_depth(DEAD_LAKE) == 1

    eventually(arrived)
    listed = deployment.operate("dead-letters", "list").stdout
    assert re.search(r"1 not_a_slice; the oldest since 2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d\n", listed)

    again = deployment.operate("dead-letters", "requeue", "--all")

    assert (again.returncode, again.stdout) == (0, "1 put back into queue-data-lake\n")
    eventually(arrived)
    assert deployment.queue_depth(LAKE_QUEUE) == 0


def test_what_the_broker_put_aside(deployment: Deployment) -> None:
    """A message that reached the delivery limit says so, and when."""
    put(deployment, LAKE_QUEUE, b"crashes whoever takes it", {})
    with connect(deployment.rabbit, "test") as connection:
        channel = connection.channel()
        for _ in range(101):
            method = None
            while method is None:
                method, _, _ = channel.basic_get(LAKE_QUEUE)
                if method is None and deployment.queue_depth(DEAD_LAKE):
                    break
            if method is None:
                break
            channel.basic_nack(method.delivery_tag)

    def arrived() -> None:
        assert deployment.queue_depth(DEAD_LAKE) == 1

    eventually(arrived)
    listed = deployment.operate("dead-letters", "list").stdout

    assert re.search(r"^\w{12}  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  delivery_limit ", listed, re.M)


def test_put_back(deployment: Deployment) -> None:
    """Those that are named go to the queue they came from, once; their lines are stored."""
    first = put_dead(deployment, b"first\nof two")
    put_dead(deployment, b"another")
    name, other = ids(deployment)

    result = deployment.operate("dead-letters", "requeue", name, name)

    assert (result.returncode, result.stdout) == (0, "1 put back into queue-data-lake\n")
    assert ids(deployment) == [other]
    assert deployment.queue_depth(LAKE_QUEUE) == 1
    deployment.start("lake_consumer")

    def stored() -> None:
        assert deployment.raw_lines() == first.body.split(b"\n")

    eventually(stored)
    put_dead(deployment, first.body)
    assert deployment.operate("dead-letters", "requeue", "--all").returncode == 0

    def stored_both() -> None:
        assert sorted(deployment.raw_lines()) == [b"another", b"first", b"of two"]
        assert deployment.queue_depth(LAKE_QUEUE) == 0

    eventually(stored_both)
    assert ids(deployment) == []


def test_a_queue_that_refuses_loses_nothing(deployment: Deployment) -> None:
    """What cannot be put back stays on the dead-letter queue."""
    put_dead(deployment, b"kept")
    with connect(deployment.rabbit, "test") as connection:
        connection.channel().queue_delete(LAKE_QUEUE)

    result = deployment.operate("dead-letters", "requeue", "--all")

    assert result.returncode == 69
    assert "no queue is bound" in result.stderr

    def back() -> None:
        assert deployment.queue_depth(DEAD_LAKE) == 1

    eventually(back)


def test_purge_asks_first(deployment: Deployment) -> None:
    """Nothing but the word yes, or --yes, removes a message."""
    for number in range(3):
        put_dead(deployment, b"line %d" % number)
    first = ids(deployment)[0]

    refused = deployment.operate("dead-letters", "purge", "--all", words="no\n")
    nobody = deployment.operate("dead-letters", "purge", "--all")
    assert (refused.returncode, nobody.returncode) == (1, 1)
    assert "removes 3 messages permanently" in refused.stdout
    assert refused.stderr == nobody.stderr == "datastream: nothing was removed\n"
    assert len(ids(deployment)) == 3

    assert deployment.operate("dead-letters", "purge", first, "--yes").stdout == "1 removed\n"
    assert first not in ids(deployment)
    said_yes = deployment.operate("dead-letters", "purge", "--all", words="yes\n")
    assert said_yes.stdout.endswith("2 removed\n")
    assert ids(deployment) == []


def test_bad_input(deployment: Deployment) -> None:
    """An ID that nobody has, none at all, both, and a broker that is away, have words."""
    put_dead(deployment, b"kept")
    name = ids(deployment)[0]

    for action in ("show", "requeue", "purge"):
        unknown = deployment.operate("dead-letters", action, "no\x1bsuch")
        assert unknown.returncode == 66
        assert "no dead letter has the ID no\\x1bsuch" in unknown.stderr
    for arguments in ((), ("--all", name)):
        neither = deployment.operate("dead-letters", "requeue", *arguments)
        assert (neither.returncode, neither.stdout) == (64, "")
        assert "say which messages" in neither.stderr
    other = deployment.operate("dead-letters", "requeue", name, "--as-new-stream")
    assert other.returncode == 1
    assert "none of these messages is an identity conflict" in other.stderr
    assert deployment.operate("dead-letters", "list", RABBIT_PORT="1").returncode == 69
    assert deployment.operate("dead-letters", "list", RABBIT_USER="").returncode == 78
    assert ids(deployment) == [name]


# --- identity conflicts


@pytest.fixture
def conflict(deployment: Deployment, tmp_path: Path) -> Path:
    """A log in conflict with another one of the same path and first line, which came first.

    Of its slices of ten lines some are dead letters; others, which touch no line of the first
    one, are stored under the first one's stream.
    """
    log = tmp_path / "access.log"
    first = [b"the same first line"] + [b"of the first log: %d" % n for n in range(99)]
    second = [b"the same first line"] + [b"of the second log, longer: %d" % n for n in range(299)]
    second[25] = second[25] + b" " * 300
    log.write_bytes(b"\n".join(first) + b"\n")
    deployment.start_consumers()
    deployment.publish_once(log, MAX_SLICE_LINES="10")
    deployment.assert_settled(100)

    log.write_bytes(b"\n".join(second) + b"\n")
    deployment.publish_once(log, MAX_SLICE_LINES="10", STATE_DIR=str(tmp_path / "lost"))

    def settled() -> None:
        assert deployment.queue_depth(LAKE_QUEUE) == deployment.queue_depth(CLEAN_QUEUE) == 0
        assert len(set(deployment.raw_lines())) > 200

    eventually(settled)
    assert 0 < len(ids(deployment)) < 30
    return log


def test_a_conflict_becomes_a_stream_of_its_own(deployment: Deployment, conflict: Path) -> None:
    """All lines of the log that came second are stored as one stream, and the log is exact."""
    dead = ids(deployment)

    result = deployment.operate("dead-letters", "requeue", dead[-1], "--as-new-stream")

    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(dead)} dead letters are sent as the new streams" in result.stdout
    [(old,)] = deployment.query("SELECT stream_id FROM log_stream WHERE generation = 0")

    def stored() -> None:
        rows = deployment.query(
            "SELECT line FROM raw_log JOIN log_stream USING (stream_id)"
            " WHERE generation = 1 ORDER BY line_offset"
        )
        assert [line for (line,) in rows] == list(lines_of(conflict))
        [(parsed,)] = deployment.query(
            "SELECT COUNT(*) FROM rejected_log WHERE stream_id <> %s", old
        )
        assert parsed == 300

    eventually(stored)
    assert ids(deployment) == []
    verified = deployment.operate("verify", str(conflict))
    assert verified.returncode == 0, verified.stdout


def test_the_file_read_again_is_the_same_stream(
    deployment: Deployment, conflict: Path, tmp_path: Path
) -> None:
    """Rewound as a new stream the file is read exactly; what was sent before changes no row."""
    assert deployment.operate("dead-letters", "requeue", "--all", "--as-new-stream").returncode == 0
    [(claimed,)] = deployment.query("SELECT stream_id FROM log_stream WHERE generation = 0")
    state = {"STATE_DIR": str(tmp_path / "lost")}

    result = deployment.operate("rewind", "--stream", f"{claimed:016x}", "--as-new-stream", **state)

    assert result.returncode == 0, result.stderr
    assert f"{conflict} is read from its beginning as another stream" in result.stdout
    deployment.publish_once(conflict, **state)

    def stored() -> None:
        assert deployment.queue_depth(LAKE_QUEUE) == deployment.queue_depth(CLEAN_QUEUE) == 0
        assert deployment.operate("verify", str(conflict)).returncode == 0

    eventually(stored)
    assert deployment.count("log_stream") == 2
    assert ids(deployment) == []


@pytest.mark.usefixtures("conflict")
def test_a_second_attempt_is_the_same_stream(deployment: Deployment) -> None:
    """Letters that were left behind, because the first attempt was cut short, join the others."""
    with connect(deployment.rabbit, "test") as connection:
        channel = connection.channel()
        copies = []
        while True:
            method, properties, body = channel.basic_get(DEAD_LAKE)
            if method is None:
                break
            copies.append((body, properties.headers))
    assert len(copies) > 2

    def back() -> None:
        assert deployment.queue_depth(DEAD_LAKE) == len(copies)

    eventually(back)
    assert deployment.operate("dead-letters", "requeue", "--all", "--as-new-stream").returncode == 0

    def stored() -> None:
        assert deployment.count("raw_log JOIN log_stream USING (stream_id) WHERE generation") == 300

    eventually(stored)
    for body, headers in copies[2:]:
        put(deployment, DEAD_LAKE, body, headers)

    again = deployment.operate("dead-letters", "requeue", "--all", "--as-new-stream")

    assert again.returncode == 0, again.stdout
    assert deployment.count("log_stream") == 2
    eventually(stored)
    assert ids(deployment) == []


@pytest.mark.usefixtures("conflict")
def test_letters_of_more_than_one_log(deployment: Deployment) -> None:
    """They are refused, all stay, and it is said what to do instead."""
    with connect(deployment.rabbit, "test") as connection:
        _, properties, body = connection.channel().basic_get(DEAD_LAKE)
    put(deployment, DEAD_LAKE, body, properties.headers | {"host": "another"})
    before = sorted(ids(deployment))

    result = deployment.operate("dead-letters", "requeue", "--all", "--as-new-stream")

    assert result.returncode == 1
    assert "of more than one log: give each log a SOURCE of its own" in result.stderr
    assert sorted(ids(deployment)) == before
    assert deployment.count("log_stream") == 1
