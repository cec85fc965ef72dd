"""What a run has measured, and the file that it is kept in."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import ratio

SERVICES = ("producer", "lake", "clean")


@dataclass
class Results:
    """The figures of one run."""

    database: str
    ceiling_lines_per_s: float = 0.0
    #: By number of clean consumers.
    backlogs_lines_per_s: dict[str, float] = field(default_factory=dict)
    #: By process, with one clean consumer.
    cpu_us_per_line: dict[str, float] = field(default_factory=dict)
    #: By lines a second: p50, p99 and max.
    latency_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    #: By process, with one clean consumer.
    peak_mb: dict[str, float] = field(default_factory=dict)
    #: Lines a second of other designs; null: not installed.
    peers: dict[str, float | None] = field(default_factory=dict)
    #: In the log, and by table with its indexes.
    bytes_per_line: dict[str, float] = field(default_factory=dict)

    @property
    def backlog_lines_per_s(self) -> float:
        """How fast a backlog is stored, with the number of clean consumers that does it fastest."""
        return max(self.backlogs_lines_per_s.values(), default=0.0)

    @property
    def ratio_to_ceiling(self) -> float | None:
        """How much of what the database takes the pipeline reaches."""
        return ratio(self.backlog_lines_per_s, self.ceiling_lines_per_s)

    def write(self, path: Path) -> None:
        """Write them as JSON."""
        content = asdict(self) | {
            "backlog_lines_per_s": self.backlog_lines_per_s,
            "ratio_to_ceiling": self.ratio_to_ceiling,
        }
        del content["bytes_per_line"]  # a property of the tables, not of this run
        path.write_text(json.dumps(_rounded(content), indent=2) + "\n")


@dataclass(frozen=True)
class Scenario:
    """A scenario of `make bench-full`."""

    name: str
    lines_per_s: float
    cpu_us_per_line: dict[str, float]
    peak_mb: dict[str, float]
    locked: int


def write_scenarios(scenarios: list[Scenario], path: Path) -> None:
    """Write them as JSON."""
    path.write_text(json.dumps(_rounded([asdict(s) for s in scenarios]), indent=2) + "\n")


def _rounded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return round(value, 3) if isinstance(value, float) else value
