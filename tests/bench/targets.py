"""The targets: what each is, what was reached, and whether that meets it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench.figures import ratio
from bench.results import SERVICES, Results, Scenario

CEILING_SHARE = 0.5
RSYSLOG_TIMES = 5.0
CPU_US = {"producer": 2.5, "lake": 5.0, "clean": 12.0}
P99_MS = {"1000": 100.0, "10000": 250.0}
PEAK_MB = 100.0
LARGE_TABLE_SHARE = 0.9
#: Scenarios of bench-full by name: the second is compared with the first.
ROWS = ("0 rows there", "20,000,000 rows there")
CONSUMERS = ("1 clean consumer", "2 clean consumers")


class Target(NamedTuple):
    """One target and what became of it."""

    what: str
    reached: str
    #: None: not measured.
    is_met: bool | None


def judged(results: Results, scenarios: Sequence[Scenario] = ()) -> Iterator[Target]:
    """Yield every target with what was reached."""
    share = results.ratio_to_ceiling
    yield _at_least("backlog, of the ceiling", CEILING_SHARE, share)
    rsyslog = results.peers.get("rsyslog")
    times = ratio(results.backlog_lines_per_s, rsyslog) if rsyslog else None
    yield _at_least("backlog, times rsyslog", RSYSLOG_TIMES, times)
    for name, most in CPU_US.items():
        yield _at_most(f"CPU a line, {name}, µs", most, results.cpu_us_per_line.get(name))
    for rate, most in P99_MS.items():
        p99 = results.latency_ms.get(rate, {}).get("p99")
        yield _at_most(f"p99 at {int(rate):,} lines/s, ms", most, p99)
    for name in SERVICES:
        yield _at_most(f"peak memory, {name}, MB", PEAK_MB, results.peak_mb.get(name))
    large, second = _of(scenarios, ROWS), _of(scenarios, CONSUMERS)
    yield _at_least(f"{ROWS[1]}, of the empty tables' rate", LARGE_TABLE_SHARE, _gain(large))
    yield _at_least("a second clean consumer, of the rate with one", 1.0, _gain(second))
    locked = sum(scenario.locked for scenario in scenarios) if scenarios else None
    yield _at_most("batches held up by locks, all clean consumers", 0, locked)


def _of(scenarios: Sequence[Scenario], names: tuple[str, str]) -> list[Scenario]:
    return [scenario for name in names for scenario in scenarios if scenario.name == name]


def _gain(pair: list[Scenario]) -> float | None:
    return ratio(pair[1].lines_per_s, pair[0].lines_per_s) if len(pair) == 2 else None


def _at_least(what: str, least: float, reached: float | None) -> Target:
    if reached is None:
        return Target(f"{what}: at least {least:g}", "not measured", None)
    return Target(f"{what}: at least {least:g}", f"{reached:.2f}", reached >= least)


def _at_most(what: str, most: float, reached: float | None) -> Target:
    if reached is None:
        return Target(f"{what}: at most {most:g}", "not measured", None)
    return Target(f"{what}: at most {most:g}", f"{reached:.1f}", reached <= most)
