"""What the boards are made of: data sources, queries, panels of a few kinds, links.

Each panel is made with its title, its description and its unit, so none can be without.
"""

from __future__ import annotations

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
    DataSourceRef,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.piechart import PieChartLegendValues, PieChartType
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from boards import runbook

#: As provisioning/datasources/datastream.yml names them.
PROMETHEUS = DataSourceRef(type_val="prometheus", uid="prometheus")
MYSQL = DataSourceRef(type_val="mysql", uid="mysql")

LINES_PER_SECOND = "suffix: lines/s"
ROWS_PER_SECOND = "suffix: rows/s"

Query = Builder[Dataquery]
Format = Literal["time_series", "table"]
Panel = TypeVar("Panel", stat.Panel, table.Panel, timeseries.Panel, heatmap.Panel, piechart.Panel)


class Sql(Dataquery, Builder[Dataquery]):
    """A query of the MySQL data source, which the SDK has no builder for."""

    def __init__(self, statement: LiteralString, form: Format) -> None:
        self._statement = statement
        self._form = form

    def build(self) -> Sql:
        """Return the query: it is its own builder."""
        return self

    def to_json(self) -> dict[str, object]:
        """Return what Grafana stores."""
        return {
            "refId": "A",
            "datasource": MYSQL,
            "editorMode": "code",
            "format": self._form,
            "rawQuery": True,
            "rawSql": dedent(self._statement).strip(),
        }


def promql(expression: str, legend: str = "__auto") -> prometheus.Dataquery:
    """Return a query over the time that the board shows."""
    return prometheus.Dataquery().expr(expression).legend_format(legend).range()


def latest(expression: str, legend: str = "__auto") -> prometheus.Dataquery:
    """Return a query for the value now."""
    return prometheus.Dataquery().expr(expression).legend_format(legend).instant()


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
        if isinstance(query, prometheus.Dataquery):
            query.ref_id("ABCDEFGH"[number])
        panel.with_target(query)
    return panel


def figure(title: str, unit: str, description: str, *queries: Query) -> stat.Panel:
    """Return a panel with one large figure, coloured by its thresholds."""
    panel = _with_queries(stat.Panel(), (title, description, unit), queries)
    return (
        panel.height(4)
        .span(4)
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.AREA)
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .thresholds(thresholds())
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
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
    """Stack the lines of a panel: what they come to together is what matters."""
    return panel.fill_opacity(40).stacking(common.StackingConfig().mode(StackingMode.NORMAL))


def heat(title: str, unit: str, description: str, query: Query) -> heatmap.Panel:
    """Return a heat map of a histogram."""
    panel = _with_queries(heatmap.Panel(), (title, description, unit), (query,))
    return (
        panel.height(8)
        .span(12)
        .thresholds(thresholds())
        .color(heatmap.HeatmapColorOptions().scheme("Oranges").exponent(0.5))
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .cell_gap(1)
        .show_legend()
    )


def listing(title: str, unit: str, description: str, statement: Sql) -> table.Panel:
    """Return a table, a row for each row of the query."""
    panel = _with_queries(table.Panel(), (title, description, unit), (statement,))
    return panel.height(9).span(12).thresholds(thresholds())


def shares(title: str, unit: str, description: str, statement: Sql) -> piechart.Panel:
    """Return a ring of shares, a piece for each row of the query."""
    panel = _with_queries(piechart.Panel(), (title, description, unit), (statement,))
    return (
        panel.height(9)
        .span(8)
        .pie_type(PieChartType.DONUT)
        .thresholds(thresholds())
        .reduce_options(common.ReduceDataOptions().values(True).calcs(["lastNotNull"]))
        .legend(
            piechart.PieChartLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.RIGHT)
            .values([PieChartLegendValues.PERCENT, PieChartLegendValues.VALUE])
        )
    )


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


def board(title: str, uid: str, description: str) -> dashboard.Dashboard:
    """Return an empty board with links to the others."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["datastream"])
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Datastream")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["datastream"])
            .as_dropdown(False)
            .keep_time(True)
        )
    )
