"""Compares the tables with the log itself: nothing here asks the services."""

from __future__ import annotations

import ipaddress
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datastream_operator.lines import Extent
from datastream_operator.text import printable
from datastream_operator.verify.compare import differences
from datastream_operator.verify.fit import Misfit
from datastream_playground import sample
from datastream_playground.demo.tables import LogTables, RowCounts, Tables
from datastream_playground.sample import Truth

#: Rows of a sample that are compared with its truth, field by field; and which ones.
COMPARED = 1_000
SEED = 0
#: Differences that are listed; of the others there is only the number.
TOLD = 10
#: The paths and statuses that are told, the most frequent ones.
TOP_PATHS, TOP_STATUSES = 5, 6


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
    #: How the lines of a file, the first such one, fail to fit their format; None when all fit.
    misfit: Misfit | None = None
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


def verify(tables: Tables, extents: Mapping[Path, Extent], *, is_sample: bool) -> Findings:
    """Compare the tables with some files, of which what each held at its extent must be in them.

    What was written to a file since then may be in the tables or not; what is must be equal.
    Raises Unreadable and Unavailable.
    """
    rejected, paths, statuses = Counter[str](), Counter[str | None](), Counter[int | None]()
    for file, extent in extents.items():
        its = tables.by_file[file]
        rejected.update(its.rejected(extent.end))
        paths.update(dict(its.top_paths()))
        statuses.update(dict(its.statuses()))
    misfits = (tables.by_file[file].misfit(extent.end) for file, extent in extents.items())
    found = Findings(
        lines=sum(extent.lines for extent in extents.values()),
        counts=tables.counts(extents),
        rejected=dict(rejected),
        top_paths=paths.most_common(TOP_PATHS),
        statuses=statuses.most_common(TOP_STATUSES),
        misfit=next(filter(None, misfits), None),
    )
    for file, extent in extents.items():
        of_file = f"{printable(str(file))}: " if len(extents) > 1 else ""
        wrong = differences(tables.by_file[file], file, extent, patience=0)
        found.add(f"{of_file}{difference}" for difference in wrong)
    if is_sample:
        [log] = extents
        junk, chosen = _truth(log)
        found.compared = len(chosen)
        found.add(_differing_rejects(junk, tables.by_file[log].rejects()))
        found.add(_differing_rows(chosen, tables.by_file[log]))
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


def _as_in_truth(row: tuple[object, ...]) -> tuple[object, ...]:
    """Return a row of clean_log as the truth file writes its values."""
    time, client, session, user, is_email, *others, agent, extra = row
    return (
        f"{time:%Y-%m-%d %H:%M:%S.%f}"[:-3],
        str(ipaddress.ip_address(str(client))) if client else None,
        session,
        user,
        bool(is_email),
        *others,
        agent,
        json.loads(str(extra)) if extra else None,
    )
