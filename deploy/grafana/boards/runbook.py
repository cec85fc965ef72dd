"""The board Runbook: docs/runbook.md, a panel for each alert, so that a link leads to its words."""

from __future__ import annotations

import re
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, text
from grafana_foundation_sdk.models.text import TextMode

PAGE = Path(__file__).parents[3] / "docs" / "runbook.md"
UID = "datastream-runbook"


def sections() -> dict[str, str]:
    """Return what the page says about each alert, in the page's order."""
    _, *parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    split = (part.partition("\n") for part in parts)
    return {heading.strip(): words.strip() for heading, _, words in split}


def url(alert: str) -> str:
    """Return the address of what the runbook says about an alert, within Grafana."""
    return f"/d/{UID}/runbook?viewPanel={list(sections()).index(alert) + 1}"


def build() -> dashboard.Dashboard:
    """Return the board."""
    board = (
        dashboard.Dashboard("Runbook")
        .uid(UID)
        .description("What each alert means, what to look at and what to do: docs/runbook.md.")
        .tags(["datastream"])
    )
    for number, (alert, words) in enumerate(sections().items(), start=1):
        board.with_panel(
            text.Panel()
            .id(number)
            .title(alert)
            .description(f"What to do when the alert {alert} fires.")
            .mode(TextMode.MARKDOWN)
            .content(words)
            .height(9)
            .span(12)
        )
    return board
