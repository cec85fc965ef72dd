"""The table of `make bench-profile`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bench.parts import Costs
from bench.processes import THREADS, Alone, Together
from bench.results import SERVICES


class Found(NamedTuple):
    """What the parts cost, and what is added where no line has the address of another one."""

    by_process: dict[str, Costs]
    elsewhere: float


def table(found: Found, means: Found, alone: Alone, together: Together) -> Iterator[str]:
    """Yield the lines of the table."""
    in_backlog = together.cpu_us_per_line
    for process, costs in found.by_process.items():
        yield f"\n{process}"
        for part, cost in costs.items():
            yield row(part, cost)
        if process not in SERVICES:
            yield row("in the backlog, both tables", in_backlog[process])
            continue
        total = sum(costs.values())
        rest = in_backlog[process] - total
        waiting = alone.idle_ms_per_s[process] * 1e3 * together.seconds / together.lines
        yield row("the parts together", total)
        yield row("  their mean instead of the least", sum(means.by_process[process].values()))
        yield row("the process, the others waiting", alone.cpu_us_per_line[process])
        yield row("the process, in the backlog", in_backlog[process])
        for words in THREADS.values():
            yield row(f"  {words}", in_backlog[f"{process}: {words}"])
        yield row(f"the rest, {round(100 * rest / in_backlog[process])}%", rest)
        yield row("  with nothing to do for as long, so at most", waiting)


def row(part: str, cost: float) -> str:
    """Return one line: a part and its cost."""
    return f"  {part:<56}{cost:>7.2f}"
