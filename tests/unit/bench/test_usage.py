"""What the kernel says of processes, read right."""

from __future__ import annotations

import os

from bench.usage import Memory, Meter, memory, memory_in


def test_a_name_with_spaces_and_parentheses_is_no_field() -> None:
    """The times are found behind the last parenthesis, whatever the process is called."""
    second = os.sysconf("SC_CLK_TCK")
    looks = iter([_stat(0, 0, 0, 0), _stat(second, second, second, second)])
    meter = Meter({"it": lambda: [(next(looks), "")]})

    assert meter.cpu_us(1) == {"it": 4e6}


def test_the_peaks_of_all_processes_of_a_part_add_up() -> None:
    """A server has the memory of all its processes, a service is one; a megabyte is a million."""
    stat = _stat(0, 0, 0, 0)
    meter = Meter({"it": lambda: [(stat, "VmHWM:\t 1000 kB\n"), (stat, "VmHWM:\t 3000 kB\n")]})

    assert meter.peak_mb() == {"it": 4.096}
    assert meter.largest_mb("it") == 3.072


def test_the_memory_of_processes_adds_up() -> None:
    """Resident, proportional and the peak are each read from where the kernel says them."""
    rollup = "00-ff ---p 00000000 00:00 0 [rollup]\nRss: 2000 kB\nPss: 1500 kB\nPss_Anon: 7 kB\n"
    status = "VmPeak:\t 9000 kB\nVmHWM:\t 3000 kB\nVmRSS:\t 1999 kB\n"

    found = memory_in(rollup, status)

    assert found == Memory(2.048, 1.536, 3.072)
    assert found + found == Memory(4.096, 3.072, 6.144)


def test_a_process_that_has_ended_has_no_memory() -> None:
    """It may end between two looks."""
    own = memory([os.getpid()])
    nobodys = 2**22 + 1

    assert 0 < own.pss <= own.rss <= own.peak
    assert memory([nobodys]) == Memory()


def _stat(*times: int) -> str:
    """Return a process's status: its times are the 14th to 17th field."""
    return f"7 (a) b) S {'1 ' * 10}{' '.join(map(str, times))} 20 0 1"
