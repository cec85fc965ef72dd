"""The commands of the operator's image: definitions, migrate, status, alert-test."""

from __future__ import annotations

import sys
from collections.abc import Callable

from datastream.arguments import parser_of
from datastream.config import Environment
from datastream_operator.containers import alert_test, broker, database, status
from datastream_operator.refused import exit_code_of

COMMANDS: dict[str, tuple[Callable[[Environment], int | None], str]] = {
    "definitions": (
        broker.run,
        "print the broker's definitions; the former ones on standard input",
    ),
    "migrate": (database.run, "make the accounts, the tables and the grants"),
    "status": (status.run, "show rates, lag and queues"),
    "alert-test": (alert_test.run, "send an alert that is a test; was it taken?"),
}


def main() -> int:
    """Run one of the commands; return its exit code."""
    parser = parser_of("datastream-operator", "What the containers of Datastream run.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (run, words) in COMMANDS.items():
        commands.add_parser(name, help=words).set_defaults(run=run)
    arguments = parser.parse_args()
    return exit_code_of(lambda: arguments.run(Environment.load()))


if __name__ == "__main__":
    sys.exit(main())
