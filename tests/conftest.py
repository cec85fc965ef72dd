"""What tests share: real servers, started when the first test asks for them."""

from __future__ import annotations

import logging
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import hypothesis
import pytest

import containers
from datastream_playground.local.packages import ensure
from datastream_playground.local.servers import Broker, Database, both
from deploy import images
from deployment import Deployment

# A gate must give the same answer twice: there the examples are always the same ones. Everybody
# else draws new ones, and may find what nobody has found yet.
hypothesis.settings.register_profile("gate", derandomize=True, deadline=None)
hypothesis.settings.register_profile("draw", deadline=None)
hypothesis.settings.load_profile("gate" if os.environ.get("CI") else "draw")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the command line say what the broker and the database run as."""
    parser.addoption(
        "--servers",
        choices=("processes", "containers"),
        default="processes",
        help="what the broker and the database that tests share run as",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end what was not as in production, and which servers were in containers."""
    for line in images.said:
        terminalreporter.write_line(line, yellow=True, bold=True)


@pytest.fixture(scope="session")
def servers(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[tuple[Broker, Database]]:
    """A private RabbitMQ and a private MySQL-compatible server for the whole run."""
    folder = tmp_path_factory.mktemp("servers")
    if request.config.getoption("servers") == "containers":
        with containers.both(folder) as running:
            yield running
    else:
        with both(folder, ensure(logging.getLogger(__name__).info)) as running:
            yield running


@pytest.fixture
def deployment(
    servers: tuple[Broker, Database], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Deployment]:
    """A vhost and a schema of the test's own, and services as processes."""
    test = re.sub(r"\W+", "_", request.node.name)[:20].lower()
    name = f"t_{test}_{uuid.uuid4().hex[:6]}"
    with closing(Deployment(name, *servers, tmp_path)) as made:
        yield made
