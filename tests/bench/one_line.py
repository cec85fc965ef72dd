"""Slices of one line, the message that other people's consumers want, beside those of a thousand.

python -m bench.one_line, with PYTHONPATH=tests. Both in one run, on the same servers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench import backlog
from bench.command import end, workplace
from bench.corpus import write
from bench.installation import installed
from bench.results import Backlog
from bench.servers import Servers, running

#: By MAX_SLICE_LINES, the lines of a backlog: enough of each for some seconds.
LINES: Mapping[str, int] = {"1": 40_000, "1000": 200_000}


def measure(servers: Servers, folder: Path, *, lines: int = LINES["1"]) -> Backlog:
    """Measure a backlog of so many lines, each a message of its own on both queues."""
    return _measure(servers, folder, "1", lines)


def _measure(servers: Servers, folder: Path, slice_lines: str, lines: int) -> Backlog:
    path = folder / f"slices-of-{slice_lines}.log"
    path.unlink(missing_ok=True)
    log = write(path, lines)
    with installed(servers, folder) as deployment:
        return backlog.measure(deployment, servers, log, MAX_SLICE_LINES=slice_lines)


def report(single: Backlog, usual: Backlog) -> Iterator[str]:
    """Yield the rates, and what a line costs each process, as a person reads it."""
    yield f"{'lines of a slice':<24}{'1':>12}{'1,000':>12}{'ratio':>10}"
    rates = single.lines_per_s, usual.lines_per_s
    yield f"{'lines/s':<24}{rates[0]:>12,.0f}{rates[1]:>12,.0f}{rates[0] / rates[1]:>10.3f}"
    for name, cpu in single.cpu_us_per_line.items():
        other = usual.cpu_us_per_line[name]
        label = f"CPU µs a line: {name}"
        yield f"{label:<24}{cpu:>12.1f}{other:>12.1f}{cpu / max(other, 0.1):>10.1f}"
    yield f"{'cores busy':<24}{single.cores:>12.2f}{usual.cores:>12.2f}"
    for name, peak in single.peak_mb.items():
        label = f"peak MB: {name}"
        yield f"{label:<24}{peak:>12.0f}{usual.peak_mb[name]:>12.0f}"


def main() -> int:
    """Measure both, and print the report."""
    parser = argparse.ArgumentParser(prog="bench.one_line", description=__doc__)
    parser.add_argument("--db", choices=("mariadb", "mysql"), default="mariadb")
    parser.add_argument("--lines", type=int, default=LINES["1"], help="lines of the first backlog")
    arguments = parser.parse_args()
    with workplace("one-line") as folder, running(arguments.db, folder) as servers:
        single = measure(servers, folder, lines=arguments.lines)
        usual = _measure(servers, folder, "1000", LINES["1000"])
    sys.stdout.write("".join(f"{line}\n" for line in report(single, usual)))
    return 0


if __name__ == "__main__":
    end(main)
