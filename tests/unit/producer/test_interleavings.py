"""What logrotate does while a producer looks: each line once, under one key.

A look is many calls, and a rotation many steps; any of the steps may fall between any two of the
calls. Orders in which no call sees anything else are the same one, and are driven once.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from datastream.slices import Slice
from producer import open_files
from producer.files import LogFile
from producer.reader import StreamReader
from producer.state import Entry, Generations
from unit.producer.followed import log_of, set_clock
from unit.producer.test_any_history import SOURCE, AnyHistory

Step = Callable[[], object]
#: At one call so many steps of logrotate happen at most; all others before the looks, or after.
STEPS_AT_A_CALL = {"running": 2, "starting": 1}

KINDS = (
    "create compress",
    "create delaycompress",
    "copytruncate compress",
    "copytruncate delaycompress",
    "nocreate compress",
    "create compress olddir",
)


class Rotated(AnyHistory):
    """A log that is being rotated while the producer looks at it."""

    def begin_as(self, kind: str) -> None:
        """A rotated file was read to its end, and a part of the log."""
        self.kind = kind.split()
        self.source = replace(SOURCE, rotated_dir="old" if "olddir" in self.kind else "")
        super().begin()
        self.old = self.folder / self.source.rotated_dir
        self.old.mkdir(exist_ok=True)
        self.write(b"x", 2)
        self.read(1)
        for step in self.steps():
            step()
        self.write(b"x", 9)
        self.now += 2 * open_files.ROTATED_QUIET
        self.read(3)
        self.save()

    def tick(self) -> None:
        """Let the monotonic time pass a little whenever it is asked for: no two rounds are one."""
        ticks = count()
        clock = SimpleNamespace(
            time=lambda: self.now,
            time_ns=lambda: int(self.now * 1e9),
            monotonic=lambda: self.now + 1e-6 * next(ticks),
        )
        set_clock(self.patch, clock)

    def start(self, entries: list[Entry], generations: dict[int, int], *, is_new: bool) -> None:
        """Start a producer on what the one before left."""
        self.generations = Generations(generations)
        self.log = log_of(
            self.path, self.source, entries, is_new=is_new, generations=self.generations
        )
        self.log.files.ask_for([str(self.path)])

    def steps(self) -> list[Step]:
        """Return what logrotate does to the log, step by step."""
        pack = [] if "delaycompress" in self.kind else self.packing(self.old / "access.log.1")
        before = self.packing(self.old / "access.log.1") if not pack else []
        if not (self.old / "access.log.1").exists():
            before = []
        shift = [
            lambda n=number: self.rename(f"access.log.{n}.gz", f"access.log.{n + 1}.gz")
            for number in (2, 1)
            if (self.old / f"access.log.{number}.gz").exists() or (number == 1 and before)
        ]
        move = self.copying() if "copytruncate" in self.kind else self.renaming()
        return [*before, *shift, *move, *pack]

    def rename(self, old: str, new: str) -> None:
        """Rename a rotated file."""
        (self.old / old).rename(self.old / new)

    def packing(self, plain: Path) -> list[Step]:
        """Return what gzip does."""
        packed = plain.with_name(f"{plain.name}.gz")

        def write(is_whole: bool) -> None:
            data = gzip.compress(plain.read_bytes(), mtime=0)
            packed.write_bytes(data if is_whole else data[: len(data) // 2])

        def finish() -> None:
            shutil.copystat(plain, packed)
            plain.unlink()

        return [
            packed.touch,
            lambda: write(is_whole=False),
            lambda: write(is_whole=True),
            finish,
        ]

    def copying(self) -> list[Step]:
        """Return what copytruncate does."""
        copy = self.old / "access.log.1"

        def write(is_whole: bool) -> None:
            data = self.path.read_bytes()
            copy.write_bytes(data if is_whole else data[: len(data) // 2])

        def truncate() -> None:
            os.truncate(self.path, 0)
            self.contents.append(b"")

        return [
            copy.touch,
            lambda: write(is_whole=False),
            lambda: write(is_whole=True),
            truncate,
            lambda: self.write(b"x", 2),
        ]

    def renaming(self) -> list[Step]:
        """Return what is done without copying; the server writes to the old file for a while."""

        def rename() -> None:
            self.path.rename(self.old / "access.log.1")
            self.contents.append(b"")
            self.reopened = False

        return [
            rename,
            *([] if "nocreate" in self.kind else [self.path.touch]),
            lambda: self.write(b"x", 2),
            self.reopen,
            lambda: self.write(b"x", 2),
        ]

    def end(self) -> None:
        """Everything is read to its end at last, and is what was written."""
        self.write(b"the end", 1)
        for _ in range(2):
            self.now += 2 * open_files.ROTATED_QUIET
            self.read(100_000)
        self.compare()
        assert [reader.file.path for reader in self.log.files.readers] == [str(self.path)]

    def close(self) -> None:
        """Leave nothing behind."""
        self.log.files.close()
        self.server.close()
        self.patch.undo()
        shutil.rmtree(self.folder)


@dataclass
class Moment:
    """What is there after some of the steps: each file by its name, and what each file holds."""

    names: dict[str, int]
    files: dict[int, tuple[bytes, int, int]]


class Interleaved:
    """The calls of the producer, with the steps of logrotate between them."""

    def __init__(
        self, machine: Rotated, moments: list[Moment], plan: dict[int, int], most: int
    ) -> None:
        """`plan`: before which calls logrotate takes steps, and how many are done then."""
        self.machine = machine
        self.steps = machine.steps()
        self.moments = moments
        self.plan = plan
        self.most = most
        self.calls = self.done = 0
        self.is_inside = True
        self.numbers: dict[int, int] = {}
        #: The calls at which some steps more would show something else.
        self.others: list[tuple[int, int]] = []

    def advance(self, done: int) -> None:
        """Let logrotate take steps, until so many are done."""
        self.is_inside = True
        while self.done < done:
            step(self.machine, self.steps[self.done], self.done)
            self.done += 1
        if self.moments:
            for name, number in self.moments[self.done].names.items():
                self.numbers[(self.machine.folder / name).stat().st_ino] = number
        self.is_inside = False

    def call(self, look: Callable[[Moment], object]) -> None:
        """Note that the producer looks at something now."""
        if self.is_inside:
            return
        self.calls += 1
        if self.calls in self.plan:
            self.advance(self.plan[self.calls])
        elif self.calls > max(self.plan):
            seen = [look(self.moments[self.done])]
            last = min(self.done + self.most, len(self.steps))
            for done in range(self.done + 1, last + 1):
                found = look(self.moments[done])
                if found not in seen:
                    seen.append(found)
                    self.others.append((self.calls, done))

    def patch(self, patch: pytest.MonkeyPatch) -> None:
        """Notice every call that sees something of the log's folders."""
        folder = str(self.machine.folder)

        def named(path: object) -> Callable[[Moment], object]:
            name = os.path.relpath(str(path), folder)
            return lambda m: (m.names.get(name), m.files.get(m.names.get(name, 0)))

        def listed(path: object) -> Callable[[Moment], object]:
            name = os.path.relpath(str(path), folder)
            return lambda m: [n for n in m.names if str(Path(n).parent) == name]

        def opened(file: object) -> Callable[[Moment], object]:
            assert isinstance(file, int)
            number = self.numbers.get(fstat(file).st_ino, 0)
            return lambda m: m.files.get(number)

        fstat = os.fstat

        def wrap(
            owner: object, name: str, what: Callable[[object], Callable[[Moment], object]]
        ) -> None:
            original: Callable[..., object] = getattr(owner, name)

            def wrapped(first: object, *args: object, **options: object) -> object:
                if not self.is_inside:
                    is_ours = isinstance(first, (int, LogFile)) or str(first).startswith(folder)
                    if is_ours:
                        self.call(what(first))
                return original(first, *args, **options)

            patch.setattr(owner, name, wrapped)

        wrap(os, "stat", named)
        wrap(os, "scandir", listed)
        wrap(io, "open", named)
        wrap(os, "fstat", opened)
        wrap(os, "pread", opened)
        wrap(LogFile, "read", lambda file: opened(_descriptor(file)))


