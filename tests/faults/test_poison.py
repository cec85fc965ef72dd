"""Messages and lines that cannot be stored: kept with a reason, and their neighbours stored."""

from __future__ import annotations

from typing import Any

import pika

from datastream.parsing import PARSER_VERSION
from datastream.rabbitmq import connect
from deployment import Deployment, Service, eventually
from faults.installation import (
    Writer,
    assert_stored,
    assert_told,
    await_metric,
    await_stored,
    redeliveries_of,
    run_sql,
    start_code,
)

DEAD_LETTERS = "datastream_dead_letters_total"

#: Each is no slice: no headers, headers of other kinds, numbers beyond all bounds, another count.
HOSTILE: list[tuple[dict[str, Any] | None, bytes]] = [
    (None, b"no headers"),
    ({}, b""),
    ({"version": 1, "lines": "many"}, b"text for a number"),
    ({"version": 2**62, "stream": "f" * 16}, b"from the future"),
    ({"x-delivery-count": 10**6, "x-death": [{"count": 9}], "deep": {"er": [None] * 50}}, b"\0"),
    ({"stream": "x" * 10_000, "position": -1, "flags": True}, b"\xff" * 1_000),
]


def publish(deployment: Deployment, headers: dict[str, Any] | None, body: bytes) -> None:
    """Publish a message of anybody's to both sides."""
    with connect(deployment.rabbit, "stranger") as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for side in ("lake", "clean"):
            properties = pika.BasicProperties(headers=headers, delivery_mode=2)
            channel.basic_publish("logs", f"{side}.stranger", body, properties, mandatory=True)


def assert_dead(deployment: Deployment, queue: str, messages: int) -> None:
    """Wait until so many messages are on the dead-letter queue of a queue."""

    def kept() -> None:
        assert deployment.queue_depth(f"{queue}-dead") == messages

    eventually(kept)


def test_messages_that_are_no_slices(deployment: Deployment, writer: Writer) -> None:
    """They are kept as dead letters, byte for byte, and hold nobody up."""
    lake, clean = deployment.start_consumers()
    producer = deployment.start("producer", str(writer.path), MAX_SLICE_LINES="50")
    await_stored(deployment, writer.path)
    writer.start()
    for headers, body in HOSTILE:
        publish(deployment, headers, body)
    for consumer, queue in ((lake, "queue-data-lake"), (clean, "queue-data-clean")):
        await_metric(consumer, DEAD_LETTERS, len(HOSTILE), reason="not_a_slice")
        assert_dead(deployment, queue, len(HOSTILE))
    writer.stop()

    assert_stored(deployment, writer.path)
    assert_told(writer.lines, producer=producer)
    with connect(deployment.rabbit, "test") as connection:
        channel = connection.channel()
        kept = [channel.basic_get("queue-data-lake-dead") for _ in HOSTILE]
    assert [body for _, _, body in kept] == [body for _, body in HOSTILE]
    assert {properties.headers["x-reason"] for _, properties, _ in kept} == {"not_a_slice"}


def test_a_row_that_the_database_refuses(deployment: Deployment, writer: Writer) -> None:
    """The batch is halved until it stands alone; the others are stored."""
    run_sql(
        deployment.database,
        # In MySQL the name of a constraint is the schema's.
        "ALTER TABLE raw_log ADD CONSTRAINT no_poison_in_raw CHECK (line NOT LIKE '%poison%')",
        "ALTER TABLE clean_log ADD CONSTRAINT no_poison CHECK (path NOT LIKE '%poison%')",
        schema=deployment.mysql.database,
    )
    poison = b'192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] "GET /poison HTTP/1.1" 200 1 "-" "-"\n'
    before = len(writer.streams[0])
    writer.insert(poison)
    writer.burst(2_000)
    lake, clean = deployment.start_consumers()
    producer = deployment.start("producer", str(writer.path))

    await_metric(lake, DEAD_LETTERS, 1, reason="refused")
    assert_dead(deployment, "queue-data-lake", 1)
    await_metric(clean, "datastream_lines_rejected_total", 1, reason="refused")

    def settled() -> None:
        assert deployment.count("raw_log") == 4_000
        assert deployment.count("clean_log") + deployment.count("rejected_log") == 4_001

    eventually(settled)
    lines = writer.path.read_bytes().removesuffix(b"\n").split(b"\n")
    lines.remove(poison.rstrip())
    assert deployment.raw_lines() == lines
    refused = "SELECT line_offset FROM rejected_log WHERE reason = 'refused'"
    assert deployment.query(refused) == [(before,)]
    for consumer in (lake, clean):  # not even once: what is the data's fault stays it
        assert consumer.metric("datastream_retries_total", dependency="mysql") == 0
        assert consumer.metric("datastream_slices_crashed_total") == 0
    assert_told(4_001, producer=producer)


