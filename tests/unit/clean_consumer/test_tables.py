"""The columns of the tables of lines: declared once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_type_hints

import pytest

from clean_consumer.columns import CleanRow, ErrorRow, RejectedRow
from clean_consumer.enrichment import NONE
from clean_consumer.tables import TABLES
from datastream.inserts import binaries, json_texts, numbers, texts
from datastream.parsing import ErrorEvent, Event

PAGE = (Path(__file__).parents[3] / "docs" / "tables.md").read_text(encoding="utf-8")
IDENTITY = {"stream_id": int, "line_offset": int, "parser_version": int, "flags": int}


def test_a_row_of_clean_log_begins_with_its_event() -> None:
    """What the parser gives stands in the row under the same names and types, in one order."""
    names = Event(*Event._fields)  # type: ignore[arg-type]  # in place of values
    fields = list(map(str, NONE.columns(names)))
    hints = get_type_hints(CleanRow)
    event = get_type_hints(Event)

    assert list(hints)[len(IDENTITY) :][: len(fields)] == fields
    assert {name: hints[name] for name in fields} == {name: event[name] for name in fields}
    assert set(Event._fields) - set(fields) == {"referrer", "user_agent", "extra"}


def test_a_row_of_error_log_is_its_event() -> None:
    """The parser's fields follow on the identity of the line."""
    hints = get_type_hints(ErrorRow)

    assert hints == IDENTITY | get_type_hints(ErrorEvent)
    assert list(hints) == [*IDENTITY, *ErrorEvent._fields]


@pytest.mark.parametrize("row", [CleanRow, ErrorRow, RejectedRow])
def test_every_row_begins_with_the_identity_of_its_line(row: type[CleanRow]) -> None:
    """The statements on all tables count on it."""
    assert dict(list(get_type_hints(row).items())[: len(IDENTITY)]) == IDENTITY


def test_the_type_of_a_column_says_how_it_is_written() -> None:
    """Numbers as digits, bytes as hexadecimal digits, extra as JSON, all else as text."""
    columns = TABLES[0].insert.columns
    written = [columns[name] for name in ("status", "is_email", "client", "url", "extra")]

    assert written == [numbers, numbers, binaries, texts, json_texts]


@pytest.mark.parametrize(
    ("table", "row"),
    [("clean_log", CleanRow), ("error_log", ErrorRow), ("rejected_log", RejectedRow)],
)
def test_every_column_is_on_the_page(table: str, row: type[CleanRow]) -> None:
    """docs/tables.md names the columns in their order, and the INSERT does."""
    listed = re.findall(rf"^\| `{table}` \| (`stream_id`.*) \|$", PAGE, re.MULTILINE)

    assert listed == [", ".join(f"`{name}`" for name in row._fields)]
    (insert,) = [one.insert for one in TABLES if one.name == table]
    assert tuple(insert.columns) == row._fields
