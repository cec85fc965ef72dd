"""The syntax of nginx.conf: directives, their words, and the blocks that they stand in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from datastream.parsing.log_format import FormatError, Word

# What nginx's reader of configuration files tells apart.
_TOKEN = re.compile(
    r"""
      (?P<space> [ \t\r\n]++ | \#[^\n]*+ )
    | (?P<mark> [;{}] )
    | ' (?P<single> (?: [^'\\] | \\. )*+ ) '
    | " (?P<double> (?: [^"\\] | \\. )*+ ) "
    | (?P<bare> (?: [^ \t\r\n;{}"'\\$] | \$\{*+ | \\. ) (?: [^ \t\r\n;{\\$] | \$\{*+ | \\. )*+ )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {'"': '"', "'": "'", "\\": "\\", "t": "\t", "r": "\r", "n": "\n"}

#: A block of these names is code, in which braces and quotes may stand in texts and comments.
_LUA = "_by_lua_block"
# What Lua tells apart, as far as it matters where the block ends.
_LUA_TOKEN = re.compile(
    r"""
      (?P<brace> [{}] )
    | -- \[ (?P<long_comment>=*+) \[ .*? \] (?P=long_comment) \]
    | -- [^\n]*+
    | \[ (?P<long_text>=*+) \[ .*? \] (?P=long_text) \]
    | ' (?: [^'\\] | \\. )*+ '
    | " (?: [^"\\] | \\. )*+ "
    | [^{}'"\[-]++ | [\[-]
    """,
    re.VERBOSE | re.DOTALL,
)


class Directive(NamedTuple):
    """A directive, or the beginning of a block."""

    #: Its name and its arguments.
    words: list[Word]
    #: The names of the blocks that it stands in, the outermost first.
    blocks: tuple[str, ...]
    #: Where its name begins and where it ends, with its semicolon or brace: offsets in the source.
    start: int
    end: int


def directives(source: str) -> Iterator[Directive]:
    """Yield each directive, in order. Raises FormatError where nginx could not read the text.

    What stands before that is yielded.
    """
    words: list[Word] = []
    blocks: list[str] = []
    start = at = 0
    while at < len(source):
        kind, first, last, after = _token(_TOKEN, source, at)
        if kind == "mark":
            mark = source[at]
            if words:
                yield Directive(words, tuple(blocks), start, after)
            after = _after_mark(mark, words, blocks, source, at)
            words = []
        elif kind != "space":
            start = start if words else at
            words.append(_word(source, first, last))
        at = after
    if words:
        raise FormatError("a directive ends with a semicolon; there is none", source, len(source))
    if blocks:
        raise FormatError(f"the block {blocks[-1]} has no end", source, len(source))


def _token(pattern: re.Pattern[str], source: str, at: int) -> tuple[str, int, int, int]:
    """Return a token's kind, where its text begins and ends, and where the next one begins."""
    found = pattern.match(source, at)
    if found is None:
        raise FormatError("this quote has no end", source, at)
    kind = found.lastgroup or ""
    return kind, found.start(kind or 0), found.end(kind or 0), found.end()


def _after_mark(mark: str, words: list[Word], blocks: list[str], source: str, at: int) -> int:
    """Begin or end a block, and return where what follows the mark begins."""
    if mark == "{":
        name = words[0].text if words else ""
        if name.endswith(_LUA):
            return _end_of_lua(source, at)
        blocks.append(name)
    if mark == "}":
        if words:
            raise FormatError("a directive ends with a semicolon; there is none", source, at)
        if not blocks:
            raise FormatError("this brace ends no block", source, at)
        blocks.pop()
    return at + 1


def _end_of_lua(source: str, start: int) -> int:
    """Return the offset after the brace that ends the code whose brace is at `start`."""
    depth, at = 0, start
    while at < len(source):
        kind, _, _, after = _token(_LUA_TOKEN, source, at)
        if kind == "brace":
            depth += 1 if source[at] == "{" else -1
            if depth == 0:
                return after
        at = after
    raise FormatError("this code has no end", source, start)


def _word(source: str, start: int, end: int) -> Word:
    """Undo the escapes of nginx.conf, and keep the offset of each character."""
    if "\\" not in source[start:end]:
        return Word(source[start:end], tuple(range(start, end + 1)))
    text: list[str] = []
    offsets: list[int] = []
    while start < end:
        escape = _ESCAPE.match(source, start, end)
        plain = _ESCAPED.get(escape[1]) if escape else None
        text.append(source[start] if plain is None else plain)
        offsets.append(start)
        start += 1 if plain is None else 2
    return Word("".join(text), (*offsets, end))
