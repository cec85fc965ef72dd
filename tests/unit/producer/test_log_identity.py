"""What a log's files are is told by their content: not by names, numbers, times or counts."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from producer import open_files
from producer.files import LogFile
from producer.state import State
from producer.tailer import Tailer
from unit.producer.followed import FOLLOW, LONG_AGO, Followed, all_lines, append, rotated

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: By the ends of their names.
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zst": zstd.compress,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a log that is not there yet."""
    return tmp_path / "access.log"


@pytest.mark.parametrize(
    "name",
    [
        "access.log.1",
        "access.1.log",
        "access-20261126.log",
        "access.log_2026-11-26",
        "access.log-1795824000",
        "old/access.log.1",
    ],
)
@pytest.mark.parametrize("packing", ["", *PACKINGS])
def test_rotated_to_any_name_while_the_producer_was_down(
    path: Path, name: str, packing: str
) -> None:
    """The rest of the file that was being read is found, whatever logrotate has called it."""
    source = replace(FOLLOW, rotated_dir="old")
    (path.parent / "old").mkdir()
    append(path, b"first", b"second")
    followed = Followed(path, source)
    followed.read()
    append(path, b"the rest")
    after = path.parent / name
    path.rename(after)
    if packing:
        packed = PACKINGS[packing](after.read_bytes())
        after.with_name(f"{after.name}.{packing}").write_bytes(packed)
        after.unlink()
    append(path, b"new")
    again = followed.restarted(path, source)

    assert sorted(again.read()) == [b"new", b"the rest"]
    assert again.streams.index(followed.streams[0]) == 0


@pytest.mark.parametrize("shift", [-86_400.0, 0.0, 86_400.0])
def test_a_clock_that_steps_while_the_producer_is_down(path: Path, shift: float) -> None:
    """A file that was rotated meanwhile is read, of whatever time it is."""
    append(path, b"a")
    followed = Followed(path)
    followed.read()
    append(path, b"b")
    path.rename(rotated(path, 2))
    append(rotated(path, 1), b"c")
    append(path, b"d")
    for number, file in enumerate((rotated(path, 2), rotated(path, 1), path)):
        os.utime(file, (LONG_AGO + shift + number, LONG_AGO + shift + number))
    again = followed.restarted(path)

    assert again.read() == [b"b", b"c", b"d"]


def test_generations_never_return(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of many logs with one first line is a stream of its own, also once most are gone."""
    monkeypatch.setattr(open_files, "ROTATED_QUIET", 0.0)
    append(path, b"header", b"0")
    followed = Followed(path)
    followed.read()
    streams = list(followed.streams)
    for number in range(1, 111):
        path.rename(rotated(path))
        # Now and then no file is left that begins so.
        append(path, b"header" if number % 10 < 6 else b"other", b"%d" % number)
        followed.read()
        followed.settle()
        streams += [stream for stream in followed.streams if stream not in streams]
        if number % 10 == 0:
            followed = followed.restarted(path)
            followed.read()

    assert len(streams) == 111
    assert len(followed.log.files.known.entries()) < 100


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "restarted"])
def test_replaced_by_its_own_content(path: Path, *, is_running: bool) -> None:
    """As rsync does: the same stream goes on in the new file."""
    append(path, b"a", b"b")
    followed = Followed(path)
    followed.read()
    copy = path.with_name(".access.log.x1y2z3")
    shutil.copyfile(path, copy)
    append(copy, b"c")
    copy.replace(path)
    after = followed if is_running else followed.restarted(path)

    assert after.read() == [b"c"]
    assert set(after.streams) == {*followed.streams}


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_copy_and_its_packed_copy_beside_the_log(path: Path, packing: str) -> None:
    """They stay what they are, and are not read."""
    append(path, b"a", b"b")
    followed = Followed(path)
    followed.read()
    shutil.copyfile(path, rotated(path))
    rotated(path, f"1.{packing}").write_bytes(PACKINGS[packing](path.read_bytes()))
    followed.settle()

    assert followed.read() == []
    append(path, b"c")
    assert followed.read() == [b"c"]


def test_a_gzip_file_that_grows_member_by_member(tmp_path: Path) -> None:
    """Each member is read as it comes, and after a restart only what is new."""
    path = tmp_path / "access.log.gz"
    path.write_bytes(gzip.compress(b"a\nb\n"))
    followed = Followed(path)
    first = followed.read()
    with path.open("ab") as file:
        file.write(gzip.compress(b"c\n"))
    second = followed.read()
    with path.open("ab") as file:
        file.write(gzip.compress(b"d\n"))
    again = followed.restarted(path)

    assert (first, second, again.read()) == ([b"a", b"b"], [b"c"], [b"d"])
    assert again.streams == followed.streams


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_one_file_by_two_names(tmp_path: Path, link: object) -> None:
    """A pattern that matches a log and a link to it stands for one log."""
    append(tmp_path / "a.log", b"one", b"two")
    assert callable(link)
    link(tmp_path / "a.log", tmp_path / "b.log")
    tailer = Tailer([f"{tmp_path}/*.log"], FOLLOW, State())

    assert all_lines(tailer) == [b"one", b"two"]
    assert len(tailer.state().entries) == 1


def test_a_current_file_with_a_date(tmp_path: Path) -> None:
    """It is read as it grows, though there is no log without the date."""
    path = tmp_path / "access_log.2026-11-28"
    append(path, b"one")
    tailer = Tailer([f"{tmp_path}/access_log*"], FOLLOW, State())
    first = all_lines(tailer)
    append(path, b"two")

    assert (first, all_lines(tailer)) == ([b"one"], [b"two"])


def test_a_descriptor_that_is_stale_for_good(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is opened anew and read on at its position, as the same stream."""
    append(path, b"a")
    followed = Followed(path)
    followed.read()
    stale = followed.log.files.readers[0].file
    read = LogFile.read

    def fail(self: LogFile, offset: int, length: int) -> bytes:
        if self is stale:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return read(self, offset, length)

    monkeypatch.setattr(LogFile, "read", fail)
    append(path, b"b")

    assert followed.read() == [b"b"]
    assert len(followed.streams) == 1
