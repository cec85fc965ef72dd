"""Links between the project's pages lead somewhere, and the tests that these name are there."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "deploy/**/*.md", "tests/**/*.md")
    for path in ROOT.glob(pattern)
)
#: Where messages, comments, boards and alerts may name a page.
SPEAKING = [
    path
    for folder in ("deploy", "migrations", "services", "shared")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and not {".venv", "__pycache__", "secrets"} & set(path.parts)
] + [path for path in ROOT.iterdir() if path.is_file() and path.suffix != ".md"]
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
NAMED = re.compile(r"\b((?:docs/[\w/-]+|README|ARCHITECTURE|CONTRIBUTING)\.md)(?:#([\w-]+))?")
#: A file of the library, by its path.
LIBRARY = re.compile(r"`(shared/src/[\w/]+\.py)`")
#: A test, by its file below tests/ and its name.
TEST = re.compile(r"`(\w[\w/]*\.py)::(\w+)`")


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return what links to a heading of a page name it by, as GitHub makes it."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    seen: Counter[str] = Counter()
    made = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        made.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(made)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Whatever a page links to exists in the repository, and so does the heading."""
    text = page.read_text(encoding="utf-8")

    missing = []
    for path, anchor in LINK.findall(text):
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(f"{path}#{anchor}")
    missing += [path for path in LIBRARY.findall(text) if not (ROOT / path).exists()]

    assert missing == []


def test_pages_that_the_code_names_are_there() -> None:
    """A message, an alert or a comment sends nobody to a page or a heading that is gone."""
    named = {
        (path, anchor)
        for file in SPEAKING
        for path, anchor in NAMED.findall(file.read_text(encoding="utf-8", errors="ignore"))
    }

    assert ("docs/runbook.md", "identityconflict") in named
    assert {
        (path, anchor)
        for path, anchor in named
        if not (ROOT / path).exists() or (anchor and anchor not in anchors(ROOT / path))
    } == set()


def test_the_words_of_a_message_are_a_part_of_the_page() -> None:
    """`verify` sends to a paragraph by its first words."""
    page = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")

    assert "\n**Lines stored twice**" in page


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
