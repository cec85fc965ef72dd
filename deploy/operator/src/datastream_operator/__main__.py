"""The command `datastream`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec

from datastream.arguments import parser_of
from datastream_operator import check, migrate, replay, rewind, topology
from datastream_operator.dead_letters import command as dead_letters
from datastream_operator.doctor import command as doctor
from datastream_operator.refused import Refused, exit_code_of
from datastream_operator.verify import command as verify

#: What argparse exits with for a command it does not know.
NO_SUCH_COMMAND = 2

#: Each command: what declares its arguments and which function runs it, and what it is for.
COMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], str]] = {
    "migrate": (migrate.add_arguments, "create or update the tables"),
    "topology": (topology.add_arguments, "create the exchanges and queues"),
    "doctor": (doctor.add_arguments, "say whether everything is as it must be, and what to do"),
    "verify": (verify.add_arguments, "compare logs with the tables, line by line"),
    "dead-letters": (
        dead_letters.add_arguments,
        "look at what could not be stored; put it back, or forget it",
    ),
    "rewind": (rewind.add_arguments, "make the producer read its logs again"),
    "replay": (replay.add_arguments, "parse lines of raw_log once more"),
    "check": (check.add_arguments, "say how a log fits a format, without any server"),
}

#: A package beside this one, and what it adds to the command where it is installed.
PLAYGROUND = "datastream_playground"
PLAYGROUND_COMMANDS = {
    "sample": "write a sample log, and the truth beside it",
    "demo": "put a log through the whole pipeline, on private servers, and report",
    "follow": "the same, and follow the log with a live view",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command `datastream`, with a subparser for each command."""
    parser = parser_of(
        "datastream",
        "Operates Datastream, web server logs in MySQL: tables, topology, checks, repairs.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (add_arguments, words) in COMMANDS.items():
        add_arguments(commands.add_parser(name, help=words))
    if find_spec(PLAYGROUND) is not None:
        playground = import_module(f"{PLAYGROUND}.commands").COMMANDS
        for name, words in PLAYGROUND_COMMANDS.items():
            playground[name](commands.add_parser(name, help=words))
    else:
        for name, words in PLAYGROUND_COMMANDS.items():
            # Whatever follows is taken: nothing begins an option.
            command = commands.add_parser(
                name, help=f"{words}; not installed here", prefix_chars="\0", add_help=False
            )
            command.add_argument("arguments", nargs="*")
            command.set_defaults(run=partial(_not_here, name))
    return parser


def main() -> int:
    """Run one of the commands; return its exit code."""
    arguments = parser().parse_args()
    return exit_code_of(lambda: arguments.run(arguments))


def _not_here(name: str, _arguments: argparse.Namespace) -> int:
    raise Refused(
        f"`{name}` is not installed here: it is a command of datastream-playground, which"
        " `make venv` installs in a checkout",
        NO_SUCH_COMMAND,
    )


if __name__ == "__main__":
    sys.exit(main())
