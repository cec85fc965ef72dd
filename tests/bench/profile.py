"""`make bench-profile`: what each part of a line's way costs, and what of a process is the rest."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import TypeVar

from bench.ceiling import TABLES
from bench.command import end, workplace
from bench.corpus import Log, write
from bench.escaping import claims
from bench.guarded import BATCH_SLICES, SLICE_LINES, calibrate
from bench.installation import installed
from bench.parts import (
    BETWEEN,
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
from bench.processes import Alone, Together, all_at_once, one_at_a_time
from bench.profile_report import Found, row, table
from bench.results import SERVICES
from bench.rows import export, load
from bench.servers import Servers, running
from bench.usage import Meter
from deployment import Deployment

LINES = 100_000
ROUNDS = 5
BACKLOG_LINES = 200_000
LOADED = dict(zip(TABLES, ("a raw row by LOAD DATA", "a parsed row by LOAD DATA"), strict=True))


Ran = TypeVar("Ran", Alone, Together)


@dataclass
class Rounds:
    """What was measured in turns, so that a busy minute of the machine is in all of it."""

    #: By process and part.
    parts: list[dict[str, Costs]] = field(default_factory=list)
    alone: list[Alone] = field(default_factory=list)
    together: list[Together] = field(default_factory=list)
    #: Seconds that the same loop took.
    loop: list[float] = field(default_factory=list)


def in_turns(servers: Servers, folder: Path, log: Log, backlog: Log) -> tuple[Rounds, Costs]:
    """Measure the parts, and the services as they run, again and again.

    Returns the rounds, the first one that of a process that has just begun, and what rows cost by
    LOAD DATA.
    """
    found = Rounds()
    lines = log.path.read_bytes().splitlines()
    with (
        installed(servers, folder) as deployment,
        closing(Parts(deployment, servers, log)) as measured,
    ):
        found.parts.append(measured.round(0))
        schema = deployment.mysql.database
        files = {table: export(servers.database, schema, table) for table in TABLES}
        for turn in range(1, ROUNDS + 1):
            found.parts.append(measured.round(turn))
            with installed(servers, folder) as own:
                found.alone.append(one_at_a_time(own, servers, backlog))
            with installed(servers, folder) as own:
                found.together.append(all_at_once(own, servers, backlog))
            begin = time.thread_time()
            calibrate(lines)
            found.loop.append(time.thread_time() - begin)
        return found, {
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
    clean[BETWEEN] -= clean[ENRICHMENT]
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


def _calmest(runs: Sequence[Ran]) -> Ran:
    """Return the run in which the services took least."""
    return min(runs, key=lambda run: sum(run.cpu_us_per_line[name] for name in SERVICES))


def measure(servers: Servers, folder: Path) -> Iterator[str]:
    """Measure everything and yield what is to be printed."""
    log, backlog = write(folder / "parts.log", LINES), write(folder / "backlog.log", BACKLOG_LINES)
    yield f"RabbitMQ {servers.broker.version}, {servers.description}"
    with installed(servers, folder) as deployment:
        escaped = list(claims(log.path, deployment.mysql))
    rounds, load_data = in_turns(servers, folder, log, backlog)
    alone, together = _calmest(rounds.alone), _calmest(rounds.together)
    found, means = over(rounds.parts[1:], min), over(rounds.parts[1:], mean)
    found.by_process["database"] |= load_data
    yield f"CPU µs a line of {log.line_bytes:.0f} bytes: slices of {SLICE_LINES:,}, batches"
    yield f"of {BATCH_SLICES}, one thread; the least of {ROUNDS} rounds of {log.lines:,} lines."
    yield f"Backlogs of {backlog.lines:,} lines, the calmest of {ROUNDS}: {together.seconds:.1f} s"
    yield f"The same loop took up to {max(rounds.loop) / min(rounds.loop):.2f} times its least."
    yield from table(found, means, alone, together)
    yield "\nbesides"
    yield row("clean: each line of another public address, more by", found.elsewhere)
    yield row("clean: new texts, in a process's first lines", rounds.parts[0]["clean"][ENSURE])
    yield f"\n{'one way and another':<78}{'ratio':>6}"
    for claim in escaped:
        ratio = claim.ours / claim.theirs
        words = f"{claim.what}; {claim.other_way}"
        yield f"  {words:<64}{claim.ours:>6.2f}{claim.theirs:>6.2f}{ratio:>6.2f}"


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="bench.profile", description=__doc__)
    parser.add_argument("--db", choices=("mariadb", "mysql"), default="mariadb")
    arguments = parser.parse_args()
    with workplace("profile") as folder, running(arguments.db, folder) as servers:
        for line in measure(servers, folder):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    end(main)
