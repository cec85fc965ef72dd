"""An upgrade in place: what an older version left behind, and this one goes on with.

tests/data/upgrade/left_behind.json was recorded from the version before the house was rebuilt, on
real servers: a log of /var/log/nginx that was rotated, the checkpoint of a producer that was ended,
and the messages that no consumer had taken yet.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pika
import pytest

from datastream.rabbitmq import connect
from datastream.streams import stream_id
from datastream.topology import EXCHANGE
from deployment import Deployment, lines_of

RECORDED = Path(__file__).parents[1] / "data" / "upgrade" / "left_behind.json"
LOG = "/var/log/nginx/access.log"


def ids(left: dict[str, Any], path: str) -> list[int]:
    """Return the ids of the two streams of the recorded files, for a log of this path."""
    firsts = [left["files"][name].partition("\n")[0] for name in ("access.log.1", "access.log")]
    return [stream_id("test", path, first.encode(), 0) for first in firsts]


@pytest.fixture
def left(tmp_path: Path) -> dict[str, Any]:
    """What was left behind, as it would be of a log in the test's folder."""
    text = RECORDED.read_text(encoding="utf-8")
    here = str(tmp_path / "access.log")
    recorded = json.loads(text)
    text = text.replace(json.dumps(LOG)[1:-1], json.dumps(here)[1:-1])
    for there, moved in zip(ids(recorded, LOG), ids(recorded, here), strict=True):
        assert str(there) in text  # the ids are what they were
        text = text.replace(str(there), str(moved)).replace(f"{there:016x}", f"{moved:016x}")
    found: dict[str, Any] = json.loads(text)
    return found


def test_an_upgrade_in_place(deployment: Deployment, tmp_path: Path, left: dict[str, Any]) -> None:
    """Waiting messages are stored, the checkpoint is gone on with: each line once, none again."""
    for name, content in left["files"].items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    state = tmp_path / "state"
    state.mkdir()
    (state / "checkpoint.json").write_text(json.dumps(left["checkpoint"]), encoding="utf-8")
    with connect(deployment.rabbit, "test") as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for message in left["messages"]:
            properties = pika.BasicProperties(headers=message["headers"], delivery_mode=2)
            channel.basic_publish(
                EXCHANGE, message["key"], message["body"].encode(), properties, mandatory=True
            )
    log = tmp_path / "access.log"
    newer = b'192.0.2.9 - - [10/Oct/2026:14:00:00 +0000] "GET /new HTTP/1.1" 200 1 "-" "-"\n'
    with log.open("ab") as file:
        file.write(newer * 5)

    lake, clean = deployment.start_consumers()
    producer = deployment.publish_once(log, STATE_DIR=str(state), FORMAT="")

    deployment.assert_settled(55)
    written = [*lines_of(tmp_path / "access.log.1"), *lines_of(log)]
    assert sorted(deployment.raw_lines()) == sorted(written)
    assert deployment.count("clean_log") == 55
    assert "every line is confirmed (lines=5)" in producer.text()
    assert "FORMAT is not set, and stays combined" in producer.text()
    for consumer in (lake, clean):
        assert consumer.metric("datastream_lines_duplicate_total") == 0
