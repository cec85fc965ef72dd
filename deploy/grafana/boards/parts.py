"""What the boards are made of: data sources, queries, panels of a few kinds, links.

Each panel is made with its title, its description and its unit, so none can be without.
"""

from __future__ import annotations

import re
from textwrap import dedent
from typing import Literal, LiteralString, TypeVar

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    heatmap,
    piechart,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLink,
    DashboardLinkType,
    DashboardSpecialValueMapOptions,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.piechart import PieChartLegendValues, PieChartType
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from boards import runbook

#: As provisioning/datasources/datastream.yml names them.
PROMETHEUS = DataSourceRef(type_val="prometheus", uid="prometheus")
MYSQL = DataSourceRef(type_val="mysql", uid="mysql")

#: A unit `count:x` scales: 25K lines/s.
LINES_PER_SECOND = "count:lines/s"
ROWS_PER_SECOND = "count:rows/s"

#: Seconds after which MySQL ends a query of a board, whether or not a browser still waits for it.
QUERY_SECONDS = 45
#: Pixels of a letter of a table's head, and of what stands around it.
LETTER, AROUND = 8, 36

Query = Builder[Dataquery]
Format = Literal["time_series", "table"]
Panel = TypeVar("Panel", stat.Panel, table.Panel, timeseries.Panel, heatmap.Panel, piechart.Panel)


class Sql(Dataquery, Builder[Dataquery]):
    """A query of the MySQL data source, which the SDK has no builder for."""

    def __init__(self, statement: LiteralString, form: Format) -> None:
        self.columns = tuple(re.findall(r' AS "([^"]+)"', statement))
        self._statement = statement
        self._form = form
        self._ref_id = "A"

    def ref_id(self, ref_id: str) -> None:
        """Set what Grafana calls the query."""
        self._ref_id = ref_id

    def build(self) -> Sql:
        """Return the query: it is its own builder."""
        return self

    def to_json(self) -> dict[str, object]:
        """Return what Grafana stores."""
        return {
            "refId": self._ref_id,
            "datasource": MYSQL,
            "editorMode": "code",
            "format": self._form,
            "rawQuery": True,
            "rawSql": bounded(self._statement),
        }


def bounded(statement: LiteralString) -> str:
    """Return a statement that MySQL ends after a time.

    By a hint: Grafana's data source has no setting for it, and MySQL none of an account.
    """
    text = dedent(statement).strip()
    return text.replace("SELECT", f"SELECT /*+ MAX_EXECUTION_TIME({QUERY_SECONDS * 1_000}) */", 1)


def promql(expression: str, legend: str = "__auto") -> prometheus.Dataquery:
    """Return a query over the time that the board shows."""
    return prometheus.Dataquery().expr(expression).legend_format(legend).range()


def joined(**expressions: str) -> prometheus.Dataquery:
    """Return one query for several series, each under the name that it has here."""
    named = (
        f'label_replace({expression}, "series", "{name.replace("_", " ")}", "", "")'
        for name, expression in expressions.items()
    )
    return promql("\nor\n".join(named), "{{series}}")


def latest(expression: str, legend: str = "__auto") -> prometheus.Dataquery:
    """Return a query for the value now."""
    return prometheus.Dataquery().expr(dedent(expression).strip()).legend_format(legend).instant()


def rows_of(expression: str) -> prometheus.Dataquery:
    """Return a query for a table of the values now, a column for each label."""
    return latest(expression, "").format(PromQueryFormat.TABLE)


def buckets(expression: str) -> prometheus.Dataquery:
    """Return a query for the buckets of a histogram."""
    return promql(expression, "{{le}}").format(PromQueryFormat.HEATMAP)


def thresholds(*steps: tuple[float, str]) -> dashboard.ThresholdsConfig:
    """Return the colours from some values on; green below the first of them."""
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(None, "green"), *(Threshold(value, color) for value, color in steps)])
    )


