"""The main job on real servers: from a file to both tables."""

from __future__ import annotations

from pathlib import Path

from datastream_operator import sample
from deployment import Deployment, lines_of


def test_every_line_arrives_raw_and_parsed(deployment: Deployment, tmp_path: Path) -> None:
    """A whole log is in raw_log byte for byte and, one to one, in clean_log or rejected_log."""
    log = tmp_path / "access.log"
    summary = sample.write(log, 20_000, "combined", seed=1)
    deployment.start_consumers()

    deployment.publish_once(log)

    deployment.assert_settled(20_000)
    assert deployment.raw_lines() == list(lines_of(log))
    assert deployment.count("rejected_log") == summary.junk
