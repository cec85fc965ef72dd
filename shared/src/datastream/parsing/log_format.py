"""A log_format: the directive of nginx.conf, its words, and the variables of its template.

An error knows its offset in the source, to mark it there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

#: How much of a format is shown around the offset, in characters.
_SHOWN = 60


class FormatError(ValueError):
    """The text is no format by which lines can be read.

    `str()` is one sentence; `marked` shows the text below it, with a caret under the offset.
    """

    def __init__(self, message: str, text: str = "", offset: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        self.offset = offset

    @property
    def marked(self) -> str:
        """The message, and where the offset is known the line that holds it and a caret below."""
        if self.offset is None:
            return self.message
        return f"{self.message}\n{marked(self.text, self.offset)}"


def marked(text: str, offset: int, shown: int = _SHOWN) -> str:
    """Return what surrounds an offset in a text, on one line, and below it a caret.

    `offset` is a character offset; `shown` is how many characters before and after it are shown.
    """
    line_start = text.rfind("\n", 0, offset) + 1
    line_end = text.find("\n", offset)
    line_end = len(text) if line_end < 0 else line_end
    start = max(line_start, offset - shown)
    end = min(line_end, offset + shown)
    before = _shown(text[start:offset])
    left = "…" if start > line_start else ""
    right = "…" if end < line_end else ""
    line = f"    {left}{before}{_shown(text[offset:end])}{right}"
    return f"{line}\n    {' ' * (len(left) + len(before))}^"


def _shown(text: str) -> str:
    """Return the text with each character whose width is not one written as an escape."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


#: How values are escaped: the `escape=` of a log_format.
ESCAPES = ("default", "json", "none")


class Word(NamedTuple):
    """One argument of a directive, without its quotes."""

    text: str
    #: For each character of the text, and for its end, the offset in the source.
    offsets: tuple[int, ...]


class LogFormat(NamedTuple):
    """A `log_format` directive."""

    name: str
    escape: str
    #: Its quoted strings, joined.
    template: Word


# What nginx's reader of configuration files tells apart.
_TOKEN = re.compile(
    r"""
      (?P<space> \s++ | \#[^\n]*+ )
    | (?P<mark> [;{}] )
    | ' (?P<single> (?: [^'\\] | \\. )*+ ) '
    | " (?P<double> (?: [^"\\] | \\. )*+ ) "
    | (?P<bare> (?: [^\s;{}"'\\] | \$\{ | \\. ) (?: [^\s;{\\] | (?<=\$)\{ | \\. )*+ )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {'"': '"', "'": "'", "\\": "\\", "t": "\t", "r": "\r", "n": "\n"}


def directives(source: str, at: int = 0) -> Iterator[list[Word]]:
    """Yield the words of each directive from an offset on, whatever block it stands in.

    Raises FormatError where nginx could not read the text.
    """
    words: list[Word] = []
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            raise FormatError("this quote has no end", source, at)
        kind = str(found.lastgroup)
        if kind == "mark":
            if words:
                yield words
            words = []
        elif kind != "space":
            words.append(_word(source, found.start(kind), found.end(kind)))
        at = found.end()
    if words:
        raise FormatError("a directive ends with a semicolon; there is none", source, len(source))


def _word(source: str, start: int, end: int) -> Word:
    """Undo the escapes of nginx.conf, and keep the offset of each character."""
    text: list[str] = []
    offsets: list[int] = []
    while start < end:
        escape = _ESCAPE.match(source, start, end)
        plain = _ESCAPED.get(escape[1]) if escape else None
        text.append(source[start] if plain is None else plain)
        offsets.append(start)
        start += 1 if plain is None else 2
    return Word("".join(text), (*offsets, end))


def log_format(words: list[Word]) -> LogFormat:
    """Return the log_format that a directive is. Raises FormatError with the offset in its words.

    Only the caller knows the text that the offset is in.
    """
    if len(words) < 2:
        raise FormatError("log_format has no name", offset=words[0].offsets[-1])
    name, *rest = words[1:]
    escape = "default"
    if rest and rest[0].text.startswith("escape="):
        escape = rest[0].text.removeprefix("escape=")
        if escape not in ESCAPES:
            raise FormatError(
                f"escape= is one of {', '.join(ESCAPES)}", offset=rest[0].offsets[len("escape=")]
            )
        rest = rest[1:]
    if not any(word.text for word in rest):
        raise FormatError("log_format has no format after its name", offset=words[-1].offsets[-1])
    template = Word(
        "".join(word.text for word in rest),
        (*(offset for word in rest for offset in word.offsets[:-1]), rest[-1].offsets[-1]),
    )
    return LogFormat(name.text, escape, template)


def written(form: LogFormat) -> str:
    """Return the directive in one line, the same for all that mean the same."""
    # A backslash only where nginx.conf would read one otherwise.
    text = form.template.text.replace("\\", "\\\\").replace("'", "\\'")
    text = text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    escape = "" if form.escape == "default" else f" escape={form.escape}"
    return f"log_format {form.name}{escape} '{text}';"


_VARIABLE = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))")


class Part(NamedTuple):
    """A variable with the text that follows it, up to the next variable or the end."""

    variable: str
    after: str


class Template(NamedTuple):
    """A format, cut at its variables."""

    #: The text before the first variable.
    before: str
    parts: tuple[Part, ...]


def template(word: Word, source: str) -> Template:
    """Cut the text of a format at its variables.

    Raises FormatError, with the offset in `source`: for a `$` that begins no variable, for two
    variables with nothing between them, and when there is no variable at all.
    """
    text, offsets = word
    literals: list[str] = []
    variables: list[str] = []
    at = 0
    while True:
        found = text.find("$", at)
        if found < 0:
            literals.append(text[at:])
            break
        variable = _VARIABLE.match(text, found)
        if variable is None:
            raise FormatError("this $ begins no variable", source, offsets[found])
        name = variable[1] or variable[2]
        if variables and found == at:
            raise FormatError(
                f"nothing stands between ${variables[-1]} and ${name}: it cannot be told where "
                "the one ends and the other begins",
                source,
                offsets[found],
            )
        literals.append(text[at:found])
        variables.append(name)
        at = variable.end()
    if not variables:
        raise FormatError("the format has no variable", source, offsets[0])
    return Template(literals[0], tuple(map(Part, variables, literals[1:])))
