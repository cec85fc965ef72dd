"""The command `datastream completion`: what a shell completes, written from the parsers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import shtab

SHELLS = ("bash", "zsh", "fish")

DESCRIPTION = """\
Print a script by which a shell completes the commands of `datastream` and their options.

bash: put `eval "$(datastream completion bash)"` into ~/.bashrc. fish: `datastream completion fish
>~/.config/fish/completions/datastream.fish`. zsh: write it to a file `_datastream` in a folder of
$fpath.
"""
EXIT_CODES = "exit codes: 0 done"


def add_arguments(parser: argparse.ArgumentParser, whole: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream completion`; `whole` is the parser of `datastream`."""
    parser.description = DESCRIPTION
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(run=partial(run, whole))
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))


def run(whole: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Print the script; return the exit code."""
    for action in _actions(whole):
        if action.type is Path:
            # The attribute by which shtab knows what to complete.
            vars(action)["complete"] = shtab.FILE
    sys.stdout.write(f"{shtab.complete(whole, arguments.shell)}\n")
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of a command and of all that are a part of it."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - the same
            for part in action.choices.values():
                yield from _actions(part)
