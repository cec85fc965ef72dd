"""Formats that are ambiguous by themselves: where no line tells which variable a piece is of."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from datastream.parsing.log_format import Part, Template
from datastream.parsing.pattern import End, Rules, texts
from datastream.parsing.variables import Kind, kind_of

#: What clients and applications write in texts every day. Anything else between two of them, a
#: tab, a bar or a quote, is trusted to be in neither.
_COMMON = frozenset(" ,;:=/-.&+_")
#: Kinds whose values show by themselves where a text before them ends. The name of a group of
#: servers may be any word.
_TELLING = frozenset(Kind) - {Kind.TEXT, Kind.WORD, Kind.REST, Kind.CHAIN, Kind.TEXTS}
_LISTS = frozenset({Kind.CHAIN, Kind.TEXTS, Kind.INTEGERS, Kind.DECIMALS})


def doubts(template: Template, escape: str) -> tuple[str, ...]:
    """Return a sentence for each pair of variables whose border some lines will not show."""
    parts = template.parts
    ends = texts(parts, Rules(escape, is_strict=True, has_escapes=False))
    growing = [
        at
        for at, (part, text) in enumerate(zip(parts, ends, strict=True))
        if text.end is End.FIRST and kind_of(part.variable) is not Kind.REQUEST
    ]
    pairs = [
        (first, second) for first, second in pairwise(growing) if _is_open(parts, first, second)
    ]
    pairs += [
        (at, at + 1)
        for at, part in enumerate(parts[:-1])
        if kind_of(part.variable) in _LISTS and ends[at].end is End.LAST and _goes_on(part)
    ]
    return tuple(
        f"it cannot always be told where ${parts[first].variable} ends and "
        f"${parts[second].variable} begins, since a value may hold {parts[first].after!r} too: "
        "put each of the two in quotes in nginx.conf"
        for first, second in sorted(pairs)
    )


def _is_open(parts: Sequence[Part], first: int, second: int) -> bool:
    """Return whether nothing between two texts shows where the first one ends."""
    if any(kind_of(part.variable) in _TELLING for part in parts[first + 1 : second]):
        return False
    return all(_COMMON.issuperset(part.after) for part in parts[first:second])


def _goes_on(part: Part) -> bool:
    """Return whether what follows a list looks like more of it."""
    return part.after.startswith((", ", " : ")) or (
        kind_of(part.variable) is Kind.CHAIN and part.after.strip(" ") == ","
    )
