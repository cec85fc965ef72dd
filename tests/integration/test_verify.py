"""`datastream verify`: whatever differs between a log and its rows is found, told and returned."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from datastream_operator import sample
from deployment import SOURCE, Deployment

LINES = 9_000


@pytest.fixture
def log(deployment: Deployment, tmp_path: Path) -> Path:
    """A log, all of it stored."""
    path = tmp_path / "access.log"
    sample.write(path, LINES, "combined", seed=11)
    deployment.start_consumers()
    deployment.publish_once(path)
    deployment.assert_settled(LINES)
    return path


def offset_of(log: Path, number: int) -> int:
    """Return the byte offset of a line; the first is 1."""
    return len(b"".join(log.read_bytes().splitlines(keepends=True)[: number - 1]))


def test_exact(deployment: Deployment, log: Path) -> None:
    """Exit code 0 and one line a file."""
    result = deployment.operate("verify", str(log))

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{log}: exact: 9,000 lines, each stored once, byte for byte\n"


def test_the_account_needs_to_read_and_no_more(deployment: Deployment, log: Path) -> None:
    """The operator's own account goes before the common one."""
    name = deployment.mysql.database
    deployment.change(f"CREATE USER {name[-9:]}_r@'%%' IDENTIFIED BY 'secret'")
    deployment.change(f"GRANT SELECT ON {name}.* TO {name[-9:]}_r@'%%'")

    result = deployment.operate(
        "verify",
        str(log),
        OPERATOR_MYSQL_USER=f"{name[-9:]}_r",
        OPERATOR_MYSQL_PASSWORD="secret",
        MYSQL_PASSWORD="not this one",
    )

    assert result.returncode == 0, result.stderr


def test_another_line(deployment: Deployment, log: Path) -> None:
    """File, line, byte offset, both texts with nothing a terminal would obey; the first one."""
    at = offset_of(log, 5_000)
    deployment.change("UPDATE raw_log SET line = %s WHERE line_offset = %s", b"\x1b[2J\xff", at)
    deployment.change("DELETE FROM raw_log WHERE line_offset = %s", offset_of(log, 6_000))

    result = deployment.operate("verify", str(log))

    assert result.returncode == 1
    first, where, differ, in_file, stored, others, stream = result.stdout.splitlines()
    assert first == f"{log}: NOT exact"
    assert where == f"  line 5,000, byte {at:,}: raw_log holds another line"
    assert differ == "    they differ from byte 0 of the line on"
    assert in_file.startswith("    in the file: ")
    assert stored == r"    stored:      \x1b[2J\xff"
    assert others == "  1 more differences"
    assert stream.endswith(", generation 0")


def test_a_gap_is_a_loss_and_the_end_is_a_lag(deployment: Deployment, log: Path) -> None:
    """Lines in the middle that are nowhere are told apart from lines at the end, not stored yet."""
    end = offset_of(log, LINES - 9)
    for table in ("raw_log", "clean_log", "rejected_log"):
        deployment.change(f"DELETE FROM {table} WHERE line_offset >= %s", end)
    lag = deployment.operate("verify", str(log))
    middle = offset_of(log, 4_001), offset_of(log, 4_003)
    deployment.change("DELETE FROM raw_log WHERE line_offset BETWEEN %s AND %s", *middle)
    loss = deployment.operate("verify", str(log))

    assert lag.returncode == 75
    assert "exact so far, but not all is stored yet" in lag.stdout
    assert f"line 8,991, byte {end:,}: 10 lines from here on are not yet in raw_log" in lag.stdout
    assert loss.returncode == 1
    assert (
        f"line 4,001, byte {middle[0]:,}: 3 lines from here on are not in raw_log, "
        "though later lines are"
    ) in loss.stdout
    assert "10 lines from here on are not yet in raw_log" in loss.stdout


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        (
            "DELETE FROM clean_log",
            "is not in clean_log, error_log or rejected_log, though later lines are",
        ),
        (
            "INSERT INTO rejected_log SELECT stream_id, line_offset, 1, 0, 'format' FROM clean_log",
            "the line has a row in clean_log and in rejected_log",
        ),
        (
            "INSERT INTO raw_log (stream_id, line_offset, flags, line)"
            " SELECT stream_id, line_offset + 1, 0, '' FROM raw_log",
            "raw_log has a row from here on, where no line begins",
        ),
    ],
)
def test_rows_that_do_not_match(
    deployment: Deployment, log: Path, statement: str, difference: str
) -> None:
    """Raw and clean are compared key by key; a row twice and a row too many are differences."""
    [(at,)] = deployment.query("SELECT line_offset FROM clean_log ORDER BY 1 LIMIT 1 OFFSET 99")
    assert deployment.change(f"{statement} WHERE line_offset = %s", at) == 1

    result = deployment.operate("verify", str(log))

    assert result.returncode == 1
    assert difference in result.stdout