CRASHES = """
import os
from datastream import slices
import datastream.consuming as consuming
def decode(headers, body):
    slice_ = slices.decode(headers, body)
    if b"crash the consumer" in body:
        os._exit(13)
    return slice_
consuming.decode = decode
"""


def test_a_message_that_crashes_its_consumer(deployment: Deployment, writer: Writer) -> None:
    """At the delivery limit it is a dead letter, and it alone."""
    deployment.broker.api(
        "PUT",
        f"policies/{deployment.rabbit.vhost}/soon",
        {"pattern": "^queue-data-lake$", "definition": {"delivery-limit": 3}},
    )
    writer.insert(b"crash the consumer\n")
    writer.burst(1_000)
    deployment.publish_once(writer.path, MAX_SLICE_LINES="1", SOURCE="crash")
    clean = deployment.start("clean_consumer")

    crashes = 0
    while deployment.queue_depth("queue-data-lake-dead") == 0:
        lake = start_code(deployment, "lake_consumer", CRASHES)
        crashes += await_end_or_rows(deployment, lake, 3_000)
        lake.kill()
        assert crashes < 20

    lake = deployment.start("lake_consumer")
    lines = writer.path.read_bytes().removesuffix(b"\n").split(b"\n")
    lines.remove(b"crash the consumer")

    def others() -> None:
        assert deployment.raw_lines() == lines

    eventually(others)
    assert_dead(deployment, "queue-data-lake", 1)
    assert crashes >= 3
    assert redeliveries_of(clean) == 0


def await_end_or_rows(deployment: Deployment, consumer: Service, rows: int) -> int:
    """Wait until a consumer has ended (1), or all else is stored (0)."""

    def ended() -> None:
        assert consumer.process.poll() is not None or deployment.count("raw_log") == rows

    eventually(ended)
    return int(consumer.process.poll() == 13)


PARSING_CRASHES = """
import clean_consumer.rows as rows
parser_for = rows.parser_for
def mistaken_for(text):
    parse = parser_for(text)
    def mistaken(line):
        if b"%s" in line:
            raise ZeroDivisionError("a mistake")
        return parse(line)
    return mistaken
rows.parser_for = mistaken_for
"""
STORING_CRASHES = """
import lake_consumer.store as store
commit = store.Lake._commit_equal
def mistaken(self, slices):
    if any(b"a mistake" in slice_.body for slice_ in slices):
        raise TypeError("a mistake")
    return commit(self, slices)
store.Lake._commit_equal = mistaken
"""
ODD = b'192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] "GET /odd HTTP/1.1" 200 1 "-" "a mistake"\n'


def test_a_line_that_crashes_the_program(deployment: Deployment, writer: Writer) -> None:
    """It alone is set aside, at once, by the process that goes on; mended, it is parsed."""
    before = len(writer.streams[0])
    writer.insert(ODD)
    writer.burst(3_000)
    lake = start_code(deployment, "lake_consumer", STORING_CRASHES)
    clean = start_code(deployment, "clean_consumer", PARSING_CRASHES % "a mistake")
    producer = deployment.start("producer", str(writer.path))

    await_metric(clean, "datastream_lines_rejected_total", 1, reason="crashed")
    await_metric(lake, DEAD_LETTERS, 1, reason="crashed")
    assert_dead(deployment, "queue-data-lake", 1)
    total = writer.lines

    def settled() -> None:
        assert deployment.count("raw_log") == total - 1
        assert deployment.count("clean_log") + deployment.count("rejected_log") == total

    eventually(settled)
    crashed = "SELECT line_offset, parser_version FROM rejected_log WHERE reason = 'crashed'"
    assert deployment.query(crashed) == [(before, 0)]
    for consumer in (lake, clean):
        assert consumer.metric("datastream_slices_crashed_total") == 1
        assert redeliveries_of(consumer) == 0
        assert consumer.text().count("Traceback") == 1
        assert consumer.terminate() == 0

    deployment.start_consumers()
    requeued = deployment.operate("dead-letters", "requeue", "--all")
    assert requeued.returncode == 0, requeued.stderr
    await_stored(deployment, writer.path, total)
    replayed = deployment.operate("replay", "--rejected")
    assert replayed.returncode == 0, replayed.stderr

    def mended() -> None:
        assert deployment.query(crashed) == []
        assert deployment.query("SELECT path FROM clean_log WHERE path = '/odd'") == [("/odd",)]

    eventually(mended)
    assert_stored(deployment, writer.path)
    assert_told(total, producer=producer)


