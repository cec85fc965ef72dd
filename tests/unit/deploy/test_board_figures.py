"""A figure of a board is of now, and says in words when what it tells of is not there."""

from __future__ import annotations

from typing import Any

import expressions
import pytest
import yaml

FIGURES = [
    pytest.param(panel, id=where)
    for where, panel in expressions.panels()
    if panel["type"] == "stat"
]
CASES = [
    (" ".join(case["expr"].split()), bool(case["exp_samples"]))
    for group in yaml.safe_load((expressions.RULES / "tests" / "figures.yml").read_text())["tests"]
    for case in group["promql_expr_test"]
]


def said(panel: dict[str, Any], match: str) -> dict[str, Any]:
    """Return the words and the colour that a figure has for null or NaN."""
    found: dict[str, Any] = next(
        mapping["options"]["result"]
        for mapping in panel["fieldConfig"]["defaults"]["mappings"]
        if mapping["type"] == "special" and mapping["options"]["match"] == match
    )
    return found


@pytest.mark.parametrize("panel", FIGURES)
def test_a_figure_is_of_now(panel: dict[str, Any]) -> None:
    """It asks for one value and shows that, never the last one that there was."""
    assert panel["options"]["reduceOptions"]["calcs"] == ["last"]
    assert panel["options"]["graphMode"] == "none"
    for target in panel["targets"]:
        if "expr" in target:
            assert (target["instant"], target["range"]) == (True, False)


@pytest.mark.parametrize("panel", FIGURES)
def test_a_figure_without_a_value_says_so_in_red(panel: dict[str, Any]) -> None:
    """Absence is no health; a rate of nothing is idle, and what cannot be compared has no value."""
    away, idle = said(panel, "null"), said(panel, "nan")
    nothing = "not an hour yet" if panel["title"] == "Raw minus parsed" else "idle"

    assert away["color"] == "red"
    assert away["text"].partition(" ")[0] not in ("", "No")
    assert (idle["text"], idle["color"]) == (nothing, "text")


@pytest.mark.parametrize("panel", FIGURES)
def test_a_figure_is_tested_with_its_parts_and_without(panel: dict[str, Any]) -> None:
    """The tests of the rules ask what the board asks; Grafana's variables are none of theirs."""
    for target in panel["targets"]:
        if "expr" in target:
            asked = " ".join(target["expr"].split())
            assert {shown for expression, shown in CASES if expression == asked} == {True, False}


def test_stacked_lines_have_no_outline() -> None:
    """The outline of a series of zeros would be drawn on top of the one below."""
    widths = {
        custom["lineWidth"]
        for _, panel in expressions.panels()
        if "stacking"
        in (custom := panel.get("fieldConfig", {}).get("defaults", {}).get("custom", {}))
    }

    assert widths == {0}


def test_a_legend_names_a_replica_and_no_address() -> None:
    """Prometheus names each: clean_consumer 7 is the one whose address ends in 7."""
    config = yaml.safe_load((expressions.RULES / "prometheus.yml").read_text())
    named = {
        job["job_name"]: {step["target_label"] for step in job["relabel_configs"]}
        for job in config["scrape_configs"]
        if "dns_sd_configs" in job
    }
    legends = [
        target["legendFormat"]
        for _, panel in expressions.panels()
        for target in panel.get("targets", [])
        if "expr" in target
    ]

    assert named
    assert all(labels == {"replica"} for labels in named.values())
    assert [legend for legend in legends if "instance" in legend or legend == "__auto"] == []
    assert any("replica" in legend for legend in legends)
