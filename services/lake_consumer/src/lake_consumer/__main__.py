"""The lake consumer: from queue-data-lake to raw_log."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from contextlib import closing

from datastream import logs, metrics, topology
from datastream.arguments import CONSUMER, parser_of
from datastream.config import Environment, MysqlSettings, RabbitSettings, ServiceSettings
from datastream.consuming import Preparation
from datastream.mysql import Session
from datastream.service import run_consumer, start
from datastream.shutdown import stop_on_signals
from lake_consumer.store import Lake

NAME = "lake_consumer"
DESCRIPTION = "Keeps every line of a log, byte for byte, in MySQL."
DEFAULT_METRICS_PORT = 9102


def run(env: Environment) -> int:
    """Consume until the process is asked to stop; return the exit code."""
    rabbit = RabbitSettings.read(env, "LAKE")
    mysql = MysqlSettings.read(env, "LAKE")
    service = ServiceSettings.read(env, DEFAULT_METRICS_PORT)
    logs.configure(NAME, service.log_level)
    counts = metrics.ConsumerMetrics("raw_log")
    with (
        metrics.serve(counts, service.metrics_host, service.metrics_port),
        stop_on_signals() as stop,
        closing(Session(mysql, NAME)) as session,
    ):
        as_it_is = Preparation(lambda slice_: slice_)
        run_consumer(topology.LAKE_QUEUE, as_it_is, Lake(session), rabbit, counts, stop)
    return 0


def parser() -> ArgumentParser:
    """Return the parser of the command `lake-consumer`."""
    return parser_of("lake-consumer", DESCRIPTION, CONSUMER)


def main() -> int:
    """Run the service on this process's settings."""
    parser().parse_args()
    return start(NAME, run)


if __name__ == "__main__":
    sys.exit(main())
