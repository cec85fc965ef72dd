"""`datastream replay`: lines are parsed once more, and a line is in one table before and after."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from datastream.parsing import PARSER_VERSION
from datastream.topology import CLEAN_QUEUE, LAKE_QUEUE
from datastream_playground import sample
from deployment import PATIENCE, Deployment, eventually

LINES = 3_000


@pytest.fixture
def log(deployment: Deployment, tmp_path: Path) -> Path:
    """A log, all of it stored by an older parser, which rejected every tenth line."""
    path = tmp_path / "access.log"
    sample.write(path, LINES, "combined", seed=31)
    _, clean = deployment.start_consumers()
    deployment.publish_once(path)
    deployment.assert_settled(LINES)
    assert clean.terminate() == 0
    deployment.change(
        "INSERT INTO rejected_log SELECT stream_id, line_offset, 0, flags, 'format' FROM clean_log"
        " WHERE MOD(line_offset, 10) = 0"
    )
    deployment.change("DELETE FROM clean_log WHERE MOD(line_offset, 10) = 0")
    deployment.change("UPDATE clean_log SET parser_version = 0, url = 'of an older parser'")
    deployment.change("UPDATE rejected_log SET parser_version = 0")
    return path


def versions(deployment: Deployment) -> tuple[set[int], set[int]]:
    """Return the parser versions of the rows of clean_log and of rejected_log."""
    tables = ("clean_log", "rejected_log")
    found = [deployment.query(f"SELECT DISTINCT parser_version FROM {t}") for t in tables]
    clean, rejected = ({version for (version,) in rows} for rows in found)
    return clean, rejected


def assert_replayed(deployment: Deployment, rejected: int) -> None:
    """Wait until so many rejects are left, and each line has one row."""

    def done() -> None:
        assert deployment.queue_depth(CLEAN_QUEUE) == 0
        assert deployment.count("rejected_log") == rejected

    eventually(done)
    deployment.assert_settled(LINES)


@pytest.mark.usefixtures("log")
def test_rejects_that_fit_now_move_over(deployment: Deployment) -> None:
    """Only they are sent, and the lake is not written again."""
    before = deployment.count("rejected_log")
    junk = before - deployment.count("rejected_log WHERE MOD(line_offset, 10) = 0")
    lake = deployment.services[0]
    delivered = lake.metric("datastream_deliveries_total")
    deployment.start("clean_consumer").wait_ready()

    result = deployment.operate("replay", "--rejected")

    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{before:,} lines of 1 stream sent to be parsed\n"

    def newer() -> None:
        assert versions(deployment) == ({0, PARSER_VERSION}, {PARSER_VERSION})

    eventually(newer)
    deployment.assert_settled(LINES)
    assert junk <= deployment.count("rejected_log") < before
    assert deployment.queue_depth(LAKE_QUEUE) == 0
    assert lake.metric("datastream_deliveries_total") == delivered


@pytest.mark.usefixtures("log")
def test_rows_of_an_older_parser_are_replaced(deployment: Deployment) -> None:
    """Of a stream, of what was stored since, or of all; a second time changes nothing."""
    [(number,)] = deployment.query("SELECT stream_id FROM log_stream")
    clean = deployment.start("clean_consumer")
    clean.wait_ready()

    assert deployment.operate("replay", "--since", "2199-01-01").stdout.startswith("0 lines")
    result = deployment.operate("replay", "--stream", f"{number:016x}", "--since", "2020-01-01")
    assert result.stdout == "3,000 lines of 1 stream sent to be parsed\n"

    def newer() -> None:
        assert versions(deployment) == ({PARSER_VERSION}, {PARSER_VERSION})

    eventually(newer)
    deployment.assert_settled(LINES)
    assert deployment.count("clean_log WHERE url = 'of an older parser'") == 0

    def seen_again() -> None:
        assert clean.metric("datastream_lines_duplicate_total") == LINES

    assert deployment.operate("replay", "--all").returncode == 0
    eventually(seen_again)
    deployment.assert_settled(LINES)


@pytest.mark.usefixtures("log")
def test_cut_short_it_goes_on(deployment: Deployment) -> None:
    """Ctrl-C says where it was; from there on no line is left out."""
    command = [sys.executable, "-m", "datastream_operator", "replay", "--all"]
    with subprocess.Popen(
        [*command, "--lines-per-second", "100"],
        env=deployment.env(),
        cwd=deployment.folder,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:

        def begun() -> None:
            assert deployment.queue_depth(CLEAN_QUEUE) > 0

        eventually(begun)
        os.kill(process.pid, signal.SIGINT)
        _, words = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    position = re.search(r"to go on, the same command with --from (\S+)\n", words)
    assert position is not None, words

    result = deployment.operate("replay", "--all", "--from", position[1])

    assert result.returncode == 0
    assert not result.stdout.startswith("3,000")
    deployment.start("clean_consumer")

    def newer() -> None:
        assert versions(deployment) == ({PARSER_VERSION}, {PARSER_VERSION})

    eventually(newer)
    deployment.assert_settled(LINES)


@pytest.mark.usefixtures("log")
def test_it_waits_for_a_long_queue(deployment: Deployment) -> None:
    """While nobody takes the slices it sends no more; afterwards it goes on by itself."""
    deployment.change("UPDATE raw_log SET flags = 2")  # a flagged line is alone in its slice
    command = [sys.executable, "-m", "datastream_operator", "replay", "--all"]
    with subprocess.Popen(
        command, env=deployment.env(), cwd=deployment.folder, stdout=subprocess.PIPE, text=True
    ) as process:

        def full() -> None:
            assert deployment.queue_depth(CLEAN_QUEUE) == 50

        eventually(full)
        deployment.start("clean_consumer").wait_ready()
        words, _ = process.communicate(timeout=PATIENCE)

    assert (process.returncode, words) == (0, "3,000 lines of 1 stream sent to be parsed\n")


def test_a_wrong_format_is_no_loss(deployment: Deployment, tmp_path: Path) -> None:
    """Lines that were rejected, or parsed, under the wrong format are read under the right one."""
    log = tmp_path / "access.log"
    summary = sample.write(log, LINES, "proxy", seed=32)
    _, clean = deployment.start_consumers()
    deployment.publish_once(log, FORMAT="common")
    deployment.assert_settled(LINES)
    before = deployment.count("rejected_log")
    assert before > summary.junk

    name = deployment.mysql.database
    for statement in (
        f"CREATE USER {name[-9:]}_o@'%%' IDENTIFIED BY 'secret'",
        f"GRANT SELECT ON {name}.* TO {name[-9:]}_o@'%%'",
        f"GRANT UPDATE (format) ON {name}.log_stream TO {name[-9:]}_o@'%%'",
    ):
        deployment.change(statement)
    account = {"OPERATOR_MYSQL_USER": f"{name[-9:]}_o", "OPERATOR_MYSQL_PASSWORD": "secret"}

    result = deployment.operate("replay", "--all", "--format", "proxy", **account)

    assert result.returncode == 0, result.stderr
    assert_replayed(deployment, summary.junk)
    assert deployment.query("SELECT format FROM log_stream") == [("proxy",)]
    deployment.publish_once(log, FORMAT="common", STATE_DIR=str(tmp_path / "again"))

    def seen_again() -> None:
        assert clean.metric("datastream_lines_duplicate_total") == LINES

    eventually(seen_again)
    assert_replayed(deployment, summary.junk)


def test_a_format_chosen_anew_meets_the_first_slice(deployment: Deployment, tmp_path: Path) -> None:
    """Whatever stands in the queue beside it, the line has one row, of the format chosen last."""
    log = tmp_path / "access.log"
    summary = sample.write(log, LINES, "proxy", seed=33)
    deployment.start("lake_consumer")
    deployment.publish_once(log, FORMAT="common")

    def kept() -> None:
        assert deployment.count("raw_log") == LINES

    eventually(kept)
    for line_format in ("combined", "proxy", "proxy"):
        assert deployment.operate("replay", "--all", "--format", line_format).returncode == 0
    deployment.start("clean_consumer")

    assert_replayed(deployment, summary.junk)


def test_bad_input(deployment: Deployment) -> None:
    """Nothing chosen, too much, what is no stream and no position, and servers that are away."""
    for arguments, code, words in (
        ((), 64, "say which lines"),
        (("--all", "--rejected"), 64, "say which lines"),
        (("--all", "--lines-per-second", "0"), 64, "must be above 0"),
        (("--all", "--from", "here"), 2, "not a position: 'here'"),
        (("--stream", "00000000000000ff"), 66, "raw_log has no stream 00000000000000ff"),
    ):
        result = deployment.operate("replay", *arguments)
        assert result.returncode == code, result.stderr
        assert words in result.stderr
    away = deployment.operate("replay", "--all", RABBIT_PORT="1")
    assert away.returncode == 69
    assert "--from 0000000000000000-0" in away.stderr
    assert deployment.operate("replay", "--all", MYSQL_PORT="1").returncode == 69


def test_entries_of_an_error_log_stay_whole(deployment: Deployment, tmp_path: Path) -> None:
    """Each of several lines is one row, also where another parser stored its lines one by one."""
    head = "2026/11/29 17:57:46 [error] 31#31: *7 message"
    fields = ', client: 192.0.2.7, server: www.example.com, request: "GET / HTTP/1.1"'
    log = tmp_path / "error.log"
    log.write_text(f"{head}\n\nstack traceback:\n\tin x{fields}\n" * 600)
    entries = (
        "error_log WHERE message = 'message\n\nstack traceback:\n\tin x' AND client IS NOT NULL"
    )
    _, clean = deployment.start_consumers()
    deployment.publish_once(log, FORMAT="error", MAX_SLICE_LINES="333")
    deployment.assert_settled(2_400)
    assert deployment.count(entries) == deployment.count("error_log") == 600
    assert deployment.count("rejected_log WHERE reason = 'continued'") == 1_800
    assert deployment.operate("replay", "--rejected").stdout.startswith("0 lines")
    assert deployment.operate("verify", str(log)).returncode == 0

    assert clean.terminate() == 0
    deployment.change("UPDATE error_log SET parser_version = 0, message = 'message', client = NULL")
    deployment.change("UPDATE rejected_log SET parser_version = 0, reason = 'format'")
    deployment.start("clean_consumer")
    assert deployment.operate("replay", "--all").returncode == 0

    def joined() -> None:
        assert deployment.count(entries) == 600
        assert deployment.count("rejected_log WHERE reason = 'continued'") == 1_800

    eventually(joined)
    deployment.assert_settled(2_400)
