"""What lies beside a log: odd files, backups, and others that begin alike."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from producer import open_files
from producer.files import LogFile
from producer.log import Log
from producer.state import State
from producer.tailer import Tailer
from unit.producer.followed import FOLLOW, ONCE, Followed, all_lines, append, rotated

#: A header that is longer than what streams are told apart by.
HEADER = b"# %s" % (b"fields " * 200)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a log that is not there yet."""
    return tmp_path / "access.log"


def lines_of(tailer: Tailer) -> list[bytes]:
    """Read once, to the end."""
    lines = []
    for slice_ in tailer.slices():
        if slice_ is not None:
            lines += slice_.body.split(b"\n")
            tailer.confirm()
    return lines


@pytest.mark.parametrize("kept", [0, 10, 14, 20])
def test_a_packed_file_that_is_cut_short_holds_up_nothing(path: Path, kept: int) -> None:
    """Old, and with no line in it that can be read: the log is read all the same."""
    append(path, b"1")
    rotated(path, "5.gz").write_bytes(gzip.compress(b"old\n")[:kept])

    assert Followed(path).read() == [b"1"]
    assert lines_of(Tailer([str(path)], ONCE, State())) == [b"1"]


def test_a_log_that_was_packed_by_hand_beside_the_next_one(path: Path) -> None:
    """The file with the log's own name is another one than the packed one was made from."""
    append(path, b"1")
    followed = Followed(path)
    followed.read()
    append(path, b"2")
    path.with_name("access.log.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    append(path, b"3")

    assert followed.restarted(path).read() == [b"2", b"3"]


def test_a_packed_file_beside_an_empty_one_of_its_name(path: Path) -> None:
    """It is not made from that one: it is known by what it holds, and is not read again."""
    append(path, b"1")
    followed = Followed(path)
    followed.read()
    rotated(path, "7.gz").write_bytes(gzip.compress(path.read_bytes()))
    rotated(path, "7").touch()
    path.write_bytes(b"")
    append(path, b"2")

    again = followed.restarted(path)
    assert again.read() == [b"2"]
    assert again.restarted(path).read() == []


def test_a_folder_that_can_be_listed_and_not_entered(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in it is told as unreadable; the log is read."""
    append(path, b"1")
    append(rotated(path), b"closed")
    stat = os.stat

    def refuse(name: str, *arguments: object) -> os.stat_result:
        if str(name) == str(rotated(path)):
            raise PermissionError(13, "Permission denied", name)
        return stat(name, *arguments)

    monkeypatch.setattr("producer.look.os.stat", refuse)
    followed = Followed(path)

    assert followed.read() == [b"1"]
    assert followed.log.files.unread == {str(rotated(path)): "Permission denied"}


def test_a_rotated_file_that_fails_once_is_read_on_in_a_minute(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it never changes any more."""
    now = [1_000.0]
    monkeypatch.setattr("producer.open_files.time.monotonic", lambda: now[0])
    append(path, b"1")
    followed = Followed(path)
    followed.read()
    append(path, b"2")
    path.rename(rotated(path))
    append(path, b"3")
    read = LogFile.read

    inode = rotated(path).stat().st_ino

    def fail_on_it(file: LogFile, offset: int, length: int) -> bytes:
        if file.identity[1] == inode:
            raise OSError(5, "Input/output error")
        return read(file, offset, length)

    with monkeypatch.context() as broken:
        broken.setattr(LogFile, "read", fail_on_it)
        followed.settle()
        while_broken = followed.read()
        unread = followed.log.files.unread
    now[0] += 2 * open_files.ROTATED_QUIET
    followed.settle()

    assert while_broken == [b"3"]
    assert unread == {str(rotated(path)): "Input/output error"}
    assert followed.read() == [b"2"]


def test_a_small_stream_is_noted_as_it_is_read(path: Path) -> None:
    """What the checkpoint knows of it, before a slice is sent, tells it from the next one."""
    append(path, b"# header")
    followed = Followed(path)
    followed.read()
    append(path, b"1")
    handed = followed.log.next()
    entry = followed.log.files.known.entries()[0]

    assert handed is not None
    assert (entry.position, entry.prefix_length) == (9, 11)


def test_what_was_there_before_is_old_after_a_stop_at_once(path: Path) -> None:
    """A pattern counts as known once it was seen what was there."""
    append(path, b"1")
    append(rotated(path), b"old")
    first = Tailer([f"{path.parent}/*.log"], FOLLOW, State())
    state = first.state()
    first.close()

    assert all_lines(Tailer([f"{path.parent}/*.log"], FOLLOW, state)) == [b"1"]


def test_a_file_that_is_never_readable_holds_up_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute what else there is to be decided is decided without it."""
    now = [1_000.0]
    monkeypatch.setattr("producer.open_files.time.monotonic", lambda: now[0])
    rotated(path, "7.lz4").write_bytes(b"\x04\x22\x4d\x18" + bytes(60))
    path.write_bytes(b"1\npart")
    followed = Followed(path)
    followed.read()
    path.write_bytes(b"2\n")
    first = followed.read()
    now[0] += 2 * open_files.ROTATED_QUIET
    followed.settle()

    assert b"part" in [*first, *followed.read()]


def test_a_foreign_file_that_is_packed_otherwise_is_no_trouble(path: Path) -> None:
    """It is looked at while a file is searched for, and is of no concern."""
    append(path, b"1")
    followed = Followed(path, ONCE)
    followed.read()
    append(path, b"2")
    path.unlink()
    append(path, b"3")
    path.with_name("backup.zip").write_bytes(b"PK\x03\x04" + bytes(60))
    again = followed.restarted(path, ONCE)

    assert again.read() == [b"3"]
    assert again.log.files.unread == {}


def test_files_that_begin_alike_for_a_kilobyte(path: Path) -> None:
    """A short one that came and was rotated while nobody looked is a stream of its own."""
    append(path, HEADER, *[b"first %d" % number for number in range(100)])
    followed = Followed(path)
    followed.read()
    path.rename(rotated(path, 2))
    append(path, HEADER, b"second")
    path.rename(rotated(path, 1))
    append(path, HEADER, b"third")
    again = followed.restarted(path)

    assert again.read() == [HEADER, b"second", HEADER, b"third"]


def test_a_packed_file_of_the_same_length_that_begins_alike(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not the one that was read, which is there still."""
    monkeypatch.setattr(open_files, "ROTATED_QUIET", -1.0)
    append(path, HEADER, b"first")
    followed = Followed(path)
    followed.read()
    path.rename(rotated(path, 2))
    append(path, b"live")
    followed.read()
    followed.settle()
    rotated(path, "1.gz").write_bytes(gzip.compress(HEADER + b"\nother\n"))

    assert followed.read() == [HEADER, b"other"]


@pytest.mark.parametrize("name", ["access.1.log", "access-20261126.log", "access.log_1764115200"])
def test_a_rotated_file_and_its_packed_one_under_a_pattern(path: Path, name: str) -> None:
    """The packed one belongs to the log as the plain one does, and is no log of its own."""
    append(path, b"2")
    append(path.with_name(name), b"1")
    first = Tailer([f"{path.parent}/access*"], FOLLOW, State())
    lines = all_lines(first)
    first.close()
    packed = path.with_name(f"{name}.gz")
    packed.write_bytes(gzip.compress(path.with_name(name).read_bytes()))

    assert sorted(lines) == [b"1", b"2"]
    assert all_lines(Tailer([f"{path.parent}/access*"], FOLLOW, first.state())) == []


def test_edited_in_place_with_a_backup(path: Path) -> None:
    """Replaced by its own content while nobody looked: the backup is not the log."""
    append(path, b"1")
    followed = Followed(path)
    followed.read()
    content = path.read_bytes()
    path.rename(path.with_name("access.log.bak"))
    path.write_bytes(content + b"2\n")

    assert followed.restarted(path).read() == [b"2"]


def test_a_packed_last_line_without_its_newline_is_sent_once(path: Path) -> None:
    """It is nothing new at the next start."""
    rotated(path, "1.gz").write_bytes(gzip.compress(b"1\n2"))
    append(path, b"3")
    first = Followed(path, listed=[str(rotated(path, "1.gz"))])
    lines = first.read()

    assert lines == [b"1", b"2", b"3"]
    assert first.restarted(path).read() == []


def test_a_tar_is_no_text(path: Path) -> None:
    """Whatever it is called: it is named and passed over."""
    with tarfile.open(rotated(path, 2), "w") as archive:
        archive.addfile(tarfile.TarInfo("access.log"), io.BytesIO())
    append(path, b"1")
    followed = Followed(path, listed=[str(rotated(path, 2))])

    assert followed.read() == [b"1"]
    assert "tar" in followed.log.files.unread[str(rotated(path, 2))]


def test_a_copy_of_what_a_truncated_log_holds_by_now(path: Path) -> None:
    """A slice is in hand over a rotation by copytruncate, and the next one is not over yet."""
    append(path, b"header", b"1", b"2")
    log = Followed(path, is_new=True)
    while (handed := log.log.next()) is None:
        pass
    shutil.copy(path, rotated(path, 2))
    os.truncate(path, 0)
    append(path, b"header", b"3")
    shutil.copy(path, rotated(path, 1))
    for _ in range(4):
        log.log.files.look()  # while it is waited for
    handed[0].confirm()
    log.log.files.note(handed[0])

    while_it_lasts = log.read()
    os.truncate(path, 0)
    append(path, b"header", b"4")

    assert while_it_lasts == [b"header", b"3"]
    assert log.read() == [b"header", b"4"]


def test_a_copy_that_is_renamed_while_it_is_looked_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that was not whole was read, and not sent, when the log was copied and truncated."""
    monkeypatch.setattr(open_files, "ROTATED_QUIET", 0.0)
    path.write_bytes(b"not whole")
    log = Followed(path, is_new=True)
    assert log.read() == []
    shutil.copy(path, rotated(path, 1))
    os.truncate(path, 0)
    append(path, b"2")
    is_in_a_file = Log._is_in_a_file

    def renamed(self: Log, part: bytes) -> bool:
        if rotated(path, 1).exists():
            rotated(path, 1).rename(rotated(path, 2))
        return is_in_a_file(self, part)

    monkeypatch.setattr(Log, "_is_in_a_file", renamed)

    assert sorted(log.read() + log.read()) == [b"2", b"not whole"]
