"""The directives of nginx.conf: their words, and where each character of them stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from datastream.parsing.errors import FormatError

#: How values are escaped: the `escape=` of a log_format.
ESCAPES = ("default", "json", "none")


class Word(NamedTuple):
    """One argument of a directive, without its quotes."""

    text: str
    #: For each character of the text, and for its end, where it stands in the source.
    places: tuple[int, ...]


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
    """Yield the words of each directive from a place on, whatever block it stands in.

    Raises FormatError where the text is none that nginx could read.
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
    """Undo the escapes of nginx.conf, and keep where each character stands."""
    text: list[str] = []
    places: list[int] = []
    while start < end:
        escape = _ESCAPE.match(source, start, end)
        plain = _ESCAPED.get(escape[1]) if escape else None
        text.append(source[start] if plain is None else plain)
        places.append(start)
        start += 1 if plain is None else 2
    return Word("".join(text), (*places, end))


def log_format(words: list[Word]) -> LogFormat:
    """Return the log_format that a directive is. Raises FormatError with the place in its words.

    The place is in the text that the words came from, which the caller knows.
    """
    if len(words) < 2:
        raise FormatError("log_format has no name", place=words[0].places[-1])
    name, *rest = words[1:]
    escape = "default"
    if rest and rest[0].text.startswith("escape="):
        escape = rest[0].text.removeprefix("escape=")
        if escape not in ESCAPES:
            raise FormatError(
                f"escape= is one of {', '.join(ESCAPES)}", place=rest[0].places[len("escape=")]
            )
        rest = rest[1:]
    if not any(word.text for word in rest):
        raise FormatError("log_format has no format after its name", place=words[-1].places[-1])
    template = Word(
        "".join(word.text for word in rest),
        (*(place for word in rest for place in word.places[:-1]), rest[-1].places[-1]),
    )
    return LogFormat(name.text, escape, template)


def written(form: LogFormat) -> str:
    """Return the directive in one line, the same for all that mean the same."""
    # A backslash only where nginx.conf would read one otherwise.
    text = form.template.text.replace("\\", "\\\\").replace("'", "\\'")
    text = text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    escape = "" if form.escape == "default" else f" escape={form.escape}"
    return f"log_format {form.name}{escape} '{text}';"
