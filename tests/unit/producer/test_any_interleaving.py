"""Several logs, one checkpoint on disk, any order of events: each line once, under one key."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from datastream.slices import UNTERMINATED, Slice
from producer.checkpoint import Checkpoint
from producer.settings import SliceLimits, Source
from producer.tailer import Tailer
from unit.producer.followed import set_clock

SLICE_LIMITS = SliceLimits(slice_lines=3, slice_bytes=32, line_bytes=24)
SOURCE = Source("test", "combined", SLICE_LIMITS)
NAMES = ("a.log", "b.log")

Key = tuple[int, int]


class NotCounted:
    """Is told of checkpoints, and does not care."""

    def checkpointed(self) -> None:
        """Count nothing."""

    def checkpoint_failed(self) -> None:
        """Not here."""
        raise AssertionError


@dataclass
class Clock:
    """The time of day; no rotated file is ever quiet for long."""

    now: float = 1_000_000.0
    passed: float = 0.0

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return self.now

    def time_ns(self) -> int:
        """Return the nanoseconds since the epoch."""
        return int(self.now) * 10**9

    def monotonic(self) -> float:
        """Return seconds that pass slowly."""
        self.passed += 1e-5
        return self.passed


@dataclass
class Writer:
    """A server with a log that is rotated by renaming; it reopens its log at once."""

    path: Path
    clock: Clock
    #: What each file of it holds, the one written now last.
    contents: list[bytes] = field(default_factory=lambda: [b""])

    def append(self, data: bytes) -> None:
        """Write; each file begins with a line of its own."""
        if not self.contents[-1]:
            data = b"%s %d begins\n" % (self.path.stem.encode(), len(self.contents)) + data
        with self.path.open("ab") as file:
            file.write(data)
        self.clock.now += 10
        os.utime(self.path, (self.clock.now, self.clock.now))
        self.contents[-1] += data

    def rotate(self) -> None:
        """Rename the log, and those before it; the next write makes another."""
        if not self.contents[-1]:
            return
        for number in range(len(self.contents) - 1, 0, -1):
            self.path.with_suffix(f".log.{number}").rename(
                self.path.with_suffix(f".log.{number + 1}")
            )
        self.path.rename(self.path.with_suffix(".log.1"))
        self.contents.append(b"")

    def expected(self) -> list[dict[int, bytes]]:
        """Return, of each file, the bytes of each line, cut at the limit, by its offset.

        A last line without its newline counts when it is over the limit already.
        """
        files = []
        for content in filter(None, self.contents):
            lines = {}
            offset = 0
            for line in content.split(b"\n"):
                lines[offset] = line[: SLICE_LIMITS.line_bytes]
                offset += len(line) + 1
            if len(line) <= SLICE_LIMITS.line_bytes:
                del lines[offset - len(line) - 1]
            files.append(lines)
        return files


class Producers:
    """One producer after the other, on the same state folder."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.lines: dict[Key, bytes] = {}
        self.files: dict[int, str] = {}
        self.start()

    def start(self) -> None:
        """Start, after whatever ended the one before."""
        self._stack.close()
        state = self._folder / "state"
        self.checkpoint = self._stack.enter_context(
            closing(Checkpoint(state, "test", NotCounted()))
        )
        patterns = [str(self._folder / name) for name in NAMES]
        self.tailer = self._stack.enter_context(
            closing(Tailer(patterns, SOURCE, self.checkpoint.found))
        )
        self._slices = self.tailer.slices()
        self.save()

    def read(self, at_most: int, *, confirmed: bool = True) -> bool:
        """Publish some slices; return whether there were as many."""
        for _ in range(at_most):
            slice_ = next(self._slices)
            if slice_ is None:
                return False
            self._store(slice_)
            if confirmed:
                self.tailer.confirm()
        return True

    def save(self) -> None:
        """Write the checkpoint."""
        self.checkpoint.save(self.tailer.state())

    def _store(self, slice_: Slice) -> None:
        """Store lines as a consumer does: what has a key already must be the same."""
        assert slice_.lines <= SLICE_LIMITS.slice_lines
        assert slice_.flags != UNTERMINATED, "nothing ends here"
        stream = slice_.stream
        assert self.files.setdefault(stream.stream_id, stream.path) == stream.path
        for offset, line in slice_.numbered():
            assert self.lines.setdefault((stream.stream_id, offset), line) == line


ACTIONS = ("lines", "part", "rotate", "read", "look", "save", "stop", "crash", "crash unconfirmed")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(ACTIONS),
        st.sampled_from(NAMES),
        st.integers(1, 6),
    ),
    max_size=40,
)


def write(writer: Writer, action: str, number: int, text: bytes) -> None:
    """Let a server write, or its log be rotated."""
    match action:
        case "lines":
            writer.append(b"".join(b"%s.%d\n" % (text, n) for n in range(number)))
        case "part":
            writer.append(text + b" part" * number)
        case "rotate":
            writer.rotate()


def produce(producers: Producers, action: str, number: int) -> None:
    """Let the producer read, save, end or crash."""
    match action:
        case "read":
            producers.read(number)
        case "look":
            producers.tailer.look()
        case "save":
            producers.save()
        case "stop":
            producers.save()
            producers.start()
        case "crash":
            producers.start()
        case "crash unconfirmed":
            producers.read(1, confirmed=False)
            producers.start()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
@example(steps=[("lines", "a.log", 1)] * 3 + [("part", "a.log", 5), ("rotate", "a.log", 1)])
def test_every_line_once_whatever_the_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]]
) -> None:
    """Nothing is lost or changed by rotations, orderly ends, crashes and lost confirms."""
    folder = tmp_path_factory.mktemp("logs")
    clock = Clock()
    writers = {name: Writer(folder / name, clock) for name in NAMES}
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        set_clock(patch, clock)
        producers = Producers(folder, stack)
        for count, (action, name, number) in enumerate(steps):
            if action in ("lines", "part", "rotate"):
                write(writers[name], action, number, b"%d" % count)
            else:
                clock.passed += 1.1  # logs that were quiet are looked at
                produce(producers, action, number)
        for writer in writers.values():
            writer.append(b" the end\n")
        clock.passed += 1.1
        while producers.read(1_000):
            pass

    streams: dict[int, dict[int, bytes]] = {}
    for (stream, offset), line in producers.lines.items():
        streams.setdefault(stream, {})[offset] = line
    for name, writer in writers.items():
        found = [
            lines
            for stream, lines in streams.items()
            if producers.files[stream] == os.fspath(folder / name)
        ]
        assert sorted(map(str, map(sorted, map(dict.items, found)))) == sorted(
            map(str, map(sorted, map(dict.items, writer.expected())))
        )
