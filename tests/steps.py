"""Counts the steps of a regular expression, by matching it as the library's engine does.

It takes the same choices in the same order: greedy repeats from the longest, lazy ones from the
shortest, possessive ones and atomic groups once. A step is one look at one character, or one
choice.
"""

from __future__ import annotations

import re._constants as op  # type: ignore[import-not-found]  # typeshed has none
import re._parser  # type: ignore[import-not-found]
from collections.abc import Iterator
from functools import cache
from typing import Any, TypeAlias

_SINGLE = (op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY)


#: A node of a parsed pattern, which has no types: what it is, and its value.
_Node: TypeAlias = Any


@cache
def _parsed(pattern: str, flags: int) -> _Node:
    """Return a pattern's nodes; to make them takes longer than most matches."""
    return re._parser.parse(pattern, flags)  # noqa: SLF001 - the only parser there is


class Steps:
    """Matches a pattern, which may hold what the parsing's patterns hold, and counts."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self._tree = _parsed(pattern, flags)
        self.taken = 0

    def fits(self, text: str) -> bool:
        """Return whether the whole text fits."""
        return any(end == len(text) for end in self._sequence(list(self._tree), 0, text, 0))

    def end(self, text: str, place: int) -> int | None:
        """Return where a match that begins at a place ends; None where none begins."""
        return next(self._sequence(list(self._tree), 0, text, place), None)

    def _sequence(self, items: list[_Node], at: int, text: str, place: int) -> Iterator[int]:
        """Yield the ends of what the items from `at` on can match, in the engine's order."""
        # Singles are matched in a loop: a literal text needs no recursion.
        while at < len(items) and items[at][0] in _SINGLE:
            if not self._one(items[at], text, place):
                return
            at, place = at + 1, place + 1
        if at == len(items):
            yield place
            return
        for end in self._item(items[at], text, place):
            yield from self._sequence(items, at + 1, text, end)

    def _one(self, item: _Node, text: str, place: int) -> bool:
        """Return whether one character fits."""
        self.taken += 1
        if place >= len(text):
            return False
        kind, value = item
        char = ord(text[place])
        if kind is op.ANY:
            return True
        if kind is op.LITERAL:
            return bool(char == value)
        if kind is op.NOT_LITERAL:
            return bool(char != value)
        negated = value[0][0] is op.NEGATE
        members = value[1:] if negated else value
        return negated != any(
            (what is op.LITERAL and char == which)
            or (what is op.RANGE and which[0] <= char <= which[1])
            for what, which in members
        )

    def _item(self, item: _Node, text: str, place: int) -> Iterator[int]:
        kind, value = item
        self.taken += 1
        if kind is op.SUBPATTERN:
            yield from self._sequence(list(value[3]), 0, text, place)
        elif kind is op.ATOMIC_GROUP:
            for end in self._sequence(list(value), 0, text, place):
                yield end
                return
        elif kind is op.BRANCH:
            for branch in value[1]:
                yield from self._sequence(list(branch), 0, text, place)
        elif kind in (op.ASSERT, op.ASSERT_NOT, op.AT):
            if self._holds(kind, value, text, place):
                yield place
        else:
            yield from self._repeat(kind, value, text, place)

    def _holds(self, kind: _Node, value: _Node, text: str, place: int) -> bool:
        """Return whether what is asserted of a place, which takes no character, is so."""
        if kind is op.AT:
            assert value is op.AT_END_STRING, "another place than the end"
            return place == len(text)
        direction, pattern = value
        begin = place if direction > 0 else place - pattern.getwidth()[0]
        found = None if begin < 0 else next(self._sequence(list(pattern), 0, text, begin), None)
        return (found is not None) is (kind is op.ASSERT)

    def _repeat(self, kind: _Node, value: _Node, text: str, place: int) -> Iterator[int]:
        least, most, body = value
        items = list(body)
        if kind is op.MIN_REPEAT:
            yield from self._lazily(least, most, items, text, place)
            return
        if kind is op.MAX_REPEAT and any(item[0] not in _SINGLE for item in items):
            yield from self._greedily(least, most, items, text, place)
            return
        ends = [place]
        while len(ends) <= most:
            end = next(self._sequence(items, 0, text, ends[-1]), None)
            if end is None or end == ends[-1]:
                break
            ends.append(end)
        if kind is op.POSSESSIVE_REPEAT:
            ends = ends[-1:] if len(ends) > least else []
        else:
            ends = ends[least:]
        yield from reversed(ends)

    def _greedily(
        self, least: int, most: int, items: list[_Node], text: str, place: int
    ) -> Iterator[int]:
        if most > 0:
            for end in self._sequence(items, 0, text, place):
                if end > place:
                    yield from self._greedily(least - 1, most - 1, items, text, end)
        if least <= 0:
            yield place

    def _lazily(
        self, least: int, most: int, items: list[_Node], text: str, place: int
    ) -> Iterator[int]:
        if least <= 0:
            yield place
        if most > 0:
            for end in self._sequence(items, 0, text, place):
                if end > place:
                    yield from self._lazily(least - 1, most - 1, items, text, end)
