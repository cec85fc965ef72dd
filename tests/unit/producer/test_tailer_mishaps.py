"""What goes wrong around several logs, and over an outage, and loses nothing."""

from __future__ import annotations

import errno
import gzip
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from producer.files import LogFile
from producer.settings import SliceLimits, Source
from producer.state import State
from producer.tailer import NoInput, Tailer
from unit.producer.followed import all_lines, append, rotated, set_clock

SLICE_LIMITS = SliceLimits(slice_lines=10, slice_bytes=65_536, line_bytes=65_536)
FOLLOW = Source("test", "combined", SLICE_LIMITS)
ONCE = Source("test", "combined", SLICE_LIMITS, once=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a log that is not there yet."""
    return tmp_path / "access.log"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock for the tailer and the logs; `at` is its time, which no file is written in."""
    made = SimpleNamespace(at=2_000_000_000.0)
    made.time = made.monotonic = lambda: made.at
    made.time_ns = lambda: int(made.at * 1e9)
    set_clock(monkeypatch, made)
    return made


def changed(path: Path, at: float) -> None:
    """Say when a file was last changed."""
    os.utime(path, (at, at))


def test_rotations_during_an_outage_that_ends_with_the_process(
    path: Path, clock: SimpleNamespace
) -> None:
    """The checkpoint that the last confirm leads to does not say that anybody looked since."""
    append(path, b"1")
    tailer = Tailer([str(path)], FOLLOW, State())
    all_lines(tailer)
    append(path, b"2")
    handed = next(tailer.slices())
    clock.at += 3_600  # until the slice is confirmed
    path.rename(rotated(path, 2))
    append(path, b"3")
    path.rename(rotated(path, 1))
    changed(rotated(path, 1), clock.at - 1_800)
    append(path, b"4")
    tailer.confirm()
    state = tailer.state()
    clock.at += 10

    again = Tailer([str(path)], FOLLOW, state)

    assert handed is not None
    assert handed.body == b"2"
    assert sorted(all_lines(again)) == [b"3", b"4"]


def test_logs_that_are_read_in_turns_with_one_state(path: Path, clock: SimpleNamespace) -> None:
    """That one of them was looked at does not say that the other was."""
    other = path.with_name("other.log")
    append(path, b"1")
    append(other, b"other")
    tailer = Tailer([str(path)], ONCE, State())
    all_lines(tailer)
    path.rename(rotated(path, 2))
    append(path, b"2")
    path.rename(rotated(path, 1))
    changed(rotated(path, 1), clock.at + 100)
    append(path, b"3")
    clock.at += 1_000
    second = Tailer([str(other)], ONCE, tailer.state())
    all_lines(second)

    third = Tailer([str(path)], ONCE, second.state())

    assert sorted(all_lines(third)) == [b"2", b"3"]


def test_a_log_that_matches_and_is_rotated_while_nobody_looked(
    path: Path, clock: SimpleNamespace
) -> None:
    """It is new to the pattern, and so is what is rotated of it, whatever its times say."""
    first = path.with_name("first.log")
    append(first, b"1")
    tailer = Tailer([str(path.with_name("*.log"))], FOLLOW, State())
    all_lines(tailer)
    append(rotated(path, 2), b"long ago")
    changed(rotated(path, 2), clock.at - 100)
    append(rotated(path, 1), b"2")
    changed(rotated(path, 1), clock.at + 100)
    append(path, b"3")
    clock.at += 1_000

    again = Tailer([str(path.with_name("*.log"))], FOLLOW, tailer.state())

    assert all_lines(again) == [b"long ago", b"2", b"3"]


def test_only_rotated_files_match_at_first(path: Path, clock: SimpleNamespace) -> None:
    """The log is followed as soon as it is there."""
    append(rotated(path), b"rotated")
    tailer = Tailer([f"{path}*"], FOLLOW, State())
    before = all_lines(tailer)
    append(path, b"live")
    clock.at += 10
    first = all_lines(tailer)
    append(path, b"more")

    assert (before, first, all_lines(tailer)) == ([b"rotated"], [b"live"], [b"more"])


@pytest.mark.parametrize(
    "content", [None, gzip.compress(b"1\n" * 1_000)[:-12]], ids=["missing", "damaged"]
)
def test_once_names_a_rotated_file_that_is_not_read_to_its_end(
    path: Path, content: bytes | None
) -> None:
    """It is missing or damaged: then not everything was read, and that is an error."""
    append(path, b"live")
    packed = rotated(path, "1.gz")
    if content is not None:
        packed.write_bytes(content)
    tailer = Tailer([str(packed), str(path)], ONCE, State())
    lines = []

    with pytest.raises(NoInput, match=r"access\.log\.1\.gz: (No such file|Cut short)") as raised:
        for slice_ in tailer.slices():
            assert slice_ is not None
            tailer.confirm()
            lines.append(slice_.body)

    assert lines[-1] == b"live"
    assert str(raised.value).count(str(path)) == 1


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    """It can be sent and remembered all the same, and is found again."""
    odd = tmp_path / os.fsdecode(b"caf\xe9.log")
    append(odd, b"1")
    first = Tailer([str(odd)], ONCE, State())
    slices = [slice_ for slice_ in first.slices() if slice_]
    first.confirm()
    append(odd, b"2")
    again = Tailer([str(odd)], ONCE, first.state())

    assert slices[0].stream.path == f"{tmp_path}/caf\\xe9.log"
    assert all_lines(again) == [b"2"]


def test_rotated_files_of_what_a_link_points_to(path: Path) -> None:
    """A log that is a symbolic link is rotated where it is; the rest is found there."""
    (path.parent / "data").mkdir()
    real = path.parent / "data" / "real.log"
    append(real, b"1")
    path.symlink_to(real)
    tailer = Tailer([str(path)], FOLLOW, State())
    all_lines(tailer)
    append(real, b"2")
    real.rename(rotated(real))
    append(real, b"3")

    again = Tailer([str(path)], FOLLOW, tailer.state())

    assert all_lines(again) == [b"2", b"3"]


def test_one_rotated_file_is_asked_for(path: Path) -> None:
    """Others are not read with it, however new they are."""
    append(rotated(path, 1), b"1")
    append(rotated(path, 2), b"2")
    changed(rotated(path, 2), 2_000_000_000.0)

    assert all_lines(Tailer([str(rotated(path, 1))], ONCE, State())) == [b"1"]


def test_a_line_far_longer_than_a_slice_takes_few_reads(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each read is as long as all before: nothing is copied once a slice."""
    line = b"x" * 1_000_000
    append(path, line)
    lengths: list[int] = []
    read = LogFile.read

    def note(file: LogFile, offset: int, length: int) -> bytes:
        lengths.append(length)
        return read(file, offset, length)

    monkeypatch.setattr(LogFile, "read", note)
    limits = SliceLimits(slice_lines=10, slice_bytes=1_024, line_bytes=2_000_000)

    assert all_lines(Tailer([str(path)], Source("test", "combined", limits), State())) == [line]
    assert len(lengths) < 30


def test_a_log_that_is_deleted_before_its_turn(path: Path) -> None:
    """Whoever waits for the broker looks meanwhile: what was opened is read, in its order."""
    append(path, b"1")
    other = path.with_name("access-other.log")
    tailer = Tailer([str(path), str(other)], FOLLOW, State())
    slices = tailer.slices()
    next(slices)
    for number in (b"2", b"3"):
        path.unlink()
        append(path, number)
        tailer.look()
    append(other, b"of the other")
    tailer.look()
    other.unlink()
    path.unlink()
    tailer.confirm()

    assert tailer.open_files == 4
    assert tailer.behind_bytes == 2 + 2 + 13
    assert sorted(all_lines(tailer)) == [b"2", b"3", b"of the other"]


def test_no_more_files_than_a_few_are_held(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was replaced, here. What is still there afterwards is read all the same."""
    monkeypatch.setattr("producer.tailer.OPEN_AT_MOST", 1)
    append(path, b"1")
    tailer = Tailer([str(path)], FOLLOW, State())
    next(tailer.slices())
    for number in (b"2", b"deleted"):
        path.unlink()
        append(path, number)
        tailer.look()
    path.rename(rotated(path))
    append(path, b"4")
    held = tailer.open_files
    rotated(path).unlink()
    tailer.confirm()

    assert held == 2
    assert all_lines(tailer) == [b"2", b"4"]


@pytest.mark.parametrize("is_restarted", [False, True], ids=["running", "restarted"])
def test_logs_of_a_day_each_are_forgotten_once_deleted(
    path: Path, clock: SimpleNamespace, *, is_restarted: bool
) -> None:
    """After a quiet minute neither a file, nor a log, nor an entry is left of them."""
    days = [path.with_name(f"access-202611{day:02}.log") for day in range(1, 31)]
    for day in days:
        append(day, day.name.encode())
    pattern = str(path.with_name("access-*.log"))
    tailer = Tailer([pattern], FOLLOW, State())
    before = all_lines(tailer)
    state = tailer.state()
    for day in days[:28]:
        day.unlink()
    if is_restarted:
        tailer.close()
        tailer = Tailer([pattern], FOLLOW, state)
    lines = []
    for _ in range(100):
        clock.at += 2
        lines += all_lines(tailer)

    assert (len(before), len(state.entries), lines) == (30, 30, [])
    assert tailer.open_files == 2
    assert sorted(tailer._logs) == [str(day) for day in days[28:]]
    assert sorted(entry.path for entry in tailer.state().entries) == sorted(map(str, days[28:]))


def test_many_rotated_files_are_read_once_each(path: Path) -> None:
    """With the state handed on nothing is sent again, and nothing of it is lost."""
    files = [rotated(path, number) for number in range(1, 151)]
    for file in files:
        append(file, file.name.encode())
    append(path, b"live")
    state, runs = State(), []
    for _ in range(3):
        tailer = Tailer([f"{path}*"], ONCE, state)
        runs.append(sorted(all_lines(tailer)))
        state = tailer.state()
        tailer.close()

    assert runs == [sorted([b"live", *(file.name.encode() for file in files)]), [], []]
    assert len(state.entries) == 151


def test_a_quiet_log_that_could_not_be_read_for_a_while(
    path: Path, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, and counts as read again before there is a new line."""

    def refuse(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    append(path, b"1")
    tailer = Tailer([str(path)], FOLLOW, State())
    slices = tailer.slices()

    def pass_by(seconds: float) -> None:
        end = clock.at + seconds
        while clock.at < end:
            if next(slices) is None:
                clock.at += 0.02
            else:
                tailer.confirm()

    pass_by(3.0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", refuse)
        append(path.with_name("other"), b"a new name in the folder: everything is compared")
        pass_by(2.0)
        while_unreadable = tailer.is_tailing
    pass_by(3.0)

    assert (while_unreadable, tailer.is_tailing) == (False, True)
