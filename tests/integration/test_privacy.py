"""PRIVACY_BEFORE=lake: no address behind the producer, and every line in the place it has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datastream.parsing import PARSER_VERSION
from datastream.rabbitmq import Box
from datastream.topology import CLEAN_QUEUE, LAKE_QUEUE, dead_letter_queue
from deployment import Deployment, eventually

LINES = [
    *(
        b'192.0.2.%d - - [10/Oct/2026:13:55:36 +0200] "GET /%d.css?token=secret HTTP/1.1" 200 512'
        b' "https://example.org/?q=secret" "Mozilla/5.0 Chrome/120.0.0.0"' % (number, number)
        for number in range(60, 80)
    ),
    b'2001:db8:1:2::77 - - [10/Oct/2026:13:55:36 +0200] "GET / HTTP/1.1" 200 5 "-" "-"',
    b"junk of 192.0.2.77, 198.51.100.7:80 and [2001:db8:1:2::77]?token=secret",
    b"junk of 192.0.2.77 " * 40,  # over the limit, which is in the middle of an address
    b"",
    b"no address at all",
]
#: What is in none of the tables: none of these lines has an address that is its network's.
TRACES = re.compile(rb"192\.0\.2\.[1-9]|198\.51\.100\.[1-9]|2001:db8:1:2|secret")
SETTINGS = {
    "truncated": {"PRIVACY_ADDRESSES": "truncated", "PRIVACY_QUERIES": "drop"},
    "hashed": {"PRIVACY_ADDRESSES": "hashed", "PRIVACY_KEY": "a", "PRIVACY_QUERIES": "drop"},
}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log."""
    path = tmp_path / "access.log"
    path.write_bytes(b"".join(line + b"\n" for line in LINES))
    return path


def keys(deployment: Deployment, table: str) -> list[int]:
    """Return the offsets in a table, in order."""
    return [at for (at,) in deployment.query(f"SELECT line_offset FROM {table} ORDER BY 1")]


@pytest.mark.parametrize("name", list(SETTINGS))
def test_no_table_holds_an_address_and_every_line_has_its_place(
    deployment: Deployment, log: Path, name: str
) -> None:
    """Read once, twice, verified, and parsed again out of raw_log; the queues hold none either."""
    settings = SETTINGS[name] | {"PRIVACY_BEFORE": "lake", "MAX_LINE_BYTES": "510"}
    assert deployment.start("producer", "--once", str(log), **settings).wait() == 0
    _assert_queues_hold_no_trace(deployment)
    deployment.start("lake_consumer").wait_ready()
    clean = deployment.start("clean_consumer", **settings)
    clean.wait_ready()
    deployment.assert_settled(len(LINES))

    offsets = [sum(len(line) + 1 for line in LINES[:n]) for n in range(len(LINES))]
    assert keys(deployment, "raw_log") == offsets
    assert sorted(keys(deployment, "clean_log") + keys(deployment, "rejected_log")) == offsets
    for table in ("raw_log", "clean_log", "rejected_log", "log_stream", "referrer", "user_agent"):
        for row in deployment.query(f"SELECT * FROM {table}"):
            assert not TRACES.search(repr(row).encode()), row
    assert deployment.query("SELECT DISTINCT flags FROM raw_log ORDER BY 1") == [(4,), (6,)]
    assert deployment.count("clean_log WHERE url REGEXP '^/[0-9]+[.]css$'") == 20
    before = deployment.query("SELECT * FROM clean_log ORDER BY line_offset")

    verified = deployment.operate("verify", str(log), **settings)
    assert (verified.returncode, verified.stderr) == (0, ""), verified.stdout

    # Again, as after a lost checkpoint: nothing new.
    (deployment.folder / "state" / "checkpoint.json").unlink()
    assert deployment.start("producer", "--once", str(log), **settings).wait() == 0
    eventually(lambda: _assert_seen_twice(deployment))
    assert deployment.query("SELECT * FROM clean_log ORDER BY line_offset") == before

    # Parsed again, in the places that they have.
    deployment.change("UPDATE clean_log SET parser_version = 0")
    deployment.change("UPDATE rejected_log SET parser_version = 0")
    replayed = deployment.operate("replay", "--all")
    assert replayed.stdout == f"{len(LINES)} lines of 1 stream sent to be parsed\n"

    def newer() -> None:
        for table in ("clean_log", "rejected_log"):
            versions = deployment.query(f"SELECT DISTINCT parser_version FROM {table}")
            assert versions == [(PARSER_VERSION,)]

    eventually(newer)
    assert deployment.query("SELECT * FROM clean_log ORDER BY line_offset") == before


def test_verify_says_when_its_settings_are_others(deployment: Deployment, log: Path) -> None:
    """It does not take the disguise of another key for another log; another log is told."""
    settings = SETTINGS["hashed"] | {"PRIVACY_BEFORE": "lake"}
    deployment.start_consumers()
    assert deployment.start("producer", "--once", str(log), **settings).wait() == 0
    deployment.assert_settled(len(LINES))

    other = deployment.operate("verify", str(log), **settings | {"PRIVACY_KEY": "b"})
    assert other.returncode == 1
    assert "PRIVACY_ADDRESSES, _KEY or _QUERIES were not what they are here" in other.stdout

    deployment.change("UPDATE raw_log SET line = 'x' WHERE line_offset = 0")
    changed = deployment.operate("verify", str(log), **settings)
    assert changed.returncode == 1
    assert "raw_log holds another line" in changed.stdout


def _assert_queues_hold_no_trace(deployment: Deployment) -> None:
    with Box.open(deployment.rabbit, "test") as box:
        for queue in (LAKE_QUEUE, CLEAN_QUEUE):
            messages = [message for _, message, _ in box.take(queue)]
            assert sum(len(message.body.split(b"\n")) for message in messages) == len(LINES)
            for message in messages:
                assert not TRACES.search(message.body)
                assert not TRACES.search(repr(message.headers).encode())


def _assert_seen_twice(deployment: Deployment) -> None:
    lake, clean = deployment.services[1:3]
    for service in (lake, clean):
        assert service.metric("datastream_lines_duplicate_total") == len(LINES)


def test_of_disguised_lines_nobody_says_that_they_are_another_log_s(
    deployment: Deployment, log: Path
) -> None:
    """What lies behind a log's dead letters may be the first one's: told, and not sent."""
    settings = SETTINGS["hashed"] | {"PRIVACY_BEFORE": "lake", "MAX_SLICE_LINES": "2"}
    deployment.start_consumers()
    deployment.publish_once(log, **settings)
    deployment.assert_settled(len(LINES))
    (deployment.folder / "state" / "checkpoint.json").unlink()
    log.write_bytes(log.read_bytes().replace(b"/61.css", b"/16.css"))
    deployment.publish_once(log, **settings)

    def aside() -> None:
        assert deployment.queue_depth(dead_letter_queue(LAKE_QUEUE)) == 1

    eventually(aside)
    result = deployment.operate("dead-letters", "requeue", "--all", "--as-new-stream")

    assert result.returncode == 1
    assert "whose the disguised lines from byte" in result.stdout
    deployment.assert_settled(len(LINES) + 2)  # those of the dead letter
