"""`make bench-profile`: what each part of a line's way costs, and what of a process is the rest."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import mean
from typing import NamedTuple, TypeVar

from bench.ceiling import TABLES
from bench.corpus import Log, write
from bench.escaping import claims
from bench.guarded import BATCH_SLICES, SLICE_LINES
from bench.installation import installed
from bench.parts import (
    DECODING,
    ENRICHMENT,
    ENSURE,
    LINE,
    OWN_ADDRESSES,
    RECEIVING,
    ROW,
    Costs,
    Parts,
)
from bench.processes import THREADS, Alone, Together, all_at_once, one_at_a_time
from bench.rows import export, load
from bench.servers import ROOT, Servers, running
from bench.usage import Meter
from datastream_operator.local.errors import CannotServe, DidNotStart
from deployment import Deployment

LINES = 100_000
ROUNDS = 5
BACKLOG_LINES = 200_000
RUNS = 3
SERVICES = ("producer", "lake", "clean")
LOADED = dict(zip(TABLES, ("a raw row by LOAD DATA", "a parsed row by LOAD DATA"), strict=True))


Ran = TypeVar("Ran", Alone, Together)


class Found(NamedTuple):
    """What the parts cost, and what is added where no line has the address of another one."""

    by_process: dict[str, Costs]
    elsewhere: float


def parts(
    deployment: Deployment, servers: Servers, log: Log
) -> tuple[list[dict[str, Costs]], Costs]:
    """Return the costs by process and part, first those of a process that has just begun.

    And those of rows by LOAD DATA.
    """
    with closing(Parts(deployment, servers, log)) as measured:
        rounds = [measured.round(0)]
        schema = deployment.mysql.database
        files = {table: export(servers.database, schema, table) for table in TABLES}
        rounds += [measured.round(turn) for turn in range(1, ROUNDS + 1)]
    return rounds, {
        LOADED[table]: loaded(deployment, servers, log, table, path)
        for table, path in files.items()
    }


def over(rounds: Sequence[dict[str, Costs]], which: Callable[[list[float]], float]) -> Found:
    """Return one figure for each part out of those of the rounds: the least, or the mean.

    What was measured one in another is taken apart.
    """
    found = {
        process: {part: which([each[process][part] for each in rounds]) for part in costs}
        for process, costs in rounds[0].items()
    }
    lake, clean = found["lake"], found["clean"]
    for costs in (lake, clean):
        costs[RECEIVING] -= costs[DECODING]
    elsewhere = clean.pop(OWN_ADDRESSES) - clean[ENRICHMENT]
    clean[ENRICHMENT] -= clean[ROW]
    clean[ROW] -= clean[LINE]
    return Found(found, elsewhere)


def loaded(deployment: Deployment, servers: Servers, log: Log, table: str, path: str) -> float:
    """Return what a row by LOAD DATA into an empty table costs the server: the least of rounds."""
    costs = []
    for turn in range(ROUNDS):
        name = f"profile_{turn}_{table}"
        deployment.query(f"CREATE TABLE {name} LIKE {table}")
        meter = Meter({table: servers.database.usage})
        load(servers.database, deployment.mysql.database, name, path)
        costs.append(meter.cpu_us(log.lines)[table])
    return min(costs)


def table(found: Found, means: Found, alone: Alone, together: Together) -> Iterator[str]:
    """Yield the lines of the table."""
    in_backlog = together.cpu_us_per_line
    for process, costs in found.by_process.items():
        yield f"\n{process}"
        for part, cost in costs.items():
            yield _row(part, cost)
        if process not in SERVICES:
            yield _row("in the backlog, both tables", in_backlog[process])
            continue
        total = sum(costs.values())
        rest = in_backlog[process] - total
        waiting = alone.idle_ms_per_s[process] * 1e3 * together.seconds / BACKLOG_LINES
        yield _row("the parts together", total)
        yield _row("  their mean instead of the least", sum(means.by_process[process].values()))
        yield _row("the process, the others waiting", alone.cpu_us_per_line[process])
        yield _row("the process, in the backlog", in_backlog[process])
        for words in THREADS.values():
            yield _row(f"  {words}", in_backlog[f"{process}: {words}"])
        yield _row(f"the rest, {rest / in_backlog[process]:.0%}", rest)
        yield _row("  with nothing to do for as long, so at most", waiting)


def _row(part: str, cost: float) -> str:
    return f"  {part:<56}{cost:>7.2f}"


def _calmest(servers: Servers, folder: Path, run: Callable[[Deployment], Ran]) -> Ran:
    """Return the run, of several, in which the services took least."""
    runs = []
    for _ in range(RUNS):
        with installed(servers, folder) as deployment:
            runs.append(run(deployment))
    return min(runs, key=lambda ran: sum(ran.cpu_us_per_line[name] for name in SERVICES))


def measure(servers: Servers, folder: Path) -> Iterator[str]:
    """Measure everything and yield what is to be printed."""
    log, backlog = write(folder / "parts.log", LINES), write(folder / "backlog.log", BACKLOG_LINES)
    yield f"RabbitMQ {servers.broker.version}, {servers.description}"
    with installed(servers, folder) as deployment:
        rounds, load_data = parts(deployment, servers, log)
        escaped = list(claims(log.path, deployment.mysql))
    alone = _calmest(
        servers, folder, lambda deployment: one_at_a_time(deployment, servers, backlog)
    )
    together = _calmest(
        servers, folder, lambda deployment: all_at_once(deployment, servers, backlog)
    )
    found, means = over(rounds[1:], min), over(rounds[1:], mean)
    found.by_process["database"] |= load_data
    yield f"CPU µs a line of {log.line_bytes:.0f} bytes: slices of {SLICE_LINES:,}, batches"
    yield f"of {BATCH_SLICES}, one thread; the least of {ROUNDS} rounds of {log.lines:,} lines."
    yield f"Backlogs of {backlog.lines:,} lines, the calmest of {RUNS}: {together.seconds:.1f} s"
    yield from table(found, means, alone, together)
    yield "\nbesides"
    yield _row("clean: each line of another public address, more by", found.elsewhere)
    yield _row("clean: new texts, in a process's first lines", rounds[0]["clean"][ENSURE])
    yield f"\n{'one way and another':<78}{'ratio':>6}"
    for claim in escaped:
        ratio = claim.ours / claim.theirs
        words = f"{claim.what}; {claim.other_way}"
        yield f"  {words:<64}{claim.ours:>6.2f}{claim.theirs:>6.2f}{ratio:>6.2f}"


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="bench.profile", description=__doc__)
    parser.add_argument("--database", choices=("mariadb", "mysql"), default="mariadb")
    arguments = parser.parse_args()
    output = ROOT / ".run"
    output.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="profile-", dir=output) as name:
        folder = Path(name)
        with running(arguments.database, folder) as servers:
            for line in measure(servers, folder):
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (CannotServe, DidNotStart) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # what a shell says of Ctrl-C