def test_a_broken_build_does_not_empty_a_queue(deployment: Deployment, writer: Writer) -> None:
    """It ends with 70 after slices in a row; another build takes what is left."""
    writer.burst(5_000)
    deployment.publish_once(writer.path, MAX_SLICE_LINES="50")
    slices = writer.lines // 50
    broken = start_code(deployment, "clean_consumer", PARSING_CRASHES % "")
    assert broken.wait() == 70
    assert "The program is broken" in broken.text()

    def given_back() -> None:
        assert deployment.queue_depth("queue-data-clean") > slices - 20

    eventually(given_back)
    assert deployment.queue_depth("queue-data-clean-dead") == 0
    assert deployment.count("rejected_log") < 20 * 50
    deployment.start_consumers()
    assert_stored(deployment, writer.path)
    assert deployment.operate("replay", "--rejected").returncode == 0

    def mended() -> None:
        crashed = "SELECT COUNT(*) FROM rejected_log WHERE reason = 'crashed'"
        assert deployment.query(crashed) == [(0,)]

    eventually(mended)
    assert_stored(deployment, writer.path)


#: Stores what comes first, and then nothing: the rest of a backlog is another one's.
ONE_BATCH = """
import threading
from clean_consumer.store import Warehouse
store = Warehouse.store
batches = []
def store_once(warehouse, batch):
    batches.append(batch)
    if len(batches) > 1:
        threading.Event().wait()
    return store(warehouse, batch)
Warehouse.store = store_once
"""

NEWER_PARSER = """
import clean_consumer.rows as rows
from datastream.parsing import PARSER_VERSION, Unparseable
rows.PARSER_VERSION = PARSER_VERSION + 1
parser_for = rows.parser_for
def stricter_for(text):
    parse = parser_for(text)
    def stricter(line):
        if b"bot" in line:
            raise Unparseable("format")
        return parse(line)
    return stricter
rows.parser_for = stricter_for
"""


def test_a_newer_parser_in_the_middle_of_a_backlog(deployment: Deployment, writer: Writer) -> None:
    """Each line is in exactly one of the tables, and the newer parser's word counts."""
    writer.burst(20_000)
    deployment.publish_once(writer.path, MAX_SLICE_LINES="50")
    older = start_code(deployment, "clean_consumer", ONE_BATCH)
    deployment.start("lake_consumer")
    await_metric(older, "datastream_lines_stored_total", 1, table="clean_log")
    newer = start_code(deployment, "clean_consumer", NEWER_PARSER)
    await_metric(newer, "datastream_lines_stored_total", 1, table="rejected_log")
    older.kill()

    assert_stored(deployment, writer.path)
    versions = {
        version
        for table in ("clean_log", "rejected_log")
        for (version,) in deployment.query(f"SELECT DISTINCT parser_version FROM {table}")
    }
    assert versions == {PARSER_VERSION, PARSER_VERSION + 1}

    deployment.publish_once(writer.path, STATE_DIR=str(deployment.folder / "again"))
    await_metric(newer, "datastream_lines_replaced_total")

    def renewed() -> None:
        for table in ("clean_log", "rejected_log"):
            found = deployment.query(f"SELECT DISTINCT parser_version FROM {table}")
            assert found == [(PARSER_VERSION + 1,)]

    eventually(renewed)
    assert_stored(deployment, writer.path)
