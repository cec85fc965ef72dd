"""Where a line stops fitting its format: for people, and slow."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import NamedTuple

from datastream.parsing.pattern import Rules, closed_texts, line_pattern, tries
from datastream.parsing.template import Template


class Misfit(NamedTuple):
    """The place in a line up to which it fits, and what should follow there."""

    #: In characters.
    place: int
    expected: str


def misfit(template: Template, escape: str, text: str) -> Misfit:
    """Return where a decoded line that does not fit stops fitting."""
    furthest = Misfit(-1, "")
    for rules in tries(escape, has_escapes="\\" in text):
        found = _misfit(template, rules, text)
        if found.place > furthest.place:
            furthest = found
    return furthest


def _misfit(template: Template, rules: Rules, text: str) -> Misfit:
    if not text.startswith(template.before):
        same = takewhile(lambda pair: pair[0] == pair[1], zip(text, template.before, strict=False))
        place = sum(1 for _ in same)
        return Misfit(place, repr(template.before[place:]))
    fit, place = 0, len(template.before)
    for pieces in range(len(template.pieces), 0, -1):
        found = re.compile(line_pattern(template, rules, pieces), re.DOTALL).match(text)
        if found is not None:
            fit, place = pieces, found.end()
            break
    if fit == len(template.pieces):
        return Misfit(place, "the end of the line")
    piece = template.pieces[fit]
    closed = closed_texts(template.pieces, rules)[fit]
    held = re.compile(closed, re.DOTALL).match(text, place) if closed is not None else None
    if held is not None:
        place = held.end()
    after = f"{piece.after!r} after" if piece.after else "the end of the line after"
    return Misfit(place, f"{after} ${piece.variable}")
