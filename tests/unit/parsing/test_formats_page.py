"""docs/formats.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datastream.parsing import (
    ERROR_LIMITS,
    EXTRA_LIMIT,
    LIMITS,
    PRESETS,
    REJECT_MEANINGS,
    ErrorEvent,
    Event,
    parser_for,
)
from datastream.parsing.fields import Fields
from datastream.parsing.variables import COLUMNS, KINDS, kind_of

PAGE = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """Return the rows of the first table below this heading, without its head."""
    below = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in below.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_every_format_is_on_the_page() -> None:
    """The page lists the formats that there are."""
    assert [row[0] for row in table("The formats")] == [f"`{name}`" for name in PRESETS]


@pytest.mark.parametrize("name", [*PRESETS, "error"])
def test_the_example_of_each_format_parses(name: str) -> None:
    """The lines that the page shows are lines of their formats, with nothing odd in them."""
    [example] = re.findall(rf"```{name}\n(.*)\n```", PAGE)
    event = parser_for(name)(example.encode())

    assert (event.extra or {}).keys().isdisjoint({*Event._fields, "cut"})
    assert event.client


def test_every_variable_is_on_the_page() -> None:
    """The table has each variable that is known, where it goes, and what its values are."""
    *rows, other = table("Where each variable goes")
    found = {row[0].strip("`$"): (row[1], row[2]) for row in rows}

    assert other[0] == "any other"
    assert found.keys() == KINDS.keys() | {name for names in COLUMNS.values() for name in names}
    for name, (columns, kind) in found.items():
        fields = Fields([name, "msec"] if name != "msec" else [name], None)
        filled = ", ".join(f"`{column}`" for column in fields.columns_of(name))
        if not name.startswith("time_"):  # $msec goes first
            assert columns == filled, name
        assert kind == kind_of(name).value


def test_the_first_variable_of_the_table_fills_the_column() -> None:
    """Where several could, their order on the page is that of the code."""
    order = [row[0].strip("`$") for row in table("Where each variable goes")]

    for names in COLUMNS.values():
        assert sorted(names, key=order.index) == list(names)


def test_every_field_of_the_error_log_is_on_the_page() -> None:
    """The page lists the fields of an error event, in their order, with their limits."""
    rows = table("What a line of the error log becomes")
    texts = {row[0].strip("`"): row[1] for row in rows if row[1].startswith("text")}

    assert [row[0] for row in rows] == [f"`{field}`" for field in ErrorEvent._fields]
    assert texts == {column: f"text, {limit}" for column, limit in ERROR_LIMITS.items()}


def test_every_column_is_on_the_page() -> None:
    """The page lists the fields of an event, in their order."""
    columns = [row[0] for row in table("What each field becomes")]

    assert columns == [f"`{column}`" for column in Event._fields]


def test_every_limit_is_on_the_page() -> None:
    """The page says how long each text can be."""
    types = {row[0].strip("`"): row[1] for row in table("What each field becomes")}
    texts = {column: kind for column, kind in types.items() if kind.startswith("text")}

    assert texts == {column: f"text, {limit}" for column, limit in LIMITS.items()}
    assert f"in `extra` longer than {EXTRA_LIMIT} characters" in PAGE


def test_every_reason_is_on_the_page() -> None:
    """The page lists the reasons and their meanings, word for word."""
    reasons = {row[0].strip("`"): row[1] for row in table("Why a line is rejected")}

    assert reasons == dict(REJECT_MEANINGS)
