"""Which logs are looked at now: one in which something happened always, a quiet one hardly ever."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from producer.folders import Folders
from producer.log import Log
from producer.open_files import OpenFiles
from producer.schedule import LOOK_AT_QUIET_EVERY, QUIET_AFTER, Schedule
from producer.state import Generations
from unit.producer.followed import FOLLOW, Followed, append, rotated, set_clock


class Clock:
    """The monotonic time; it passes when told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        """Return it."""
        return self.now

    def time_ns(self) -> int:
        """Return the nanoseconds since the epoch."""
        return int(self.now * 1e9)


class Logs:
    """Two logs, read to their ends, and what is due of them."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._clock = clock
        self.folders = Folders()
        self.schedule = Schedule(self.folders)
        self.paths = [folder / "a.log", folder / "b.log"]
        self.logs = [self._followed(path) for path in self.paths]
        self.pass_by(QUIET_AFTER)
        self.pass_by(LOOK_AT_QUIET_EVERY)

    def _followed(self, path: Path) -> Log:
        append(path, b"%s begins" % path.stem.encode())
        log = Log(
            OpenFiles(
                str(path),
                FOLLOW,
                [],
                generations=Generations({}),
                folders=self.folders,
                is_new=True,
            )
        )
        log.files.ask_for([str(path)])
        Followed.of(log).read()
        self.schedule.keep_busy(log)
        return log

    def pass_by(self, seconds: float, at_most: int = 1_000) -> list[str]:
        """Let time pass; read slices of what is due then, and return the names of these logs."""
        self._clock.now += seconds
        self.folders.begin_round()
        due = self.schedule.due(self.logs)
        for log in due:
            Followed.of(log).read(at_most)
        return sorted(Path(log.files.path).name for log in due)


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Logs:
    """Two logs that are quiet."""
    clock = Clock()
    set_clock(monkeypatch, clock)
    # A name that comes has another time than those before, however soon it comes.
    monkeypatch.setattr("producer.folders.COARSE", -1.0)
    return Logs(tmp_path, clock)


def test_a_quiet_log_is_not_due(logs: Logs) -> None:
    """Not even when it is time to compare all of it."""
    assert logs.pass_by(LOOK_AT_QUIET_EVERY) == []
    assert logs.pass_by(2.0) == []
    assert logs.pass_by(LOOK_AT_QUIET_EVERY) == []


def test_a_log_is_busy_until_it_was_quiet_for_a_while(logs: Logs) -> None:
    """Also between two looks at quiet ones."""
    logs.schedule.keep_busy(logs.logs[0])

    assert logs.pass_by(0.001) == ["a.log"]
    assert logs.pass_by(QUIET_AFTER - 0.01) == ["a.log"]
    assert logs.pass_by(LOOK_AT_QUIET_EVERY) == []


def grow(path: Path) -> None:
    """Write a line."""
    append(path, b"more")


def shrink(path: Path) -> None:
    """Truncate."""
    os.truncate(path, 0)


def rotate(path: Path) -> None:
    """Rename, and create anew with as many bytes."""
    content = path.read_bytes()
    path.rename(rotated(path))
    path.write_bytes(content[::-1])


def delete(path: Path) -> None:
    """Delete."""
    path.unlink()


@pytest.mark.parametrize("happen", [grow, shrink, rotate, delete])
def test_a_log_in_which_something_happened_is_due_at_the_next_look(
    logs: Logs, happen: Callable[[Path], None]
) -> None:
    """Whichever it is; the other one, of the same folder, is asked again at most."""
    happen(logs.paths[0])

    assert "a.log" in logs.pass_by(LOOK_AT_QUIET_EVERY)


def test_what_was_written_over_with_as_many_bytes_is_due_within_a_second(logs: Logs) -> None:
    """Its length says nothing, nor its folder: all of it is compared."""
    before = logs.paths[0].stat()
    logs.paths[0].write_bytes(b"x" * before.st_size)
    os.utime(logs.paths[0], ns=(before.st_atime_ns, before.st_mtime_ns))

    assert logs.pass_by(1.0) == ["a.log"]


def test_after_something_was_done_to_the_logs_all_are_asked_at_once(logs: Logs) -> None:
    """What was opened and closed meanwhile may have the descriptor of another file."""
    grow(logs.paths[0])
    assert logs.pass_by(0.001) == []

    logs.schedule.disturb()

    assert logs.pass_by(0.001) == ["a.log"]


def test_lines_that_were_read_and_not_sent_keep_a_log_awake(logs: Logs) -> None:
    """However long a slice is in hand: nothing of the file will ever change."""
    append(logs.paths[0], *(b"%d" % number for number in range(2_500)))
    assert logs.pass_by(LOOK_AT_QUIET_EVERY, at_most=1) == ["a.log"]

    rounds = [logs.pass_by(2 * QUIET_AFTER, at_most=1) for _ in range(4)]

    assert rounds == [["a.log"], ["a.log"], [], []]
    assert logs.logs[0].behind_bytes == 0


def test_a_log_that_is_dropped_is_not_due(logs: Logs) -> None:
    """Neither a busy one nor a quiet one."""
    busy, quiet = logs.logs
    logs.schedule.keep_busy(busy)
    logs.logs.clear()
    for log in (busy, quiet):
        logs.schedule.drop(log)

    assert logs.pass_by(0.001) == []
    assert logs.pass_by(2.0) == []
    assert logs.schedule.is_decided
