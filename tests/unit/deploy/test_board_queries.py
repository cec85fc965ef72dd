"""What a board asks costs little, ends, and is answered before it is asked again."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import expressions
import yaml
from boards import runbook

ROOT = Path(__file__).parents[3]
BOARDS = {path.stem: json.loads(path.read_text()) for path in expressions.BOARDS.glob("*.json")}
DATASOURCES = ROOT / "deploy" / "grafana" / "provisioning" / "datasources" / "datastream.yml"
COMPOSE = yaml.safe_load((ROOT / "deploy" / "docker-compose.yml").read_text())
HINT = re.compile(r"^SELECT /\*\+ MAX_EXECUTION_TIME\((\d+)\) \*/")
SECONDS = {"s": 1, "m": 60, "h": 3_600}
#: Of the board Ingestion, at a refresh.
MOST_QUERIES = 24


def seconds(interval: str) -> int:
    """Return the seconds of an interval of Grafana."""
    return int(interval[:-1]) * SECONDS[interval[-1]]


def panel(board: str, title: str) -> dict[str, Any]:
    """Return a panel as rendered."""
    found: dict[str, Any] = next(p for p in BOARDS[board]["panels"] if p["title"] == title)
    return found


def properties(panel: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what is set for a series or a column."""
    return {
        entry["id"]: entry["value"]
        for override in panel.get("fieldConfig", {}).get("overrides", [])
        if override["matcher"]["options"] == name
        for entry in override["properties"]
    }


def test_a_panel_of_the_ingestion_asks_once() -> None:
    """What several series tell is one query; rates that take long are recorded."""
    asked = [len(panel.get("targets", [])) for panel in BOARDS["ingestion"]["panels"]]

    assert max(asked) == 1
    assert sum(asked) <= MOST_QUERIES
    assert not [
        where
        for where, text in expressions.promql()
        if where.startswith("ingestion.json") and "_bucket[" in text
    ]


def test_a_board_offers_the_interval_at_which_it_begins_and_no_shorter_one() -> None:
    """Grafana does not refresh at one that it does not offer."""
    intervals = {
        name: (board["refresh"], board["timepicker"]["refresh_intervals"])
        for name, board in BOARDS.items()
        if board.get("refresh")
    }

    assert set(intervals) == {"ingestion", "traffic"}
    for refresh, offered in intervals.values():
        assert refresh == offered[0]
        assert offered == sorted(offered, key=seconds)
    assert seconds(intervals["ingestion"][0]) >= 10


def test_every_query_of_the_database_ends_before_the_board_asks_again() -> None:
    """Even if each takes all of its time: a refresh cancels what is not answered."""
    source = next(
        source
        for source in yaml.safe_load(DATASOURCES.read_text())["datasources"]
        if source["type"] == "mysql"
    )
    found = [HINT.match(statement) for _, statement in expressions.sql()]
    limits = {int(match[1]) for match in found if match}
    in_turn = math.ceil(len(found) / source["jsonData"]["maxOpenConns"])

    assert None not in found
    assert in_turn * max(limits) / 1_000 <= seconds(BOARDS["traffic"]["refresh"])


def test_steps_follow_the_volume() -> None:
    """A graph of the traffic begins with the step that has enough requests."""
    steps = {
        panel["title"]: panel["interval"]
        for panel in BOARDS["traffic"]["panels"]
        if panel["type"] == "timeseries"
    }
    hidden = next(v for v in BOARDS["traffic"]["templating"]["list"] if v["name"] == "step")

    assert steps
    assert set(steps.values()) == {"$step"}
    assert hidden["hide"] == 2


def test_client_errors_have_no_thresholds_of_server_errors() -> None:
    """A scanner is none of the server's failures."""
    server, client = panel("traffic", "Server errors"), panel("traffic", "Client errors")

    assert len(server["fieldConfig"]["defaults"]["thresholds"]["steps"]) == 3
    assert len(client["fieldConfig"]["defaults"]["thresholds"]["steps"]) == 1
    assert not [
        shown["title"]
        for shown in BOARDS["traffic"]["panels"]
        if "thresholds" in properties(shown, "Client errors")
    ]


def test_the_newest_request_turns_yellow_and_red() -> None:
    """By its age."""
    newest = panel("traffic", "Newest request")["fieldConfig"]["defaults"]

    assert newest["unit"] == "s"
    assert [step["color"] for step in newest["thresholds"]["steps"]] == ["green", "yellow", "red"]


def test_a_click_chooses_a_path_a_status_a_country_or_a_bot() -> None:
    """It keeps the time and all other choices."""
    variables = {variable["name"] for variable in BOARDS["traffic"]["templating"]["list"]}
    links = [
        (shown["title"], override["matcher"]["options"], link["url"])
        for shown in BOARDS["traffic"]["panels"]
        for override in shown.get("fieldConfig", {}).get("overrides", [])
        for entry in override["properties"]
        if entry["id"] == "links"
        for link in entry["value"]
    ]
    chosen: dict[str, set[str]] = {}
    for title, column, url in links:
        asked = urlsplit(url).query
        name = next(part[4:].partition("=")[0] for part in asked.split("&") if part[:4] == "var-")
        kept = set(re.findall(r"\$\{(\w+):queryparam\}", asked))
        assert "${__url_time_range}" in asked, title
        assert kept | {name} == variables - {"step"}
        assert name not in kept
        assert (
            parse_qs(asked)[f"var-{name}"] == ["${__value.raw:percentencode}"] or name == "status"
        )
        chosen.setdefault(name, set()).add(column)

    assert chosen == {
        "path": {"Path"},
        "status": {"1xx", "2xx", "3xx", "4xx", "5xx", "none"},
        "country": {"Country"},
        "bot": {"Bot or program"},
    }


def test_an_alert_leads_to_its_own_paragraph() -> None:
    """The table says what each alert is, and links to the panel of the runbook with its words."""
    alerts = panel("ingestion", "Alerts")
    summaries = properties(alerts, "What")["mappings"][0]["options"]
    numbers = properties(alerts, "runbook")["mappings"][0]["options"]
    titles = {str(shown["id"]): shown["title"] for shown in BOARDS["runbook"]["panels"]}
    rules = [rule for _, rule in expressions.rules() if "alert" in rule]
    [link] = properties(alerts, "Alert")["links"]

    assert {rule["alert"]: rule["annotations"]["summary"] for rule in rules} == {
        alert: shown["text"] for alert, shown in summaries.items()
    }
    assert {alert: titles[shown["text"]] for alert, shown in numbers.items()} == {
        alert: alert for alert in runbook.sections()
    }
    assert link["url"] == "/d/datastream-runbook/runbook?viewPanel=${__data.fields.runbook}"


def test_what_stands_before_the_first_alert_is_shown() -> None:
    """First, and over the whole width."""
    first = BOARDS["runbook"]["panels"][0]
    page = runbook.PAGE.read_text()

    assert first["options"]["content"] in page.partition("\n## ")[0]
    assert "doctor" in first["options"]["content"]
    assert (first["gridPos"]["x"], first["gridPos"]["y"], first["gridPos"]["w"]) == (0, 0, 24)


def test_the_ingestion_is_what_grafana_opens_with() -> None:
    """The setting names a board in the folder that is mounted."""
    grafana = COMPOSE["services"]["grafana"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    mounts = dict(str(volume).split(":")[1::-1] for volume in grafana["volumes"])

    assert (ROOT / "deploy" / mounts[str(home.parent)] / home.name).resolve() == (
        expressions.BOARDS / "ingestion.json"
    )
