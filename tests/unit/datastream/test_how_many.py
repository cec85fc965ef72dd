"""Counts in messages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datastream.how_many import how_many

ROOT = Path(__file__).resolve().parents[3]
#: A number that a message formats, in front of a noun that is written as if there were many.
OF_MANY = re.compile(
    r"\{[^{}]*\}(?: (?:more|new|other|different))? "
    r"(?:line|row|byte|file|message|stream|slice|log|day|restart|difference|migration|second)s\b"
)
#: Constants, and what is never one.
NEVER_ONE = ("MOST_BYTES", "HEARTBEAT", "in_a_row", "task.total", "len(query)", "shipped")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 lines"),
        (1, "1 line"),
        (1.0, "1 line"),
        (2, "2 lines"),
        (1_000_000, "1,000,000 lines"),
    ],
)
def test_a_count_has_its_noun(number: float, words: str) -> None:
    """One is one; thousands are set apart."""
    assert how_many(number, "line") == words


def test_no_message_has_a_plural_for_any_number() -> None:
    """They go through `how_many`, or `1 lines` is what somebody reads."""
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("shared", "services", "deploy")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if ".venv" not in path.parts
        for line in path.read_text(encoding="utf-8").splitlines()
        if OF_MANY.search(line) and not any(name in line for name in NEVER_ONE)
    ]

    assert found == []