def _descriptor(file: object) -> int:
    assert isinstance(file, LogFile)
    return file._raw.fileno()


def step(machine: Rotated, do: Step, count: int) -> None:
    """Take a step, all within the time for which the folder's last change is the same."""
    changed = machine.folder.stat(), machine.old.stat()
    now = machine.now
    do()
    machine.now = now
    for path in machine.old.iterdir():
        if not path.name.endswith(".gz") and path.name == "access.log.1" and path.is_file():
            os.utime(path, (now + count, now + count))
    for folder, status in zip((machine.folder, machine.old), changed, strict=True):
        os.utime(folder, ns=(status.st_atime_ns, status.st_mtime_ns))


def moments_of(kind: str) -> list[Moment]:
    """Return what is there before and after each step."""
    machine = Rotated()
    machine.begin_as(kind)
    numbers: dict[int, int] = {}
    kept = []
    moments = []

    def note() -> None:
        names, files = {}, {}
        for path in sorted(machine.folder.rglob("*")):
            if path.is_file():
                inode = path.stat().st_ino
                if inode not in numbers:
                    kept.append(path.open("rb"))
                    numbers[inode] = len(numbers) + 1
                names[str(path.relative_to(machine.folder))] = numbers[inode]
        for file in kept:
            status = os.fstat(file.fileno())
            data = os.pread(file.fileno(), 1_000_000, 0)
            files[numbers[status.st_ino]] = (data, status.st_nlink, status.st_mtime_ns)
        moments.append(Moment(names, files))

    try:
        note()
        for count, do in enumerate(machine.steps()):
            step(machine, do, count)
            note()
    finally:
        for file in kept:
            file.close()
        machine.close()
    return moments


