"""What is handed out is counted here, not only its keys: nothing is sent twice without a crash."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from producer.settings import SliceLimits, Source
from producer.state import State
from producer.tailer import Tailer
from unit.producer.followed import all_lines, append, rotated

SLICE_LIMITS = SliceLimits(slice_lines=10, slice_bytes=65_536, line_bytes=65_536)
FOLLOW = Source("test", "combined", SLICE_LIMITS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a log that is not there yet."""
    return tmp_path / "access.log"


def numbered(name: bytes, lines: int) -> list[bytes]:
    """Return lines that are unlike any others."""
    return [b"%s %d" % (name, number) for number in range(lines)]


def rename(log: Path) -> None:
    """Rotate by renaming."""
    log.rename(rotated(log))


def copy_and_truncate(log: Path) -> None:
    """Rotate by copying."""
    shutil.copy2(log, rotated(log))
    os.truncate(log, 0)


def pack(log: Path) -> None:
    """Rotate by renaming, and pack at once."""
    rename(log)
    rotated(log, "1.gz").write_bytes(gzip.compress(rotated(log).read_bytes()))
    rotated(log).unlink()


@pytest.mark.parametrize("rotate", [rename, copy_and_truncate, pack])
@pytest.mark.parametrize("is_restarted", [False, True], ids=["running", "restarted"])
def test_a_rotated_file_is_not_sent_again(
    path: Path, rotate: Callable[[Path], None], *, is_restarted: bool
) -> None:
    """Although the pattern matches its new name, and however it was rotated."""
    pattern = f"{path}*"
    path.touch()
    tailer = Tailer([pattern], FOLLOW, State())
    sent = []
    written = []
    for day in range(4):
        lines = numbered(b"day %d" % day, 25)
        append(path, *lines)
        written += lines
        sent += all_lines(tailer)
        for age in range(day, 0, -1):
            for suffix in ("", ".gz"):
                if rotated(path, f"{age}{suffix}").exists():
                    rotated(path, f"{age}{suffix}").rename(rotated(path, f"{age + 1}{suffix}"))
        rotate(path)
        sent += all_lines(tailer)
        if is_restarted:
            tailer.close()
            tailer = Tailer([pattern], FOLLOW, tailer.state())
            sent += all_lines(tailer)

    assert sent == written


def give_inode(old: Path, new: Path, *lines: bytes) -> None:
    """Delete a file and make another, which gets its inode, as file systems do."""
    inode = old.stat().st_ino
    old.rename(new)
    os.truncate(new, 0)
    append(new, *lines)
    assert new.stat().st_ino == inode


def test_an_inode_that_another_log_got(path: Path) -> None:
    """Neither is the old position used for the new log, nor is anything sent again for it."""
    other = path.with_name("other.log")
    patterns = [str(path), str(other)]
    append(path, *numbered(b"old", 50))
    tailer = Tailer(patterns, FOLLOW, State())
    first = all_lines(tailer)
    tailer.close()
    others, news = numbered(b"of the other log", 40), numbered(b"new", 30)
    give_inode(path, other, *others)
    append(path, *news)
    again = Tailer(patterns, FOLLOW, tailer.state())
    second = all_lines(again)
    again.close()
    append(path, b"last")
    append(other, b"last")
    third = all_lines(Tailer(patterns, FOLLOW, again.state()))

    assert first == numbered(b"old", 50)
    assert sorted(second) == sorted(others + news)
    assert third == [b"last", b"last"]


@pytest.mark.parametrize("lines", [3, 200], ids=["shorter", "longer"])
def test_an_inode_that_the_next_log_got(path: Path, lines: int) -> None:
    """Of a rotated file that was removed: the new log is read from its beginning, and all of it."""
    append(path, *numbered(b"old", 50))
    tailer = Tailer([str(path)], FOLLOW, State())
    all_lines(tailer)
    tailer.close()
    path.rename(rotated(path))
    give_inode(rotated(path), path, *numbered(b"new", lines))
    again = Tailer([str(path)], FOLLOW, tailer.state())
    second = all_lines(again)
    again.close()
    third = all_lines(Tailer([str(path)], FOLLOW, again.state()))

    assert second == numbered(b"new", lines)
    assert third == []
