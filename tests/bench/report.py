"""The report that a person reads, as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bench.figures import quantile, ratio
from bench.results import Against, Backlog, Quiet, Reading, Results
from bench.small import SERVERS, Turn, Turns
from bench.targets import Target

PEERS = {
    "naive": "naive: a message a line, a commit a row",
    "rsyslog": "rsyslog: imfile to ommysql, lines unparsed",
}
#: Letters of a revision's name that a column has room for.
MOST_OF_A_NAME = 12
WORDS = {True: "met", False: "missed", None: "-"}


def lines_of(results: Results, scenarios: Mapping[str, Backlog], targets: Iterable[Target]) -> str:
    """Return the whole report."""
    parts = [_rates(results), _parts(results), _bytes(results)]
    if results.reading is not None:
        parts.append(_reading(results.reading))
    parts.append(_latencies(results))
    if results.quiet is not None:
        parts.append(quiet_lines(results.quiet))
    if results.against is not None:
        parts.append(against_lines(results.against))
    if scenarios:
        parts.append(_scenarios(scenarios, results.ceiling_lines_per_s))
    parts.append(_targets(targets))
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _rates(results: Results) -> Iterator[str]:
    ceiling = results.ceiling_lines_per_s
    yield f"{'':<46}{'lines/s':>10}{'of the ceiling':>16}{'cores busy':>12}"
    for time, rate in enumerate(results.ceilings_lines_per_s):
        name = "" if time else "ceiling: LOAD DATA, both tables at once"
        yield f"{name:<46}{rate:>10,.0f}{_share(rate, ceiling)}"
    for count, found in results.backlog_by_clean_consumers.items():
        name = f"backlog: file to tables, clean consumers: {count}"
        share = _share(found.lines_per_s, ceiling)
        yield f"{name:<46}{found.lines_per_s:>10,.0f}{share}{found.cores:>12.2f}"
    for peer, name in PEERS.items():
        reached = results.peers[peer]
        if reached is None:
            yield f"{name:<46}{'not installed':>26}"
        else:
            yield f"{name:<46}{reached:>10,.0f}{_share(reached, ceiling)}"
    single = results.slices_of_one_line
    if single is not None:
        rate = single.lines_per_s
        yield f"{'backlog: slices of one line':<46}{rate:>10,.0f}{_share(rate, ceiling)}"


def _parts(results: Results) -> Iterator[str]:
    ceiling = results.ceiling_cpu_us_per_line
    yield f"{'one clean consumer':<24}{'CPU µs a line':>16}{'of the ceiling':>16}{'peak MB':>10}"
    yield f"{'ceiling: database':<24}{ceiling:>16.1f}{_share(ceiling, ceiling)}"
    for name, cpu in results.with_one.cpu_us_per_line.items():
        peak = results.with_one.peak_mb[name]
        yield f"{name:<24}{cpu:>16.1f}{_share(cpu, ceiling)}{peak:>10.0f}"


def _bytes(results: Results) -> Iterator[str]:
    yield f"{'bytes a line':<24}"
    for name, size in results.bytes_per_line.items():
        yield f"{name:<24}{size:>16.0f}"
    if results.raw_room is not None:
        yield f"{'raw_log, of the log':<24}{results.raw_room:>16.3f}"


def _reading(reading: Reading) -> Iterator[str]:
    yield f"{'read back by the database, lines/s':<46}{reading.lines_per_s:>10,.0f}"
    yield f"{'its CPU time for each of them, µs':<46}{reading.cpu_us_per_line:>10.2f}"
    yield f"{'its CPU time for one line by its key, ms':<46}{reading.key_cpu_ms:>10.3f}"


def _latencies(results: Results) -> Iterator[str]:
    yield f"{'line to both tables, ms':<24}{'p50':>8}{'p99':>8}{'max':>8}"
    for rate, found in results.latency_ms.items():
        name = f"{int(rate):,} lines/s"
        yield f"{name:<24}" + "".join(f"{found[key]:>8.0f}" for key in ("p50", "p99", "max"))


def quiet_lines(quiet: Quiet) -> Iterator[str]:
    """Yield what quiet logs cost, beside the former way of looking at them."""
    yield f"{f'{quiet.logs:,} quiet logs beside 1,000 lines/s':<46}{'% of a core':>12}"
    yield f"{'the producer, more with them than without':<46}{100 * quiet.cpu_share:>12.1f}"
    yield f"{'the former way of looking at them':<46}{100 * quiet.former_cpu_share:>12.1f}"
    p50, worst = quiet.latency_ms["p50"], quiet.latency_ms["max"]
    yield f"{'a line of one to both tables, ms: p50, max':<46}{p50:>12.0f}{worst:>8.0f}"
    for count, seconds in quiet.cpu_s_until_ready.items():
        yield f"{f'CPU s until all is published, logs: {count}':<46}{seconds:>12.2f}"


def against_lines(against: Against) -> Iterator[str]:
    """Yield each figure of another revision and of today, and the ratio: median, least, most."""
    pairs = max((len(figure.ratios) for figure in against.figures.values()), default=0)
    name = against.revision if len(against.revision) <= MOST_OF_A_NAME else "the other"
    yield f"today against {against.revision}, pairs of turns: {pairs}"
    yield f"{'':<42}{name:>13}{'today':>11}{'ratio':>8}{'least':>8}{'greatest':>10}"
    for name, figure in against.figures.items():
        spread = [figure.ratio, figure.least, figure.greatest]
        ratio_, least, greatest = ("-" if value is None else f"{value:.3f}" for value in spread)
        theirs, ours = _figure(figure.theirs), _figure(figure.ours)
        yield f"{name:<42}{theirs:>13}{ours:>11}{ratio_:>8}{least:>8}{greatest:>10}"


def _figure(value: float) -> str:
    """Return a figure with at least three digits of it."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def memory_lines(turns: Turns) -> Iterator[str]:
    """Yield what small servers take beside large ones: the median of the turns."""
    kinds = ["rss", "pss", "peak", "CPU µs"]
    head = "".join(f"{f'{size} {kind}':>14}" for kind in kinds for size in turns)
    yield f"{'MB, CPU a line':<16}{head}"
    parts = {part: [part] for part in next(iter(turns.values()))[0].memory}
    for name, members in (parts | {"both servers": list(SERVERS), "all": list(parts)}).items():
        row = f"{name:<16}"
        for kind in kinds:
            large, small = (_median(found, members, kind) for found in turns.values())
            row += f"{large:>14.0f}{f'{small:.0f} ({small / large:.2f})':>14}"
        yield row
    rates = [[turn.lines_per_s for turn in found] for found in turns.values()]
    large, small = (quantile(found, 0.5) for found in rates)
    pairs = " ".join(f"{b / a:.2f}" for a, b in zip(*rates, strict=True))
    yield (
        f"{'lines/s':<16}{large:>14,.0f}{f'{small:,.0f} ({small / large:.2f})':>14}"
        f"   in each turn: {pairs}"
    )


def _median(turns: Iterable[Turn], parts: Iterable[str], kind: str) -> float:
    """Return the median over turns of what these parts take together: of Memory, or CPU time."""
    return quantile(
        [
            sum(
                turn.cpu_us_per_line[part] if kind == "CPU µs" else getattr(turn.memory[part], kind)
                for part in parts
            )
            for turn in turns
        ],
        0.5,
    )


def _scenarios(scenarios: Mapping[str, Backlog], ceiling: float) -> Iterator[str]:
    yield f"{'scenario':<28}{'lines/s':>10}{'of the ceiling':>16}   CPU µs a line"
    for name, found in scenarios.items():
        share, cpu = _share(found.lines_per_s, ceiling), _short(found.cpu_us_per_line)
        yield f"{name:<28}{found.lines_per_s:>10,.0f}{share}   {cpu}"


def _share(value: float, ceiling: float) -> str:
    share = ratio(value, ceiling)
    return f"{'-' if share is None else f'{share:.3f}':>16}"


def _short(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in figures.items())


def _targets(targets: Iterable[Target]) -> Iterator[str]:
    yield f"{'target':<62}{'reached':>14}"
    for what, reached, is_met in targets:
        yield f"{what:<62}{reached:>14}  {WORDS[is_met]}"
