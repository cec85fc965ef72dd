"""The command `datastream doctor`: its arguments, output and exit code."""

from __future__ import annotations

import argparse
import sys
from threading import Event

from datastream import logs, metrics
from datastream.arguments import add_config
from datastream.config import Environment, RabbitSettings, ServiceSettings
from datastream.shutdown import stop_on_signals
from datastream_operator.doctor import broker, database, host
from datastream_operator.doctor.management import Management
from datastream_operator.doctor.report import Report, State
from datastream_operator.doctor.settings import Settings

NAME = "doctor"
DEFAULT_METRICS_PORT = 9105
#: Seconds between two looks with --watch.
EVERY = 30.0

DESCRIPTION = """\
Say whether everything is as it must be, a row for each check, and what to do where it is not:
settings, broker, database, TLS, what each account may do, exchanges, queues, bindings and policies,
the schema's version, clocks, disks, and whether logs can be read and the checkpoint written as the
user that runs this. Nothing is changed.

It checks everything that has settings, with every account that they name: OPERATOR_*, MIGRATOR_*,
PRODUCER_*, LAKE_*, CLEAN_*, and RABBIT_USER and MYSQL_USER, each the account of every service that
has none of its own. On a web server's host name the producer's PRODUCER_RABBIT_USER. What has no
settings, or may not be seen, is "not looked at". Policies, bindings and the broker's disk are seen
through the management API (RABBIT_MANAGEMENT_URL).
"""

EXIT_CODES = """\
exit codes: 0 all that was looked at is well; 1 something is broken; 3 nothing is broken, but
something needs attention; 78 a setting is wrong; the rest was looked at as far as possible
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream doctor`."""
    parser.description = DESCRIPTION
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(run=run)
    parser.add_argument(
        "--watch",
        action="store_true",
        help="go on looking at the broker, and tell Prometheus what is found, on METRICS_HOST and "
        "METRICS_PORT",
    )
    add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check once and print the report, or watch; return the exit code. Raises ConfigError."""
    env = Environment.load(config=arguments.config)
    if arguments.watch:
        _watch(env)
        return 0
    report = examine(env)
    sys.stdout.writelines(f"{line}\n" for check in report.checks for line in check.lines())
    return report.exit_code


def examine(env: Environment) -> Report:
    """Check everything that has settings; what cannot be reached is in the report."""
    settings = Settings.read(env)
    return Report(
        [
            settings.check(),
            *broker.examine_for_all(settings.rabbit, settings.management),
            *database.examine(settings.mysql),
            host.check_log(env),
            host.check_checkpoint(env),
        ]
    )


def _watch(env: Environment) -> None:
    rabbit = RabbitSettings.read(env, "OPERATOR")
    management = Management.read(env, rabbit)
    service = ServiceSettings.read(env, DEFAULT_METRICS_PORT)
    logs.configure(NAME, service.log_level)
    counts = metrics.DoctorMetrics()
    with (
        metrics.serve(counts, service.metrics_host, service.metrics_port),
        stop_on_signals() as stop,
    ):
        watch(rabbit, management, counts, stop)


def watch(
    rabbit: RabbitSettings, management: Management, counts: metrics.DoctorMetrics, stop: Event
) -> None:
    """Check the broker again and again until `stop` is set."""
    while not stop.is_set():
        report = broker.examine(rabbit, management)
        counts.examined(
            {c.name: c.state is State.OK for c in report.checks if c.state is not State.SKIPPED},
            {(one.name, one.policy): len(one.breaches) for one in report.policies},
        )
        for dependency, reason in report.failures.items():
            if reason:
                counts.failed(dependency, reason)
            else:
                counts.answered(dependency)
        stop.wait(EVERY)
