"""What goes wrong around a log, at the worst moment, and loses or doubles nothing."""

from __future__ import annotations

import gzip
import os
import random
import shutil
from pathlib import Path

import pytest

from producer import open_files
from producer.folders import Folders
from unit.producer.followed import ONCE, Followed, append, rotated


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a log that is not there yet."""
    return tmp_path / "access.log"


def later(path: Path, seconds: float = 1_000.0) -> None:
    """Say that a file was last changed in some time from now."""
    at = path.stat().st_mtime + seconds
    os.utime(path, (at, at))


# Rotation.


def test_an_empty_log_is_rotated_and_still_written(path: Path) -> None:
    """The server writes to the old file until it is told, also when there was nothing in it."""
    path.touch()
    followed = Followed(path)
    followed.read()
    path.rename(rotated(path))
    path.touch()
    before = followed.read()
    append(rotated(path), b"late")

    assert before == []
    assert followed.read() == [b"late"]


def test_a_server_that_was_not_told_of_the_rotation(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as nothing is in the new file the old one is read, however quiet it is."""
    monkeypatch.setattr(open_files, "ROTATED_QUIET", -1.0)
    append(path, b"1")
    followed = Followed(path)
    followed.read()
    path.rename(rotated(path))
    path.touch()
    followed.read()
    append(rotated(path), b"2")
    while_new_is_empty = followed.read()
    append(path, b"new")
    followed.read()

    assert while_new_is_empty == [b"2"]
    assert len(followed.log.files.readers) == 1


def test_rotated_files_that_were_taken_up_but_not_begun(path: Path) -> None:
    """They have an entry at once: their time alone does not find them after the next checkpoint."""
    append(path, b"a1")
    followed = Followed(path)
    followed.read()
    append(path, b"a2")
    path.rename(rotated(path, 2))
    append(path, b"b")
    path.rename(rotated(path, 1))
    append(path, b"c")
    first = followed.read(at_most=1)

    again = followed.restarted(path)

    assert first == [b"a2"]
    assert again.read() == [b"b", b"c"]


def test_a_log_that_appears_and_is_rotated_in_an_outage(path: Path) -> None:
    """It was missing at the last look; now there is a rotated one as well."""
    followed = Followed(path)
    nothing = followed.read()
    append(path, b"1")
    later(path)
    path.rename(rotated(path))
    append(path, b"2")

    assert nothing == []
    assert sorted(followed.read()) == [b"1", b"2"]


def test_a_log_that_comes_and_goes_between_two_looks(path: Path) -> None:
    """All that is seen is that there is none; it is found when there is one again."""
    followed = Followed(path)
    nothing = followed.read()
    append(path, b"1")
    path.rename(rotated(path))
    still_missing = followed.read()
    append(path, b"2")

    assert nothing == []
    assert [*still_missing, *followed.read()] == [b"1", b"2"]


@pytest.mark.parametrize("shift", [-400 * 86_400.0, -300.0, 300.0, 86_400.0])
def test_the_times_of_the_files_say_nothing(path: Path, shift: float) -> None:
    """A clock that was wrong, or a file server's: what is new is told by the content alone."""
    append(path, b"1")
    followed = Followed(path)
    followed.read()
    append(path, b"2")
    path.rename(rotated(path, 2))
    append(path, b"3")
    path.rename(rotated(path, 1))
    later(rotated(path, 1), shift)
    append(path, b"4")

    assert sorted(followed.restarted(path).read()) == [b"2", b"3", b"4"]
    assert sorted(followed.read()) == [b"2", b"3", b"4"]


def test_alike_logs_before_anything_is_confirmed(path: Path) -> None:
    """The second file with the same first line is another stream from the start."""
    append(path, b"header")
    followed = Followed(path)
    followed.log.next()  # says which stream it is
    first = followed.log.next()
    path.rename(rotated(path))
    append(path, b"header")

    assert first is not None
    assert followed.read() == [b"header"]
    assert followed.streams != [first[1].stream.stream_id]


