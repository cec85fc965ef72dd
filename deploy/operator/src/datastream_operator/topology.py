"""The command `datastream topology`: creates the exchanges and queues."""

from __future__ import annotations

import argparse
import sys

from datastream import rabbitmq
from datastream.config import Environment, RabbitSettings
from datastream_operator.doctor.broker import policy_warnings
from datastream_operator.doctor.management import Management

DESCRIPTION = """\
Create the exchanges, the queues and their bindings where they are missing; what is there is left as
it is. Policies that undo what they promise are named. The account is OPERATOR_RABBIT_* (or
RABBIT_*).
"""

EXIT_CODES = """\
exit codes: 0 all are there; 69 the broker is away, or one of them is there as another one; 78 a
setting is wrong
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream topology`: none."""
    parser.description = DESCRIPTION
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(run=run)


def run(_arguments: argparse.Namespace) -> int:
    """Create the exchanges and queues where they are missing; return the exit code.

    A policy that undoes what they promise is named; it is not ours to remove. Raises ConfigError
    and Unavailable.
    """
    env = Environment.load()
    rabbit = RabbitSettings.read(env, "OPERATOR")
    rabbitmq.declare_topology(rabbit)
    sys.stdout.write("The exchanges, queues and bindings are there\n")
    for line in policy_warnings(Management.read(env, rabbit)):
        sys.stderr.write(f"datastream: {line}\n")
    return 0
