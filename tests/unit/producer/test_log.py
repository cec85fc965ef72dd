"""How a log is followed through rotation, truncation and restarts."""

from __future__ import annotations

import gzip
import logging
import os
import shutil
from pathlib import Path

import pytest

from datastream.slices import UNTERMINATED
from producer import open_files
from producer.files import LogFile
from unit.producer.followed import LONG_AGO, ONCE, Followed, append, log_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a log that is not there yet."""
    return tmp_path / "access.log"


def test_a_log_that_appears_and_grows(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is waited for, which is told once, and then read as it grows."""
    followed = Followed(path)
    nothing = [followed.read() for _ in range(3)]
    trouble = followed.log.files.trouble
    append(path, b"one")
    first = followed.read()
    append(path, b"two", b"three")

    assert nothing == [[], [], []]
    assert trouble == "No such file or directory"
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == [
        "Log cannot be read, waiting for it"
    ]
    assert (first, followed.read()) == ([b"one"], [b"two", b"three"])
    assert followed.log.files.trouble == ""
    assert len(followed.streams) == 1


def test_a_rotated_file_is_read_to_its_end_and_then_the_new_one(path: Path) -> None:
    """What the server still writes to the old file after the rename is read as well."""
    append(path, b"1", b"2")
    followed = Followed(path)
    followed.read()
    append(path, b"3")
    path.rename(path.with_suffix(".log.1"))
    append(path.with_suffix(".log.1"), b"4")
    append(path, b"new 1")
    first = followed.read()
    append(path.with_suffix(".log.1"), b"5")
    append(path, b"new 2")

    assert first == [b"3", b"4", b"new 1"]
    assert sorted(followed.read()) == [b"5", b"new 2"]
    assert [p.position for p in followed.slices if p.stream.stream_id == followed.streams[0]] == [
        0,
        4,
        8,
    ]


def test_several_rotations_between_two_looks(path: Path) -> None:
    """An outage is long: files that came and went meanwhile are found among the rotated ones."""
    append(path, b"1")
    followed = Followed(path)
    followed.read()
    append(path, b"2")
    path.rename(path.with_suffix(".log.2"))
    append(path, b"between 1", b"between 2")
    path.rename(path.with_suffix(".log.1"))
    append(path, b"now")

    assert sorted(followed.read()) == [b"2", b"between 1", b"between 2", b"now"]
    assert len(followed.streams) == 3


def test_rotations_while_nobody_looked(path: Path) -> None:
    """After a restart each file is found by its content, packed or not, and read on."""
    append(path, b"1", b"2")
    followed = Followed(path)
    followed.read()
    append(path, b"3")
    with gzip.open(path.with_suffix(".log.2.gz"), "wb") as file:
        file.write(path.read_bytes())
    path.unlink()
    append(path, b"between")
    path.rename(path.with_suffix(".log.1"))
    append(path, b"now")

    again = followed.restarted(path)

    assert again.read() == [b"3", b"between", b"now"]
    assert again.slices[0].position == 4
    assert again.slices[0].stream.stream_id == followed.streams[0]
    assert again.read() == []
    assert again.restarted(path).read() == []


def test_older_files_are_not_read_unasked(path: Path) -> None:
    """What was rotated before anybody followed the log stays unread, unless it is listed."""
    append(path.with_suffix(".log.1"), b"old")
    os.utime(path.with_suffix(".log.1"), (LONG_AGO, LONG_AGO))
    append(path, b"now")

    unasked = Followed(path).read()
    asked = Followed(path, listed=[str(path.with_suffix(".log.1"))]).read()

    assert unasked == [b"now"]
    assert asked == [b"old", b"now"]


def test_a_restart_reads_on(path: Path) -> None:
    """Nothing again, and nothing left out, with the same stream."""
    append(path, b"1", b"2")
    followed = Followed(path)
    followed.read()
    append(path, b"3")

    again = followed.restarted(path)

    assert again.read() == [b"3"]
    assert (again.slices[0].position, again.streams) == (4, followed.streams)


@pytest.mark.parametrize("content", [b"new\n", b"new, and longer than all that was there\n"])
def test_a_truncated_log_is_a_new_stream(path: Path, content: bytes) -> None:
    """Whether it is shorter now or has grown past the position again."""
    append(path, b"first", b"second")
    followed = Followed(path)
    followed.read()
    path.write_bytes(content)

    assert followed.read() == [content.rstrip(b"\n")]
    assert len(followed.streams) == 2
    assert followed.slices[-1].position == 0


