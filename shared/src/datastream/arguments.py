"""What a person types: a command with --help and --version, and numbers, times and streams."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from datastream import __version__

#: The largest integer that the tables, the checkpoint and an AMQP header hold.
LARGEST = 2**63 - 1

#: What --help of a service says of its settings.
SETTINGS = "Settings come from the environment and .env: see .env.example."
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
            self.add_argument("--version", action="version", version=f"{command} {__version__}")


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
    """Return the stream that 16 hexadecimal digits name."""
    if not re.fullmatch("[0-9a-fA-F]{16}", text):
        raise argparse.ArgumentTypeError(f"not a stream of 16 hexadecimal digits: {text}")
    return int(text, 16)
