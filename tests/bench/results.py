"""What a run has measured, and the files that it is kept in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import ratio

SERVICES = ("producer", "lake", "clean")


@dataclass(frozen=True)
class Backlog:
    """How fast a log was stored, and what that took."""

    lines_per_s: float
    #: By process; `clean` is all clean consumers.
    cpu_us_per_line: dict[str, float]
    #: By process; `clean` is the largest of the clean consumers.
    peak_mb: dict[str, float]
    #: Batches that were stored again because of another consumer's locks.
    locked: int

    @property
    def cores(self) -> float:
        """How many cores were busy with it."""
        return self.lines_per_s * sum(self.cpu_us_per_line.values()) / 1e6


@dataclass(frozen=True)
class Quiet:
    """What quiet logs cost beside a busy one, and how soon a line of one is in both tables."""

    logs: int
    #: Shares of a core: of the producer for the quiet logs, and of the former way to look at them.
    cpu_share: float
    former_cpu_share: float
    #: p50 and max.
    latency_ms: dict[str, float]
    #: CPU seconds of a producer until all is published, by the number of logs.
    cpu_s_until_ready: dict[str, float]

    @property
    def times_less(self) -> float:
        """How many times less they cost than by the former way."""
        return self.former_cpu_share / self.cpu_share if self.cpu_share else float("inf")


@dataclass
class Results:
    """The figures of one run."""

    database: str
    #: Each time that it was measured, the best first.
    ceilings_lines_per_s: list[float] = field(default_factory=list)
    #: CPU time of the database at the best of them.
    ceiling_cpu_us_per_line: float = 0.0
    #: By number of clean consumers; the first with one.
    backlog_by_clean_consumers: dict[str, Backlog] = field(default_factory=dict)
    #: By lines a second: p50, p99 and max.
    latency_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    #: Lines a second of other designs; null: not installed.
    peers: dict[str, float | None] = field(default_factory=dict)
    #: A thousand quiet logs beside a busy one; None: not measured.
    quiet: Quiet | None = None
    #: In the log, and by table with its indexes.
    bytes_per_line: dict[str, float] = field(default_factory=dict)

    @property
    def ceiling_lines_per_s(self) -> float:
        """How many lines a second the database takes at the most."""
        return max(self.ceilings_lines_per_s, default=0.0)

    @property
    def fastest(self) -> str:
        """With how many clean consumers the backlog was stored fastest."""
        found = self.backlog_by_clean_consumers
        return max(found, key=lambda count: found[count].lines_per_s)

    @property
    def backlog_lines_per_s(self) -> float:
        """How fast a backlog is stored, with the number of clean consumers that does it fastest."""
        return self.backlog_by_clean_consumers[self.fastest].lines_per_s

    @property
    def ratio_to_ceiling(self) -> float | None:
        """How much of what the database takes the pipeline reaches."""
        return ratio(self.backlog_lines_per_s, self.ceiling_lines_per_s)

    @property
    def with_one(self) -> Backlog:
        """The backlog with one clean consumer."""
        return self.backlog_by_clean_consumers["1"]

    def write(self, path: Path) -> None:
        """Write them as JSON. Raises KeyError before a backlog is measured."""
        content = asdict(self) | {
            "ceiling_lines_per_s": self.ceiling_lines_per_s,
            "backlog_lines_per_s": self.backlog_lines_per_s,
            "ratio_to_ceiling": self.ratio_to_ceiling,
            "cpu_us_per_line": self.with_one.cpu_us_per_line,
            "peak_mb": self.with_one.peak_mb,
        }
        path.write_text(json.dumps(_rounded(content), indent=2) + "\n")


def write_scenarios(scenarios: Mapping[str, Backlog], results: Results, path: Path) -> None:
    """Write scenarios, by name, as JSON, each with its ratio to the ceiling of the run."""
    content = {
        name: asdict(found)
        | {"ratio_to_ceiling": ratio(found.lines_per_s, results.ceiling_lines_per_s)}
        for name, found in scenarios.items()
    }
    path.write_text(json.dumps(_rounded(content), indent=2) + "\n")


def _rounded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return round(value, 3) if isinstance(value, float) else value