def warn_at(yellow: float, red: float) -> dashboard.ThresholdsConfig:
    """Return green, yellow from one value on, red from another on."""
    return thresholds((yellow, "yellow"), (red, "red"))


def _with_queries(panel: Panel, texts: tuple[str, str, str], queries: tuple[Query, ...]) -> Panel:
    title, description, unit = texts
    panel.title(title).description(description).unit(unit)
    is_sql = isinstance(queries[0], Sql)
    panel.datasource(MYSQL if is_sql else PROMETHEUS)
    if is_sql:  # rows that are not there yet
        panel.links(help_with("IngestionStopped", "ConsumerAway"))
    for number, query in enumerate(queries):
        if isinstance(query, prometheus.Dataquery | Sql):
            query.ref_id("ABCDEFGH"[number])
        panel.with_target(query)
    return panel


def words(
    away: str, zero: ValueMappingResult | None = None, nan: str = "idle"
) -> list[ValueMapping]:
    """Return what a figure says in words instead of a number.

    `away` is for no value at all: what it tells of is not there. NaN is a rate of nothing, idle,
    or what else `nan` calls it.
    """
    special = (
        (SpecialValueMatch.NULL, ValueMappingResult(text=away, color="red", index=0)),
        (SpecialValueMatch.NA_N, ValueMappingResult(text=nan, color="text", index=1)),
    )
    mappings: list[ValueMapping] = [
        SpecialValueMap(DashboardSpecialValueMapOptions(match=match, result=result))
        for match, result in special
    ]
    return [*mappings, ValueMap({"0": zero})] if zero else mappings


def figure(title: str, unit: str, description: str, away: str, *queries: Query) -> stat.Panel:
    """Return a panel with one large figure of now, coloured by its thresholds.

    `away` is what it says in red where there is no value.
    """
    panel = _with_queries(stat.Panel(), (title, description, unit), queries)
    return (
        panel.height(4)
        .span(4)
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE)
        .wide_layout(False)  # beside its name, a figure of several is small
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .thresholds(thresholds())
        .mappings(words(away))
        .reduce_options(common.ReduceDataOptions().calcs(["last"]))
    )


def lines(title: str, unit: str, description: str, *queries: Query) -> timeseries.Panel:
    """Return a panel with a line for each series."""
    panel = _with_queries(timeseries.Panel(), (title, description, unit), queries)
    return (
        panel.height(8)
        .span(12)
        .min(0)
        .line_width(2)
        .fill_opacity(8)
        .show_points(VisibilityMode.NEVER)
        .thresholds(thresholds())
        .tooltip(
            common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
        )
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
        )
    )


def dashed(panel: timeseries.Panel, steps: dashboard.ThresholdsConfig) -> timeseries.Panel:
    """Draw thresholds into a panel of lines."""
    style = common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
    return panel.thresholds(steps).thresholds_style(style)


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """Stack the lines of a panel: what they come to together is what matters.

    Without outlines: that of a series of zeros would be drawn on top of the one below.
    """
    stacking = common.StackingConfig().mode(StackingMode.NORMAL)
    return panel.fill_opacity(70).line_width(0).stacking(stacking)