def test_alike_logs_are_told_apart_by_the_file(path: Path) -> None:
    """Of two files with the same content each is read on from its own entry."""
    append(path, b"same")
    followed = Followed(path)
    followed.read()
    path.rename(rotated(path))
    append(path, b"same")
    followed.read()
    append(rotated(path), b"end of the old")
    append(path, b"end of the new")

    again = followed.restarted(path)

    assert sorted(again.read()) == [b"end of the new", b"end of the old"]
    assert again.streams == followed.streams


def test_a_log_that_comes_and_goes_while_the_old_one_is_read(path: Path) -> None:
    """That there is no log does not say that there was none since the last look."""
    append(path, b"1")
    followed = Followed(path)
    followed.read()
    path.rename(rotated(path, 2))
    append(path, b"2")
    path.rename(rotated(path, 1))
    while_missing = followed.read()
    append(path, b"3")

    assert [*while_missing, *followed.read()] == [b"2", b"3"]


def test_a_log_that_is_rotated_while_it_is_looked_at(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one file, under two names one after the other."""
    append(path, b"1")
    list_names = Folders.rotated

    def rename_first(folders: Folders, folder: str, log: str, *, is_fresh: bool) -> list[str]:
        names = list_names(folders, folder, log, is_fresh=is_fresh)
        if path.exists():
            path.rename(rotated(path))
        return names

    monkeypatch.setattr(Folders, "rotated", rename_first)
    followed = Followed(path, is_new=True)

    assert followed.read() == [b"1"]
    assert not path.exists()


def test_a_finished_file_is_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when it has changed since, as long as it has not grown."""
    monkeypatch.setattr(open_files, "ROTATED_QUIET", -1.0)
    append(path, b"1")
    followed = Followed(path)
    followed.read()
    path.rename(rotated(path))
    append(path, b"2")
    followed.read()
    followed.read()
    as_it_was = len(followed.restarted(path).log.files.readers)
    append(rotated(path), b"very late")

    assert as_it_was == 1
    assert followed.restarted(path).read() == [b"very late"]


# Packing.


def noise(lines: int) -> bytes:
    """Return lines that cannot be packed well."""
    source = random.Random(lines)  # noqa: S311 - no secret
    return b"".join(b"%s\n" % source.randbytes(20).hex().encode() for _ in range(lines))


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_a_file_that_is_just_being_packed(
    path: Path, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Half of a packed file beside the whole one is not another log."""
    path.write_bytes(noise(5_000))
    followed = Followed(path)
    followed.read()
    packed = gzip.compress(path.read_bytes())
    path.rename(rotated(path))
    rotated(path, "1.gz").write_bytes(packed[: int(len(packed) * share)])
    append(path, b"new")

    assert followed.read() == [b"new"]
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


def test_a_packed_file_that_is_not_whole_and_alone(path: Path) -> None:
    """What begins like a log that was read further, and ends before, is not read as another."""
    path.write_bytes(noise(5_000))
    followed = Followed(path)
    followed.read()
    packed = gzip.compress(path.read_bytes())
    path.unlink()
    rotated(path, "1.gz").write_bytes(packed[: len(packed) // 2])
    append(path, b"new")

    assert followed.restarted(path).read() == [b"new"]


@pytest.mark.parametrize("damage", [slice(None, 5), slice(10, 20), slice(-20, None)])
def test_damaged_packed_files_stop_nothing(path: Path, damage: slice) -> None:
    """Cut or overwritten anywhere, it is told, named as unread, and the next log is read."""
    packed = bytearray(gzip.compress(noise(5_000)))
    packed[damage] = b"\xff" * len(packed[damage])
    packed[:2] = b"\x1f\x8b"
    rotated(path, "1.gz").write_bytes(packed)
    append(path, b"now")

    followed = Followed(path, ONCE, listed=[str(rotated(path, "1.gz"))])

    assert followed.read()[-1] == b"now"
    assert list(followed.log.files.unread) == [str(rotated(path, "1.gz"))]


# Truncation.


def test_truncations_do_not_pile_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no file holds any more is forgotten in the end."""
    now = [1_000.0]
    monkeypatch.setattr("producer.open_files.time.monotonic", lambda: now[0])
    followed = Followed(path)
    for number in range(300):
        path.write_bytes(b"%d\n" % number * (1 + number % 3))
        followed.read()
        now[0] += 10

    assert len(followed.streams) == 300
    assert len(followed.log.files.known.entries()) <= 10


def test_a_log_truncated_to_what_was_confirmed(path: Path) -> None:
    """Even when the bytes before the position are still there, what follows is another stream."""
    path.write_bytes(noise(100) + b"part")
    followed = Followed(path)
    followed.read()
    path.write_bytes(noise(100))
    followed.read()
    append(path, b"xyz")
    followed.read()

    assert [line for line in followed.lines.values() if len(line) < 10] == [b"part", b"xyz"]


def test_a_copy_that_lacks_the_last_line(path: Path) -> None:
    """A line that was written, and read, between the copying and the truncation is in no copy."""
    path.write_bytes(noise(100))
    followed = Followed(path)
    followed.read()
    shutil.copy(path, rotated(path))
    append(path, b"in between")
    followed.read()
    path.write_bytes(b"new\n")

    assert followed.read() == [b"new"]
    assert followed.restarted(path).read() == []


def test_a_copy_that_is_being_made_at_the_start(path: Path) -> None:
    """As long as the log itself is there, it is read, and not its copy."""
    append(path, b"1", b"2")
    followed = Followed(path)
    followed.read()
    append(path, b"3")
    shutil.copy(path, rotated(path))
    append(path, b"4")

    again = followed.restarted(path)

    assert again.read() == [b"3", b"4"]
    assert again.streams == followed.streams


def test_a_log_that_is_filled_copied_and_truncated_between_two_looks(path: Path) -> None:
    """Nothing was read of it, so nothing tells but the copy."""
    path.touch()
    followed = Followed(path)
    followed.read()
    append(path, b"1")
    later(path)
    shutil.copy2(path, rotated(path))
    path.write_bytes(b"2\n")

    assert followed.read() == [b"1", b"2"]


def test_a_part_of_a_first_line_and_a_copy(path: Path) -> None:
    """The copy has the whole of the line: the stream is known by that, as for everybody else."""
    path.write_bytes(b"par")
    followed = Followed(path)
    followed.read()
    append(path, b"tial")
    later(path)
    shutil.copy2(path, rotated(path))
    path.write_bytes(b"2\n")

    assert followed.read() == [b"partial", b"2"]
    alone = Followed(path, ONCE, listed=[str(rotated(path))])
    alone.read()
    assert alone.streams == followed.streams


# Folders and permissions.


def test_a_log_that_is_moved_away_and_back(path: Path) -> None:
    """It is the same file, which was read all the time: there is no trouble left."""
    append(path, b"1")
    followed = Followed(path)
    followed.read()
    path.rename(path.with_name("away"))
    followed.read()
    trouble = followed.log.files.trouble
    path.with_name("away").rename(path)
    append(path, b"2")

    assert trouble == "No such file or directory"
    assert followed.read() == [b"2"]
    assert followed.log.files.trouble == ""


def test_a_log_that_is_rotated_while_it_is_read_once(path: Path) -> None:
    """It was read to its end; that there is no new one is no trouble."""
    append(path, b"1")
    followed = Followed(path, ONCE)
    path.rename(rotated(path))

    assert followed.read() == [b"1"]
    assert followed.log.files.unread == {}


def test_a_folder_that_cannot_be_listed(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log is followed all the same; rotated files are found when the folder is open again."""
    append(path, b"1")
    followed = Followed(path)
    followed.read()
    monkeypatch.setattr(open_files, "LOOK_EVERY", -1.0)
    with monkeypatch.context() as closed:

        def refuse(folder: str) -> None:
            raise PermissionError(13, "Permission denied", folder)

        closed.setattr(os, "scandir", refuse)
        path.rename(rotated(path, 2))
        append(path, b"2")
        path.rename(rotated(path, 1))
        append(path, b"3")
        while_closed = [followed.read(), followed.read()]

    assert while_closed == [[b"3"], []]
    assert sum("Permission denied" in str(vars(record)) for record in caplog.records) == 1
    assert followed.read() == [b"2"]
