"""Writes docs/man, a page for each command, from their parsers: `python docs/render_man.py`."""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

from render_commands import every, groups, meaning, parsers, synopsis, texts, typed, value

from datastream import __version__
from datastream.arguments import exit_codes

FOLDER = Path(__file__).with_name("man")
#: Of a line of these files; how wide a page is shown is the reader's terminal's to say.
WIDTH = 80

#: What roff reads as something else, or prints as another character than the one that is typed.
_SPECIAL = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "^": r"\(ha", "~": r"\(ti", "`": r"\(ga"}


def pages() -> dict[str, str]:
    """Return the text of each page by the name of its file."""
    return {f"{parser.prog}.1": page(parser) for parser in parsers()}


def page(parser: argparse.ArgumentParser) -> str:
    """Return the page of a command and of all that are a part of it, for the macros man(7)."""
    (_, words), *parts = every(parser, "")
    lines = [
        '.\\" Written by `make commands` from what --help says.',
        f'.TH {parser.prog.upper()} 1 "" "Datastream {__version__}" "Datastream"',
        ".SH NAME",
        f"{_text(parser.prog)} \\- {_text(words.rstrip('.'))}",
        ".SH SYNOPSIS",
        *_synopsis(parser),
        ".SH DESCRIPTION",
        *_description(parser, words),
        *_titled(".SH OPTIONS", _options(parser)),
        *_titled(".SH EXIT STATUS", _exit_status(parser)),
    ]
    if parts:
        lines.append(".SH COMMANDS")
    for part, its_words in parts:
        lines += [f".SS {_text(part.prog)}", *_synopsis(part), ".PP"]
        lines += [*_description(part, its_words), *_options(part)]
        lines += _titled(".PP\nExit status:", _exit_status(part))
    *others, last = [f"{_bold(other.prog)}(1)" for other in parsers() if other.prog != parser.prog]
    return "\n".join([*lines, ".SH SEE ALSO", *(f"{other}," for other in others), last, ""])


def _titled(title: str, lines: list[str]) -> list[str]:
    return [title, *lines] if lines else []


def _synopsis(parser: argparse.ArgumentParser) -> list[str]:
    # With a ragged edge and no hyphens of roff's: these are words to type.
    typed = [_text(part).replace(" ", r"\ ") for part in synopsis(parser)]
    return [".ad l", ".nh", _bold(parser.prog), *map(_guarded, typed), ".hy", ".ad b"]


def _description(parser: argparse.ArgumentParser, words: str) -> list[str]:
    paragraphs, last = texts(parser, words)
    shown = [_typed(text) if typed(text) else _prose(text) for text in [*paragraphs, last] if text]
    return "\n.PP\n".join(shown).split("\n")


def _options(parser: argparse.ArgumentParser) -> list[str]:
    lines: list[str] = []
    for title, actions in groups(parser).items():
        lines += [".PP", _text(title)] if title else []
        for action in actions:
            names = ", ".join(map(_bold, action.option_strings))
            values = " ".join(f"\\fI{_text(one)}\\fR" for one in value(action))
            lines += [".TP", f"{names} {values}".strip(), _prose(meaning(action))]
    return lines


def _exit_status(parser: argparse.ArgumentParser) -> list[str]:
    codes = exit_codes(parser.epilog or "")
    return [line for code, what in codes for line in (".TP", _bold(code), _prose(what))]


def _typed(text: str) -> str:
    lines = [_guarded(_text(line.strip())) for line in text.split("\n")]
    return "\n".join([".RS 4", ".nf", *lines, ".fi", ".RE"])


def _prose(text: str) -> str:
    """Return a text in which what stands in backticks is bold."""
    parts = text.split("`")
    shown = "".join(_bold(p) if n % 2 else _text(p) for n, p in enumerate(parts))
    lines = textwrap.wrap(shown, WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(map(_guarded, lines))


def _bold(text: str) -> str:
    return f"\\fB{_text(text)}\\fR"


def _text(text: str) -> str:
    return "".join(
        _SPECIAL.get(char) or (char if char.isascii() else f"\\[u{ord(char):04X}]") for char in text
    )


def _guarded(line: str) -> str:
    """Return a line that is none of roff's requests, which begin with a dot."""
    return f"\\&{line}" if line.startswith(".") else line


def main() -> None:
    """Write the pages, and remove those of commands that are gone."""
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    for path in FOLDER.iterdir():
        if path.name not in made:
            path.unlink()
    sys.stdout.write(f"{FOLDER}: written\n")


if __name__ == "__main__":
    main()
