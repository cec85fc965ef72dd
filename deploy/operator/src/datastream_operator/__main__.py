"""The command `datastream`."""

from __future__ import annotations

import argparse
import sys

from datastream import rabbitmq
from datastream.arguments import parser_of
from datastream.config import EX_CONFIG, ConfigError, Environment, RabbitSettings
from datastream.errors import Unavailable
from datastream_operator import (
    check,
    dead_letters,
    demo,
    doctor,
    migrate,
    replay,
    rewind,
    sample,
    verify,
)
from datastream_operator.doctor.management import Management
from datastream_operator.refused import Refused

EX_UNAVAILABLE = 69


def topology(_arguments: argparse.Namespace) -> int:
    """Create the exchanges and queues where they are missing; return the exit code.

    A policy that undoes what they promise is named; it is not ours to remove.
    """
    env = Environment.load()
    rabbit = RabbitSettings.read(env, "OPERATOR")
    rabbitmq.declare_topology(rabbit)
    sys.stdout.write("The exchanges, queues and bindings are there\n")
    for line in doctor.policy_warnings(Management.read(env, rabbit)):
        sys.stderr.write(f"datastream: {line}\n")
    return 0


def main() -> int:
    """Run one of the commands; return its exit code."""
    parser = parser_of(
        "datastream",
        "Operates Datastream, web server logs in MySQL: tables, topology, checks, sample logs, a"
        " demo.",
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

    command = commands.add_parser("sample", help="write a sample log, and the truth beside it")
    sample.add_arguments(command)
    command.set_defaults(run=sample.run)

    command = commands.add_parser(
        "demo", help="put a log through the whole pipeline, on private servers, and report"
    )
    demo.add_arguments(command)
    command.set_defaults(run=demo.demo)

    command = commands.add_parser("follow", help="the same, and follow the log with a live view")
    demo.add_follow_arguments(command)
    command.set_defaults(run=demo.follow)

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
