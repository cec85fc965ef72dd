"""The clean consumer: from queue-data-clean to clean_log, error_log and rejected_log."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from contextlib import closing
from functools import partial

from clean_consumer.enrichment import enrichment
from clean_consumer.misfits import Misfits, watched
from clean_consumer.rows import parse, reject
from clean_consumer.settings import EnrichmentSettings
from clean_consumer.store import Warehouse
from clean_consumer.tables import TABLES
from datastream import logs, metrics, topology
from datastream.arguments import CONSUMER, parser_of
from datastream.config import Environment, MysqlSettings, RabbitSettings, ServiceSettings
from datastream.consuming import Preparation
from datastream.mysql import Session
from datastream.service import run_consumer, start
from datastream.shutdown import stop_on_signals

NAME = "clean_consumer"
DESCRIPTION = "Parses every line of a log into typed columns in MySQL."
DEFAULT_METRICS_PORT = 9103


def run(env: Environment) -> int:
    """Consume until the process is asked to stop; return the exit code."""
    rabbit = RabbitSettings.read(env, "CLEAN")
    mysql = MysqlSettings.read(env, "CLEAN")
    service = ServiceSettings.read(env, DEFAULT_METRICS_PORT)
    settings = EnrichmentSettings.read(env)
    logs.configure(NAME, service.log_level)
    added = enrichment(settings)
    counts = metrics.ConsumerMetrics(*(table.name for table in TABLES))
    misfits = Misfits(settings.privacy)
    with (
        metrics.serve(counts, service.metrics_host, service.metrics_port),
        stop_on_signals() as stop,
        closing(Session(mysql, NAME)) as session,
        watched(misfits, counts.misfitting, stop),
    ):
        parsing = Preparation(partial(parse, enrichment=added), partial(reject, reason="crashed"))
        warehouse = Warehouse(session, added, counts.collided, misfits.count)
        run_consumer(topology.CLEAN_QUEUE, parsing, warehouse, rabbit, counts, stop)
    return 0


def parser() -> ArgumentParser:
    """Return the parser of the command `clean-consumer`."""
    return parser_of("clean-consumer", DESCRIPTION, CONSUMER)


def main() -> int:
    """Run the service on this process's settings."""
    parser().parse_args()
    return start(NAME, run)


if __name__ == "__main__":
    sys.exit(main())
