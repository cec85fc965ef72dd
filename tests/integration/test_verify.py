"""`datastream verify`: whatever differs between a log and its rows is found, told and returned."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from datastream_playground import sample
from deployment import SOURCE, Deployment

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

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
    assert others == "  1 more difference"
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
    assert re.findall(r": exact, but 0 of (\d+) parsed: ", result.stdout) == ["51", "51", "52"]

    deployment.change("DELETE FROM raw_log WHERE line = 'newest'")
    result = deployment.operate("verify", f"{log}*")
    assert result.returncode == 1
    assert f"{log}: NOT exact\n  line 51, " in result.stdout
    assert result.stdout.count(": exact, but ") == 2


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
    assert f"of 1 line none is stored; no stream of SOURCE {SOURCE}" in unknown.stdout
    assert (source.returncode, away.returncode) == (78, 69)
    assert "SOURCE is not set" in source.stderr
    assert deployment.operate("verify", str(log)).returncode == 0


def test_a_file_that_was_rotated_before_the_first_start(deployment: Deployment, log: Path) -> None:
    """A producer that follows left it alone: the words say what reads it, and that does."""
    before, following = log.with_name("followed.log.1"), log.with_name("followed.log")
    for path, lines in ((before, 20), (following, 10)):
        sample.write(path, lines, "combined", seed=lines)
        sample.truth_path(path).unlink()
    producer = deployment.start("producer", str(following))
    deployment.assert_settled(LINES + 10)
    assert producer.terminate() == 0

    told = deployment.operate("verify", f"{following}*")
    deployment.publish_once(Path(f"{following}*"))
    deployment.assert_settled(LINES + 30)
    read = deployment.operate("verify", f"{following}*")

    assert (told.returncode, read.returncode) == (1, 0), told.stdout + read.stdout
    assert f"{before}: NOT exact: of 20 lines none is stored; " in told.stdout
    assert "`producer --once` reads it" in told.stdout


PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": zstd.compress,
}


def test_a_rotated_file_is_found_whatever_its_name(deployment: Deployment, log: Path) -> None:
    """Packed in any way, stamped in any way and in a folder of its own: the same stream."""
    content = log.read_bytes()
    log.unlink()
    folder = log.parent / "rotated"
    folder.mkdir()
    for name in (
        "access.log.1.xz",
        "access.log-20261126.bz2",
        "access.log_2026-11-26.zst",
        "access.1.log",
        "access-20261126.log.gz",
        "access.log.1764115200",
        "access.log.gz.1",
        "rotated/access.log.1",
        "rotated/access-20261126.log.xz",
    ):
        rotated = log.parent / name
        rotated.write_bytes(PACK.get(rotated.suffix, bytes)(content))

        result = deployment.operate("verify", str(rotated), ROTATED_DIR="rotated")

        assert (result.returncode, result.stderr) == (0, ""), name
        assert result.stdout == f"{rotated}: exact: 9,000 lines, each stored once, byte for byte\n"
    assert deployment.operate("verify", str(rotated), ROTATED_DIR=str(folder)).returncode == 0
    assert deployment.operate("verify", str(rotated)).returncode == 1


def test_what_cannot_be_read_is_named_and_the_others_are_compared(
    deployment: Deployment, log: Path
) -> None:
    """A file packed otherwise, cut short or damaged is not exact, nor does it stand in the way."""
    packed = gzip.compress(b"some\nlines\n")
    Path(f"{log}.1.gz").write_bytes(packed[:-3])
    Path(f"{log}.2.xz").write_bytes(packed + b"more")
    Path(f"{log}.3.lz4").write_bytes(b"\x04\x22\x4d\x18\x64\x40\xa7")

    result = deployment.operate("verify", f"{log}.?.*", str(log))

    assert result.returncode == 66
    assert result.stdout == f"{log}: exact: 9,000 lines, each stored once, byte for byte\n"
    first, second, third = sorted(result.stderr.splitlines())
    assert f"{log}.1.gz cannot be read: Cut short: " in first
    assert f"{log}.2.xz cannot be read: Damaged: " in second
    assert f"{log}.3.lz4 is packed by lz4, which is not read: " in third


def second_stream(deployment: Deployment, upto: int = 2**63) -> int:
    """Store the lines of the one stream below an offset a second time, as another generation."""
    number = 0xD0B1ED
    deployment.change(
        "INSERT INTO log_stream (stream_id, source, host, path, format, generation)"
        " SELECT %s, source, host, path, format, 1 FROM log_stream",
        number,
    )
    deployment.change(
        "INSERT INTO raw_log (stream_id, line_offset, flags, line)"
        " SELECT %s, line_offset, flags, line FROM raw_log WHERE line_offset < %s",
        number,
        upto,
    )
    return number


@pytest.mark.parametrize("lines", [LINES, 2, 4_000])
def test_lines_stored_twice_are_found(deployment: Deployment, log: Path, lines: int) -> None:
    """A stream that is no file and holds the lines of one that is: which, of which, how many."""
    second_stream(deployment, offset_of(log, lines + 1))

    result = deployment.operate("verify", str(log))

    assert result.returncode == 1
    exact, double, advice = result.stdout.splitlines()
    assert ": exact: 9,000 lines" in exact
    assert double.startswith(f"{log}: doubled: stream 0000000000d0b1ed, generation 1, ")
    assert f" holds {lines:,} lines, each of which stream " in double
    assert double.endswith(", generation 0, holds as well")
    assert "docs/runbook.md" in advice
    # As the runbook says.
    for table in ("clean_log", "error_log", "rejected_log", "raw_log", "log_stream"):
        deployment.change(f"DELETE FROM {table} WHERE stream_id = 0x0000000000d0b1ed")
    assert deployment.operate("verify", str(log)).returncode == 0


def test_of_a_file_that_was_cut_the_shorter_stream_is_the_double(
    deployment: Deployment, log: Path
) -> None:
    """The stream with more lines is the one to keep, also where its file is gone."""
    end = offset_of(log, 4_001)
    second_stream(deployment, end)
    for table in ("clean_log", "rejected_log"):
        deployment.change(
            f"UPDATE {table} SET stream_id = %s WHERE line_offset < %s", 0xD0B1ED, end
        )
    os.truncate(log, end)

    result = deployment.operate("verify", str(log))

    assert result.returncode == 1
    assert "4,000 lines, each stored once" in result.stdout
    assert "doubled: stream 0000000000d0b1ed, generation 1, holds 4,000 lines" in result.stdout


@pytest.mark.parametrize(
    ("statement", "offset"),
    [
        ("UPDATE raw_log SET line = 'x' WHERE stream_id = %s AND line_offset = %s", 8_999),
        ("UPDATE raw_log SET line = 'x' WHERE stream_id = %s AND line_offset = %s", 2),
        ("DELETE FROM raw_log WHERE stream_id = %s AND line_offset = %s", 5_000),
        ("DELETE FROM raw_log WHERE stream_id = %s AND line_offset > %s", 1),
    ],
)
def test_a_stream_that_is_not_all_the_same_is_no_double(
    deployment: Deployment, log: Path, statement: str, offset: int
) -> None:
    """Another line, a gap, or one line alone: a stream whose file is gone, and nothing is said."""
    number = second_stream(deployment)
    assert deployment.change(statement, number, offset_of(log, offset)) > 0

    result = deployment.operate("verify", str(log))

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("\n") == 1


def test_lines_that_are_all_alike_are_no_double(deployment: Deployment, tmp_path: Path) -> None:
    """Files of a health check without a time are equal, and two files all the same."""
    log = tmp_path / "access.log"
    log.write_bytes(b"GET /health 200\n" * 60)
    deployment.start_consumers()
    deployment.publish_once(log)
    deployment.assert_settled(60)
    second_stream(deployment)

    assert deployment.operate("verify", str(log)).returncode == 0
