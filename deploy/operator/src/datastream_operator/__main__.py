"""The command `datastream`."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from importlib import import_module
from importlib.util import find_spec

from datastream.arguments import parser_of
from datastream_operator.refused import Refused, exit_code_of

#: What argparse exits with for a command it does not know.
NO_SUCH_COMMAND = 2

#: Each command: the module that declares its arguments and the function that runs it, and what it
#: is for. Only the module of the command that is typed is imported.
COMMANDS: dict[str, tuple[str, str]] = {
    "accounts": ("accounts.command", "print or make the accounts of both servers"),
    "migrate": ("migrate", "create or update the tables"),
    "topology": ("topology", "create the exchanges and queues"),
    "doctor": ("doctor.command", "say whether everything is as it must be, and what to do"),
    "verify": ("verify.command", "compare logs with the tables, line by line"),
    "streams": ("streams", "say of each log what the tables hold of it"),
    "sql": ("sql", "ask the tables: a shell, or one statement"),
    "dead-letters": (
        "dead_letters.command",
        "look at what could not be stored; put it back, or forget it",
    ),
    "rewind": ("rewind", "make the producer read its logs again"),
    "replay": ("replay", "parse lines of raw_log once more"),
    "check": ("check", "say how a log fits a format, without any server"),
}
#: The one that shows the arguments of all.
COMPLETION = "completion"

#: A package beside this one, and what it adds to the command where it is installed.
PLAYGROUND = "datastream_playground"
PLAYGROUND_COMMANDS = {
    "sample": "write a sample log, and the truth beside it",
    "demo": "put a log through the whole pipeline, on private servers, and report",
    "follow": "the same, and follow the log with a live view",
}


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the command `datastream`, with a subparser for each command.

    The subparsers of others than `only` know no arguments; None: all know theirs.
    """
    parser = parser_of(
        "datastream",
        "Operates Datastream, web server logs in MySQL: tables, topology, checks, repairs.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (module, words) in COMMANDS.items():
        command = commands.add_parser(name, help=words)
        if only in (None, name):
            import_module(f"datastream_operator.{module}").add_arguments(command)
    command = commands.add_parser(COMPLETION, help="print what a shell completes")
    if only is None:
        import_module("datastream_operator.completion").add_arguments(command, parser)
    if find_spec(PLAYGROUND) is not None:
        for name, words in PLAYGROUND_COMMANDS.items():
            command = commands.add_parser(name, help=words)
            if only in (None, name):
                import_module(f"{PLAYGROUND}.commands").COMMANDS[name](command)
    else:
        for name, words in PLAYGROUND_COMMANDS.items():
            # It takes any arguments: no prefix begins an option.
            command = commands.add_parser(
                name, help=f"{words}; not installed here", prefix_chars="\0", add_help=False
            )
            command.add_argument("arguments", nargs="*")
            command.set_defaults(run=partial(_not_here, name))
    return parser


def main() -> int:
    """Run one of the commands; return its exit code."""
    typed = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    arguments = parser(None if typed == COMPLETION else typed).parse_args()
    return exit_code_of(lambda: arguments.run(arguments))


def _not_here(name: str, _arguments: argparse.Namespace) -> int:
    raise Refused(
        f"`{name}` is not installed here: it is a command of datastream-playground, which"
        " `make venv` installs in a checkout",
        NO_SUCH_COMMAND,
    )


if __name__ == "__main__":
    sys.exit(main())
