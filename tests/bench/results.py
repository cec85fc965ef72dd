"""What a run has measured, and the files that it is kept in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import quantile, ratio

SERVICES = ("producer", "lake", "clean")
#: A backlog with the number of clean consumers that does it fastest, as one of the figures against
#: another revision.
RATE = "lines/s"


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


@dataclass(frozen=True)
class Reading:
    """How the database reads lines of raw_log back."""

    #: All lines of a stream, and what each takes of its CPU time.
    lines_per_s: float
    cpu_us_per_line: float
    #: CPU time for one line by its key, in milliseconds.
    key_cpu_ms: float


@dataclass(frozen=True)
class Figure:
    """One figure of another revision and of today: the medians, and the ratio in each pair."""

    theirs: float
    ours: float
    #: Today's to the other's; without the pairs in which the other's was nothing.
    ratios: list[float]

    @property
    def ratio(self) -> float | None:
        """The median of the pairs."""
        return quantile(self.ratios, 0.5) if self.ratios else None

    @property
    def least(self) -> float | None:
        """The least of the pairs."""
        return min(self.ratios, default=None)

    @property
    def greatest(self) -> float | None:
        """The greatest of the pairs."""
        return max(self.ratios, default=None)

    def content(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        spread = {"ratio": self.ratio, "least": self.least, "greatest": self.greatest}
        return spread | asdict(self)


@dataclass(frozen=True)
class Against:
    """Today's build beside another revision's, measured in turns."""

    #: As it was named, and its commit: what it names may move on.
    revision: str
    commit: str
    #: By name.
    figures: dict[str, Figure]

    def content(self) -> dict[str, Any]:
        """Return it as JSON has it. `least` and `greatest` are of the ratio before them."""
        rate = self.figures[RATE]
        return {
            "revision": self.revision,
            "commit": self.commit,
            "lines_per_s_ratio": rate.ratio,
            "least": rate.least,
            "greatest": rate.greatest,
            "figures": {name: figure.content() for name, figure in self.figures.items()},
        }

    def write(self, database: str, path: Path) -> None:
        """Write it alone as JSON."""
        _write({"database": database, "against": self.content()}, path)


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
    #: In the log, and in the tables with their indexes.
    bytes_per_line: dict[str, float] = field(default_factory=dict)
    #: None: not measured.
    reading: Reading | None = None
    #: A message for each line; None: not measured.
    slices_of_one_line: Backlog | None = None
    #: Another revision, in turns with this one; None: none was named.
    against: Against | None = None

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

    @property
    def raw_room(self) -> float | None:
        """The room of raw lines, as a share of the log's own bytes."""
        found = self.bytes_per_line
        return ratio(found.get("raw_log", 0.0), found.get("the log", 0.0))

    def write(self, path: Path) -> None:
        """Write them as JSON. Raises KeyError before a backlog is measured."""
        content = asdict(self) | {
            "against": self.against.content() if self.against else None,
            "raw_room": self.raw_room,
            "ceiling_lines_per_s": self.ceiling_lines_per_s,
            "backlog_lines_per_s": self.backlog_lines_per_s,
            "ratio_to_ceiling": self.ratio_to_ceiling,
            "cpu_us_per_line": self.with_one.cpu_us_per_line,
            "peak_mb": self.with_one.peak_mb,
        }
        _write(content, path)


def write_scenarios(scenarios: Mapping[str, Backlog], results: Results, path: Path) -> None:
    """Write scenarios, by name, as JSON, each with its ratio to the ceiling of the run."""
    content = {
        name: asdict(found)
        | {"ratio_to_ceiling": ratio(found.lines_per_s, results.ceiling_lines_per_s)}
        for name, found in scenarios.items()
    }
    _write(content, path)


def _write(content: Mapping[str, Any], path: Path) -> None:
    text = json.dumps(_rounded(content), indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return round(value, 3) if isinstance(value, float) else value
