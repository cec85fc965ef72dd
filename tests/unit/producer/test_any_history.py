"""Whatever a server, logrotate and the machine do to a log: each line once, under one key."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from datastream.slices import TRUNCATED, UNTERMINATED
from producer import open_files
from producer.settings import SliceLimits, Source
from producer.state import Entry, Generations
from unit.producer.followed import log_of, set_clock

SLICE_LIMITS = SliceLimits(slice_lines=3, slice_bytes=64, line_bytes=40)
SOURCE = Source("test", "combined", SLICE_LIMITS)

Lines = dict[int, bytes]


def lines_of(content: bytes) -> Lines:
    """Return what must be stored of a file's content: the offset of each line, and its bytes."""
    lines = {}
    offset = 0
    for line in content.split(b"\n"):
        lines[offset] = line[: SLICE_LIMITS.line_bytes]
        offset += len(line) + 1
    if not content or content.endswith(b"\n"):
        del lines[len(content)]
    return lines


class AnyHistory(RuleBasedStateMachine):
    """A server writes, logrotate rotates, and the producer reads, stops, crashes and starts."""

    @initialize()
    def begin(self) -> None:
        """Nothing is there yet; the producer already waits for the log."""
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "access.log"
        self.now = 1_000_000_000.0
        #: How wrong the time of day is, in seconds.
        self.skew = 0.0
        self.patch = pytest.MonkeyPatch()
        clock = SimpleNamespace(
            time=lambda: self.now + self.skew,
            monotonic=lambda: self.now,
            time_ns=lambda: int((self.now + self.skew) * 1e9),
        )
        set_clock(self.patch, clock)
        #: What each generation of the log holds or held.
        self.contents: list[bytes] = []
        self.count = 0
        self.stored: dict[int, Lines] = {}
        self.unterminated: set[tuple[int, int]] = set()
        self.generations = Generations({})
        self.start([], {}, is_new=False)
        self.settle()
        self.save()
        self.server: BinaryIO = self.path.open("ab", buffering=0)
        self.contents.append(b"")
        self.reopened = True

    def start(self, entries: list[Entry], generations: dict[int, int], *, is_new: bool) -> None:
        """Start a producer on what the one before left."""
        self.generations = Generations(generations)
        self.log = log_of(self.path, SOURCE, entries, is_new=is_new, generations=self.generations)
        self.log.files.ask_for([str(self.path)])

    def settle(self) -> None:
        """Look until it is decided what is what."""
        self.log.files.is_undecided = True
        for _ in range(20):
            self.log.files.look()
        assert not self.log.files.is_undecided, "looks never agree"

    def set_time(self, path: Path | int) -> None:
        """Let a file have changed now, by a clock that may be wrong."""
        os.utime(path, (self.now + self.skew, self.now + self.skew))

    def teardown(self) -> None:
        """Everything is read to its end at last, and is what was written."""
        if not hasattr(self, "log"):
            return
        try:
            if not self.reopened:
                self.reopen()
            self.write(b"the end", 1)
            for _ in range(3):
                self.now += 2 * open_files.ROTATED_QUIET
                self.read(100_000)
            self.compare()
            assert [reader.file.path for reader in self.log.files.readers] == [str(self.path)]
            assert len(self.log.files.known.entries()) <= len(list(self.folder.iterdir()))
        finally:
            self.log.files.close()
            self.server.close()
            self.patch.undo()
            shutil.rmtree(self.folder)

    def compare(self) -> None:
        """Assert that each generation was stored as one stream, byte for byte."""
        written = [lines_of(content) for content in self.contents if content]
        stored = list(self.stored.values())

        assert sorted(map(repr, map(sorted, map(dict.items, stored)))) == sorted(
            map(repr, map(sorted, map(dict.items, written)))
        )

    # The server.

    def append(self, data: bytes) -> None:
        """Write, and let time pass."""
        self.server.write(data)
        self.contents[-1 if self.reopened else -2] += data
        self.now += 10
        self.set_time(self.server.fileno())

    @rule(text=st.sampled_from([b"", b"x", b"word " * 4, b"long " * 20]), lines=st.integers(1, 8))
    def write(self, text: bytes, lines: int) -> None:
        """Some lines; each log begins with the same one."""
        data = b""
        if not self.contents[-1 if self.reopened else -2]:
            data = b"# header\n"
        for _ in range(lines):
            self.count += 1
            data += b"%d %s\n" % (self.count, text)
        self.append(data)

    @rule(text=st.sampled_from([b"par", b"tial" * 15]))
    def write_a_part(self, text: bytes) -> None:
        """A part of a line; the rest of it comes with the next."""
        self.count += 1
        self.append(b"%d %s" % (self.count, text))

    # Logrotate.

    def shift(self) -> None:
        """Make way for access.log.1."""
        for number in range(len(list(self.folder.iterdir())), 0, -1):
            for suffix in ("", ".gz"):
                old = self.folder / f"access.log.{number}{suffix}"
                if old.exists():
                    old.rename(self.folder / f"access.log.{number + 1}{suffix}")

    @precondition(lambda self: self.reopened)
    @rule(create=st.booleans())
    def rotate(self, create: bool) -> None:
        """By renaming; the server writes to the old file until it is told."""
        self.shift()
        self.path.rename(self.folder / "access.log.1")
        self.now += 10
        if create:
            self.path.touch()
            self.set_time(self.path)
        self.contents.append(b"")
        self.reopened = False

    @precondition(lambda self: not self.reopened)
    @rule()
    def reopen(self) -> None:
        """The server is told."""
        self.server.close()
        self.server = self.path.open("ab", buffering=0)
        self.reopened = True

    @precondition(lambda self: self.reopened)
    @rule()
    def copy_and_truncate(self) -> None:
        """Without renaming."""
        self.shift()
        shutil.copyfile(self.path, self.folder / "access.log.1")
        self.now += 10
        self.set_time(self.folder / "access.log.1")
        os.truncate(self.path, 0)
        self.contents.append(b"")

    @rule(number=st.integers(1, 4))
    def pack(self, number: int) -> None:
        """Any rotated file that the server does not write to."""
        plain = self.folder / f"access.log.{number}"
        if not plain.exists() or plain.samefile(f"/dev/fd/{self.server.fileno()}"):
            return
        status = plain.stat()
        packed = plain.with_name(f"{plain.name}.gz")
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        os.utime(packed, (status.st_atime, status.st_mtime))
        plain.unlink()

    @precondition(lambda self: self.reopened and self.contents[-1].endswith(b"\n"))
    @rule()
    def delete(self) -> None:
        """The live file, of which all was read; the server makes another one."""
        self.read(100_000)
        self.save()
        self.path.unlink()
        self.server.close()
        self.server = self.path.open("ab", buffering=0)
        self.contents.append(b"")

    @precondition(lambda self: self.reopened)
    @rule()
    def replace_by_copy(self) -> None:
        """As rsync and editors do: the same content, and what comes then, in another file."""
        copy = self.folder / ".access.log.new"
        shutil.copy2(self.path, copy)
        copy.rename(self.path)
        self.server.close()
        self.server = self.path.open("ab", buffering=0)

    @rule(seconds=st.sampled_from([-86_400.0, -3_600.0, -5.0, 5.0, 3_600.0, 86_400.0]))
    def set_clock(self, seconds: float) -> None:
        """The time of day steps, forth and back."""
        self.skew = seconds

    # The producer.

    @rule(slices=st.integers(1, 6))
    def read(self, slices: int) -> None:
        """Some slices are published and confirmed."""
        undecided = 0
        while slices > 0:
            handed = self.log.next()
            if handed is None and self.log.files.is_undecided:
                undecided += 1
                assert undecided < 20, "looks never agree"
                continue
            if handed is None:
                break
            slices -= 1
            reader, slice_ = handed
            if slice_.stream.stream_id not in {entry.stream_id for entry in self.saved[0]}:
                self.save()  # as the pipeline does before it publishes
            assert slice_.lines <= SLICE_LIMITS.slice_lines
            assert not slice_.flags or slice_.lines == 1
            stream = self.stored.setdefault(slice_.stream.stream_id, {})
            for offset, line in slice_.numbered():
                key = (slice_.stream.stream_id, offset)
                if key in self.unterminated:
                    assert line.startswith(stream[offset])
                    stream[offset] = line
                assert stream.setdefault(offset, line) == line
                assert not slice_.flags & TRUNCATED or len(line) == SLICE_LIMITS.line_bytes
                if slice_.flags == UNTERMINATED:
                    self.unterminated.add(key)
            reader.confirm()
            self.log.files.note(reader)

    @rule()
    def look(self) -> None:
        """A slice waits for the broker; what is there is opened meanwhile."""
        self.log.files.look()

    @rule()
    def save(self) -> None:
        """The checkpoint is written."""
        self.saved = (
            self.log.files.known.entries(),
            self.generations.highest,
            self.log.files.is_sighted,
        )

    @rule(is_clean=st.booleans())
    def restart(self, is_clean: bool) -> None:
        """After an orderly end, or at the checkpoint of some time before."""
        if is_clean:
            self.save()
        self.log.files.close()
        entries, generations, is_sighted = self.saved
        self.start(entries, generations, is_new=is_sighted)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(stateful_step_count=40, deadline=None)


