"""docs/upgrading.md names the versions of what is stored and sent as they are."""

from __future__ import annotations

import re
from pathlib import Path

from datastream.parsing import PARSER_VERSION
from datastream.slices import ENVELOPE_VERSION
from producer.checkpoint import FORMER_VERSION, VERSION

PAGE = (Path(__file__).parents[3] / "docs" / "upgrading.md").read_text(encoding="utf-8")


def test_the_versions_are_those_of_the_code() -> None:
    """Of envelope, checkpoint and parser, and which of them are read."""
    rows = {row.partition(" ")[0]: row for row in re.findall(r"^\| (.*) \|$", PAGE, re.MULTILINE)}

    assert f", {ENVELOPE_VERSION - 1} or {ENVELOPE_VERSION} |" in rows["envelope"]
    assert f"checkpoint, {VERSION} |" in rows["checkpoint,"]
    assert f"| the producer: {FORMER_VERSION} and {VERSION} |" in rows["checkpoint,"]
    assert f"parser, {PARSER_VERSION} |" in rows["parser,"]
