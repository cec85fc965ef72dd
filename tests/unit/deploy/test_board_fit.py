"""What a board says fits where it stands, on a screen of 1366 pixels and so on a wider one."""

from __future__ import annotations

from typing import Any

import expressions
import pytest

SCREEN = 1366
#: Pixels: beside the grid, between its cells, and of its 24 columns.
BESIDE, BETWEEN, COLUMNS = 40, 8, 24
#: Of a title: its letters at Grafana's size, and the room of what stands beside it.
TITLE_LETTER, TITLE_AROUND, ICON = 7.5, 16, 32
#: Of a table: a letter of a head, what stands around it, and the least that a text needs.
LETTER, AROUND, TEXT = 8, 36, 120

PANELS = [
    (where, panel) for where, panel in expressions.panels() if panel["type"] not in ("row", "text")
]
ALL = [pytest.param(panel, id=where) for where, panel in PANELS]
TABLES = [pytest.param(panel, id=where) for where, panel in PANELS if panel["type"] == "table"]


def pixels(span: int) -> float:
    """Return the width of a panel of so many columns."""
    cell = (SCREEN - BESIDE - BETWEEN * (COLUMNS - 1)) / COLUMNS
    return span * cell + (span - 1) * BETWEEN


def overrides(panel: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what is set for a column or a series beyond the panel's own."""
    return {
        entry["id"]: entry["value"]
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == name
        for entry in override["properties"]
    }


@pytest.mark.parametrize("panel", ALL)
def test_a_title_fits_beside_its_icons(panel: dict[str, Any]) -> None:
    """One icon is for the description, one for the links."""
    icons = ICON * (bool(panel.get("description")) + bool(panel.get("links")))
    room = pixels(panel["gridPos"]["w"]) - TITLE_AROUND - icons

    assert len(panel["title"]) <= room / TITLE_LETTER


@pytest.mark.parametrize("panel", TABLES)
def test_the_heads_of_a_table_fit_and_leave_room_for_its_text(panel: dict[str, Any]) -> None:
    """A column with a width of its own has room for its head, and the others for what they say."""
    names = {
        override["matcher"]["options"]
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["id"] == "byName"
    }
    widths = {
        name: width
        for name in names
        if (width := overrides(panel, name).get("custom.width")) is not None
    }

    assert widths
    assert {name for name, width in widths.items() if width < LETTER * len(name)} == set()
    assert sum(widths.values()) + TEXT <= pixels(panel["gridPos"]["w"])


def test_every_figure_of_a_table_has_a_width() -> None:
    """So that the text in its first column has what is left, and not a share as all others."""
    for where, panel in PANELS:
        for target in panel.get("targets", []):
            if panel["type"] == "table" and "rawSql" in target:
                columns = expressions.COLUMN.findall(target["rawSql"])
                assert [
                    name for name in columns[1:] if "custom.width" not in overrides(panel, name)
                ] == [], where


def test_a_ring_s_legend_says_shares_alone() -> None:
    """Beside the ring there is room for a name and one figure."""
    legends = [
        panel["options"]["legend"]["values"] for _, panel in PANELS if panel["type"] == "piechart"
    ]

    assert legends
    assert all(values == ["percent"] for values in legends)


def test_units_scale() -> None:
    """25K lines/s, and not 25000: a unit of our own is a count, which Grafana scales."""
    units = {panel["fieldConfig"]["defaults"]["unit"] for _, panel in PANELS}

    assert "count:lines/s" in units
    assert {unit for unit in units if ":" in unit and not unit.startswith("count:")} == set()
