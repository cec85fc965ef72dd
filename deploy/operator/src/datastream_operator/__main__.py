"""The command `datastream`."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from importlib import import_module
from importlib.util import find_spec

from datastream import rabbitmq
from datastream.arguments import parser_of
from datastream.config import EX_CONFIG, ConfigError, Environment, RabbitSettings
from datastream.errors import Unavailable
from datastream_operator import (
    check,
    doctor,
    migrate,
    replay,
    rewind,
)
from datastream_operator.dead_letters import command as dead_letters
from datastream_operator.refused import Refused
from datastream_operator.verify import command as verify

EX_USAGE, EX_UNAVAILABLE = 2, 69

#: A package beside this one, and what it adds to the command where it is installed.
PLAYGROUND = "datastream_playground"
PLAYGROUND_COMMANDS = {
    "sample": "write a sample log, and the truth beside it",
    "demo": "put a log through the whole pipeline, on private servers, and report",
    "follow": "the same, and follow the log with a live view",
}


def topology(_arguments: argparse.Namespace) -> int:
    """Create the exchanges and queues where they are missing; return the exit code.

    A policy that undoes what they promise is named; it is not ours to remove.
    """
    env = Environment.load()
    rabbit = RabbitSettings.read(env, "OPERATOR")
    rabbitmq.declare_topology(rabbit)
    sys.stdout.write("The exchanges, queues and bindings are there\n")
    for line in doctor.policy_warnings(doctor.Management.read(env, rabbit)):
        sys.stderr.write(f"datastream: {line}\n")
    return 0


def _add_playground(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    is_here = find_spec(PLAYGROUND) is not None
    for name, words in PLAYGROUND_COMMANDS.items():
        if is_here:
            add_arguments, run = import_module(f"{PLAYGROUND}.commands").COMMANDS[name]
            command = commands.add_parser(name, help=words)
            add_arguments(command)
        else:
            run = partial(_not_here, name)
            # Whatever follows is taken: nothing begins an option.
            command = commands.add_parser(
                name, help=f"{words}; not installed here", prefix_chars="\0", add_help=False
            )
            command.add_argument("arguments", nargs="*")
        command.set_defaults(run=run)


def _not_here(name: str, _arguments: argparse.Namespace) -> int:
    raise Refused(
        f"`{name}` is not installed here: it is a command of datastream-playground, which"
        " `make venv` installs in a checkout",
        EX_USAGE,
    )


def main() -> int:
    """Run one of the commands; return its exit code."""
    parser = parser_of(
        "datastream",
        "Operates Datastream, web server logs in MySQL: tables, topology, checks, repairs.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = commands.add_parser("migrate", help="create or update the tables")
    migrate.add_arguments(command)
    command.set_defaults(run=migrate.run)

    command = commands.add_parser("topology", help="create the exchanges and queues")
    command.set_defaults(run=topology)

    command = commands.add_parser("doctor", help="say whether the broker is as it must be")
    doctor.add_arguments(command)
    command.set_defaults(run=doctor.run)

    command = commands.add_parser("verify", help="compare logs with the tables, line by line")
    verify.add_arguments(command)
    command.set_defaults(run=verify.run)

    command = commands.add_parser(
        "dead-letters", help="look at what could not be stored; put it back, or forget it"
    )
    dead_letters.add_arguments(command)

    command = commands.add_parser("rewind", help="make the producer read its logs again")
    rewind.add_arguments(command)
    command.set_defaults(run=rewind.run)

    command = commands.add_parser("replay", help="parse lines of raw_log once more")
    replay.add_arguments(command)
    command.set_defaults(run=replay.run)

    command = commands.add_parser("check", help="say how a log fits a format, without any server")
    check.add_arguments(command)
    command.set_defaults(run=check.run)

    _add_playground(commands)

    arguments = parser.parse_args()
    try:
        code: int = arguments.run(arguments)
    except ConfigError as error:
        sys.stderr.write(f"datastream: {error}\n")
        return EX_CONFIG
    except (Unavailable, migrate.Locked) as error:
        sys.stderr.write(f"datastream: {error}\n")
        return EX_UNAVAILABLE
    except Refused as error:
        sys.stderr.write(f"datastream: {error}\n")
        return error.code
    return code


if __name__ == "__main__":
    sys.exit(main())
