"""`make bench` and `make bench-full`: measure everything in one run, on this machine."""

from __future__ import annotations

import argparse
import platform
import sys
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path

from bench import (
    against,
    backlog,
    ceiling,
    full,
    naive,
    quiet,
    reading,
    report,
    small,
    steady,
    syslog,
)
from bench.command import OUTPUT, end, workplace
from bench.corpus import write
from bench.installation import installed
from bench.results import Against, Backlog, Quiet, Results, write_scenarios
from bench.revisions import Build, built
from bench.rows import room
from bench.servers import Servers, running
from bench.targets import judged

LINES = 1_000_000
RATES = (1_000, 10_000)
STEADY_SECONDS = 20.0
#: A row a commit is slow: so few lines say how slow.
NAIVE_LINES = 3_000
RSYSLOG_LINES = 50_000
#: So is a message a line.
SINGLE_LINES = 10_000

#: Tables whose room is told, and how the names of those begin that are meant.
TABLES = {"raw_log": "raw_", "clean_log": "clean_log"}


def say(text: str) -> None:
    """Say what is being done now."""
    sys.stderr.write(f"{text}\n")


def measure(servers: Servers, folder: Path, lines: int) -> Results:
    """Measure what `make bench` does: the baselines, a backlog, and the steady rates."""
    results = Results(database=servers.description)
    python = platform.python_version()
    say(f"RabbitMQ {servers.broker.version}, {results.database}, Python {python}")
    log = write(folder / "backlog.log", lines)
    say(f"Backlog: {lines:,} lines of {log.line_bytes:.0f} bytes")
    with installed(servers, folder) as deployment:
        results.backlog_by_clean_consumers["1"] = backlog.measure(deployment, servers, log)
        results.bytes_per_line = {"the log": log.line_bytes} | {
            name: room(servers.database, deployment.mysql.database, prefix) / lines
            for name, prefix in TABLES.items()
        }
        say("Reading: a stream back, and one line by its key")
        results.reading = reading.measure(deployment, servers.database.usage, log)
        say("Ceiling: LOAD DATA of the same rows")
        ceilings = ceiling.measure(deployment, servers.database)
        results.ceilings_lines_per_s = [found.lines_per_s for found in ceilings]
        results.ceiling_cpu_us_per_line = ceilings[0].cpu_us_per_line
        say("Naive design: a message a line, a commit a row")
        some = write(folder / "naive.log", NAIVE_LINES)
        results.peers["naive"] = naive.measure(deployment, some)
    say("Backlog: the same with two clean consumers")
    with installed(servers, folder) as deployment:
        found = backlog.measure(deployment, servers, log, clean=2)
        results.backlog_by_clean_consumers["2"] = found
    say("Backlog: slices of one line")
    single = write(folder / "single.log", SINGLE_LINES)
    with installed(servers, folder) as deployment:
        found = backlog.measure(deployment, servers, single, MAX_SLICE_LINES="1")
        results.slices_of_one_line = found
    say("rsyslog: imfile to ommysql")
    results.peers["rsyslog"] = _rsyslog(servers, folder)
    for rate in RATES:
        say(f"Steady: {rate:,} lines/s for {STEADY_SECONDS:.0f} s")
        with installed(servers, folder) as deployment:
            latency = steady.measure(deployment, servers, rate, STEADY_SECONDS)
        results.latency_ms[str(rate)] = latency
    results.quiet = _quiet(servers, folder)
    return results


def _quiet(servers: Servers, folder: Path) -> Quiet:
    say(f"Quiet: {quiet.LOGS:,} logs beside one at {quiet.RATE:,} lines/s")
    with installed(servers, folder) as deployment:
        return quiet.measure(deployment, servers)


def _rsyslog(servers: Servers, folder: Path) -> float | None:
    program = syslog.program()
    if program is None:
        return None
    log = write(folder / "rsyslog.log", RSYSLOG_LINES)
    with installed(servers, folder) as deployment:
        return syslog.measure(deployment, log, program)


def _against(servers: Servers, folder: Path, other: Build, asked: Namespace) -> Against:
    say(f"Against {other.name}, in turns")
    return against.measure(servers, folder, other, asked.lines or LINES, asked.rounds)


def main() -> int:
    """Measure, print the report and write the figures to .run."""
    arguments = _arguments()
    if arguments.small:
        with workplace("small") as folder:
            turns = small.turns(folder, arguments.lines or small.LINES)
        return _print(report.memory_lines(turns))
    scenarios: dict[str, Backlog] = {}
    with workplace("bench") as folder:
        other = _other(arguments.against, folder)
        with running(arguments.db, folder) as servers:
            if arguments.quiet:
                return _print(report.quiet_lines(_quiet(servers, folder)))
            if other and arguments.alone:
                beside = _against(servers, folder, other, arguments)
                beside.write(servers.description, OUTPUT / "bench-against.json")
                return _print(report.against_lines(beside))
            results = measure(servers, folder, arguments.lines or LINES)
            results.write(OUTPUT / "bench.json")
            if other:
                results.against = _against(servers, folder, other, arguments)
                results.write(OUTPUT / "bench.json")
            if arguments.full:
                for name, found in full.scenarios(servers, folder):
                    say(f"{name}: {found.lines_per_s:,.0f} lines/s")
                    scenarios[name] = found
                    # After each: they take long, and the next one may fail.
                    write_scenarios(scenarios, results, OUTPUT / "bench-full.json")
    sys.stdout.write(report.lines_of(results, scenarios, judged(results, scenarios)))
    return 0


def _arguments() -> Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--db", choices=("mariadb", "mysql"), default="mariadb")
    parser.add_argument("--lines", type=int, help="lines of the backlog")
    parser.add_argument("--full", action="store_true", help="all scenarios")
    parser.add_argument("--quiet", action="store_true", help="the quiet logs alone")
    parser.add_argument("--small", action="store_true", help="the servers' memory alone")
    parser.add_argument("--against", metavar="REV", help="another revision too, in turns")
    parser.add_argument("--alone", action="store_true", help="with --against: nothing else")
    parser.add_argument(
        "--rounds",
        type=int,
        default=against.ROUNDS,
        help=f"with --against: pairs of turns, {against.ROUNDS} or more",
    )
    arguments = parser.parse_args()
    if arguments.rounds < against.ROUNDS:
        parser.error(f"--rounds must be at least {against.ROUNDS}")
    if arguments.alone and not arguments.against:
        parser.error("--alone goes with --against")
    return arguments


def _other(revision: str | None, folder: Path) -> Build | None:
    if revision is None:
        return None
    say(f"Building {revision}")
    return built(revision, folder / "other")


def _print(lines: Iterable[str]) -> int:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


if __name__ == "__main__":
    end(main)
