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

# What tests share says what it found as they do. It must be known before it is imported.
pytest.register_assert_rewrite(
    "containers", "contract", "deploy", "deployment", "env_files", "faults", "installed", "nginx"
)

import containers
from datastream_playground.local import ports, server
from datastream_playground.local.packages import ensure
from datastream_playground.local.servers import Broker, Database, both
from deploy import images
from deployment import PATIENCE, Deployment

#: Whether everything is to be proved, however long it takes: every example, and the slow tests.
IS_THOROUGH = bool(os.environ.get("THOROUGH") or os.environ.get("CI"))

# A gate must give the same answer twice: there the examples are always the same ones. Everybody
# else draws new ones, and may find what nobody has found yet.
hypothesis.settings.register_profile("gate", derandomize=True, deadline=None)
hypothesis.settings.register_profile("draw", deadline=None)
hypothesis.settings.register_profile("quick", max_examples=20, deadline=None)
hypothesis.settings.load_profile(
    "gate" if os.environ.get("CI") else "draw" if IS_THOROUGH else "quick"
)


def pytest_configure() -> None:
    """Give each of several workers free ports of its own: none takes what another has just found.

    A server that is stopped for a while finds its own port free again, too. And private servers
    have as long to start as everything has.
    """
    server.START_TIMEOUT = PATIENCE
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    every = ports.usable()
    ports.usable = lambda: every[number % workers :: workers]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow tests out of a quick run, but for those whose file is named."""
    named = {Path(argument.partition("::")[0]).resolve() for argument in config.args}
    left_out = [
        item
        for item in items
        if not IS_THOROUGH and item.get_closest_marker("slow") and item.path not in named
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


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
