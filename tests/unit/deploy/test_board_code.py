"""The boards are fresh, say what they show, and name only metrics and columns that exist."""

from __future__ import annotations

import json
import re
from itertools import chain
from pathlib import Path
from typing import Any

import expressions
import pytest
import render
import yaml
from boards import runbook

from datastream.metrics import ConsumerMetrics, DoctorMetrics, ProducerMetrics, ServiceMetrics
from datastream.topology import MAX_QUEUE_BYTES, QUEUES

ROOT = Path(__file__).parents[3]
BOARDS = {path.name: json.loads(path.read_text()) for path in expressions.BOARDS.glob("*.json")}
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] not in ("row", "text")
]
PROMQL = [pytest.param(text, id=where) for where, text in expressions.promql()]
SQL = [pytest.param(text, id=where) for where, text in expressions.sql()]

#: What Prometheus adds to every series of ours, and what each histogram's buckets have.
EVERYWHERE = {"job", "instance", "replica", "le"}
SELECTOR = re.compile(r"\b([a-z][a-z0-9_]*(?::[a-z0-9_]+)*)(?:\{([^}]*)\})?(?![\w(:])")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
#: What label_replace and label_join make.
MADE = re.compile(r",\s*\"(\w+)\",\s*\"")
WORD = re.compile(r"\b(?:([a-z])\.)?`?([a-z][a-z0-9_]*)`?\b(?!\s*\()")
CREATED = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+) \((.*)\) ENGINE", re.DOTALL)
ALTERED = re.compile(r"^ALTER TABLE (\w+)(.*)", re.DOTALL | re.MULTILINE)
CHANGE = re.compile(r"\b(ADD|DROP) COLUMN (?:/\*.*?\*/ )?`?(\w+)")


def labels_of_metrics() -> dict[str, set[str]]:
    """Return the labels of every series that the services can have."""
    found: dict[str, set[str]] = {}
    registries: tuple[ServiceMetrics, ...] = (
        ProducerMetrics(),
        ConsumerMetrics(),
        DoctorMetrics(),
    )
    for metrics in registries:
        for collector, names in metrics.registry._collector_to_names.items():  # noqa: SLF001
            labels = set(getattr(collector, "_labelnames", ()))
            found |= {name: labels for name in names if name.startswith("datastream_")}
    return found


def recorded() -> set[str]:
    """Return the names of the recording rules."""
    return {rule["record"] for _, rule in expressions.rules() if "record" in rule}


def columns() -> dict[str, set[str]]:
    """Return the columns of each table, from the migrations."""
    tables: dict[str, set[str]] = {}
    for path in sorted((ROOT / "migrations").glob("*.sql")):
        if path.name.endswith(".rollback.sql"):
            continue
        for table, body in CREATED.findall(path.read_text()):
            tables[table] = set(re.findall(r"^    ([a-z]\w*) [A-Z]", body, re.MULTILINE))
        for table, changes in ALTERED.findall(path.read_text()):
            for verb, column in CHANGE.findall(changes):
                (tables[table].add if verb == "ADD" else tables[table].remove)(column)
    return tables


def test_the_rendered_boards_are_fresh() -> None:
    """What is in the repository is what the code renders."""
    rendered = {path.name: text for path, text in render.files().items()}

    assert rendered == {path.name: path.read_text() for path in render.FOLDER.iterdir()}


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    """Each panel has a title, a description, a unit, thresholds, and leads to the runbook."""
    defaults = panel["fieldConfig"]["defaults"]

    assert panel["title"]
    assert len(panel["description"]) > 20
    assert defaults["unit"]
    assert defaults["thresholds"]["steps"]
    assert panel["links"]


def test_every_panel_of_the_traffic_is_on_the_page() -> None:
    """docs/boards.md says which question each one answers."""
    page = (ROOT / "docs" / "boards.md").read_text().partition("\n## Traffic")[2]
    rows = re.findall(r"^\| ([^|]+) \|", page.partition("\n## ")[0], re.MULTILINE)
    shown = [panel["title"] for panel in BOARDS["traffic.json"]["panels"] if panel["type"] != "row"]

    assert sorted("; ".join(rows[1:]).split("; ")) == sorted(shown)


@pytest.mark.parametrize("name", BOARDS)
def test_panels_lie_side_by_side(name: str) -> None:
    """No panel covers another, and none leaves the grid of 24 columns."""
    cells: list[tuple[int, int]] = []
    for panel in BOARDS[name]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells += [
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]

    assert len(cells) == len(set(cells))


def test_links_to_the_runbook_lead_to_the_words_they_promise() -> None:
    """A link names an alert, and opens the panel with its words."""
    titles = {panel["id"]: panel["title"] for panel in BOARDS["runbook.json"]["panels"]}
    links = [
        (link["title"], int(link["url"].rpartition("=")[2]))
        for board in BOARDS.values()
        for panel in board["panels"]
        for link in panel.get("links", [])
    ]

    assert links
    assert all(title == f"What to do: {titles[number]}" for title, number in links)


