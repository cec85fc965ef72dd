"""Compares the tables with the log itself: nothing here asks the services."""

from __future__ import annotations

import ipaddress
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datastream_operator.lines import Extent
from datastream_operator.verify.compare import differences
from datastream_playground import sample
from datastream_playground.demo.tables import LogTables, RowCounts
from datastream_playground.sample import Truth

#: Rows of a sample that are compared with its truth, field by field; and which ones.
COMPARED = 1_000
SEED = 0
#: Differences that are listed; of the others there is only the number.
TOLD = 10


@dataclass(slots=True)
class Findings:
    """What the tables hold of a log, and how that differs from the log."""

    lines: int
    counts: RowCounts
    rejected: dict[str, int]
    top_paths: list[tuple[str | None, int]]
    statuses: list[tuple[int | None, int]]
    #: Number of rows compared with the truth of a sample; None for a log without one.
    compared: int | None = None
    #: Each difference in words; none when all is as it must be.
    differences: list[str] = field(default_factory=list)

    @property
    def is_exact(self) -> bool:
        """Whether the tables hold the log, exactly."""
        return not self.differences

    def add(self, differences: Iterator[str]) -> None:
        """Add some differences: the first of them in words, of the others the number."""
        told: list[str] = []
        others = 0
        for difference in differences:
            if len(told) < TOLD:
                told.append(difference)
            else:
                others += 1
        self.differences += told
        if others:
            self.differences.append(f"and {others:,} more of that kind")


def verify(tables: LogTables, log: Path, extent: Extent, *, is_sample: bool) -> Findings:
    """Compare the tables with a log, of which what it held at `extent` must be in them.

    What was written to the log since then may be in the tables or not; what is must be equal.
    Raises Unreadable and Unavailable.
    """
    counts = tables.counts(extent.end)
    found = Findings(
        lines=extent.lines,
        counts=counts,
        rejected=tables.rejected(extent.end),
        top_paths=tables.top_paths(),
        statuses=tables.statuses(),
    )
    found.add(map(str, differences(tables, log, extent, patience=0)))
    if is_sample:
        junk, chosen = _truth(log)
        found.compared = len(chosen)
        found.add(_differing_rejects(junk, tables.rejects()))
        found.add(_differing_rows(chosen, tables))
    return found


def _truth(log: Path) -> tuple[dict[int, str], list[Truth]]:
    """Return a sample's junk, the reason by the line's offset, and some of the other lines."""
    junk: dict[int, str] = {}
    chosen: list[Truth] = []
    choice = random.Random(SEED)  # noqa: S311 - a fair choice, no secret
    events = 0
    for truth in sample.read_truth(log):
        if truth.reject is not None:
            junk[truth.offset] = truth.reject
            continue
        # Reservoir sampling: every line is equally likely to be chosen.
        events += 1
        if len(chosen) < COMPARED:
            chosen.append(truth)
        elif (index := choice.randrange(events)) < COMPARED:
            chosen[index] = truth
    return junk, chosen


def _differing_rejects(junk: dict[int, str], rejects: dict[int, str]) -> Iterator[str]:
    for offset in sorted(junk.keys() | rejects.keys()):
        expected, stored = junk.get(offset), rejects.get(offset)
        if expected != stored:
            yield (
                f"the line at byte {offset:,} is {_verdict(stored)} in the tables, but "
                f"{_verdict(expected)} in the truth"
            )


def _verdict(reason: str | None) -> str:
    return "not rejected" if reason is None else f"rejected as {reason}"


def _differing_rows(chosen: list[Truth], tables: LogTables) -> Iterator[str]:
    for truth in sorted(chosen):
        row = tables.clean_row(truth.offset)
        if truth.event is None or row is None:
            yield f"the line at byte {truth.offset:,} has no row in clean_log"
            continue
        for name, expected, stored in zip(
            truth.event._fields, truth.event, _as_in_truth(row), strict=True
        ):
            if expected != stored:
                yield (
                    f"the line at byte {truth.offset:,} has {name} {stored!r} in clean_log, but "
                    f"{expected!r} in the truth"
                )


def _as_in_truth(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a row of clean_log as the truth file writes its values."""
    time, client, session, user, is_email, *others, agent, extra = row
    return (
        f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03d}",
        str(ipaddress.ip_address(client)) if client else None,
        session,
        user,
        bool(is_email),
        *others,
        agent,
        json.loads(extra) if extra else None,
    )
