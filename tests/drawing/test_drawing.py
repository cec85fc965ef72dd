"""The boards, drawn by Grafana's own components in a browser, with figures that are made up."""

from __future__ import annotations

import copy
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from datastream_playground import sample
from deployment import Deployment
from drawing import answers, browser
from drawing.answers import Away, Rows, Sources, Times
from drawing.browser import Board, Picture

pytestmark = pytest.mark.timeout(600)

NOW = int(time.time())
TIMES = Times(NOW - 3_600, NOW)
COMPOSE = browser.ROOT / "deploy" / "docker-compose.yml"


def two_series(path: str, **asked: str) -> Any:  # noqa: ANN401 - as Prometheus answers
    """Answer as a Prometheus that has two series for whatever is asked, and one value now.

    Each word of the query is a label; those that it groups by or names are among them.
    """
    words = re.findall(r"[a-z_]+", asked["query"])
    named = [
        dict.fromkeys(words, f"part{number}") | {"job": "job", "replica": f"part{number}", "le": le}
        for number, le in enumerate(("0.1", "+Inf"), start=1)
    ]
    if path == "query":
        return {"result": [{"metric": named[0], "value": [int(asked["time"]), "1"]}]}
    times = range(int(asked["start"]), int(asked["end"]) + 1, int(asked["step"]))
    is_state = "_up" in asked["query"]
    return {
        "result": [
            {
                "metric": names,
                "values": [[at, str(at // 900 % 2 if is_state else at % 900)] for at in times],
            }
            for names in named
        ]
    }


def nothing(path: str, **asked: str) -> Any:  # noqa: ANN401, ARG001 - as Prometheus answers
    """Answer as a Prometheus that knows nothing."""
    return {"result": []}


def idle(path: str, **asked: str) -> Any:  # noqa: ANN401 - as Prometheus answers
    """Answer as a Prometheus that has rates of nothing, now or at first, and one with a gap."""
    result = two_series(path, **asked)["result"]
    for series in result:
        if "value" in series:
            series["value"][1] = "NaN"
        else:
            for point in series["values"][:20]:
                point[1] = "NaN"
    if path != "query":
        del result[1]["values"][10:15]
    return {"result": result}


def no_database(statement: str) -> Rows:
    """Answer as a database that is away."""
    raise Away(statement)


def ingestion(name: str, prometheus: Any, **changes: Any) -> Board:  # noqa: ANN401 - JSON
    """Return the board Ingestion, with options of its heat maps changed."""
    board = copy.deepcopy(browser.board("ingestion"))
    for panel in board["panels"]:
        if panel["type"] == "heatmap":
            panel["options"]["color"] |= changes
    frames = answers.of_board(board, TIMES, Sources(prometheus, no_database))
    return Board(name, board, TIMES, frames)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Picture]:
    """The board Ingestion with figures, without, and with rates of nothing; and the runbook."""
    runbook = Board("runbook", browser.board("runbook"), TIMES, {})
    wide = browser.draw(
        [ingestion("ingestion", two_series), runbook], browser.PICTURES / "made-up", (1366,)
    )
    folder = tmp_path_factory.mktemp("pictures")
    broken = [
        ingestion("away", nothing),
        ingestion("idle", idle),
        ingestion("no-colours", two_series, steps=0),
    ]
    return {
        picture.path.stem: picture for picture in [*wide, *browser.draw(broken, folder, (1366,))]
    }


def figures(picture: Picture) -> list[dict[str, Any]]:
    """Return the panels that show figures."""
    return [panel for panel in picture.board["panels"] if panel["type"] == "stat"]


@pytest.mark.parametrize("name", ["ingestion", "runbook"])
def test_each_panel_is_drawn(pictures: dict[str, Picture], name: str) -> None:
    """No panel is blank, no text is cut off, and the page has no error."""
    assert pictures[f"{name}-1366"].faults() == []


def test_a_panel_without_data_is_seen(pictures: dict[str, Picture]) -> None:
    """What draws nothing says so, or is found blank."""
    picture = pictures["away-1366"]

    for panel in picture.board["panels"]:
        if "targets" in panel and panel["type"] != "stat":
            assert any(panel["title"] in fault for fault in picture.faults())


def test_a_heat_map_without_colours_is_seen(pictures: dict[str, Picture]) -> None:
    """As the page of Grafana, this one has an exception and shows no heat map."""
    picture = pictures["no-colours-1366"]
    heat_maps = [p["title"] for p in picture.board["panels"] if p["type"] == "heatmap"]

    for title in heat_maps:
        assert any(title in fault for fault in picture.faults())


def test_a_figure_without_a_value_is_words_in_red(pictures: dict[str, Picture]) -> None:
    """As Grafana's own component shows it."""
    picture = pictures["away-1366"]

    for panel in figures(picture):
        ((text, colour),) = picture.figures(panel)
        assert (text, colour) == (picture.words(panel, "null"), "red")


def test_a_rate_of_nothing_is_no_number(pictures: dict[str, Picture]) -> None:
    """Not a number is neither health nor absence."""
    picture = pictures["idle-1366"]

    for panel in figures(picture):
        assert picture.figures(panel) == [(picture.words(panel, "nan"), "text")]


def test_a_line_has_gaps_where_nothing_was(pictures: dict[str, Picture]) -> None:
    """What is no number leaves out its points, and not the line."""
    picture = pictures["idle-1366"]
    titles = [p["title"] for p in picture.board["panels"] if p["type"] == "timeseries"]

    assert [f for f in picture.faults() if any(title in f for title in titles)] == []


def test_traffic_is_drawn(deployment: Deployment, tmp_path: Path) -> None:
    """Over a sample log in real tables no panel is blank, and no text is cut off."""
    log = tmp_path / "access.log"
    sample.write(log, 3_000, "combined", seed=5)
    deployment.start_consumers()
    deployment.publish_once(log)
    deployment.assert_settled(3_000)
    deployment.change(
        "UPDATE clean_log SET time = FROM_UNIXTIME(%s - MOD(line_offset, 3600))", TIMES.end
    )

    def sql(statement: str) -> Rows:
        with (
            deployment.database.connect(deployment.mysql.database) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SET time_zone = '+00:00'")
            cursor.execute(statement)
            return [column[0] for column in cursor.description], cursor.fetchall()

    board = browser.board("traffic")
    frames = answers.of_board(board, TIMES, Sources(nothing, sql))
    drawn = browser.draw([Board("traffic", board, TIMES, frames)], browser.PICTURES / "made-up")

    assert [fault for picture in drawn for fault in picture.faults()] == []


def test_the_components_are_of_the_grafana_that_is_deployed() -> None:
    """What draws the boards here is what draws them there."""
    image = yaml.safe_load(COMPOSE.read_text())["services"]["grafana"]["image"]
    packages = json.loads((browser.HERE / "package.json").read_text())["dependencies"]

    deployed = image.rstrip("}").rpartition(":")[2]
    of_grafana = {name: packages[name] for name in packages if name.startswith("@grafana/")}
    assert set(of_grafana.values()) == {deployed}
