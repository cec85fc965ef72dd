"""The comparison of the tables with the log: every difference is found."""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest

from datastream.parsing import Event
from datastream.slices import UNTERMINATED
from datastream_operator.lines import Extent, measure, numbered_lines
from datastream_operator.verify.stored import Rows
from datastream_playground import sample
from datastream_playground.demo.tables import CLEAN_ROW, LogTables, RowCounts, Tables
from datastream_playground.demo.verify import Findings, verify

LINES = 400


@dataclass
class _Tables:
    """The rows of one log, as LogTables tells of them."""

    raw: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    clean: dict[int, list[Any]] = field(default_factory=dict)
    rejected_rows: dict[int, str] = field(default_factory=dict)

    def counts(self, end: int) -> RowCounts:
        rows = (self.raw, self.clean, self.rejected_rows)
        raw, clean, rejected = (sum(offset < end for offset in table) for table in rows)
        return RowCounts(raw, clean, rejected)

    def rejected(self, end: int) -> dict[str, int]:
        return dict(Counter(r for offset, r in self.rejected_rows.items() if offset < end))

    def rows(self, first: int, last: int) -> Rows:
        raw = {offset: row for offset, row in self.raw.items() if first <= offset <= last}
        rows = Rows(raw)
        for name, table in (("clean_log", self.clean), ("rejected_log", self.rejected_rows)):
            for offset in table:
                if first <= offset <= last:
                    rows.parsed.setdefault(offset, []).append(name)
        return rows

    def behind(self, offset: int) -> list[tuple[int, str]]:
        tables: list[tuple[str, Iterable[int]]] = [
            ("raw_log", self.raw),
            ("clean_log", self.clean),
            ("rejected_log", self.rejected_rows),
        ]
        found = {name: [row for row in rows if row > offset] for name, rows in tables}
        return [(min(rows), name) for name, rows in found.items() if rows]

    def misfit(self, _end: int) -> None:
        return None

    def rejects(self) -> dict[int, str]:
        return self.rejected_rows

    def clean_row(self, offset: int) -> tuple[Any, ...] | None:
        row = self.clean.get(offset)
        return None if row is None else tuple(row)

    def top_paths(self) -> list[tuple[str | None, int]]:
        return []

    def statuses(self) -> list[tuple[int | None, int]]:
        return []


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A sample with its truth."""
    path = tmp_path / "sample.log"
    sample.write(path, LINES, "combined", seed=5)
    return path


@pytest.fixture
def tables(log: Path) -> _Tables:
    """The tables as they must be."""
    tables = _Tables(raw={offset: (0, line) for offset, line in numbered_lines(log)})
    for truth in sample.read_truth(log):
        if truth.event is None:
            tables.rejected_rows[truth.offset] = str(truth.reject)
        else:
            time, client, *others, extra = truth.event
            tables.clean[truth.offset] = [
                datetime.fromisoformat(time),
                str(ipaddress.ip_address(client)),
                *others,
                None if extra is None else json.dumps(extra),
            ]
    return tables


def findings(log: Path, tables: _Tables, extent: Extent | None = None) -> Findings:
    """Compare the tables with the sample."""
    extent = extent or measure(log)
    return compared(log, tables, extent, is_sample=True)


def compared(log: Path, tables: _Tables, extent: Extent, *, is_sample: bool) -> Findings:
    """Compare the tables with a log."""
    by_file = Tables({log: cast(LogTables, tables)})
    return verify(by_file, {log: extent}, is_sample=is_sample)


def test_a_row_is_asked_for_field_by_field() -> None:
    """What is compared with the truth are its fields, in their order."""
    selected, _, _ = CLEAN_ROW.partition("FROM")

    assert re.findall(r"\.(\w+)", selected) == list(Event._fields)


def test_equal_is_exact(log: Path, tables: _Tables) -> None:
    """No difference is found where there is none."""
    found = findings(log, tables)

    assert found.differences == []
    assert found.is_exact
    assert found.compared == len(tables.clean)
    assert found.counts == RowCounts(LINES, len(tables.clean), len(tables.rejected_rows))


def first_clean(tables: _Tables) -> int:
    """Return the offset of a parsed line."""
    return min(tables.clean)


def first_rejected(tables: _Tables) -> int:
    """Return the offset of a rejected line."""
    return min(tables.rejected_rows)


def _lose_raw(tables: _Tables) -> None:
    del tables.raw[first_clean(tables)]


def _lose_the_last(tables: _Tables) -> None:
    del tables.raw[max(tables.raw)]


def _lose_clean(tables: _Tables) -> None:
    del tables.clean[first_clean(tables)]


def _change_raw(tables: _Tables) -> None:
    tables.raw[first_clean(tables)] = (0, b"changed")


def _cut_raw(tables: _Tables) -> None:
    offset = first_clean(tables)
    tables.raw[offset] = (0, tables.raw[offset][1][:-1])


def _add_raw_between(tables: _Tables) -> None:
    tables.raw[first_clean(tables) + 1] = (0, b"")


def _add_raw_behind(tables: _Tables) -> None:
    tables.raw[10**9] = (0, b"x")


def _add_to_both(tables: _Tables) -> None:
    tables.rejected_rows[first_clean(tables)] = "format"


def _swap_keys(tables: _Tables) -> None:
    tables.clean[first_clean(tables) + 1] = tables.clean.pop(first_clean(tables))


def _change_the_reason(tables: _Tables) -> None:
    tables.rejected_rows[first_rejected(tables)] = "refused"


def _change_a_field(tables: _Tables) -> None:
    tables.clean[first_clean(tables)][13] = 999


def _change_the_agent(tables: _Tables) -> None:
    tables.clean[first_clean(tables)][Event._fields.index("user_agent")] = None


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (_lose_raw, "the line is not in raw_log, though later lines are"),
        (_lose_the_last, "the line is not yet in raw_log, the last of the file"),
        (
            _lose_clean,
            "the line is not in clean_log, error_log or rejected_log, though later lines are",
        ),
        (_lose_clean, "has no row in clean_log"),
        (_change_raw, "raw_log holds another line"),
        (_cut_raw, "raw_log holds another line"),
        (_add_raw_between, "raw_log has a row from here on, where no line begins"),
        (_add_raw_behind, "raw_log has a row behind the end of the file"),
        (_add_to_both, "the line has a row in clean_log and in rejected_log"),
        (_add_to_both, "is rejected as format in the tables, but not rejected in the truth"),
        (_swap_keys, "clean_log has a row from here on, where no line begins"),
        (_change_the_reason, "is rejected as refused in the tables, but rejected as"),
        (_change_a_field, "has status 999 in clean_log, but"),
        (_change_the_agent, "has user_agent None in clean_log, but"),
    ],
)
def test_a_difference_is_told(
    log: Path, tables: _Tables, change: Callable[[_Tables], None], difference: str
) -> None:
    """It is said what differs, and by how much or where."""
    change(tables)

    found = findings(log, tables)

    assert not found.is_exact
    assert any(difference in told for told in found.differences), found.differences


def test_of_many_differences_the_first_are_told(log: Path, tables: _Tables) -> None:
    """The others are counted."""
    tables.raw = dict.fromkeys(tables.raw, (0, b"another"))

    assert "and 390 more of that kind" in findings(log, tables).differences


def test_what_was_written_meanwhile_may_be_there_or_not(log: Path, tables: _Tables) -> None:
    """But what is there must be equal."""
    extent = measure(log)
    with log.open("ab") as file:
        file.write(b"stored\nnot yet\n")

    assert findings(log, tables, extent).is_exact
    tables.raw[extent.end] = (0, b"stored")
    assert findings(log, tables, extent).is_exact
    tables.raw[extent.end] = (0, b"another")
    assert not findings(log, tables, extent).is_exact


def test_a_line_that_went_on_meanwhile(log: Path, tables: _Tables) -> None:
    """What had no newline when it was read is the beginning of the line, and says so."""
    with log.open("ab") as file:
        file.write(b"half a li")
    extent = measure(log)
    with log.open("ab") as file:
        file.write(b"ne\n")
    tables.rejected_rows[extent.end - 9] = "format"
    for flags, stored, is_exact in (
        (UNTERMINATED, b"half a li", True),
        (0, b"half a line", True),
        (0, b"half a li", False),
        (UNTERMINATED, b"another", False),
    ):
        tables.raw[extent.end - 9] = (flags, stored)

        found = compared(log, tables, extent, is_sample=False)

        assert found.is_exact is is_exact
