"""What stands in a log_format: variables, and the text between them."""

from __future__ import annotations

import re
from typing import NamedTuple

from datastream.parsing.directive import Word
from datastream.parsing.errors import FormatError

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))")


class Piece(NamedTuple):
    """A variable with the text that follows it, up to the next variable or the end."""

    variable: str
    #: Where the variable begins in the source of the format.
    place: int
    after: str


class Template(NamedTuple):
    """A format, cut at its variables."""

    #: The text before the first variable.
    before: str
    pieces: tuple[Piece, ...]


def template(word: Word, source: str) -> Template:
    """Cut the text of a format at its variables.

    Raises FormatError, with the place in `source`: for a `$` that begins no variable, for two
    variables with nothing between them, and when there is no variable at all.
    """
    text, places = word
    literals: list[str] = []
    variables: list[tuple[str, int]] = []
    at = 0
    while True:
        found = text.find("$", at)
        if found < 0:
            literals.append(text[at:])
            break
        variable = _VARIABLE.match(text, found)
        if variable is None:
            raise FormatError("this $ begins no variable", source, places[found])
        name = variable[1] or variable[2]
        if variables and found == at:
            raise FormatError(
                f"nothing stands between ${variables[-1][0]} and ${name}: nobody can tell where "
                "the one ends and the other begins",
                source,
                places[found],
            )
        literals.append(text[at:found])
        variables.append((name, places[found]))
        at = variable.end()
    if not variables:
        raise FormatError("the format has no variable", source, places[0])
    pieces = tuple(
        Piece(name, place, after)
        for (name, place), after in zip(variables, literals[1:], strict=True)
    )
    return Template(literals[0], pieces)
