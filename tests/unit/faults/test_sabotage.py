"""What `make sabotage` breaks is still there to be broken, and the page tells what it breaks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from faults.sabotage import ROOT, SABOTAGES, Change

PAGE = ROOT / "tests" / "faults" / "README.md"
#: The rows of two columns, which are those of the sabotage.
ROW = re.compile(r"^\| ([^|]+) \| `([^`|]+)` \|$", re.MULTILINE)


@pytest.mark.parametrize(
    "change",
    [change for sabotage in SABOTAGES for change in sabotage.changes],
    ids=lambda change: Path(change.file).name,
)
def test_the_code_is_what_the_sabotage_takes_it_for(change: Change) -> None:
    """Each passage of code is there once; else the run would end at it."""
    text = (ROOT / change.file).read_text(encoding="utf-8")

    assert text.count(change.old) == 1


def test_the_page_has_a_row_for_each() -> None:
    """In the same words, with the same tests."""
    page = PAGE.read_text(encoding="utf-8")
    section = page.split("## What the tests are worth")[1].split("\n## ")[0]
    rows = ROW.findall(section)

    assert rows == [(s.name, s.test.removeprefix("tests/")) for s in SABOTAGES]
