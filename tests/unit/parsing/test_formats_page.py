"""docs/formats.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datastream.parsing import EXTRA_LIMIT, LIMITS, PRESETS, REJECT_MEANINGS, Event

PAGE = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """Return the rows of the first table below this heading, without its head."""
    below = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in below.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_every_format_is_on_the_page() -> None:
    """The page lists the formats that there are."""
    assert [row[0] for row in table("The formats")] == [f"`{name}`" for name in PRESETS]


@pytest.mark.parametrize("name", PRESETS)
def test_the_example_of_each_format_parses(name: str) -> None:
    """The lines that the page shows are lines of their formats."""
    [example] = re.findall(rf"```{name}\n(.*)\n```", PAGE)

    assert PRESETS[name](example.encode()).extra is None


def test_every_column_is_on_the_page() -> None:
    """The page lists the fields of an event, in their order."""
    columns = [row[0] for row in table("What each field becomes")]

    assert columns == [f"`{column}`" for column in Event._fields]


def test_every_limit_is_on_the_page() -> None:
    """The page says how long each text can be."""
    types = {row[0].strip("`"): row[2] for row in table("What each field becomes")}
    texts = {column: kind for column, kind in types.items() if kind.startswith("text")}

    assert texts == {column: f"text, {limit}" for column, limit in LIMITS.items()}
    assert f"in `extra` longer than {EXTRA_LIMIT} characters" in PAGE


def test_every_reason_is_on_the_page() -> None:
    """The page lists the reasons and their meanings, word for word."""
    reasons = {row[0].strip("`"): row[1] for row in table("Why a line is rejected")}

    assert reasons == dict(REJECT_MEANINGS)