def test_a_row_behind_the_end(deployment: Deployment, log: Path) -> None:
    """Of a log that was cut, what is stored behind its end is told."""
    size = offset_of(log, LINES)
    os.truncate(log, size)

    result = deployment.operate("verify", str(log))

    assert result.returncode == 1
    assert f"line 9,000, byte {size:,}: " in result.stdout
    assert "_log has a row behind the end of the file" in result.stdout


def test_rotated_files_are_one_history(deployment: Deployment, tmp_path: Path) -> None:
    """Files that begin alike, packed ones too, are each compared with the stream that they are."""
    log = tmp_path / "access.log"
    begin = b"the same\n" * 50
    (tmp_path / "access.log.2.gz").write_bytes(gzip.compress(begin + b"oldest\n"))
    (tmp_path / "access.log.1").write_bytes(begin + b"older, without a newline")
    log.write_bytes(begin + b"newest\nand one\n")
    for age, name in enumerate(("access.log", "access.log.1", "access.log.2.gz")):
        os.utime(tmp_path / name, (1_700_000_000 - age, 1_700_000_000 - age))
    deployment.start_consumers()
    deployment.publish_once(log, tmp_path / "access.log.1", tmp_path / "access.log.2.gz")
    deployment.assert_settled(51 + 51 + 52)

    result = deployment.operate("verify", f"{log}*")
    assert result.returncode == 0, result.stdout
    assert [line.split(": ")[2].split(",")[0] for line in result.stdout.splitlines()] == [
        "51 lines",
        "51 lines",
        "52 lines",
    ]

    deployment.change("DELETE FROM raw_log WHERE line = 'newest'")
    result = deployment.operate("verify", f"{log}*")
    assert result.returncode == 1
    assert f"{log}: NOT exact\n  line 51, " in result.stdout
    assert result.stdout.count(": exact: ") == 2


def test_a_line_over_the_limit_and_odd_bytes(deployment: Deployment, tmp_path: Path) -> None:
    """A head is equal to a longer line that begins like it, also where it is the first."""
    log = tmp_path / "odd.log"
    log.write_bytes(b"x" * 300 + b"\n\x00\xff\n\n" + b"y" * 300 + b"\nlast")
    deployment.start_consumers()
    deployment.publish_once(log, MAX_LINE_BYTES="100")
    deployment.assert_settled(5)

    assert deployment.operate("verify", str(log)).returncode == 0
    log.write_bytes(b"x" * 300 + b"\n\x00\xff\n\n" + b"y" * 99 + b"z" * 201 + b"\nlast")
    result = deployment.operate("verify", str(log))
    assert result.returncode == 1
    assert "they differ from byte 99 of the line on" in result.stdout


def test_bad_input(deployment: Deployment, tmp_path: Path) -> None:
    """A log that is missing or of another source, and a setting that is wrong, have words."""
    log = tmp_path / "access.log"
    missing = deployment.operate("verify", str(log))
    pattern = deployment.operate("verify", f"{log}*")
    log.write_bytes(b"never read\n")
    unknown = deployment.operate("verify", str(log))
    source = deployment.operate("verify", str(log), SOURCE="")
    away = deployment.operate("verify", str(log), MYSQL_PORT="1")
    log.write_bytes(b"")

    assert missing.returncode == pattern.returncode == 66
    assert missing.stderr == f"datastream: {log} cannot be read: No such file or directory\n"
    assert pattern.stderr == f"datastream: {log}*: no file matches\n"
    assert unknown.returncode == 1
    assert f"none of its 1 lines is stored; no stream of SOURCE {SOURCE}" in unknown.stdout
    assert (source.returncode, away.returncode) == (78, 69)
    assert "SOURCE is not set" in source.stderr
    assert deployment.operate("verify", str(log)).returncode == 0