def test_copytruncate_leaves_the_rest_in_the_copy(path: Path) -> None:
    """What was written between the last look and the copying is read from the copy."""
    append(path, b"1", b"2")
    followed = Followed(path)
    followed.read()
    append(path, b"3")
    shutil.copy2(path, path.with_suffix(".log.1"))
    path.write_bytes(b"")
    append(path, b"new")

    assert sorted(followed.read()) == [b"3", b"new"]
    assert [p.position for p in followed.slices if p.body == b"3"] == [4]
    assert len(followed.streams) == 2


def test_truncated_while_nobody_looked(path: Path) -> None:
    """A file that is not the one of the checkpoint any more is read from its beginning."""
    append(path, b"first", b"second")
    followed = Followed(path)
    followed.read()
    path.write_bytes(b"first\nsomething else, and more of it\n")

    again = followed.restarted(path)

    assert again.read() == [b"first", b"something else, and more of it"]
    assert again.slices[0].stream.generation == 1
    assert again.streams != followed.streams


def test_the_same_first_line_again_is_the_next_generation(path: Path) -> None:
    """A log that starts alike after each rotation is a stream of its own each time."""
    followed = Followed(path)
    for number in range(3):
        append(path, b"header", b"%d" % number)
        assert followed.read() == [b"header", b"%d" % number]
        path.rename(path.with_name(f"kept-{number}"))
        followed.read()

    assert len(followed.streams) == 3
    assert [p.stream.generation for p in followed.slices] == [0, 1, 2]


def test_the_stream_is_the_same_wherever_the_file_is(path: Path) -> None:
    """Read as the live log, as a rotated file or packed, without a checkpoint, it has one id."""
    append(path, b"one", b"two")
    live = Followed(path)
    live.read()
    rotated = path.with_suffix(".log.1")
    path.rename(rotated)
    as_rotated = Followed(path, ONCE, listed=[str(rotated)])
    as_rotated.read()
    with gzip.open(path.with_suffix(".log.2.gz"), "wb") as file:
        file.write(rotated.read_bytes())
    rotated.unlink()
    as_packed = Followed(path, ONCE, listed=[str(path.with_suffix(".log.2.gz"))])
    as_packed.read()

    assert live.streams == as_rotated.streams == as_packed.streams


def test_once_sends_the_last_line_as_it_stands(path: Path) -> None:
    """A single line without a newline goes out flagged; grown whole, it is the same stream's."""
    path.write_bytes(b"only")
    first = Followed(path, ONCE)
    lines = first.read()
    append(path, b" line")
    again = first.restarted(path, ONCE)
    whole = again.read()

    assert (lines, first.slices[0].flags) == ([b"only"], UNTERMINATED)
    assert (whole, again.slices[0].position, again.slices[0].flags) == ([b"only line"], 0, 0)
    assert again.streams == first.streams


def test_a_rotated_file_that_is_quiet_gives_its_last_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it cannot be expected to grow any more, and not before."""
    append(path, b"1")
    followed = Followed(path)
    followed.read()
    with path.open("ab") as file:
        file.write(b"no newline")
    path.rename(path.with_suffix(".log.1"))
    append(path, b"new")
    before = followed.read()
    monkeypatch.setattr(open_files, "ROTATED_QUIET", -1.0)

    assert before == [b"new"]
    assert followed.read() == [b"no newline"]
    assert followed.slices[-1].flags == UNTERMINATED
    assert followed.read() == []
    assert len(followed.log.files.readers) == 1


def test_a_file_that_is_closed_to_us(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once, and read when it is open again."""
    append(path, b"1")
    initialise = LogFile.__init__

    def refuse(_self: LogFile, name: str) -> None:
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr(LogFile, "__init__", refuse)
    followed = Followed(path)
    while_closed = [followed.read() for _ in range(3)]
    monkeypatch.setattr(LogFile, "__init__", initialise)

    assert while_closed == [[], [], []]
    assert sum("waiting for it" in record.message for record in caplog.records) == 1
    assert followed.read() == [b"1"]


def test_an_empty_log_is_no_stream_yet(path: Path) -> None:
    """Neither is one whose first line is not whole."""
    path.touch()
    followed = Followed(path)
    empty = followed.read()
    path.write_bytes(b"par")
    partial = followed.read()
    append(path, b"tial")

    assert (empty, partial) == ([], [])
    assert followed.read() == [b"partial"]
    assert len(followed.streams) == 1


