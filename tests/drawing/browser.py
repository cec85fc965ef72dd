"""The boards as a browser shows them: pictures, and what is wrong in them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import expressions

from drawing.answers import Frame, Times

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
#: Where the packages are; they are the same for every test.
PACKAGES = ROOT / ".run" / "drawing"
#: What is kept of a run.
PICTURES = ROOT / ".run" / "pictures"
#: Of a small laptop, and of a usual screen.
WIDTHS = (1366, 1920)
#: Coloured pixels that a drawn line has at least.
LEAST = 50


@dataclass(frozen=True, slots=True)
class Board:
    """A board, and the answers to its queries by panel."""

    name: str
    json: dict[str, Any]
    times: Times
    frames: Mapping[int, Sequence[Frame]]


@dataclass(frozen=True, slots=True)
class Picture:
    """What a board showed at one width."""

    board: dict[str, Any]
    name: str
    path: Path
    #: What each panel showed, by its id, as draw.mjs reports it.
    panels: Mapping[int, Mapping[str, Any]]
    #: Errors of the page.
    errors: Sequence[str]

    def figures(self, panel: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the text and the colour of each figure of a panel."""
        return [(f["text"], f["colour"]) for f in self.panels[panel["id"]]["figures"]]

    @staticmethod
    def words(panel: Mapping[str, Any], match: str) -> str:
        """Return what a panel says instead of null or NaN."""
        (text,) = (
            mapping["options"]["result"]["text"]
            for mapping in panel["fieldConfig"]["defaults"]["mappings"]
            if mapping["type"] == "special" and mapping["options"]["match"] == match
        )
        return str(text)

    def faults(self) -> list[str]:
        """Return what is wrong: errors, panels that are blank, and texts that are cut off."""
        found = [f"{self.name}: {error}" for error in self.errors]
        for panel in self.board["panels"]:
            if panel["type"] != "row":
                shown = self.panels.get(panel["id"])
                said = ["it is not there"] if shown is None else list(_wrong(panel, shown))
                found += [f"{self.name}: {panel['title']}: {text}" for text in said]
        return found


def _wrong(panel: Mapping[str, Any], shown: Mapping[str, Any]) -> Iterator[str]:
    kind = panel["type"]
    # In words where there is nothing; none of its own says no more than Grafana's "No data".
    no_value = panel.get("fieldConfig", {}).get("defaults", {}).get("noValue", "\0")
    if shown["nothing"] is not None:
        yield f'it says "{shown["nothing"]}"'
    elif (
        (kind == "stat" and not all(figure["text"].strip() for figure in shown["figures"]))
        or (kind == "stat" and not shown["figures"])
        or (kind == "table" and not shown["cells"] and no_value not in shown["text"])
        or (kind == "piechart" and not shown["pieces"])
        or (kind in ("timeseries", "heatmap", "state-timeline") and shown["coloured"] < LEAST)
        or (kind == "text" and not shown["text"].strip())
    ):
        yield "it is blank"
    for text in shown["cut"]:
        yield f'"{text}" is cut off'


def board(name: str) -> dict[str, Any]:
    """Return a board as rendered."""
    path = expressions.BOARDS / f"{name}.json"
    made: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return made


def draw(
    boards: Sequence[Board],
    folder: Path,
    widths: Sequence[int] = WIDTHS,
    height: int | None = None,
) -> list[Picture]:
    """Draw each board at each width, as far down as `height`, into a folder.

    Raises CalledProcessError.
    """
    subprocess.run([HERE / "install", PACKAGES], check=True)
    folder.mkdir(parents=True, exist_ok=True)
    given = [
        {
            "name": made.name,
            "board": made.json,
            "frames": made.frames,
            "from": made.times.start * 1_000,
            "to": made.times.end * 1_000,
        }
        for made in boards
    ]
    asked = folder / "input.json"
    asked.write_text(json.dumps({"boards": given, "widths": widths, "height": height}))
    subprocess.run(
        ["/usr/bin/env", "node", HERE / "draw.mjs", asked, folder],
        env=os.environ | {"NODE_MODULES": str(PACKAGES / "node_modules")},
        check=True,
    )
    by_name = {made.name: made.json for made in boards}
    return [
        Picture(
            by_name[drawn["name"]],
            f"{drawn['name']} at {drawn['width']}",
            folder / drawn["picture"],
            {panel["id"]: panel for panel in drawn["panels"]},
            drawn["faults"],
        )
        for drawn in json.loads((folder / "report.json").read_text())
    ]
