"""What a person types: a command with --help and --version, and numbers, times and streams."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datastream import SCHEMA_VERSION, __version__
from datastream.parsing import PARSER_VERSION

#: The largest integer that the tables, the checkpoint and an AMQP header hold.
LARGEST = 2**63 - 1

#: What --version says after the command's name.
VERSION = f"{__version__}, parser {PARSER_VERSION}, schema {SCHEMA_VERSION}"

#: A code, or several that mean the same, and what it means, where --help lists them.
_EXIT_CODE = re.compile(r"(\d+(?:(?:, | or )\d+)*) (.+?)(?:; (?=\d)|$)")

#: What --help of a service says of its settings.
SETTINGS = """\
Settings come from the environment, .env and the file of DATASTREAM_CONFIG: see .env.example."""
#: The same, with a consumer's exit codes.
CONSUMER = f"""\
{SETTINGS}

exit codes: 0 asked to stop, and what was in hand is safe; 70 it crashed at 20 slices in a row: the
program is broken, and what it had in hand is delivered again; 78 a setting is wrong
"""


class _Parser(argparse.ArgumentParser):
    """A parser with --version where it has --help; argparse makes those of subcommands alike."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - argparse's, which vary
        super().__init__(**options)
        if self.add_help:
            command = self.prog.partition(" ")[0]
            self.add_argument("--version", action="version", version=f"{command} {VERSION}")


def parser_of(command: str, description: str, epilog: str | None = None) -> argparse.ArgumentParser:
    """Return a parser of a command; it and its subcommands have --help and --version.

    The texts stay as they are.
    """
    return _Parser(
        prog=command,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def exit_codes(epilog: str) -> list[tuple[str, str]]:
    """Return the exit codes in the text after a command's --help, each with what it means."""
    _, _, listed = epilog.partition("exit codes: ")
    return _EXIT_CODE.findall(" ".join(listed.split()))


def with_exit_code(words: object, code: int, epilog: str) -> str:
    """Return a failure's words and a line with its exit code and what that means.

    For commands that `make` runs, which ends with a code of its own.
    """
    meaning = dict(exit_codes(epilog)).get(str(code))
    return f"{words}\nexit code {code}{f': {meaning}' if meaning else ''}\n"


def add_config(parser: argparse.ArgumentParser) -> None:
    """Declare --config, for commands that read the producer's settings."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the TOML file with settings and logs (default: DATASTREAM_CONFIG of the environment "
        "or .env, if any)",
    )


def whole_number(lowest: int) -> Callable[[str], int]:
    """Return a type of arguments: whole numbers from the lowest on, in decimal digits."""

    def convert(text: str) -> int:
        # Not int() alone: it accepts 1_000 and digits of other scripts, and refuses very long text.
        if re.fullmatch("[0-9]{1,19}", text) and lowest <= int(text) <= LARGEST:
            return int(text)
        raise argparse.ArgumentTypeError(f"not a whole number from {lowest} on: {text!r}")

    return convert


def moment(text: str) -> datetime:
    """Return the time of an ISO 8601 text, UTC where it names no zone."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"not a time: {text!r}; write 2026-10-10T13:55 (UTC) or 2026-10-10T13:55+02:00"
        ) from None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when


def stream_number(text: str) -> int:
    """Return the stream of an id in decimal digits, as SQL shows it, or in hexadecimal ones.

    Hexadecimal are 16 digits, as messages show it, and what begins with 0x. Raises
    ArgumentTypeError for all else, and for 16 digits that may be either.
    """
    if re.fullmatch("[1-9][0-9]{15}", text):
        raise argparse.ArgumentTypeError(
            f"{text} may be decimal or hexadecimal: write 0{text} (decimal) or 0x{text}"
        )
    if re.fullmatch("(0[xX])?[0-9a-fA-F]{16}|0[xX][0-9a-fA-F]{1,15}", text):
        return int(text, 16)
    if re.fullmatch("[0-9]{1,20}", text) and int(text) < 2**64:
        return int(text)
    raise argparse.ArgumentTypeError(
        f"not a stream: {text!r}; write its id as SQL shows it, or its 16 hexadecimal digits"
    )
