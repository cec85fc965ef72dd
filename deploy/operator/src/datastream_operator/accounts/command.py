"""The command `datastream accounts`: prints what makes the accounts, or makes them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from datastream.config import Environment
from datastream_operator.accounts import broker, database

DESCRIPTION = """\
The accounts of the settings, with what their services need and no more: OPERATOR_*, PRODUCER_*,
LAKE_*, CLEAN_* and MIGRATOR_*, and RABBIT_USER and MYSQL_USER, each the account of every service
that has none of its own. What is there keeps what it has beyond that, and gets the password of the
settings.

Printed, it is for the servers' own administrator, whose account often has no password:

    datastream accounts --print --mysql | sudo mysql
    datastream accounts --print --rabbitmq | sudo sh

Passwords are in what goes through a pipe or into a file, for one server; on a terminal their
settings are named instead. Applied, it takes ADMIN_MYSQL_USER and ADMIN_MYSQL_PASSWORD, or
MYSQL_ROOT_PASSWORD, and ADMIN_RABBIT_USER and ADMIN_RABBIT_PASSWORD, with the broker's management
API (RABBIT_MANAGEMENT_URL).

A right on a table needs the table, and a routing key the exchange: where each service has an
account of its own, run this, `datastream migrate` and `topology`, and this again. It says so.
"""

EXIT_CODES = """\
exit codes: 0 done; 2 the command is wrong; 69 a server is away, or refuses; 78 a setting is wrong
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream accounts`."""
    parser.description = DESCRIPTION
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(run=run)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--print", action="store_true", help="print the SQL, and the lines of rabbitmqctl"
    )
    what.add_argument("--apply", action="store_true", help="make them, as an administrator")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--mysql", action="store_true", help="the database's only")
    where.add_argument("--rabbitmq", action="store_true", help="the broker's only")


def run(arguments: argparse.Namespace) -> int:
    """Print or make the accounts; return 0. Raises ConfigError and Unavailable."""
    env = Environment.load()
    for_database, for_broker = not arguments.rabbitmq, not arguments.mysql
    if arguments.apply:
        _apply(env, for_database=for_database, for_broker=for_broker)
        return 0
    shows = not (for_database and for_broker) and not sys.stdout.isatty()
    if for_database:
        _write(database.lines(database.schema(env), database.read(env), shows=shows))
    if for_broker:
        _write(broker.lines(broker.read(env), shows=shows))
    return 0


def _write(lines: Iterable[str]) -> None:
    # All of it or nothing: half a script would be run.
    sys.stdout.write("".join([f"{line}\n" for line in lines]))


def _apply(env: Environment, *, for_database: bool, for_broker: bool) -> None:
    # Every setting is read before anything is changed.
    of_database = database.read(env) if for_database else []
    of_broker = broker.read(env) if for_broker else []
    database_ = database.read_administrator(env) if for_database else None
    management = broker.read_administrator(env) if for_broker else None
    if database_ is not None:
        words = database.apply(database_, database.schema(env), of_database)
        sys.stdout.write(f"The database: {words}\n")
    if management is not None:
        words = broker.apply(management, of_broker)
        sys.stdout.write(f"The broker: {words}\n")
