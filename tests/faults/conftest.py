"""What the tests of faults share: lines to write, and proxies to both servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from datastream_playground import sample
from deployment import Deployment
from faults.installation import Writer
from faults.proxy import DatabaseProxy, Proxy

#: Enough for the longest test at its writer's speed.
SAMPLE_LINES = 300_000


@pytest.fixture(scope="session")
def lines(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Many lines of a sample log, a few of them rubbish."""
    path = tmp_path_factory.mktemp("sample") / "sample.log"
    sample.write(path, SAMPLE_LINES, "combined", seed=11)
    data = path.read_bytes()
    path.unlink()
    return data


@pytest.fixture
def writer(tmp_path: Path, lines: bytes) -> Iterator[Writer]:
    """A log that has some lines; `start` lets it grow until `stop`."""
    made = Writer(tmp_path / "access.log", lines)
    made.burst(2_000)
    yield made
    made.stop()


@pytest.fixture
def deployment(deployment: Deployment) -> Deployment:
    """One whose virtual host and schema are there before anything fails."""
    assert deployment.rabbit.vhost == deployment.mysql.database
    return deployment


@pytest.fixture
def to_broker(deployment: Deployment) -> Iterator[Proxy]:
    """A proxy to the broker."""
    with Proxy(deployment.broker.host, deployment.broker.port) as proxy:
        yield proxy


@pytest.fixture
def to_database(deployment: Deployment) -> Iterator[Proxy]:
    """A proxy to the database."""
    with DatabaseProxy(deployment.database.host, deployment.database.port) as proxy:
        yield proxy
