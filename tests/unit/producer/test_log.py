"""How a log is followed through rotation, truncation and restarts."""

from __future__ import annotations

import gzip
import logging
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from datastream.slices import UNTERMINATED, Slice
from producer import log as log_module
from producer.files import LogFile, Place
from producer.log import Log, Source
from producer.reader import Limits

LIMITS = Limits(slice_lines=1_000, slice_bytes=65_536, line_bytes=65_536)
FOLLOW = Source("test", "combined", LIMITS)
ONCE = Source("test", "combined", LIMITS, once=True)
LONG_AGO = 1_000_000.0


class Followed:
    """A log under test, with everything that it has handed out."""

    def __init__(
        self,
        path: Path,
        source: Source = FOLLOW,
        places: Sequence[Place] = (),
        saved_at: float = 0.0,
        listed: Sequence[str] = (),
    ) -> None:
        self.log = Log(str(path), source, places)
        self.log.take_up(saved_at, listed)
        self.pieces: list[Slice] = []

    def read(self, at_most: int = 1_000) -> list[bytes]:
        """Hand out and confirm what there is; return the lines of that."""
        lines = []
        for _ in range(at_most):
            handed = self.log.next()
            if handed is None:
                break
            reader, piece = handed
            reader.confirm()
            self.log.note(reader)
            self.pieces.append(piece)
            lines += piece.body.split(b"\n")
        return lines

    def restarted(self, path: Path, source: Source = FOLLOW, since: float = 0.0) -> Followed:
        """Return the log as the next process finds it."""
        return Followed(path, source, self.log.places(), saved_at=since or time.time())

    @property
    def streams(self) -> list[int]:
        """The streams of what was handed out, each once, in order."""
        return list(dict.fromkeys(piece.stream.stream_id for piece in self.pieces))


def append(path: Path, *lines: bytes) -> None:
    """Append whole lines to a file."""
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a log that is not there yet."""
    return tmp_path / "access.log"


def test_a_log_that_appears_and_grows(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is waited for, which is told once, and then read as it grows."""
    followed = Followed(path)
    nothing = [followed.read() for _ in range(3)]
    trouble = followed.log.trouble
    append(path, b"one")
    first = followed.read()
    append(path, b"two", b"three")

    assert nothing == [[], [], []]
    assert trouble == "No such file or directory"
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == [
        "Log cannot be read, waiting for it"
    ]
    assert (first, followed.read()) == ([b"one"], [b"two", b"three"])
    assert followed.log.trouble == ""
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
    assert [p.position for p in followed.pieces if p.stream.stream_id == followed.streams[0]] == [
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

    again = followed.restarted(path, since=LONG_AGO)

    assert again.read() == [b"3", b"between", b"now"]
    assert again.pieces[0].position == 4
    assert again.pieces[0].stream.stream_id == followed.streams[0]
    assert again.read() == []
    assert again.restarted(path, since=LONG_AGO).read() == []


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
    assert (again.pieces[0].position, again.streams) == (4, followed.streams)


@pytest.mark.parametrize("content", [b"new\n", b"new, and longer than all that was there\n"])
def test_a_truncated_log_is_a_new_stream(path: Path, content: bytes) -> None:
    """Whether it is shorter now or has grown past the position again."""
    append(path, b"first", b"second")
    followed = Followed(path)
    followed.read()
    path.write_bytes(content)

    assert followed.read() == [content.rstrip(b"\n")]
    assert len(followed.streams) == 2
    assert followed.pieces[-1].position == 0


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
    assert [p.position for p in followed.pieces if p.body == b"3"] == [4]
    assert len(followed.streams) == 2


def test_truncated_while_nobody_looked(path: Path) -> None:
    """A file that is not the one of the checkpoint any more is read from its beginning."""
    append(path, b"first", b"second")
    followed = Followed(path)
    followed.read()
    path.write_bytes(b"first\nsomething else, and more of it\n")

    again = followed.restarted(path)

    assert again.read() == [b"first", b"something else, and more of it"]
    assert again.pieces[0].stream.generation == 1
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
    assert [p.stream.generation for p in followed.pieces] == [0, 1, 2]


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

    assert (lines, first.pieces[0].flags) == ([b"only"], UNTERMINATED)
    assert (whole, again.pieces[0].position, again.pieces[0].flags) == ([b"only line"], 0, 0)
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
    monkeypatch.setattr(log_module, "ROTATED_QUIET", -1.0)

    assert before == [b"new"]
    assert followed.read() == [b"no newline"]
    assert followed.pieces[-1].flags == UNTERMINATED
    assert followed.read() == []
    assert len(followed.log.readers) == 1


def test_a_file_that_is_closed_to_us(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once, and read when it is open again."""
    append(path, b"1")
    initialise = LogFile.__init__

    def refuse(self: LogFile, name: str) -> None:
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
    assert not any(place.finished for place in followed.log.places())


def test_files_are_closed_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a log is rotated, no more files stay open."""
    monkeypatch.setattr(log_module, "ROTATED_QUIET", -1.0)
    followed = Followed(path)
    open_files = []
    for number in range(20):
        append(path, b"%d" % number)
        followed.read()
        path.rename(path.with_suffix(f".log.{20 - number}"))
        followed.read()
        open_files.append(len(list(Path("/proc/self/fd").iterdir())))

    assert len(followed.streams) == 20
    assert open_files[-1] <= open_files[1]
