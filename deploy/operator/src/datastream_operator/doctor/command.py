"""The command `datastream doctor`: a line a check, or a metric for whoever watches."""

from __future__ import annotations

import argparse
import sys
from threading import Event

from datastream import logs, metrics
from datastream.config import Environment, RabbitSettings, ServiceSettings
from datastream.shutdown import stop_on_signals
from datastream_operator.doctor.checks import Report, State, examine
from datastream_operator.doctor.management import Management

NAME = "doctor"
DEFAULT_METRICS_PORT = 9105
#: Seconds between two looks with --watch.
EVERY = 30.0

DESCRIPTION = """\
Say whether the broker is as it must be: exchanges, queues and bindings as `datastream topology`
declares them, and no policy that undoes what is promised. Nothing is changed. Policies and
bindings are seen through the management API (RABBIT_MANAGEMENT_URL).
"""

EXIT_CODES = """\
exit codes: 0 all is well; 1 something is not, or could not be looked at; 78 a setting is wrong
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream doctor`."""
    parser.description = DESCRIPTION
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--watch",
        action="store_true",
        help="go on, and tell Prometheus what is found, on METRICS_HOST and METRICS_PORT",
    )


def run(arguments: argparse.Namespace) -> int:
    """Look once and print it, or watch; return the exit code. Raises ConfigError."""
    env = Environment.load()
    rabbit = RabbitSettings.read(env, "OPERATOR")
    management = Management.read(env, rabbit)
    if arguments.watch:
        _watch(rabbit, management, ServiceSettings.read(env, DEFAULT_METRICS_PORT))
        return 0
    report = examine(rabbit, management)
    sys.stdout.writelines(f"{line}\n" for line in lines_of(report))
    return 0 if report.is_well else 1


def lines_of(report: Report) -> list[str]:
    """Return a line for each check; what is not well may take some more."""
    lines = []
    for check in report.checks:
        head = f"{check.name:<10} {check.state.value:<8} "
        lines += [f"{head}{check.words[0]}"]
        lines += [f"{'':<{len(head)}}{words}" for words in check.words[1:]]
    return lines


def _watch(rabbit: RabbitSettings, management: Management, service: ServiceSettings) -> None:
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
    """Look again and again until `stop` is set."""
    while not stop.is_set():
        report = examine(rabbit, management)
        counts.examined(
            {check.name: check.state is State.OK for check in report.checks},
            {(one.name, one.policy): len(one.breaches) for one in report.policies},
        )
        for dependency, reason in report.failures.items():
            if reason:
                counts.failed(dependency, reason)
            else:
                counts.answered(dependency)
        stop.wait(EVERY)