def heat(title: str, unit: str, description: str, query: Query) -> heatmap.Panel:
    """Return a heat map of a histogram."""
    panel = _with_queries(heatmap.Panel(), (title, description, unit), (query,))
    return (
        panel.height(8)
        .span(12)
        .thresholds(thresholds())
        # Grafana's own values: the SDK fills in 0 or "" for what is left out, and Grafana
        # draws nothing in 0 colours.
        .color(
            heatmap.HeatmapColorOptions()
            .scheme("Oranges")
            .fill("dark-orange")
            .exponent(0.5)
            .steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .cell_gap(1)
        .show_legend()
    )


def listing(title: str, unit: str, description: str, statement: Sql) -> table.Panel:
    """Return a table, a row for each row of the query.

    Figures are as wide as their heads, and the first column has what is left.
    """
    panel = _with_queries(table.Panel(), (title, description, unit), (statement,))
    for column in statement.columns[1:]:
        panel.override_by_name(column, width(LETTER * len(column) + AROUND))
    return panel.height(9).span(12).thresholds(thresholds())


def empty_cells(text: str) -> list[DynamicConfigValue]:
    """Return the override that says something else in a column's empty cells than no rows do."""
    return [DynamicConfigValue(id_val="noValue", value=text)]


def table_of(
    title: str, description: str, query: prometheus.Dataquery, columns: dict[str, str]
) -> table.Panel:
    """Return a table, a row for each series: of its labels, those that stand in `columns`.

    Each has its head there; one with none stays in the data, for links to ask, and is not shown.
    """
    panel = _with_queries(table.Panel(), (title, description, "short"), (query,))
    for name, head in columns.items():
        if not head:
            hidden = {"legend": False, "tooltip": False, "viz": True}
            panel.override_by_name(name, [DynamicConfigValue("custom.hideFrom", hidden)])
    return (
        panel.height(10)
        .thresholds(thresholds())
        .no_value("Prometheus away")
        .with_transformation(
            DataTransformerConfig(
                id_val="filterFieldsByName", options={"include": {"names": list(columns)}}
            )
        )
        .with_transformation(
            DataTransformerConfig(
                id_val="organize",
                options={
                    "indexByName": {name: place for place, name in enumerate(columns)},
                    "renameByName": {name: head for name, head in columns.items() if head},
                },
            )
        )
    )


def width(pixels: int) -> list[DynamicConfigValue]:
    """Return the override that gives a column a width."""
    return [DynamicConfigValue(id_val="custom.width", value=pixels)]


def linked(title: str, url: str) -> list[DynamicConfigValue]:
    """Return the override that makes the values of a column, or of a series, a link."""
    return [DynamicConfigValue(id_val="links", value=[{"title": title, "url": url}])]


def shares(title: str, unit: str, description: str, statement: Sql) -> piechart.Panel:
    """Return a ring of shares, a piece for each row of the query."""
    panel = _with_queries(piechart.Panel(), (title, description, unit), (statement,))
    return (
        panel.height(9)
        .span(8)
        .pie_type(PieChartType.DONUT)
        .thresholds(thresholds())
        .reduce_options(common.ReduceDataOptions().values(True).calcs(["lastNotNull"]))
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.SINGLE).sort(SortOrder.NONE))
        .legend(
            piechart.PieChartLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.RIGHT)
            .values([PieChartLegendValues.PERCENT])
        )
    )


#: The text of a column in the colour of its mapping or threshold.
COLOURED = DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"})


def mapped(texts: dict[str, ValueMappingResult]) -> list[DynamicConfigValue]:
    """Return the override that shows other texts for values."""
    return [DynamicConfigValue(id_val="mappings", value=[ValueMap(texts)])]


def unit_of(unit: str) -> list[DynamicConfigValue]:
    """Return the override that gives a column a unit of its own."""
    return [DynamicConfigValue(id_val="unit", value=unit)]


def colour_of(colour: str) -> list[DynamicConfigValue]:
    """Return the override that gives a series a colour of its own."""
    return [
        DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour}),
    ]


def help_with(*alerts: str) -> list[Builder[DashboardLink]]:
    """Return links to what the runbook says about some alerts."""
    return [
        dashboard.DashboardLink(f"What to do: {alert}")
        .type(DashboardLinkType.LINK)
        .url(runbook.url(alert))
        for alert in alerts
    ]


def board(title: str, uid: str, description: str, refresh: list[str]) -> dashboard.Dashboard:
    """Return an empty board with links to the others.

    `refresh` are the intervals to choose from, the first of which is the board's own. Grafana
    cancels what is not answered by the next.
    """
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["datastream"])
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .refresh(refresh[0])
        .timepicker(dashboard.TimePicker().refresh_intervals(refresh))
        .link(
            dashboard.DashboardLink("Datastream")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["datastream"])
            .as_dropdown(False)
            .keep_time(True)
        )
    )
