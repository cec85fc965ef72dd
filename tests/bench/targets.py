"""The targets: what each is, what was reached, and whether that meets it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from bench.figures import ratio
from bench.results import SERVICES, Backlog, Results

CEILING_SHARE = 0.5
RSYSLOG_TIMES = 5.0
CPU_US = {"producer": 2.5, "lake": 5.0, "clean": 12.0}
P99_MS = {"1000": 100.0, "10000": 250.0}
#: Of a core, in percent; and milliseconds; and times less than by the former way of looking.
QUIET_CPU, QUIET_MS, QUIET_TIMES = 3.0, 250.0, 20.0
PEAK_MB = 100.0
#: Raw lines: their room, of the log's own bytes; how many are read back in a second; and
#: milliseconds of CPU time for one by its key.
RAW_ROOM, READ_BACK, KEY_MS = 0.2, 200_000.0, 5.0
LARGE_TABLE_SHARE = 0.9
#: Scenarios of bench-full by name: the second is compared with the first.
ROWS = ("0 rows there", "20,000,000 rows there")


class Target(NamedTuple):
    """One target and what became of it."""

    what: str
    reached: str
    #: None: not measured.
    is_met: bool | None


def judged(results: Results, scenarios: Mapping[str, Backlog]) -> Iterator[Target]:
    """Yield every target with what was reached, by a run and by what scenarios it had."""
    backlog = f"backlog, clean consumers: {results.fastest}"
    yield _at_least(f"{backlog}, of the ceiling", CEILING_SHARE, results.ratio_to_ceiling)
    rsyslog = results.peers.get("rsyslog")
    times = ratio(results.backlog_lines_per_s, rsyslog) if rsyslog else None
    yield _at_least(f"{backlog}, times rsyslog", RSYSLOG_TIMES, times)
    one, two = (results.backlog_by_clean_consumers.get(count) for count in "12")
    for name, most in CPU_US.items():
        yield _at_most(f"CPU a line, {name}, µs", most, results.with_one.cpu_us_per_line[name])
    for rate, most in P99_MS.items():
        p99 = results.latency_ms.get(rate, {}).get("p99")
        yield _at_most(f"p99 at {int(rate):,} lines/s, ms", most, p99)
    quiet = results.quiet
    share = 100 * quiet.cpu_share if quiet else None
    worst = quiet.latency_ms["max"] if quiet else None
    yield _at_most("1,000 quiet logs, % of a core", QUIET_CPU, share)
    yield _at_most("a line of a quiet log to both tables, ms", QUIET_MS, worst)
    times = quiet.times_less if quiet else None
    yield _at_least("quiet logs, times less than the former look", QUIET_TIMES, times)
    backlogs = [*results.backlog_by_clean_consumers.values(), *scenarios.values()]
    for name in SERVICES:
        peak = max(found.peak_mb[name] for found in backlogs)
        yield _at_most(f"peak memory, {name}, any backlog, MB", PEAK_MB, peak)
    yield _at_most("room of raw lines, of the log's own bytes", RAW_ROOM, results.raw_room)
    reading = results.reading
    back = reading.lines_per_s if reading else None
    yield _at_least("raw lines read back, lines/s", READ_BACK, back)
    key = reading.key_cpu_ms if reading else None
    yield _at_most("a raw line by its key, CPU ms", KEY_MS, key)
    few, many = (scenarios.get(name) for name in ROWS)
    yield _at_least(f"{ROWS[1]}, of the empty tables' rate", LARGE_TABLE_SHARE, _gain(few, many))
    yield _at_least("a second clean consumer, of the rate with one", 1.0, _gain(one, two))
    yield _at_most("batches held up by locks", 0, sum(found.locked for found in backlogs))


def _gain(before: Backlog | None, after: Backlog | None) -> float | None:
    return ratio(after.lines_per_s, before.lines_per_s) if before and after else None


def _at_least(what: str, least: float, reached: float | None) -> Target:
    if reached is None:
        return Target(f"{what}: at least {_short(least)}", "not measured", None)
    words = f"{reached:.2f}" if least < 1_000 else f"{reached:,.0f}"
    return Target(f"{what}: at least {_short(least)}", words, reached >= least)


def _short(value: float) -> str:
    return f"{value:g}" if value < 1_000 else f"{value:,.0f}"


def _at_most(what: str, most: float, reached: float | None) -> Target:
    if reached is None:
        return Target(f"{what}: at most {most:g}", "not measured", None)
    digits = 1 if most >= 1 else 2
    return Target(f"{what}: at most {most:g}", f"{reached:.{digits}f}", reached <= most)