def drive(kind: str, way: str, moments: list[Moment], plan: dict[int, int]) -> list[dict[int, int]]:
    """Drive one order; return those that differ from it at a later call."""
    machine = Rotated()
    machine.begin_as(kind)
    machine.tick()
    try:
        driven = Interleaved(machine, moments, plan, STEPS_AT_A_CALL[way])
        handed = machine.log.next() if way == "running" else None
        if way == "starting":
            machine.log.files.close()
        driven.advance(plan.get(0, 0))
        with pytest.MonkeyPatch.context() as patch:
            driven.patch(patch)
            if way == "starting":
                entries, generations, is_sighted = machine.saved
                machine.start(entries, generations, is_new=is_sighted)
            for _ in range(2):
                machine.log.files.is_undecided = True
                machine.log.files.look()
        if handed is not None:
            driven.is_inside = True
            store(machine, handed)
        driven.advance(len(driven.steps))
        machine.now += 1
        machine.end()
    finally:
        machine.close()
    return [{**plan, call: done} for call, done in driven.others]


def store(machine: Rotated, handed: tuple[StreamReader, Slice]) -> None:
    """Confirm the slice that was in hand."""
    reader, slice_ = handed
    stream = machine.stored.setdefault(slice_.stream.stream_id, {})
    stream.update(slice_.numbered())
    reader.confirm()
    machine.log.files.note(reader)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "way"),
    [
        *((kind, "running") for kind in KINDS),
        ("create compress", "starting"),
        ("copytruncate compress", "starting"),
    ],
)
def test_every_order_of_logrotate_and_two_looks(kind: str, way: str) -> None:
    """Whatever logrotate does between the calls of two looks, each generation is one stream."""
    moments = moments_of(kind)
    plans: list[dict[int, int]] = [{0: done} for done in range(len(moments))]
    driven = 0
    while plans:
        plan = plans.pop()
        try:
            others = drive(kind, way, moments, plan)
        except AssertionError as error:
            raise AssertionError(f"steps done before calls: {plan}") from error
        driven += 1
        if len(plan) == 1:
            plans += others

    assert driven > len(moments)
