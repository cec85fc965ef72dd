"""Another revision's build and today's, in turns on the same servers: each figure as a ratio.

How fast the machine is just then hits both of a pair alike, and neither is always the first.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench import backlog, reading
from bench.corpus import Log, write
from bench.figures import quantile, ratio
from bench.installation import installed
from bench.results import RATE, SERVICES, Against, Backlog, Figure, Reading
from bench.revisions import TODAY, Build
from bench.rows import room
from bench.servers import Servers

#: Pairs of turns, at the least.
ROUNDS = 3
#: By how many clean consumers a backlog is parsed.
CLEAN = (1, 2)
#: One line of so many is one of those that are a message each.
SINGLE_SHARE = 100
#: Before anything counts, both builds store so many: what cannot run is told at once, and no turn
#: has servers that have never worked.
TRIED_LINES = 2_000

#: What was measured in one turn, by name.
Turn = Mapping[str, float]


def measure(
    servers: Servers, folder: Path, other: Build, lines: int, rounds: int = ROUNDS
) -> Against:
    """Measure both builds in turns.

    `folder` is a place for files. Raises RuntimeError when a build does not run.
    """
    log = write(folder / "against.log", lines)
    single = write(folder / "against-single.log", max(1, lines // SINGLE_SHARE))
    tried = write(folder / "against-tried.log", TRIED_LINES)
    for build in (other, TODAY):
        with installed(servers, folder, build) as deployment:
            backlog.measure(deployment, servers, tried)
    pairs = []
    for number, pair in enumerate(order((other, TODAY), rounds), 1):
        found: dict[Build, Turn] = {}
        for build in pair:
            found[build] = _turn(servers, folder, build, log, single)
            rate = f"{found[build][RATE]:,.0f} lines/s"
            sys.stderr.write(f"Pair {number} of {rounds}: {build.name}: {rate}\n")
        pairs.append((found[other], found[TODAY]))
    return compared(other, pairs)


def order(builds: tuple[Build, Build], rounds: int) -> Iterator[tuple[Build, Build]]:
    """Yield both builds for each round: A B, B A, A B, and so on."""
    one, two = builds
    for number in range(rounds):
        yield (two, one) if number % 2 else (one, two)


def compared(other: Build, pairs: Sequence[tuple[Turn, Turn]]) -> Against:
    """Return each figure of today's turns beside the other build's of the same pairs."""
    figures = {}
    for name in pairs[0][0]:
        theirs, ours = ([turn[name] for turn in turns] for turns in zip(*pairs, strict=True))
        found = [ratio(b, a) for a, b in zip(theirs, ours, strict=True)]
        ratios = [value for value in found if value is not None]
        figures[name] = Figure(quantile(theirs, 0.5), quantile(ours, 0.5), ratios)
    return Against(other.name, other.commit, figures)


def _turn(servers: Servers, folder: Path, build: Build, log: Log, single: Log) -> Turn:
    """Measure one build once, in installations of its own."""
    backlogs: dict[int, Backlog] = {}
    for count in CLEAN:
        with installed(servers, folder, build) as deployment:
            backlogs[count] = backlog.measure(deployment, servers, log, clean=count)
            if count == CLEAN[0]:
                schema = deployment.mysql.database
                raw_bytes = room(servers.database, schema, "raw_") / log.lines
                read = reading.measure(deployment, servers.database.usage, log)
    with installed(servers, folder, build) as deployment:
        slices = backlog.measure(deployment, servers, single, MAX_SLICE_LINES="1")
    return named(backlogs, raw_bytes, log.line_bytes, read, slices)


def named(
    backlogs: Mapping[int, Backlog],
    raw_bytes: float,
    line_bytes: float,
    read: Reading,
    slices: Backlog,
) -> Turn:
    """Return the figures of a turn by the names that report and file have for them."""
    one = backlogs[1]
    return (
        {RATE: max(found.lines_per_s for found in backlogs.values())}
        | {f"lines/s, clean consumers: {n}": found.lines_per_s for n, found in backlogs.items()}
        | _cpu("CPU µs a line", one)
        | {f"peak MB: {service}": one.peak_mb[service] for service in SERVICES}
        | {
            "raw lines: bytes a line": raw_bytes,
            "raw lines: room, of the log's bytes": raw_bytes / line_bytes,
            "reading a stream back, lines/s": read.lines_per_s,
            "reading a stream back, CPU µs a line": read.cpu_us_per_line,
            "one line by its key, CPU ms": read.key_cpu_ms,
            "slices of one line, lines/s": slices.lines_per_s,
        }
        | _cpu("slices of one line, CPU µs", slices)
    )


def _cpu(name: str, found: Backlog) -> dict[str, float]:
    parts = found.cpu_us_per_line
    return {f"{name}: {part}": us for part, us in parts.items()} | {
        f"{name}: together": sum(parts.values())
    }
