"""Links between the project's pages lead somewhere, and the tests that these name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
#: A file of the library, by its path.
LIBRARY = re.compile(r"`(shared/src/[\w/]+\.py)`")
#: A test, by its file below tests/ and its name.
TEST = re.compile(r"`(\w[\w/]*\.py)::(\w+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Whatever a page links to exists in the repository."""
    text = page.read_text(encoding="utf-8")

    missing = [target for target in LINK.findall(text) if not (page.parent / target).exists()]
    missing += [path for path in LIBRARY.findall(text) if not (ROOT / path).exists()]

    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_tests_are_there(page: Path) -> None:
    """Who is sent to a test finds it under its name."""
    named = TEST.findall(page.read_text(encoding="utf-8"))

    missing = [
        f"{file}::{test}"
        for file, test in named
        if f"\ndef {test}(" not in (ROOT / "tests" / file).read_text(encoding="utf-8")
    ]

    assert missing == []
