"""The answers to a board's queries, as Grafana's two data sources would give them: data frames."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import expressions

#: `label` of `{{label}}` in the legend of a query.
LABEL = re.compile(r"\{\{ *(\w+) *\}\}")
#: Seconds that Grafana may choose for one step of a graph.
STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_200, 1_800, 3_600)
#: Seconds between two scrapes, as provisioning/datasources tells Grafana.
SCRAPE = 5
#: Points of a graph, about a pixel each in one of half a board's width at 1366.
POINTS = 600

Frame = dict[str, Any]
Rows = tuple[Sequence[str], Sequence[Sequence[Any]]]


class Away(Exception):
    """What should answer does not."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What answers, or raises Away: Prometheus's API, by path and parameters, and SQL."""

    prometheus: Callable[..., Any]
    sql: Callable[[str], Rows]


@dataclass(frozen=True, slots=True)
class Times:
    """The time that a board shows, in Unix seconds."""

    start: int
    end: int

    def step(self, minimum: str) -> int:
        """Return the seconds of one step of a graph, with a panel's own minimum such as "10s"."""
        least = max((self.end - self.start) // POINTS, _seconds(minimum))
        return next((step for step in STEPS if step >= least), least)


def _seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[text[-1]]


def of_board(board: dict[str, Any], times: Times, sources: Sources) -> dict[int, list[Frame]]:
    """Return the frames of each panel that asks something, by its id.

    None where a source is away, as Grafana has none then.
    """
    found: dict[int, list[Frame]] = {}
    for panel in board["panels"]:
        if "targets" in panel:
            try:
                step = times.step(_interval(board, panel, times, sources))
                found[panel["id"]] = [
                    frame
                    for target in panel["targets"]
                    for frame in _frames(target, times, step, sources)
                ]
            except Away:
                found[panel["id"]] = []
    return found


def _interval(board: dict[str, Any], panel: dict[str, Any], times: Times, sources: Sources) -> str:
    """Return the least step of a panel: its own, or what a variable of the board asks for."""
    named: str = panel.get("interval") or "1s"
    for variable in board["templating"]["list"]:
        if named == f"${variable['name']}":
            _, ((value,),) = sources.sql(
                expressions.expanded(variable["query"], times.start, times.end)
            )
            return str(value)
    return named


def _frames(target: dict[str, Any], times: Times, step: int, sources: Sources) -> Iterator[Frame]:
    if "rawSql" in target:
        statement = expressions.expanded(target["rawSql"], times.start, times.end, step)
        columns, rows = sources.sql(statement)
        if target["format"] == "time_series":
            yield _series(columns, rows, times, step, _fill(target["rawSql"]))
        else:
            yield _table(columns, rows)
        return
    found = _prometheus(target, times, max(step, SCRAPE), sources)
    form = target.get("format", "time_series")
    if form == "heatmap":
        yield from _heat(found)
    elif form == "table":
        yield from _labels(found, target["refId"])
    else:
        for labels, values in found:
            yield _line(labels, values, _legend(target, labels), max(step, SCRAPE))


def _prometheus(
    target: dict[str, Any], times: Times, step: int, sources: Sources
) -> list[tuple[dict[str, str], list[Any]]]:
    """Return the labels of each series, and its times and values."""
    query = expressions.expanded_promql(target["expr"], max(step + SCRAPE, 4 * SCRAPE))
    if target["instant"]:
        answer = sources.prometheus("query", query=query, time=str(times.end))
        return [(series["metric"], [series["value"]]) for series in answer["result"]]
    span = {"start": str(times.start), "end": str(times.end), "step": str(step)}
    answer = sources.prometheus("query_range", query=query, **span)
    return [(series["metric"], series["values"]) for series in answer["result"]]


def _frame(*fields: dict[str, Any]) -> Frame:
    """Return a frame of fields; JSON has no NaN and no infinity, so their places are told."""
    schema = [{key: field[key] for key in field if key != "values"} for field in fields]
    values = [[_finite(value) for value in field["values"]] for field in fields]
    entities = [
        {
            name: [at for at, value in enumerate(field["values"]) if _is(value, which)]
            for name, which in (("NaN", "nan"), ("Inf", "inf"), ("NegInf", "-inf"))
        }
        for field in fields
    ]
    return {"schema": {"fields": schema}, "data": {"values": values, "entities": entities}}


def _is(value: object, which: str) -> bool:
    return isinstance(value, float) and str(value) == which


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _legend(target: dict[str, Any], labels: dict[str, str]) -> dict[str, str]:
    text = target["legendFormat"]
    if text == "__auto":
        return {} if labels else {"displayNameFromDS": target["expr"]}
    return {"displayNameFromDS": LABEL.sub(lambda match: labels.get(match[1], ""), text)}


def _line(labels: dict[str, str], values: list[Any], config: dict[str, str], step: int) -> Frame:
    """Return a frame of one series."""
    times = [round(float(time) * 1_000) for time, _ in values]
    return _frame(
        {"name": "Time", "type": "time", "config": {"interval": step * 1_000}, "values": times},
        {
            "name": "Value",
            "type": "number",
            "labels": labels,
            "config": config,
            "values": [float(value) for _, value in values],
        },
    )


def _heat(found: list[tuple[dict[str, str], list[Any]]]) -> Iterator[Frame]:
    """Yield one frame with a field for each bucket, each without what those below it hold."""
    if not found:
        return
    buckets = sorted(found, key=lambda series: float(series[0]["le"]))
    times = sorted({time for _, values in buckets for time, _ in values})
    below = dict.fromkeys(times, 0.0)
    fields = []
    for labels, values in buckets:
        at = {time: float(value) for time, value in values}
        shown = []
        for time in times:
            shown.append(max(at.get(time, below[time]) - below[time], 0.0))
            below[time] = at.get(time, below[time])
        fields.append({"name": labels["le"], "type": "number", "values": shown})
    stamps = [round(float(time) * 1_000) for time in times]
    yield _frame({"name": "Time", "type": "time", "values": stamps}, *fields)


def _labels(found: list[tuple[dict[str, str], list[Any]]], reference: str) -> Iterator[Frame]:
    """Yield one frame with a column for each label."""
    if not found:
        return
    names = sorted({name for labels, _ in found for name in labels})
    last = [(labels, *values[-1]) for labels, values in found]
    frame = _frame(
        {"name": "Time", "type": "time", "values": [round(float(t) * 1_000) for _, t, _ in last]},
        *(
            {"name": name, "type": "string", "values": [labels.get(name) for labels, *_ in last]}
            for name in names
        ),
        {"name": "Value", "type": "number", "values": [float(value) for *_, value in last]},
    )
    frame["schema"]["refId"] = reference
    yield frame


def _fill(statement: str) -> float | None:
    """Return what a step without rows is filled with; None leaves it out."""
    found = re.search(r"\$__timeGroupAlias\([^,]+,[^,]+,\s*(\d+)\s*\)", statement)
    return float(found[1]) if found else None


def _value(cell: object) -> object:
    if isinstance(cell, Decimal):
        return float(cell)
    if isinstance(cell, datetime.datetime):
        return round(cell.replace(tzinfo=datetime.UTC).timestamp() * 1_000)
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell


def _kind(cells: Sequence[object]) -> str:
    first = next((cell for cell in cells if cell is not None), None)
    if isinstance(first, datetime.datetime):
        return "time"
    return "number" if isinstance(first, int | float | Decimal) else "string"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Frame:
    by_column = [[row[index] for row in rows] for index in range(len(columns))]
    return _frame(
        *(
            {"name": name, "type": _kind(cells), "values": [_value(cell) for cell in cells]}
            for name, cells in zip(columns, by_column, strict=True)
        )
    )


def _series(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    times: Times,
    step: int,
    fill: float | None,
) -> Frame:
    """Return one frame with a field for each series: a column's, or a value's of `metric`."""
    clock = columns.index("time")
    named = columns.index("metric") if "metric" in columns else None
    series: dict[str, dict[int, Any]] = {}
    for row in rows:
        for index, name in enumerate(columns):
            if index not in (clock, named):
                key = name if named is None else str(row[named])
                series.setdefault(key, {})[int(row[clock])] = _value(row[index])
    steps = sorted({int(row[clock]) for row in rows})
    if fill is not None and steps:
        steps = list(range(times.start // step * step, times.end + 1, step))
    stamps = [time * 1_000 for time in steps]
    return _frame(
        {"name": "Time", "type": "time", "values": stamps},
        *(
            {"name": name, "type": "number", "values": [at.get(time, fill) for time in steps]}
            for name, at in series.items()
        ),
    )
