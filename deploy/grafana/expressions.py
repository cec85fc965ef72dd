"""Every PromQL expression and every SQL statement of the boards and the rules, ready to be run.

For tests: variables and macros are replaced as Prometheus and Grafana would replace them. A place
is said in words, "ingestion.json: Memory" or "alerts.rules.yml: DiskFilling".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

BOARDS = Path(__file__).parent / "dashboards"
RULES = Path(__file__).parents[1] / "prometheus"

PROMQL_VARIABLES = {"$__rate_interval": "1m", "$replica": ".*"}
#: Seconds of one step of a graph.
STEP = 60
#: What "All" stands for: each row's own value, and for the status what the data source writes.
EVERY_SOURCE = "source"
EVERY_HOST = "s.host"
EVERY_STATUS = "'2','3','4','5','1','0'"
SQL_VARIABLES = {
    "$source": EVERY_SOURCE,
    "$host": EVERY_HOST,
    "$status": EVERY_STATUS,
    "${path:lucene}": "",
    "${country:lucene}": "",
    "${bot:lucene}": "",
}
#: What Grafana writes a backslash before, in a variable's format `lucene`.
LUCENE = re.compile(r"""([!*+\-=<>\s&|()\[\]{}^~?:\\/"])""")
COMPARISON = re.compile(r"(?<=\s)(==|!=|>=|<=|>|<)(?=\s)")
LABEL_VALUES = re.compile(r"label_values\((.+), *(\w+)\)")
#: A column of an answer, as a table heads it.
COLUMN = re.compile(r' AS "([^"]+)"')
TIME_FILTER = re.compile(r"\$__timeFilter\(([\w.]+)\)")
TIME_GROUP = re.compile(r"\$__timeGroup(Alias)?\(([^,()]+),\s*\w+(?:,\s*\w+)?\)")


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where each panel stands, and the panel as rendered."""
    for path in sorted(BOARDS.glob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            yield f"{path.name}: {panel['title']}", panel


def _targets(datasource: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, panel in panels():
        for target in panel.get("targets", []):
            if panel["datasource"]["type"] == datasource:
                yield where, target


def _variables(datasource: str) -> Iterator[tuple[str, str]]:
    for path in sorted(BOARDS.glob("*.json")):
        board = json.loads(path.read_text(encoding="utf-8"))
        for variable in board.get("templating", {}).get("list", []):
            if variable.get("datasource", {}).get("type") == datasource:
                yield f"{path.name}: variable {variable['name']}", variable["query"]


def rules() -> list[tuple[str, dict[str, Any]]]:
    """Return each rule, recording or alert, and the name of its file."""
    return [
        (path.name, rule)
        for path in sorted(RULES.glob("*.rules.yml"))
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


def _replaced(text: str, variables: dict[str, str]) -> str:
    for name, value in variables.items():
        text = text.replace(name, value)
    return text


def promql() -> list[tuple[str, str]]:
    """Return where each expression stands, and the expression, the variables' among them.

    An alert compares; here each of its comparisons gives 0 or 1, so that the expression has a value
    while all is well, if every metric that it names is there.
    """
    found = [
        (where, _replaced(target["expr"], PROMQL_VARIABLES))
        for where, target in _targets("prometheus")
    ]
    # Grafana's own function, which asks for the values of a label.
    found += [
        (where, LABEL_VALUES.sub(r"group by (\2) (\1)", query))
        for where, query in _variables("prometheus")
    ]
    for name, rule in rules():
        if "alert" in rule:
            where, expression = rule["alert"], COMPARISON.sub(r"\1 bool", rule["expr"])
        else:
            where, expression = rule["record"], rule["expr"]
        found.append((f"{name}: {where}", expression.strip()))
    return found


def sql(
    start: int = 0, end: int = 2**31 - 1, chosen: Mapping[str, str] = MappingProxyType({})
) -> list[tuple[str, str]]:
    """Return where each statement stands, and the statement, over a time in Unix seconds.

    As Grafana does, it reckons in the session's time zone, which must be UTC. `chosen` are the
    texts that a person filters by.
    """
    texts = {f"${{{name}:lucene}}": LUCENE.sub(r"\\\1", text) for name, text in chosen.items()}
    statements = [(where, target["rawSql"]) for where, target in _targets("mysql")]
    return [
        (where, expanded(_replaced(statement, texts), start, end))
        for where, statement in [*statements, *_variables("mysql")]
    ]


def expanded(statement: str, start: int, end: int, step: int = STEP) -> str:
    """Return a statement over a time in Unix seconds, with steps of so many seconds."""
    values = {
        "$__timeFrom()": f"FROM_UNIXTIME({start})",
        "$__timeTo()": f"FROM_UNIXTIME({end})",
        "$__unixEpochFrom()": str(start),
        "$__unixEpochTo()": str(end),
        "$__interval_ms": str(step * 1_000),
        "$__interval": f"{step}s",
    }
    text = _replaced(statement, values | SQL_VARIABLES)
    text = TIME_FILTER.sub(rf"\1 BETWEEN FROM_UNIXTIME({start}) AND FROM_UNIXTIME({end})", text)

    def grouped(macro: re.Match[str]) -> str:
        alias = ' AS "time"' if macro[1] else ""
        return f"UNIX_TIMESTAMP({macro[2]}) DIV {step} * {step}{alias}"

    return TIME_GROUP.sub(grouped, text)


def expanded_promql(expression: str, rate: int) -> str:
    """Return an expression of a board, with rates over so many seconds."""
    return _replaced(expression, PROMQL_VARIABLES | {"$__rate_interval": f"{rate}s"})