def test_every_alert_is_linked_from_a_panel() -> None:
    """Whoever sees trouble on a board finds what to do."""
    text = "".join(path.read_text() for path in expressions.BOARDS.glob("*.json"))

    assert [name for name in runbook.sections() if f"What to do: {name}" not in text] == []


@pytest.mark.parametrize("expression", PROMQL)
def test_only_metrics_and_labels_that_exist_are_named(expression: str) -> None:
    """A renamed metric or label of ours fails here, before any board goes empty."""
    known = labels_of_metrics()
    text = re.sub(r"\[[^]]*\]", "", GROUPING.sub("", expression))
    used = [
        (name, set(LABEL.findall(selector)))
        for name, selector in SELECTOR.findall(text)
        if name.startswith("datastream")
    ]

    assert [name for name, _ in used if name not in known.keys() | recorded()] == []
    for name, labels in used:
        if name in known:
            assert labels <= known[name] | EVERYWHERE
    if used and all(name in known for name, _ in used):
        grouped = {
            label for group in GROUPING.findall(expression) for label in re.findall(r"\w+", group)
        }
        made = set(MADE.findall(expression))
        assert grouped - made <= set(chain(*(known[name] for name, _ in used))) | EVERYWHERE


def test_queues_are_named_as_they_are() -> None:
    """The names of the queues, and the bytes at which they refuse, are the topology's."""
    words = " ".join(text for _, text in expressions.promql())
    limits = [text for where, text in expressions.promql() if "fill_ratio" in where]

    assert set(re.findall(r"queue-data[\w-]+", words)) == {queue.name for queue in QUEUES}
    assert limits[0].endswith(f"/ {MAX_QUEUE_BYTES}")


@pytest.mark.parametrize("statement", SQL)
def test_only_tables_and_columns_that_exist_are_named(statement: str) -> None:
    """A renamed table or column fails here.

    Names are the words in small letters: SQL's own are in capitals. Those that the statement gives
    itself follow AS.
    """
    tables = columns()
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "", statement)
    given = set(re.findall(r"\bAS `?(\w+)`?", text))
    named = {word for _, word in WORD.findall(text) if len(word) > 1}
    used = {table for table in tables if re.search(rf"(?:\bFROM|JOIN) {table}\b", text)}

    assert used
    assert set(re.findall(r"(?:\bFROM|JOIN) (\w+)", text)) == used
    assert named - given - used <= set(chain(*(tables[table] for table in used)))


@pytest.mark.parametrize("statement", SQL)
def test_a_query_of_a_table_of_millions_is_bounded_in_time(statement: str) -> None:
    """It reads the time shown and no more, or the newest row alone, and changes nothing."""
    assert statement.startswith("SELECT")
    assert ";" not in statement
    if "clean_log" in statement and "MAX(time)" not in statement:
        assert "c.time BETWEEN FROM_UNIXTIME(0)" in statement
    assert "$" not in statement


def test_the_provisioning_names_what_the_boards_use() -> None:
    """Boards find their data sources, and no password stands in a file."""
    folder = ROOT / "deploy" / "grafana" / "provisioning"
    sources = yaml.safe_load((folder / "datasources" / "datastream.yml").read_text())["datasources"]
    providers = yaml.safe_load((folder / "dashboards" / "datastream.yml").read_text())["providers"]
    used = {
        (panel["datasource"]["type"], panel["datasource"]["uid"])
        for board in BOARDS.values()
        for panel in board["panels"]
        if panel.get("targets")
    }
    mysql = next(source for source in sources if source["type"] == "mysql")

    assert {(source["type"], source["uid"]) for source in sources} == used
    assert mysql["user"] == "grafana"
    assert mysql["secureJsonData"]["password"].startswith("$__file{")
    assert mysql["jsonData"]["timezone"] == "+00:00"
    assert providers[0]["options"]["path"] == "/var/lib/grafana/dashboards"


def test_metrics_of_others_are_on_the_page_with_their_units() -> None:
    """docs/metrics.md says of each what it counts in, and milliseconds are shown as no seconds."""
    page = (ROOT / "docs" / "metrics.md").read_text().partition("\n## Of others")[2]
    units = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page, re.MULTILINE))
    others = re.compile(r"(?<![\w:])(?:up|(?:process|rabbitmq|erlang|mysql)_\w+)(?![\w:])")
    used = set(chain(*(others.findall(text) for _, text in expressions.promql())))
    ratio = re.compile(r"rate\((\w+)\[1m\]\)\s*/\s*rate\((\w+)\[1m\]\)")
    milliseconds = {name for name, unit in units.items() if unit == "milliseconds"}

    assert used == set(units)
    assert {
        name
        for _, text in expressions.promql()
        for name in milliseconds
        if name in text and name not in chain(*ratio.findall(text))
    } == set()
