r"""From a template to the regular expression that finds the variables' texts in a line.

Where a variable's text ends is told by the text that follows it in the format. When the variable's
values can never hold the first character of that text, it simply ends there. Otherwise it ends at
the first character from which what follows fits, up to the next variable of that sort: the rest of
the line is looked at from there and never tried again.

A match takes time in proportion to the line, be it hostile. Every repeat is possessive, but for the
one that grows a text of the second sort; that stands in an atomic group together with what must
follow, and what must follow fails, wherever it is tried, before the next character it could be
tried at. tests/unit/parsing/test_linear.py counts it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from datastream.parsing.log_format import Part, Template
from datastream.parsing.variables import NEVER_EMPTY, Kind, kind_of


class Rules(NamedTuple):
    """By which of the patterns of a format a line is read."""

    #: The `escape=` of the format; "none" for values that may hold quotes.
    escape: str
    #: Numbers and times must be such. Else they may be any word: an odd value is no misfit.
    is_strict: bool
    #: Whether the line holds a backslash; without one the patterns are simpler.
    has_escapes: bool


_LISTS = (Kind.TEXTS, Kind.INTEGERS, Kind.DECIMALS)
_ITEM_SHAPES = {Kind.INTEGERS: "[0-9]++|-", Kind.DECIMALS: r"[0-9]++(?:\.[0-9]*+)?+|-"}
_STRICT = {
    Kind.INTEGER: r"[0-9]++|-|",
    Kind.DECIMAL: r"[0-9]++(?:\.[0-9]*+)?+|-|",
    Kind.TIME_SECONDS: r"[0-9]++(?:\.[0-9]*+)?+",
}
#: What their values may hold. The empty text stands for the end of the line, which is in none.
_SPACE = (" ", "")
_IN_NUMBERS = ("-", ".")
_IN_WORDS = ".:-_/%"
_IN_TIMES = tuple("/:+-")
_IN_LISTS = tuple(",:.-_/%")


def line_pattern(template: Template, rules: Rules, parts: int | None = None) -> str:
    """Return the pattern of a whole line, or of its beginning up to so many parts.

    Its groups are the texts of the variables, in their order.
    """
    whole = parts is None
    chosen = template.parts[:parts]
    closed = closed_texts(chosen, rules)
    last_growing = max((at for at, text in enumerate(closed) if text is None), default=-1)
    pattern = [re.escape(template.before)]
    is_open = False  # an atomic group
    for at, (part, closed_text) in enumerate(zip(chosen, closed, strict=True)):
        text = closed_text
        if text is None:
            pattern.append(")" if is_open else "")
            # The last one may grow past a character from which the rest does not fit to the end.
            is_open = not whole or at != last_growing
            pattern.append("(?>" if is_open else "")
            is_end = whole and not part.after and at == len(chosen) - 1
            text = _any_text(rules, is_end=is_end)
            if part.variable == "remote_user":
                text = f'""|{text}'  # Apache's empty name
        pattern.append(f"({text}){re.escape(part.after)}")
    pattern.append(")" if is_open else "")
    return "".join(pattern)


def openers(template: Template, rules: Rules) -> list[str]:
    """Return for each part what follows the last text before it that grows; empty if none does."""
    found = [""]
    for part, text in zip(template.parts, closed_texts(template.parts, rules), strict=True):
        found.append(part.after if text is None else found[-1])
    return found[:-1]


def closed_texts(parts: Sequence[Part], rules: Rules) -> list[str | None]:
    """Return the pattern of each text that cannot hold what follows it; None for those that grow.

    What follows a text that grows is tried at every character it could begin at. So no text in
    there holds the beginning of that, the opener: each try ends before the next begins.
    """
    texts: list[str | None] = []
    opener = ""
    for part, following in zip_longest(parts, parts[1:]):
        is_number_next = following is not None and kind_of(following.variable) is Kind.INTEGER
        texts.append(_closed(part, rules, opener, is_number_next=is_number_next))
        if texts[-1] is None:
            opener = part.after
    return texts


def _closed(part: Part, rules: Rules, opener: str, *, is_number_next: bool) -> str | None:
    kind, after = kind_of(part.variable), part.after[:1]
    if kind is Kind.REST and not after:
        return ".*+"
    if kind in (Kind.TEXT, Kind.REQUEST, Kind.CHAIN, Kind.REST):
        return _quoted(rules) if after == '"' and rules.escape != "none" else None
    if rules.is_strict and kind in _STRICT:
        return None if after.isalnum() or after in _IN_NUMBERS else _STRICT[kind]
    if kind is Kind.TIME_LOCAL:
        return _local_time(after, rules, opener)
    if kind in _LISTS:
        return _list(kind, after, rules, opener)
    return _word(part, opener, is_number_next=is_number_next)


def _word(part: Part, opener: str, *, is_number_next: bool) -> str | None:
    if _is_in_words(opener[:1]):
        return None
    after = part.after
    least = "+" if part.variable in NEVER_EMPTY else "*"
    ends = {" ", opener[:1]} - {""}
    if _is_in_words(after[:1]):
        # It ends within the word: `$host:$server_port`, where the host may be `::1`.
        repeat = least if is_number_next else f"{least}?"
        return rf"(?>[^\"{re.escape(''.join(sorted(ends)))}]{repeat}(?={re.escape(after)}))"
    ends.add(after[:1] or "\r")
    if ends != {" "} or kind_of(part.variable) is not Kind.WORD:
        ends.add('"')
    return f"[^{re.escape(''.join(sorted(ends)))}]{least}+"


def _is_in_words(char: str) -> bool:
    return char.isalnum() or char in tuple(_IN_WORDS)


def _local_time(after: str, rules: Rules, opener: str) -> str | None:
    if after.isalnum() or after in _IN_TIMES:
        return None
    ends = '[]"' + after.strip()
    if rules.is_strict or after in _SPACE or (opener and set(opener).isdisjoint(ends)):
        return r"[^ \[\]\"]*+(?:[ ][+-][0-9]{4})?+"
    return f"[^{re.escape(ends)}]*+"


def _list(kind: Kind, after: str, rules: Rules, opener: str) -> str | None:
    if after.isalnum() or after in _IN_LISTS or (opener and not opener.strip(" ,:")):
        return None
    item = rf"[^ ,\"{re.escape(after.strip())}]++"
    if rules.is_strict and kind in _ITEM_SHAPES:
        item = f"(?:{_ITEM_SHAPES[kind]})"
    return f"(?:{item}(?:(?:,[ ]|[ ]:[ ]){item})*+)?+"


def _quoted(rules: Rules) -> str:
    """Any text up to the next quote that is not escaped."""
    return r"[^\"\\]*+(?:\\.[^\"\\]*+)*+" if rules.has_escapes else r"[^\"]*+"


def _any_text(rules: Rules, *, is_end: bool) -> str:
    """Any text; under escaping it holds no quote."""
    if rules.escape == "none":
        any_char = r"[^\\]*?(?:\\.[^\\]*?)*?" if rules.has_escapes else ".*?"
        return ".*+" if is_end else any_char
    if is_end:
        return _quoted(rules)
    return r"[^\"\\]*?(?:\\.[^\"\\]*?)*?" if rules.has_escapes else r"[^\"]*?"


def tries(escape: str, *, has_escapes: bool) -> Iterator[Rules]:
    """Yield the rules to read a line by, in this order."""
    has_escapes = has_escapes and escape != "none"
    yield Rules(escape, is_strict=True, has_escapes=has_escapes)
    yield Rules(escape, is_strict=False, has_escapes=has_escapes)


def raw_tries(*, has_escapes: bool) -> Iterator[Rules]:
    """Yield the rules for a line whose writer did not escape the quotes within values, in order.

    The first lets a backslash escape a quote all the same.
    """
    if has_escapes:
        yield Rules("none", is_strict=True, has_escapes=True)
    yield Rules("none", is_strict=True, has_escapes=False)


#: What stands between the fields of a line, beside the quotes around them.
_BETWEEN = frozenset(" \t,;|:=[]{}")


def is_one_value(text: str) -> bool:
    """Return whether a text with raw quotes in it is one value, rather than several fields.

    A quote before a separator closes, else one after a separator opens. Where one that closes
    nothing has one that opens after it, `a" 1 "b`, the two are the ends of two fields.
    """
    opened, is_torn = 0, False
    at = text.find('"')
    while at >= 0:
        is_after = at == 0 or text[at - 1] in _BETWEEN
        if is_after and is_torn:
            return False
        if at + 1 == len(text) or text[at + 1] in _BETWEEN:
            is_torn = is_torn or not opened
            opened = max(opened - 1, 0)
        elif is_after:
            opened += 1
        at = text.find('"', at + 1)
    return True
