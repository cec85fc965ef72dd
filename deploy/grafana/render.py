"""Writes the boards as JSON for Grafana: `python deploy/grafana/render.py`, or `--check`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from boards import ingestion, runbook, traffic
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

FOLDER = Path(__file__).parent / "dashboards"
BOARDS = {"ingestion": ingestion, "traffic": traffic, "runbook": runbook}


def rendered(made: Dashboard) -> str:
    """Return a board as Grafana reads it, its panels numbered."""
    board = made.build()
    for number, panel in enumerate(board.panels or [], start=1):
        panel.id_val = number
    return json.dumps(board, cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def files() -> dict[Path, str]:
    """Return each file and what belongs into it."""
    return {FOLDER / f"{name}.json": rendered(module.build()) for name, module in BOARDS.items()}


def main() -> int:
    """Write the files, or say which are stale; return the exit code."""
    parser = argparse.ArgumentParser(description="Write Grafana's boards.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail when one is stale"
    )
    check: bool = parser.parse_args().check
    stale = [
        path
        for path, text in files().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        if not check:
            path.write_text(files()[path], encoding="utf-8")
        sys.stdout.write(
            f"{path}: {'stale, run deploy/grafana/render.py' if check else 'written'}\n"
        )
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
