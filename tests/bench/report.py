"""The report that a person reads, as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bench.figures import ratio
from bench.results import Results, Scenario
from bench.targets import Target

WORDS = {True: "met", False: "missed", None: "-"}


def lines_of(results: Results, scenarios: Iterable[Scenario], targets: Iterable[Target]) -> str:
    """Return the whole report."""
    parts = [_rates(results), _parts(results), _bytes(results), _latencies(results)]
    scenarios = list(scenarios)
    if scenarios:
        parts.append(_scenarios(scenarios))
    parts.append(_targets(targets))
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _rates(results: Results) -> Iterator[str]:
    yield f"{'':<46}{'lines/s':>10}{'of the ceiling':>16}"
    rates: dict[str, float | None] = {
        "ceiling: LOAD DATA, both tables at once": results.ceiling_lines_per_s,
        **{
            f"backlog: file to tables, clean consumers: {count}": rate
            for count, rate in results.backlogs_lines_per_s.items()
        },
        "naive: a message a line, a commit a row": results.peers["naive"],
        "rsyslog: imfile to ommysql, lines unparsed": results.peers["rsyslog"],
    }
    for name, rate in rates.items():
        if rate is None:
            yield f"{name:<46}{'not installed':>26}"
        else:
            share = ratio(rate, results.ceiling_lines_per_s)
            yield f"{name:<46}{rate:>10,.0f}{'' if share is None else f'{share:>16.3f}'}"


def _parts(results: Results) -> Iterator[str]:
    yield f"{'one clean consumer':<24}{'CPU µs a line':>16}{'peak MB':>10}"
    for name, cpu in results.cpu_us_per_line.items():
        yield f"{name:<24}{cpu:>16.1f}{results.peak_mb[name]:>10.0f}"


def _bytes(results: Results) -> Iterator[str]:
    yield f"{'bytes a line':<24}"
    for name, size in results.bytes_per_line.items():
        yield f"{name:<24}{size:>16.0f}"


def _latencies(results: Results) -> Iterator[str]:
    yield f"{'line to both tables, ms':<24}{'p50':>8}{'p99':>8}{'max':>8}"
    for rate, found in results.latency_ms.items():
        name = f"{int(rate):,} lines/s"
        yield f"{name:<24}" + "".join(f"{found[key]:>8.0f}" for key in ("p50", "p99", "max"))


def _scenarios(scenarios: Iterable[Scenario]) -> Iterator[str]:
    yield f"{'scenario':<28}{'lines/s':>10}   CPU µs a line"
    for scenario in scenarios:
        cpu = _short(scenario.cpu_us_per_line)
        yield f"{scenario.name:<28}{scenario.lines_per_s:>10,.0f}   {cpu}"


def _short(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in figures.items())


def _targets(targets: Iterable[Target]) -> Iterator[str]:
    yield f"{'target':<62}{'reached':>14}"
    for what, reached, is_met in targets:
        yield f"{what:<62}{reached:>14}  {WORDS[is_met]}"
