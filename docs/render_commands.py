"""Writes docs/commands.md from the parsers of the commands: `python docs/render_commands.py`."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import clean_consumer.__main__
import datastream_operator.__main__
import lake_consumer.__main__
import producer.__main__

PAGE = Path(__file__).with_name("commands.md")
WIDTH = 96

BEGINNING = """\
# Commands

Written by `make commands` from what `--help` says; a test compares them. Every command takes
`--help` (`-h`) and `--version`. A command line that is wrong ends with exit code 2. Settings are in
[.env.example](../.env.example). In containers `deploy/bin/datastream` runs the commands of
`datastream`; see [In containers](deploy.md).
"""

#: A code, or several that mean the same, and what it means.
_EXIT_CODE = re.compile(r"(\d+(?:(?:, | or )\d+)*) (.+?)(?:; (?=\d)|$)")


def page() -> str:
    """Return the text of the page."""
    commands = [
        found
        for module in (
            datastream_operator.__main__,
            producer.__main__,
            lake_consumer.__main__,
            clean_consumer.__main__,
        )
        for found in every(module.parser(), "")
    ]
    index = [f"- [`{p.prog}`](#{p.prog.replace(' ', '-')}): {words}" for p, words in commands]
    sections = [section(parser, words) for parser, words in commands]
    return "\n".join([BEGINNING, *index, "", "\n".join(sections)])


def every(
    parser: argparse.ArgumentParser, words: str
) -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """Yield a command and all that are a part of it, each with what it is for in a few words."""
    yield parser, words or _joined(parser.description)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, its in action.choices.items():
                yield from every(its, helps[name])


def section(parser: argparse.ArgumentParser, words: str) -> str:
    """Return what the page says of one command."""
    level = "##" if " " not in parser.prog else "#" * (2 + parser.prog.count(" "))
    lines = [f"{level} `{parser.prog}`", "", *usage(parser), ""]
    texts = (parser.description or f"{words[0].upper()}{words[1:]}.").strip().split("\n\n")
    lines += [line for text in texts for line in (_escaped(_joined(text)), "")]
    lines += arguments(parser)
    text, _, codes = (parser.epilog or "").partition("exit codes: ")
    if text.strip():
        lines += [_escaped(_joined(text)), ""]
    if codes:
        lines += ["| exit code | what it means |", "|---|---|"]
        lines += [
            f"| {code} | {_cell(what)} |" for code, what in _EXIT_CODE.findall(_joined(codes))
        ]
        lines.append("")
    return "\n".join(lines)


def arguments(parser: argparse.ArgumentParser) -> list[str]:
    """Return the lines about a command's arguments, a table for each group with a name of its own.

    argparse's own two, of positional arguments and of options, come first and have one table.
    """
    tables: dict[str, list[str]] = {}
    for group in parser._action_groups:
        is_named = group not in (parser._positionals, parser._optionals)
        title = f"{group.title}".capitalize() + ":" if is_named else ""
        rows = [row for action in group._group_actions for row in _rows(action)]
        tables.setdefault(title, []).extend(rows)
    lines = []
    for title, rows in tables.items():
        if rows:
            lines += [title, ""] if title else []
            lines += ["| argument | what it is |", "|---|---|", *rows, ""]
    return lines


def usage(parser: argparse.ArgumentParser) -> list[str]:
    """Return the lines of a command's usage, whatever the width of this terminal is."""
    shown = [action for action in parser._actions if not _is_everywhere(action)]
    parts = [_in_usage(action) for action in sorted(shown, key=lambda a: not a.option_strings)]
    # What belongs together stays in one line.
    words = " ".join([parser.prog, *(part.replace(" ", "\0") for part in parts)])
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


def _in_usage(action: argparse.Action) -> str:
    if isinstance(action, argparse._SubParsersAction):
        return f"{action.metavar} ..."
    if action.option_strings:
        text = " ".join([action.option_strings[-1], *_value(action)])
        return text if action.required else f"[{text}]"
    name = str(action.metavar)
    return {"*": f"[{name} ...]", "+": f"{name} [{name} ...]"}.get(str(action.nargs), name)


def _value(action: argparse.Action) -> list[str]:
    """Return what stands for the value of an option; nothing where it takes none."""
    if action.nargs == 0:
        return []
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""
    return [str(action.metavar or choices)]


def _rows(action: argparse.Action) -> Iterator[str]:
    if isinstance(action, argparse._SubParsersAction) or _is_everywhere(action):
        return
    name = " ".join([*action.option_strings, *_value(action)])
    words = action.help or ""
    if action.default not in (None, False) and "default" not in words:
        words += f" (default: {action.default})"
    yield f"| `{name}` | {_cell(words)} |"


def _is_everywhere(action: argparse.Action) -> bool:
    return bool({"--help", "--version"} & {*action.option_strings})


def _joined(text: str | None) -> str:
    return " ".join((text or "").split())


def _cell(text: str) -> str:
    return _escaped(_joined(text)).replace("|", r"\|")


def _escaped(text: str) -> str:
    """Return a text in which Markdown reads a star as a star; within backticks it does anyway."""
    parts = text.split("`")
    return "`".join(p if n % 2 else p.replace("*", r"\*") for n, p in enumerate(parts))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}: written\n")
