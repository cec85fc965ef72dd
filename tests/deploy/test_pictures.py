"""What the boards show of the stack, drawn in a browser: all of it, and each part that is away."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import expressions
import pytest

from deploy.live import answered, sources
from deploy.stack import SERVICES, Stack, docker, growing
from deployment import eventually, lines_of
from drawing import answers, browser
from drawing.answers import Times
from drawing.browser import Board, Picture

pytestmark = pytest.mark.timeout(600)

#: Minutes that a picture shows.
SHOWN = 5
#: So many values are a line, of what Prometheus itself reckons most rarely.
LINE = "min(count_over_time(datastream:lines_rejected:rate1m[5m])) > 3"
#: Both consumers have stored for a minute and more, so that a heat map has columns.
COLUMNS = """
    min(increase(datastream_line_to_row_seconds_count[30s])) > 0
    and on () min(increase(datastream_line_to_row_seconds_count[30s] offset 45s)) > 0
"""
TIME = re.compile(rb"\[\d\d/[^]]+\]")
#: What each part takes with it: the figures that say so in red, by the board's words or a number.
AWAY = {
    "producer": {"Lines in": "producer or RabbitMQ away", "Behind the log": "producer away"},
    "lake_consumer": {
        "Line to row": "no rows stored",
        "Raw minus parsed": "consumer away",
        "Consumers": "none",
    },
    "clean_consumer": {
        "Line to row": "no rows stored",
        "Rejected": "clean consumer away",
        "Raw minus parsed": "consumer away",
        "Consumers": "none",
    },
    "rabbitmq": {
        "Lines in": "producer or RabbitMQ away",
        "Line to row": "no rows stored",
        "Dead letters": "queue or RabbitMQ away",
        "Consumers": "queue or RabbitMQ away",
    },
    "mysql": {
        "Line to row": "no rows stored",
        "At a glance": "MySQL away",
        "Newest request": "no row, or MySQL away",
    },
    "prometheus": {
        "Lines in": "producer or RabbitMQ away",
        "Line to row": "no rows stored",
        "Behind the log": "producer away",
        "Rejected": "clean consumer away",
        "Dead letters": "queue or RabbitMQ away",
        "Raw minus parsed": "consumer away",
        "Consumers": "queue or RabbitMQ away",
    },
}


def recent(log: Path, times: Times) -> list[bytes]:
    """Return lines of a log with times spread over what a picture shows."""
    lines = [line + b"\n" for line in lines_of(log)][:2_000]
    step = (times.end - times.start) / len(lines)

    def at(number: int) -> bytes:
        moment = datetime.fromtimestamp(times.start + number * step, UTC)
        return moment.strftime("[%d/%b/%Y:%H:%M:%S +0000]").encode()

    return [TIME.sub(at(number), line, count=1) for number, line in enumerate(lines)]


def now() -> Times:
    """Return the minutes that a picture shows."""
    end = int(time.time())
    return Times(end - 60 * SHOWN, end)


def test_each_panel_is_drawn_from_live_data(stack: Stack, log: Path) -> None:
    """No panel is blank, no text is cut off, at either width; the pictures are kept."""
    asked = expressions.promql()
    # Half of them fit no format, as in the test of all expressions.
    unfit = b"no line of an access log\n"
    begun = now()
    newest = "SELECT UNIX_TIMESTAMP(MAX(time)) FROM clean_log"
    with growing(log, [text for line in recent(log, begun) for text in (line, unfit)]):

        def all_have_data() -> None:
            assert [where for where, text in asked if not stack.value(text)] == []
            assert stack.value(LINE)
            assert stack.value(COLUMNS)
            assert stack.query(newest)[0][0] > begun.end - 10

        eventually(all_have_data)
        boards = [answered(name, now(), sources(stack)) for name in ("ingestion", "traffic")]

    drawn = browser.draw(boards, browser.PICTURES / "live")

    assert [fault for picture in drawn for fault in picture.faults()] == []


def figures_of(board: Mapping[str, Any], titles: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the figures of a board that have one of the titles."""
    for panel in board["panels"]:
        if panel["type"] == "stat" and panel["title"] in titles:
            yield panel


@contextmanager
def stopped(stack: Stack, part: str) -> Iterator[None]:
    """Stop a part for the length of the block, and wait until all consume and tail again."""
    containers = stack.containers(part)
    docker("stop", "--time", "5", *containers)
    try:
        yield
    finally:
        docker("start", *containers)

    def all_are_ready() -> None:
        assert all(stack.ready(service) for service in SERVICES)

    eventually(all_are_ready)


def seen_without(stack: Stack, part: str, said: Mapping[str, str]) -> Board:
    """Return the figures of both boards while a part is away, once those that it takes are gone."""
    panels = [
        {**panel, "id": number}
        for number, panel in enumerate(
            panel
            for name in ("ingestion", "traffic")
            for panel in browser.board(name)["panels"]
            if panel["type"] == "stat"
        )
    ]
    board = {**browser.board("ingestion"), "panels": panels}
    for number, panel in enumerate(panels):
        panel["gridPos"] = {"x": 0, "y": 4 * number, "w": 8, "h": 4}

    def gone() -> dict[int, list[answers.Frame]]:
        frames = answers.of_board(board, now(), sources(stack))
        for panel in figures_of(board, list(said)):
            values = [
                value for frame in frames[panel["id"]] for value in frame["data"]["values"][-1]
            ]
            # In words for no value at all, or for 0.
            if said[panel["title"]] == Picture.words(panel, "null"):
                assert values == [], (part, panel["title"])
            else:
                assert 0 in values, (part, panel["title"])
        return frames

    return Board(part, board, now(), eventually(gone))


def test_a_part_that_is_away_is_said_in_red(stack: Stack, log: Path) -> None:
    """While lines are written, none of the figures that tell of a part looks like health."""
    boards = []
    with growing(log, [line + b"\n" for line in lines_of(log)][:1_000]):
        for part, said in AWAY.items():
            with stopped(stack, part):
                boards.append(seen_without(stack, part, said))
    stack.assert_settled(sum(1 for _ in lines_of(log)))

    drawn = browser.draw(boards, browser.PICTURES / "away", (1366,))

    wrong = [fault for picture in drawn for fault in looks_healthy(picture)]
    assert wrong == []


def looks_healthy(picture: Picture) -> Iterator[str]:
    """Yield the figures that do not say in red what is away."""
    part = picture.path.stem.rpartition("-")[0]
    for panel in figures_of(picture.board, list(AWAY[part])):
        shown = picture.figures(panel)
        if (AWAY[part][panel["title"]], "red") not in shown:
            yield f"without {part}, {panel['title']} shows {shown}"
