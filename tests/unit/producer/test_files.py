"""Log files on disk: which belong to a log, and how their bytes are read."""

from __future__ import annotations

import errno
import gzip
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from datastream.paths import expand, log_path, path_text
from producer.files import LogFile
from producer.folders import rotated_files


def written(path: Path, content: bytes = b"x\n", modified_at: float = 1_000_000.0) -> Path:
    """Write a file that was last changed at some time."""
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    os.utime(path, (modified_at, modified_at))
    return path


def test_many_files_may_be_open() -> None:
    """As many as the system allows the process, whatever the limit it began with."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    code = f"""
import resource
from producer.files import allow_many_files
resource.setrlimit(resource.RLIMIT_NOFILE, (64, {most}))
allow_many_files()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert int(done.stdout) == most


@pytest.mark.parametrize(
    ("name", "log"), [(".1", ".1"), (".gz", ".gz"), (".1.gz", ".1"), (".log.1", ".log")]
)
def test_a_name_that_is_all_suffix(name: str, log: str) -> None:
    """It is a log of its own, not one with the path of its folder."""
    assert log_path(f"/var/log/{name}") == f"/var/log/{log}"
    assert log_path(name) == log


@pytest.mark.parametrize(
    "name",
    ["access.log.bak", "access.log.1.lz4", "access.log.12345", "access.log~", "access.log.old"],
)
def test_what_is_named_otherwise_is_a_log_of_its_own(name: str) -> None:
    """Only the usual names of rotated files are taken off."""
    assert log_path(name) == name


def test_a_path_that_is_no_text() -> None:
    """It can be sent and stored, and two such paths do not become one."""
    first, second = (os.fsdecode(b"/var/log/caf" + byte) for byte in (b"\xe9", b"\xe8"))

    assert path_text("/var/log/café.log") == "/var/log/café.log"
    assert path_text(first) == "/var/log/caf\\xe9"
    assert path_text(first) != path_text(second)


def test_a_pattern_stands_for_files_only(tmp_path: Path) -> None:
    """Sorted, absolute, and without the folders that match; a plain path need not exist."""
    for name in ("b.log", "a.log", "c.txt"):
        written(tmp_path / name)
    (tmp_path / "folder.log").mkdir()

    assert expand(f"{tmp_path}/*.log") == [f"{tmp_path}/a.log", f"{tmp_path}/b.log"]
    assert expand(f"{tmp_path}/no/../missing.log") == [f"{tmp_path}/missing.log"]


