"""Formats that are JSON objects: where in the object each variable is.

The format's pattern reads what nginx wrote, like any other line, and also what is no JSON, such as
a bare number that is missing. This module reads lines that write the same object differently: keys
in another order, other spaces, new keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from datastream.parsing.log_format import Part, Template
from datastream.parsing.pattern import line_pattern, tries

_MARK = "\ue000"  # of the private use area: no format holds it
_MARKED = re.compile(rf"{_MARK}([0-9]+){_MARK}")
#: In a path: all items of a list, joined as nginx joins them.
_ALL = -1
_QUOTES = re.compile(r'\\.|(")', re.DOTALL)


class _Leaf(NamedTuple):
    """A text in the object, with the variables that it holds, and how they are found in it."""

    path: tuple[str | int, ...]
    variables: tuple[str, ...]
    #: To be tried in this order.
    patterns: tuple[re.Pattern[str], ...]


class JsonTemplate:
    """A format that is a JSON object."""

    def __init__(self, leaves: list[_Leaf]) -> None:
        self._leaves = leaves

    def values(self, line: str) -> dict[str, str | None] | None:
        """Return the texts of the variables, or None when the line is no such object.

        A variable whose keys are all missing or null has the text None.
        """
        try:
            found = json.loads(line, parse_int=str, parse_float=str, strict=False)
        except (ValueError, RecursionError):
            return None
        if not isinstance(found, dict):
            return None
        values: dict[str, str | None] = {}
        for path, variables, patterns in self._leaves:
            text = _text(_at(found, path))
            matches = (pattern.fullmatch(text or "") for pattern in patterns)
            match = next(filter(None, matches), None) if text is not None else None
            for name in variables:
                values.setdefault(name, None)
            for name, value in zip(variables, match.groups() if match else (), strict=False):
                if values[name] is None:
                    values[name] = _without_surrogates(value)
        return values


def json_template(template: Template) -> JsonTemplate | None:
    """Return the format as a JSON object; None when it is none."""
    text, in_string = [template.before], _ends_in_string(template.before, is_in=False)
    for at, part in enumerate(template.parts):
        mark = f"{_MARK}{at}{_MARK}"
        text += [mark if in_string else f'"{mark}"', part.after]
        in_string = _ends_in_string(part.after, is_in=in_string)
    try:
        found = json.loads("".join(text), strict=False)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return JsonTemplate([_leaf(path, text, template) for path, text in _marked(found, ())])


def _ends_in_string(text: str, *, is_in: bool) -> bool:
    quotes = sum(quote is not None for quote in (found[1] for found in _QUOTES.finditer(text)))
    return is_in != bool(quotes % 2)


def _marked(
    value: object, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the texts with variables in them, and where they are."""
    if isinstance(value, str) and _MARK in value:
        yield path, value
    children: Iterator[tuple[str | int, object]] = iter(())
    if isinstance(value, dict):
        children = iter(value.items())
    elif isinstance(value, list):
        # `[$upstream_status]` is a list of as many items as there were servers.
        is_whole = len(value) == 1 and isinstance(value[0], str) and _MARKED.fullmatch(value[0])
        children = iter([(_ALL, value[0])] if is_whole else enumerate(value))
    for key, child in children:
        yield from _marked(child, (*path, key))


def _leaf(path: tuple[str | int, ...], text: str, template: Template) -> _Leaf:
    before, *others = _MARKED.split(text)
    parts = tuple(
        Part(template.parts[int(at)].variable, after)
        for at, after in zip(others[::2], others[1::2], strict=True)
    )
    leaf = Template(before, parts)
    patterns = [line_pattern(leaf, rules) for rules in tries(leaf, "none", has_escapes=False)]
    if len(parts) == 1 and not before and not parts[0].after:
        patterns = ["(.*+)"]
    variables = tuple(part.variable for part in parts)
    return _Leaf(path, variables, tuple(re.compile(text, re.DOTALL) for text in patterns))


def _at(value: object, path: tuple[str | int, ...]) -> object:
    for key in path:
        if key == _ALL and isinstance(value, list):
            return ", ".join(_text(item) or "-" for item in value)
        is_there = (
            key < len(value)
            if isinstance(value, list) and isinstance(key, int)
            else isinstance(value, dict) and key in value
        )
        if not is_there:
            return None
        value = value[key]  # type: ignore[index]  # one of the two
    return value


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _without_surrogates(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
