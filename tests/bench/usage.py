"""What processes have used so far: CPU time and memory, as the kernel counts them in /proc."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

#: Reads one part of the system: the texts of /proc/PID/stat and /proc/PID/status of its processes.
Reader = Callable[[], Iterable[tuple[str, str]]]

_TICKS = os.sysconf("SC_CLK_TCK")
_KB = re.compile(r"^(Rss|Pss|VmHWM):\s+(\d+) kB$", re.MULTILINE)
_PEAK_KB = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def of_processes(pids: Callable[[], Sequence[int]]) -> Reader:
    """Return a reader of processes of this machine; `pids` says which there are just now."""

    def read() -> list[tuple[str, str]]:
        texts = []
        for pid in pids():
            with suppress(OSError):  # ended just now
                folder = Path("/proc") / str(pid)
                texts.append(((folder / "stat").read_text(), (folder / "status").read_text()))
        return texts

    return read


def of_threads(pid: int, *, first: bool) -> Reader:
    """Return a reader of a process's first thread, or of all its others."""

    def read() -> list[tuple[str, str]]:
        texts = []
        for task in (Path("/proc") / str(pid) / "task").iterdir():
            if (int(task.name) == pid) == first:
                with suppress(OSError):  # ended just now
                    texts.append(((task / "stat").read_text(), (task / "status").read_text()))
        return texts

    return read


@dataclass(frozen=True)
class Memory:
    """What processes have in memory, in megabytes."""

    #: What `ps` shows: a page that is mapped twice, as Erlang maps compiled code, counts twice.
    rss: float = 0.0
    #: A page that is mapped several times counts once in all: what they take of the machine.
    pss: float = 0.0
    #: The most that `rss` has been.
    peak: float = 0.0

    def __add__(self, other: Memory) -> Memory:
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Memory(*(one + more for one, more in pairs))


def memory(pids: Iterable[int]) -> Memory:
    """Return what these processes of this machine have in memory together."""
    total = Memory()
    for pid in pids:
        folder = Path("/proc") / str(pid)
        with suppress(OSError):  # ended just now
            total += memory_in(
                (folder / "smaps_rollup").read_text(), (folder / "status").read_text()
            )
    return total


def memory_in(rollup: str, status: str) -> Memory:
    """Return what the texts of a process's smaps_rollup and status say."""
    found = dict(_KB.findall(rollup + status))
    return Memory(*(int(found[name]) * 1024 / 1e6 for name in ("Rss", "Pss", "VmHWM")))


class Meter:
    """Counts from its making on what the parts of a system use."""

    def __init__(self, parts: Mapping[str, Reader], *, since_start: bool = False) -> None:
        """Since start: what the processes have used before counts as well."""
        self._parts = parts
        self._before = {
            name: 0.0 if since_start else _cpu_seconds(read()) for name, read in parts.items()
        }

    def cpu_us(self, lines: int) -> dict[str, float]:
        """Return by part the CPU time for each of so many lines, in microseconds."""
        return {
            name: (_cpu_seconds(read()) - self._before[name]) / lines * 1e6
            for name, read in self._parts.items()
        }

    def peak_mb(self) -> dict[str, float]:
        """Return by part the most memory that its processes have had together, in megabytes."""
        return {name: sum(_peaks_mb(read())) for name, read in self._parts.items()}

    def largest_mb(self, part: str) -> float:
        """Return the most memory that any one process of a part has had, in megabytes."""
        return max(_peaks_mb(self._parts[part]()))


def _cpu_seconds(texts: Iterable[tuple[str, str]]) -> float:
    """Return the time in user mode and in the kernel, that of children that have ended included."""
    ticks = 0
    for stat, _ in texts:
        # The second field, the name, may hold spaces and parentheses.
        fields = stat.rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS


def _peaks_mb(texts: Iterable[tuple[str, str]]) -> list[float]:
    found = (_PEAK_KB.search(status) for _, status in texts)
    return [int(match[1]) * 1024 / 1e6 for match in found if match]