HISTORIES = [
    "write_a_part; read 1; copy_and_truncate",
    "write_a_part; copy_and_truncate; copy_and_truncate; read 1; pack 2",
    "write 1; read 1; copy_and_truncate; write 1; copy_and_truncate",
    "rotate; read 1; write_a_part; reopen; pack 1; rotate; reopen",
    "write 2; restart; save; read 1; restart; copy_and_truncate; write 1; read 1",
    "rotate; reopen; read 1; write 1; copy_and_truncate; write 1; read 1; restart",
    "rotate; reopen; read 1; write 1; copy_and_truncate; rotate; write 1; read 2; restart; read 1",
    "write 1; copy_and_truncate; read 1; pack 1; write 1",
    "write 1; read 1; rotate; write 1; reopen; rotate_away; read 1; reopen; write 1; restart",
    "write_a_part; rotate; reopen; write 1; read 1; save; restart",
    "write 3; read 1; save; restart; copy_and_truncate; write 3",
    "write 1; read 1; copy_and_truncate; save; rotate_away; write 1; reopen; write 1; read 1;"
    " restart",
    "read 1; rotate_away; write 1; reopen; rotate_away; write 1; read 1; restart; read 1",
    "write 9; read 1; copy_and_truncate; write 1; copy_and_truncate; write 1; read 1; read 9",
]


@pytest.mark.parametrize("history", HISTORIES)
def test_histories_that_lost_or_doubled_a_line_once(history: str) -> None:
    """Each of these was found by the machine, or by a person, in an earlier reader."""
    machine = AnyHistory()
    steps: dict[str, Callable[[int], None]] = {
        "write": lambda lines: machine.write(b"x", lines),
        "write_a_part": lambda _: machine.write_a_part(b"par"),
        "rotate": lambda _: machine.rotate(create=True),
        "rotate_away": lambda _: machine.rotate(create=False),
        "reopen": lambda _: machine.reopen(),
        "copy_and_truncate": lambda _: machine.copy_and_truncate(),
        "pack": machine.pack,
        "delete": lambda _: machine.delete(),
        "replace": lambda _: machine.replace_by_copy(),
        "clock": machine.set_clock,
        "read": machine.read,
        "look": lambda _: machine.look(),
        "save": lambda _: machine.save(),
        "restart": lambda _: machine.restart(is_clean=False),
    }
    machine.begin()
    for step in history.split("; "):
        action, _, number = step.partition(" ")
        steps[action](int(number or 1))

    machine.teardown()  # compares
