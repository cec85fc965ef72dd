"""Writes docs/commands.md from the parsers of the commands: `python docs/render_commands.py`."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import clean_consumer.__main__
import datastream_operator.__main__
import lake_consumer.__main__
import producer.__main__
from datastream.arguments import exit_codes

PAGE = Path(__file__).with_name("commands.md")
WIDTH = 96

BEGINNING = """\
# Commands

Written by `make commands` from what `--help` says; a test compares them. Every command takes
`--help` (`-h`) and `--version`, which says the version of the project, that of the parser and the
last migration that it knows. A command line that is wrong ends with exit code 2. Settings are in
[.env.example](../.env.example). In containers `deploy/bin/datastream` runs the commands of
`datastream`; see [In containers](deploy.md).
"""


def parsers() -> list[argparse.ArgumentParser]:
    """Return the parser of each command that a person types."""
    return [
        datastream_operator.__main__.parser(),
        producer.__main__.parser(),
        lake_consumer.__main__.parser(),
        clean_consumer.__main__.parser(),
    ]


def page() -> str:
    """Return the text of the page."""
    commands = [found for parser in parsers() for found in every(parser, "")]
    index = [f"- [`{p.prog}`](#{p.prog.replace(' ', '-')}): {words}" for p, words in commands]
    sections = [section(parser, words) for parser, words in commands]
    return "\n".join([BEGINNING, *index, "", "\n".join(sections)])


def every(
    parser: argparse.ArgumentParser, words: str
) -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """Yield a command and all that are a part of it, each with what it is for in a few words."""
    yield parser, words or joined(parser.description)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, its in action.choices.items():
                yield from every(its, helps[name])


def section(parser: argparse.ArgumentParser, words: str) -> str:
    """Return what the page says of one command."""
    level = "##" if " " not in parser.prog else "#" * (2 + parser.prog.count(" "))
    lines = [f"{level} `{parser.prog}`", "", *usage(parser), ""]
    paragraphs, last = texts(parser, words)
    lines += [line for text in paragraphs for line in (text if typed(text) else _escaped(text), "")]
    lines += arguments(parser)
    codes = exit_codes(parser.epilog or "")
    if last:
        lines += [_escaped(last), ""]
    if codes:
        lines += ["| exit code | what it means |", "|---|---|"]
        lines += [f"| {code} | {_cell(what)} |" for code, what in codes]
        lines.append("")
    return "\n".join(lines)


def arguments(parser: argparse.ArgumentParser) -> list[str]:
    """Return the lines about a command's arguments, a table for each group."""
    lines = []
    for title, actions in groups(parser).items():
        lines += [title, ""] if title else []
        lines += ["| argument | what it is |", "|---|---|", *map(_row, actions), ""]
    return lines


def groups(parser: argparse.ArgumentParser) -> dict[str, list[argparse.Action]]:
    """Return a command's arguments by the title of their group.

    argparse's own two groups, of positional arguments and of options, come first, and are one
    without a title.
    """
    found: dict[str, list[argparse.Action]] = {}
    for group in parser._action_groups:
        is_named = group not in (parser._positionals, parser._optionals)
        title = f"{group.title}".capitalize() + ":" if is_named else ""
        for action in group._group_actions:
            if not (isinstance(action, argparse._SubParsersAction) or _is_everywhere(action)):
                found.setdefault(title, []).append(action)
    return found


def usage(parser: argparse.ArgumentParser) -> list[str]:
    """Return the lines of a command's usage, whatever the width of this terminal is."""
    # What belongs together stays in one line.
    words = " ".join([parser.prog, *(part.replace(" ", "\0") for part in synopsis(parser))])
    return [
        line.replace("\0", " ")
        for line in textwrap.wrap(
            words,
            WIDTH,
            initial_indent="    ",
            subsequent_indent=" " * (5 + len(parser.prog)),
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]


def synopsis(parser: argparse.ArgumentParser) -> list[str]:
    """Return what is typed after a command's name: its options, then the other arguments."""
    shown = [action for action in parser._actions if not _is_everywhere(action)]
    return [_in_usage(action) for action in sorted(shown, key=lambda a: not a.option_strings)]


def _in_usage(action: argparse.Action) -> str:
    if isinstance(action, argparse._SubParsersAction):
        return f"{action.metavar} ..."
    if action.option_strings:
        text = " ".join([action.option_strings[-1], *value(action)])
        return text if action.required else f"[{text}]"
    name = str(action.metavar)
    usage = {"*": f"[{name} ...]", "+": f"{name} [{name} ...]", "?": f"[{name}]"}
    return usage.get(str(action.nargs), name)


def value(action: argparse.Action) -> list[str]:
    """Return what stands for the value of an option; nothing where it takes none."""
    if action.nargs == 0:
        return []
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""
    return [str(action.metavar or choices)]


def _row(action: argparse.Action) -> str:
    name = " ".join([*action.option_strings, *value(action)])
    return f"| `{name}` | {_cell(meaning(action))} |"


def meaning(action: argparse.Action) -> str:
    """Return what an argument is, and its default."""
    words = action.help or ""
    if action.default not in (None, False) and "default" not in words:
        words += f" (default: {action.default})"
    return joined(words)


def typed(text: str) -> bool:
    """Whether a paragraph is lines to type, which are indented and stay as they are."""
    return all(line.startswith("    ") for line in text.split("\n"))


def texts(parser: argparse.ArgumentParser, words: str) -> tuple[list[str], str]:
    """Return the paragraphs on what a command does, and what its end says beside exit codes."""
    described = parser.description or f"{words[0].upper()}{words[1:]}."
    written = described.strip().split("\n\n")
    paragraphs = [text if typed(text) else joined(text) for text in written]
    return paragraphs, joined((parser.epilog or "").partition("exit codes: ")[0])


def _is_everywhere(action: argparse.Action) -> bool:
    return bool({"--help", "--version"} & {*action.option_strings})


def joined(text: str | None) -> str:
    """Return a text in one line."""
    return " ".join((text or "").split())


def _cell(text: str) -> str:
    return _escaped(joined(text)).replace("|", r"\|")


def _escaped(text: str) -> str:
    """Return a text in which Markdown reads a star as a star; within backticks it does anyway."""
    parts = text.split("`")
    return "`".join(p if n % 2 else p.replace("*", r"\*") for n, p in enumerate(parts))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}: written\n")
