"""docs/guarantees.md and what-others-lose.md name the tests that there are."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[2]
PAGE = TESTS.parent / "docs" / "guarantees.md"
OTHERS = PAGE.with_name("what-others-lose.md")
NAMED = re.compile(r"`(\w[\w/]*\.py)::(\w+)`")
ROW = re.compile(r"^\| (?!(?:fault|case|what others lose) \||-)", re.MULTILINE)


@cache
def names_in(file: Path) -> set[str]:
    """Return the names of the tests of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {n.name for n in tree.body if isinstance(n, ast.FunctionDef) and n.name[:5] == "test_"}


def test_every_row_names_a_test_that_exists() -> None:
    """One a row, in its last column."""
    page = PAGE.read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if ROW.match(line) and line[:3] != "|--"]

    proofs = [NAMED.findall(row.split("|")[-2]) for row in rows]

    assert len(rows) > 50
    assert [row for row, found in zip(rows, proofs, strict=True) if len(found) != 1] == []
    for ((file, test),) in proofs:
        assert test in names_in(TESTS / file), f"{file}::{test}"


def test_what_others_lose_is_shown_test_by_test() -> None:
    """One complaint and one test a row; none is there twice."""
    page = OTHERS.read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if ROW.match(line)]

    assert len(rows) > 35
    assert {len(row) for row in rows} == {2}
    assert len({complaint for complaint, _ in rows}) == len(rows)
    for _, test in rows:
        assert NAMED.fullmatch(test.strip()), test


def test_every_test_of_a_fault_is_in_the_page() -> None:
    """None proves something that nobody is told."""
    named = set(NAMED.findall(PAGE.read_text(encoding="utf-8")))

    tests = {
        (f"faults/{file.name}", test)
        for file in (TESTS / "faults").glob("test_*.py")
        for test in names_in(file)
    }

    assert tests - named == set()


def test_the_arithmetic_is_that_of_the_figures() -> None:
    """How long a turn takes follows from what was measured last."""
    figures = (PAGE.parent / "performance.md").read_text(encoding="utf-8")
    found = re.search(
        r"^backlog: file to tables, clean consumers: 1 +([\d,]+)", figures, re.MULTILINE
    )
    assert found
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    turn = round(1_000_000 / int(found[1].replace(",", "")))

    assert f"stores {found[1]} lines/s in" in page
    assert f"= **{turn} ms**" in page
    assert (1_000 // turn - 1) * turn < 1_000
    assert f"({1_000 // turn - 1} \N{MULTIPLICATION SIGN} {turn} ms = " in page
