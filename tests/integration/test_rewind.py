"""`datastream rewind`: what was lost behind the producer is read again, and nothing doubles."""

from __future__ import annotations

from pathlib import Path

from datastream.rabbitmq import connect, declare_topology
from datastream.topology import LAKE_QUEUE
from datastream_playground import sample
from deployment import Deployment, lines_of

LINES = 3_000


def test_after_a_queue_was_deleted(deployment: Deployment, tmp_path: Path) -> None:
    """The lines that were in it are stored after all, those that were stored are not doubled."""
    log = tmp_path / "access.log"
    sample.write(log, LINES, "combined", seed=21)
    deployment.publish_once(log)
    with connect(deployment.rabbit, "test") as connection:
        connection.channel().queue_delete(LAKE_QUEUE)
    declare_topology(deployment.rabbit)
    deployment.start_consumers()
    deployment.publish_once(log)
    assert deployment.count("raw_log") == 0

    result = deployment.operate("rewind", LOG_PATH=str(log))

    assert result.returncode == 0, result.stderr
    assert f"{log} is read again from byte 0 on" in result.stdout
    deployment.publish_once(log)
    deployment.assert_settled(LINES)
    assert deployment.raw_lines() == list(lines_of(log))
    assert deployment.count("log_stream") == 1


def test_while_the_producer_runs(deployment: Deployment, tmp_path: Path) -> None:
    """Nothing is touched: exit code 75, and what to do."""
    log = tmp_path / "access.log"
    log.write_bytes(b"a line\n")
    deployment.start("producer", str(log)).wait_ready()

    result = deployment.operate("rewind")

    assert result.returncode == 75
    assert "the producer runs, with STATE_DIR " in result.stderr
    assert "stop it, then type this again" in result.stderr


def test_bad_input(deployment: Deployment, tmp_path: Path) -> None:
    """What is no stream, no place in one, no checkpoint and no time, has words."""
    log = tmp_path / "access.log"
    log.write_bytes(b"a line\nanother\n")
    deployment.publish_once(log)

    for arguments, code, words in (
        (("--stream", "0" * 15 + "1"), 66, "the checkpoint knows no stream"),
        (("--stream", "xyz"), 2, "not a stream: 'xyz'"),
        (("--since", "yesterday"), 2, "not a time: 'yesterday'"),
        (("--position", "3"), 2, "--position and --as-new-stream are of a --stream"),
    ):
        result = deployment.operate("rewind", *arguments)
        assert result.returncode == code, result.stderr
        assert words in result.stderr
    assert deployment.operate("rewind", SOURCE="another").returncode == 65
    (tmp_path / "state" / "checkpoint.json").write_text("damaged")
    assert deployment.operate("rewind").returncode == 65
