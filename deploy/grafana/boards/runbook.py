"""The board Runbook: docs/runbook.md, a panel for each alert, so that a link leads to its words."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from grafana_foundation_sdk.builders import dashboard, text
from grafana_foundation_sdk.models.dashboard import ValueMappingResult
from grafana_foundation_sdk.models.text import TextMode

PAGE = Path(__file__).parents[3] / "docs" / "runbook.md"
RULES = PAGE.parents[1] / "deploy" / "prometheus" / "alerts.rules.yml"
UID = "datastream-runbook"


PREFACE = "Before anything else"


def preface() -> str:
    """Return what the page says before the first alert, without its heading."""
    before, *_ = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return before.partition("\n")[2].strip()


def sections() -> dict[str, str]:
    """Return what the page says about each alert, in the page's order."""
    _, *parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    split = (part.partition("\n") for part in parts)
    return {heading.strip(): words.strip() for heading, _, words in split}


def number(alert: str) -> int:
    """Return the number of an alert's panel. The preface has the first."""
    return list(sections()).index(alert) + 2


def url(alert: str) -> str:
    """Return the address of what the runbook says about an alert, within Grafana."""
    return f"/d/{UID}/runbook?viewPanel={number(alert)}"


def numbers() -> dict[str, ValueMappingResult]:
    """Return the number of its panel for each alert."""
    return {alert: ValueMappingResult(text=str(number(alert))) for alert in sections()}


def summaries() -> dict[str, ValueMappingResult]:
    """Return what each alert says in one line."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {
        rule["alert"]: ValueMappingResult(text=rule["annotations"]["summary"])
        for group in groups
        for rule in group["rules"]
    }


def _words(title: str, description: str, content: str) -> text.Panel:
    panel = text.Panel().title(title).description(description)
    return panel.mode(TextMode.MARKDOWN).content(content).height(9)


def build() -> dashboard.Dashboard:
    """Return the board."""
    board = (
        dashboard.Dashboard("Runbook")
        .uid(UID)
        .description("What each alert means, what to look at and what to do: docs/runbook.md.")
        .tags(["datastream"])
        .with_panel(_words(PREFACE, "What holds for all of the alerts.", preface()).span(24))
    )
    for alert, words in sections().items():
        said = f"What to do when the alert {alert} fires."
        board.with_panel(_words(alert, said, words).span(12))
    return board
