"""`make bench-profile`: what each part of a line's way costs, and what of a process is the rest."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from bench.ceiling import TABLES
from bench.corpus import Log, write
from bench.escaping import Claim, claims
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
from bench.processes import THREADS, all_at_once, one_at_a_time
from bench.rows import export, load
from bench.servers import ROOT, Servers, running
from bench.usage import Meter
from datastream_operator.local.errors import CannotServe, DidNotStart
from deployment import Deployment

LINES = 100_000
BACKLOG_LINES = 200_000
ROUNDS = 5
SERVICES = ("producer", "lake", "clean")
LOADED = dict(zip(TABLES, ("a raw row by LOAD DATA", "a parsed row by LOAD DATA"), strict=True))


def parts(deployment: Deployment, servers: Servers, log: Log) -> tuple[dict[str, Costs], Costs]:
    """Return the least that each part costs, by process, and what a first round costs in clean."""
    with closing(Parts(deployment, servers, log)) as measured:
        first = measured.round(0)["clean"]
        schema = deployment.mysql.database
        files = {table: export(servers.database, schema, table) for table in TABLES}
        rounds = [measured.round(turn) for turn in range(1, ROUNDS + 1)]
    found = {name: least([each[name] for each in rounds]) for name in rounds[0]}
    for table, path in files.items():
        found["database"][LOADED[table]] = loaded(deployment, servers, log, table, path)
    return found, first


def least(rounds: Sequence[Costs]) -> Costs:
    """Return the least cost of each part."""
    return {part: min(each[part] for each in rounds) for part in rounds[0]}


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


def one_by_one(found: dict[str, Costs]) -> Costs:
    """Turn what was measured one in another into parts; return what other addresses add."""
    lake, clean = found["lake"], found["clean"]
    for costs in (lake, clean):
        costs[RECEIVING] -= costs[DECODING]
    more = clean.pop(OWN_ADDRESSES) - clean[ENRICHMENT]
    clean[ENRICHMENT] -= clean[ROW]
    clean[ROW] -= clean[LINE]
    return {"parsing and enrichment, where each line has another public address, more by": more}


def table(found: dict[str, Costs], alone: Costs, together: Costs) -> Iterator[str]:
    """Yield the lines of the table."""
    for process, costs in found.items():
        yield ""
        yield process
        for part, cost in costs.items():
            yield _row(part, cost)
        if process in SERVICES:
            total = sum(costs.values())
            rest = together[process] - total
            yield _row("the parts together", total)
            yield _row("the process, while the others wait", alone[process])
        yield _row("the process, in a backlog with all the others", together[process])
        if process in SERVICES:
            for words in THREADS.values():
                yield _row(f"  of which {words}", together[f"{process}: {words}"])
            yield _row("the rest of it", rest) + f"{rest / together[process]:>8.0%}"


def _row(part: str, cost: float) -> str:
    return f"  {part:<78}{cost:>7.2f}"


def _claim(claim: Claim) -> str:
    words = f"{claim.what}: {claim.ours:.2f}; {claim.other_way}: {claim.theirs:.2f}"
    return f"  {words:<78}{claim.ours / claim.theirs:>7.2f}"


def measure(servers: Servers, folder: Path) -> Iterator[str]:
    """Measure everything and yield what is to be printed."""
    log, backlog = write(folder / "parts.log", LINES), write(folder / "backlog.log", BACKLOG_LINES)
    yield f"RabbitMQ {servers.broker.version}, {servers.description}"
    yield (
        f"CPU µs a line of {log.line_bytes:.0f} bytes: parts on one thread, the least of {ROUNDS}"
        f" rounds of {LINES:,} lines,"
    )
    yield f"slices of {SLICE_LINES:,}, batches of {BATCH_SLICES}; a backlog of {BACKLOG_LINES:,}"
    with installed(servers, folder) as deployment:
        found, first = parts(deployment, servers, log)
        found_claims = list(claims(log.path, deployment.mysql))
    with installed(servers, folder) as deployment:
        alone = one_at_a_time(deployment, servers, backlog)
    with installed(servers, folder) as deployment:
        together = all_at_once(deployment, servers, backlog)
    notes = one_by_one(found)
    notes[f"{ENSURE}: in a process's first {LINES:,} lines"] = first[ENSURE]
    yield from table(found, alone, together)
    yield ""
    yield "besides"
    for part, cost in notes.items():
        yield _row(part, cost)
    yield ""
    yield f"{'one way and another':<80}{'ratio':>7}"
    for claim in found_claims:
        yield _claim(claim)


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
