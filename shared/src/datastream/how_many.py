"""A number and its noun, for messages."""

from __future__ import annotations


def how_many(number: float, noun: str) -> str:
    """Return a count of things: `1 line`, `2,000 lines`. The noun takes an s."""
    text = f"{number:,.0f}"
    return f"{text} {noun}" if text == "1" else f"{text} {noun}s"