def test_a_pattern_that_cannot_be_asked_for_stands_for_nothing(tmp_path: Path) -> None:
    """Asked for as a plain path first, it may be refused: too long, or its folder is closed."""
    assert expand(f"{tmp_path}/{'x' * 300}*.log") == []


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the same log from whatever folder it is named."""
    written(tmp_path / "a.log")
    monkeypatch.chdir(tmp_path)

    assert expand("a.log") == expand("./*.log") == [f"{tmp_path}/a.log"]


def test_rotated_files_come_oldest_first(tmp_path: Path) -> None:
    """By their last change, whatever their names say; other files are left out."""
    log = written(tmp_path / "access.log")
    for name, modified_at in (
        ("access.log.1", 300.0),
        ("access.log.10.gz", 100.0),
        ("access.log-20261124", 200.0),
        ("access.log.bak", 50.0),
        ("other.log.1", 60.0),
    ):
        written(tmp_path / name, modified_at=modified_at)
    (tmp_path / "access.log.7").mkdir()

    assert [Path(file).name for file in rotated_files(str(log))] == [
        "access.log.10.gz",
        "access.log-20261124",
        "access.log.1",
    ]


def test_a_file_that_is_being_packed(tmp_path: Path) -> None:
    """While its original is beside it, a packed file may not be whole, and is of no use."""
    for name in ("access.log.1", "access.log.1.gz", "access.log.2.gz"):
        written(tmp_path / name)

    found = [Path(file).name for file in rotated_files(str(tmp_path / "access.log"))]

    assert found == ["access.log.1", "access.log.2.gz", "access.log.1.gz"]


def test_rotated_files_of_a_symbolic_link(tmp_path: Path) -> None:
    """They are beside the link, or beside what it points to."""
    (tmp_path / "data").mkdir()
    written(tmp_path / "data" / "real.log")
    written(tmp_path / "data" / "real.log.1", modified_at=100.0)
    written(tmp_path / "access.log.1", modified_at=200.0)
    link = tmp_path / "access.log"
    link.symlink_to("data/real.log")

    assert rotated_files(str(link)) == [
        f"{tmp_path}/data/real.log.1",
        f"{tmp_path}/access.log.1",
    ]


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    """It has no rotated files."""
    assert rotated_files(str(tmp_path / "missing" / "access.log")) == []


@pytest.mark.parametrize("name", ["access.log", "access.log.1.gz"])
def test_bytes_are_those_of_the_plain_file(tmp_path: Path, name: str) -> None:
    """Also out of order, and beyond the end there are none."""
    file = LogFile(str(written(tmp_path / name, b"0123456789")))

    assert [file.read(*part) for part in ((4, 3), (0, 2), (8, 100), (10, 5), (99, 5))] == [
        b"456",
        b"01",
        b"89",
        b"",
        b"",
    ]
    assert (file.reaches(0), file.reaches(10), file.reaches(11)) == (True, True, False)
    assert file.is_packed is name.endswith(".gz")
    assert file.size() == (None if file.is_packed else 10)


def test_a_packed_file_of_several_parts(tmp_path: Path) -> None:
    """Parts that were packed one after the other are one file."""
    path = tmp_path / "access.log.1.gz"
    path.write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n"))

    assert LogFile(str(path)).read(0, 100) == b"one\ntwo\n"


@pytest.mark.parametrize("keep", [-4, -12, 12])
def test_a_packed_file_that_is_damaged(tmp_path: Path, keep: int) -> None:
    """Cut short at any place, it is an error of the file like any other."""
    path = written(tmp_path / "access.log.1.gz", b"a line of a log\n" * 100)
    path.write_bytes(path.read_bytes()[:keep])
    file = LogFile(str(path))

    with pytest.raises(OSError, match=r"(?i)cut short"):
        file.read(len(file.read(0, 100_000)), 100_000)


def test_a_packed_file_whose_sum_is_wrong(tmp_path: Path) -> None:
    """Bytes that are not those that were packed are told, not handed on."""
    path = written(tmp_path / "access.log.1.gz", b"a line of a log\n" * 100)
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF
    path.write_bytes(bytes(content))
    file = LogFile(str(path))

    with pytest.raises(OSError, match=r"Damaged|CRC"):
        file.read(len(file.read(0, 100_000)), 100_000)


def test_what_is_no_file(tmp_path: Path) -> None:
    """A pipe or a folder is refused, and opens nothing that would wait for a writer."""
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(OSError, match="Not a regular file") as raised:
            LogFile(str(path))
        assert raised.value.errno == errno.EINVAL


def test_a_closed_file_has_no_size(tmp_path: Path) -> None:
    """The metrics may ask for it at any time."""
    file = LogFile(str(written(tmp_path / "access.log")))
    file.close()

    assert file.size() is None


def test_a_pattern_stands_for_what_is_there_now(tmp_path: Path) -> None:
    """Also for a link that is a file by now, which its folder does not tell."""
    logs, elsewhere = tmp_path / "logs", tmp_path / "elsewhere"
    logs.mkdir()
    (logs / "a.log").touch()
    (logs / "link.log").symlink_to(elsewhere)

    def matched() -> list[str]:
        return [Path(path).name for path in expand(f"{logs}/*.log")]

    assert matched() == ["a.log"]
    elsewhere.touch()
    assert matched() == ["a.log", "link.log"]
    (logs / "b.log").touch()
    os.utime(logs, ns=(0, 1))  # whenever that is
    assert matched() == ["a.log", "b.log", "link.log"]
