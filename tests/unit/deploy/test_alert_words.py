"""Each alert says what a person needs, has words in the runbook, and a test."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import expressions
import pytest
import yaml
from boards import runbook

RULES = [rule for _, rule in expressions.rules() if "alert" in rule]
#: An alert may be a warning first, and critical later.
ALERTS = list(dict.fromkeys(rule["alert"] for rule in RULES))
TESTS = sorted((expressions.RULES / "tests").glob("*.yml"))
JOBS = {"producer": 9101, "lake_consumer": 9102, "clean_consumer": 9103}


def cases() -> list[dict[str, Any]]:
    """Return each look at an alert that the tests of the rules take."""
    return [
        case
        for path in TESTS
        for group in yaml.safe_load(path.read_text())["tests"]
        for case in group.get("alert_rule_test", [])
    ]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_a_person_needs(rule: dict[str, Any]) -> None:
    """How bad it is, what it is in one line and in several, and where to read on."""
    alert = rule["alert"]

    assert rule["labels"]["severity"] in ("critical", "warning")
    assert 10 < len(rule["annotations"]["summary"]) < 70
    assert len(rule["annotations"]["description"]) > 60
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{alert.lower()}"


def test_the_runbook_has_a_paragraph_for_each_alert_and_for_nothing_else() -> None:
    """In the same order."""
    assert list(runbook.sections()) == ALERTS


@pytest.mark.parametrize("alert", ALERTS)
def test_a_paragraph_says_what_it_means_what_to_look_at_and_what_to_do(alert: str) -> None:
    """Under these three words."""
    words = runbook.sections()[alert]

    assert re.findall(r"^\*\*([\w ]+)\*\*:", words, re.MULTILINE) == ["Means", "Look at", "Do"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_is_seen_firing_and_silent(rule: dict[str, Any]) -> None:
    """The tests of the rules look at each alert, at each severity, in both states."""
    states = {
        any(
            found["exp_labels"]["severity"] == rule["labels"]["severity"]
            for found in case["exp_alerts"]
        )
        for case in cases()
        if case["alertname"] == rule["alert"]
    }

    assert states == {True, False}


def test_nothing_makes_an_expression_return_data() -> None:
    """A metric that is missing shows: no expression makes up a value for it."""
    made_up = [
        where
        for where, text in expressions.promql()
        if re.search(r"\b(?:absent|absent_over_time|vector)\s*\(", text)
    ]

    assert made_up == []


def test_every_replica_is_scraped() -> None:
    """The services are found by name, at the ports of docs/metrics.md, however many there are."""
    config = yaml.safe_load((expressions.RULES / "prometheus.yml").read_text())
    found = {
        job["job_name"]: (dns["names"], dns["type"], dns["port"])
        for job in config["scrape_configs"]
        for dns in job.get("dns_sd_configs", [])
    }
    documented = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()

    assert found == {name: ([name], "A", port) for name, port in JOBS.items()}
    assert all(f"{port} for" in documented for port in JOBS.values())
    assert set(config["rule_files"]) == {p.name for p in expressions.RULES.glob("*.rules.yml")}