def test_a_damaged_gzip_file_gives_what_can_be_read(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, kept as unfinished, and stops nothing."""
    packed = path.with_suffix(".log.1.gz")
    with gzip.open(packed, "wb") as file:
        for number in range(20_000):
            file.write(b"line %d\n" % number)
    packed.write_bytes(packed.read_bytes()[:-20])
    append(path, b"now")

    followed = Followed(path, ONCE, listed=[str(packed)])
    lines = followed.read()

    assert lines[-1] == b"now"
    assert lines[0] == b"line 0"
    assert any("cannot be read on" in record.message for record in caplog.records)
    assert not any(entry.finished for entry in followed.log.files.known.entries())


def test_files_are_closed_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a log is rotated, no more files stay open."""
    monkeypatch.setattr(open_files, "ROTATED_QUIET", -1.0)
    followed = Followed(path)
    open_counts = []
    for number in range(50):
        append(path, b"%d" % number)
        followed.read()
        path.rename(path.with_suffix(f".log.{50 - number}"))
        followed.read()
        open_counts.append(len(list(Path("/proc/self/fd").iterdir())))

    assert len(followed.streams) == 50
    assert open_counts[-1] <= open_counts[1]


def test_nothing_is_left_out_of_a_listed_history(path: Path) -> None:
    """Oldest first by the last change, whatever the numbers say, and the live log at the end."""
    for name, line, modified_at in (
        ("access.log.1", b"second", 200.0),
        ("access.log-20200101", b"first", 100.0),
        ("access.log.2", b"third", 300.0),
    ):
        append(path.with_name(name), line)
        os.utime(path.with_name(name), (modified_at, modified_at))
    append(path, b"live")
    listed = [str(file) for file in path.parent.iterdir()]

    followed = Followed(path, listed=listed)

    assert followed.read() == [b"first", b"second", b"third", b"live"]
    assert followed.log.files.unread == {}


def test_a_checkpoint_of_version_1_knows_by_the_time(path: Path) -> None:
    """It has no entry of the rotated files that were old: those changed since are new, once."""
    append(path, b"live")
    for name, modified_at in (("access.log.2", 100.0), ("access.log.1", 300.0)):
        append(path.with_name(name), name.encode())
        os.utime(path.with_name(name), (modified_at, modified_at))
    log = log_of(path, changed_since=200.0)
    log.files.ask_for([str(path)])
    first = Followed.of(log).read()
    append(path.with_name("access.log.3"), b"made with an old time")
    os.utime(path.with_name("access.log.3"), (50.0, 50.0))

    assert first == [b"access.log.1", b"live"]
    assert Followed.of(log).read() == [b"made with an old time"]


@pytest.mark.parametrize("suffix", [".log.1", ".log-20261124", ".log.1.gz"])
def test_a_rotated_file_is_read_on_from_its_place(path: Path, suffix: str) -> None:
    """It is found by its content, plain or packed, and is the same stream."""
    append(path, b"1", b"2")
    followed = Followed(path)
    followed.read()
    append(path, b"3")
    rotated = path.with_suffix(suffix)
    content = path.read_bytes()
    rotated.write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
    os.utime(rotated, (LONG_AGO, LONG_AGO))
    path.unlink()
    append(path, b"live")

    again = followed.restarted(path)

    assert again.read() == [b"3", b"live"]
    assert [slice_.position for slice_ in again.slices] == [4, 0]
    assert again.streams[0] == followed.streams[0]


def test_a_file_that_is_read_to_its_end_is_finished(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not opened again at the next start; the one that is still written is not finished."""
    append(path, b"1")
    followed = Followed(path)
    followed.read()
    path.rename(path.with_suffix(".log.1"))
    append(path, b"2")
    followed.read()
    before = [entry.finished for entry in followed.log.files.known.entries()]
    monkeypatch.setattr(open_files, "ROTATED_QUIET", -1.0)
    followed.read()

    assert before == [False, False]
    assert [entry.finished for entry in followed.log.files.known.entries()] == [True, False]
    assert len(followed.restarted(path).log.files.readers) == 1


def test_a_file_that_is_gone_is_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was not read of it cannot be had: that is said once, and never again."""
    append(path, b"1")
    followed = Followed(path)
    followed.read()
    path.unlink()
    append(path, b"another")

    again = followed.restarted(path)
    lines = again.read()
    again.restarted(path).read()

    assert lines == [b"another"]
    assert sum("is gone" in record.message for record in caplog.records) == 1


def test_a_log_that_is_gone_for_a_while(path: Path) -> None:
    """Between the rename and the next write there is no log: the old one is read meanwhile."""
    append(path, b"1")
    followed = Followed(path)
    followed.read()
    path.rename(path.with_suffix(".log.1"))
    append(path.with_suffix(".log.1"), b"2")
    meanwhile = followed.read()
    trouble = followed.log.files.trouble
    append(path, b"3")

    assert meanwhile == [b"2"]
    assert trouble == "No such file or directory"
    assert followed.read() == [b"3"]
    assert followed.log.files.trouble == ""


def test_a_rotated_file_that_is_closed_to_us(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds up nothing, is told once, and is read when it is open again."""
    rotated = path.with_suffix(".log.1")
    append(path, b"live")
    append(rotated, b"rotated")
    initialise = LogFile.__init__

    def refuse(self: LogFile, name: str) -> None:
        if name == str(rotated):
            raise PermissionError(13, "Permission denied", name)
        initialise(self, name)

    monkeypatch.setattr(LogFile, "__init__", refuse)
    monkeypatch.setattr(open_files, "LOOK_EVERY", -1.0)
    followed = Followed(path, listed=[str(rotated)])
    while_closed = [followed.read() for _ in range(3)]
    unread = followed.log.files.unread
    monkeypatch.setattr(LogFile, "__init__", initialise)

    assert while_closed == [[b"live"], [], []]
    assert unread == {str(rotated): "Permission denied"}
    assert sum("trying again" in record.message for record in caplog.records) == 1
    assert followed.read() == [b"rotated"]
    assert followed.log.files.unread == {}


def test_what_is_no_file_is_waited_for(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder with the name of the log is told once; the log that takes its place is read."""
    path.mkdir()
    followed = Followed(path)
    nothing = [followed.read() for _ in range(3)]
    trouble = followed.log.files.trouble
    path.rmdir()
    append(path, b"1")

    assert nothing == [[], [], []]
    assert trouble == "Not a regular file"
    assert sum("waiting for it" in record.message for record in caplog.records) == 1
    assert followed.read() == [b"1"]


def test_a_disk_that_fails_for_a_while(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once, the position stays, and reading goes on from there."""
    append(path, b"1")
    followed = Followed(path)
    followed.read()
    append(path, b"2")
    read = LogFile.read

    def fail(_self: LogFile, _offset: int, _length: int) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(LogFile, "read", fail)
    nothing = [followed.read() for _ in range(3)]
    trouble = followed.log.files.trouble
    monkeypatch.setattr(LogFile, "read", read)

    assert nothing == [[], [], []]
    assert trouble == "Input/output error"
    assert sum("waiting for it" in record.message for record in caplog.records) == 1
    assert followed.read() == [b"2"]
    assert (followed.log.files.trouble, len(followed.streams)) == ("", 1)


def test_a_backlog_is_measured(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes and in seconds, since there was last nothing more to read."""
    now = [1_000.0]
    monkeypatch.setattr("producer.reader.time.monotonic", lambda: now[0])
    append(path, b"1")
    followed = Followed(path)
    followed.read()
    followed.read()
    before = followed.log.behind_bytes, followed.log.behind_seconds
    now[0] += 30
    append(path, b"234")

    assert before == (0, 0.0)
    assert (followed.log.behind_bytes, followed.log.behind_seconds) == (4, 30.0)
    followed.read()
    assert (followed.log.behind_bytes, followed.log.behind_seconds) == (0, 0.0)


def test_a_stream_that_no_file_holds_is_forgotten(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was deleted is not remembered; what was moved away is, for it may come back."""
    monkeypatch.setattr(open_files, "ROTATED_QUIET", -1.0)
    followed = Followed(path)
    for number in range(8):
        append(path, b"%d" % number)
        followed.read()
        away = path.with_name(f"moved-{number}")
        path.rename(away)
        if number % 2:
            away.unlink()
    append(path, b"live")
    followed.read()
    followed.settle()

    assert [slice_.body for slice_ in followed.slices][-1] == b"live"
    assert {entry.stream_id for entry in followed.log.files.known.entries()} == {
        *followed.streams[0:8:2],
        followed.streams[8],
    }


def test_a_log_that_came_and_went_between_two_looks(path: Path) -> None:
    """During an outage nobody looks: a log may appear, be rotated and be missing again by then."""
    followed = Followed(path)
    nothing = followed.read()
    append(path.with_suffix(".log.1"), b"came and went")
    os.utime(path.with_suffix(".log.1"), (LONG_AGO, LONG_AGO))
    followed.settle()
    still_missing = followed.read()
    append(path, b"live")

    assert nothing == []
    assert [*still_missing, *followed.read()] == [b"came and went", b"live"]
