"""The private servers as they are for a demo and for tests, beside those for rates.

In turns, each on new data, under what a demo runs: a backlog and two clean consumers.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from bench import backlog
from bench.corpus import Log, write
from bench.installation import Running, installed
from bench.servers import running
from bench.usage import Memory, memory
from datastream_playground.local.sizes import LARGE, SMALL, Size

SIZES: Mapping[str, Size] = MappingProxyType({"large": LARGE, "small": SMALL})
SERVERS = ("broker", "database")
LINES = 300_000
#: How often each is measured: how fast the machine is just then hits both alike.
TIMES = 3


@dataclass(frozen=True)
class Turn:
    """One backlog, on servers of one size."""

    lines_per_s: float
    #: By part, once all is stored.
    memory: dict[str, Memory]
    cpu_us_per_line: dict[str, float]


#: By size, the turns in order.
Turns = Mapping[str, list[Turn]]


def turns(folder: Path, lines: int) -> Turns:
    """Measure each size TIMES times."""
    log = write(folder / "backlog.log", lines)
    found: dict[str, list[Turn]] = {name: [] for name in SIZES}
    for time in range(TIMES):
        for name, size in SIZES.items():
            turn = _measure(folder / f"{name}-{time}", log, size)
            sys.stderr.write(f"{name}: {turn.lines_per_s:,.0f} lines/s\n")
            found[name].append(turn)
    return found


def _measure(folder: Path, log: Log, size: Size) -> Turn:
    folder.mkdir()
    with running("mariadb", folder, size) as servers, installed(servers, folder) as deployment:
        services = Running(deployment, servers, clean=2)
        meter = services.meter()
        seconds = backlog.store(services, deployment, log)
        used = {name: memory(pids()) for name, pids in services.pids.items()}
        turn = Turn(log.lines / seconds, used, meter.cpu_us(log.lines))
        services.stop()
        return turn
