"""The SDK's own values for what was not set do not get into the boards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import expressions
import pytest
from grafana_foundation_sdk.models import (
    heatmap,
    piechart,
    stat,
    statetimeline,
    table,
    text,
    timeseries,
)

OPTIONS: dict[str, type[Part]] = {
    "heatmap": heatmap.Options,
    "piechart": piechart.Options,
    "stat": stat.Options,
    "state-timeline": statetimeline.Options,
    "table": table.Options,
    "text": text.Options,
    "timeseries": timeseries.Options,
}
#: Options of which the SDK sets another value than Grafana (grafana-schema, panelcfg): both.
AMISS: dict[str, dict[str, tuple[object, object]]] = {
    "heatmap": {
        "color.exponent": (0, 0.5),
        "color.fill": ("", "dark-orange"),
        "color.scheme": ("", "Oranges"),
        "color.steps": (0, 64),
        "exemplars.color": ("", "rgba(255,0,255,0.7)"),
        "legend.show": (False, True),
    },
    "piechart": {
        "legend.showLegend": (False, True),
        "reduceOptions.calcs": ([], ["lastNotNull"]),
        "tooltip.sort": ("asc", "none"),
    },
    "stat": {"reduceOptions.calcs": ([], ["lastNotNull"])},
    "state-timeline": {"legend.showLegend": (False, True), "tooltip.sort": ("asc", "none")},
    "timeseries": {"legend.showLegend": (False, True), "tooltip.sort": ("asc", "none")},
}
#: Those of which the SDK's value is Grafana's as well.
EQUAL: dict[str, object] = {
    "alignValue": "left",
    "calculate": False,
    "cellGap": 1,
    "cellHeight": "sm",
    "color.reverse": False,
    "colorMode": "value",
    "footer.countRows": False,
    "footer.reducer": [],
    "footer.show": False,
    "frameIndex": 0,
    "graphMode": "area",
    "justifyMode": "auto",
    "legend.calcs": [],
    "legend.displayMode": "list",
    "legend.placement": "bottom",
    "legend.values": [],
    "mergeValues": True,
    "mode": "markdown",
    "orientation": "auto",
    "percentChangeColorMode": "standard",
    "perPage": 20,
    "pieType": "pie",
    "rowHeight": 0.9,
    "selectionMode": "x",
    "showHeader": True,
    "showPercentChange": False,
    "showTypeIcons": False,
    "showValue": "auto",
    "textMode": "auto",
    "tooltip.mode": "single",
    "wideLayout": True,
}


@runtime_checkable
class Part(Protocol):
    """Options of a kind of panel, or a part of them, as the SDK models them."""

    def to_json(self) -> dict[str, object]:
        """Return what Grafana stores."""


def unset(options: Part, under: str = "") -> Iterator[tuple[str, object]]:
    """Yield each value that the SDK sets by itself, of each part as made by its own builder."""
    for key, value in options.to_json().items():
        if isinstance(value, Part):
            yield from unset(type(value)(), f"{under}{key}.")
        else:
            yield f"{under}{key}", value


def option(panel: dict[str, Any], path: str) -> object:
    """Return an option of a rendered panel, or None."""
    value: Any = panel.get("options", {})
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


@pytest.mark.parametrize("kind", OPTIONS)
def test_every_value_that_the_sdk_sets_by_itself_is_known(kind: str) -> None:
    """A new one is looked up in Grafana's schema before it gets into a board."""
    amiss = {path: value for path, (value, _) in AMISS.get(kind, {}).items()}
    found = {
        path: value
        for path, value in json.loads(json.dumps(dict(unset(OPTIONS[kind]())))).items()
        if path != "content" and (path not in EQUAL or EQUAL[path] != value)
    }

    assert found == amiss


@pytest.mark.parametrize("kind", OPTIONS)
def test_no_board_has_a_value_that_the_sdk_set_by_itself(kind: str) -> None:
    """What is not set is Grafana's own: 0 steps of colour, for one, leave a heat map blank."""
    panels = [(where, panel) for where, panel in expressions.panels() if panel["type"] == kind]

    assert panels
    assert [
        f"{where}: {path}"
        for where, panel in panels
        for path, (value, _) in AMISS.get(kind, {}).items()
        if option(panel, path) == value
    ] == []
