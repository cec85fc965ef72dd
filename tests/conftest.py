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

from datastream_operator.local.packages import ensure
from datastream_operator.local.servers import Broker, Database, both
from deployment import Deployment

# A gate must give the same answer twice: there the examples are always the same ones. Everybody
# else draws new ones, and may find what nobody has found yet.
hypothesis.settings.register_profile("gate", derandomize=True, deadline=None)
hypothesis.settings.register_profile("draw", deadline=None)
hypothesis.settings.load_profile("gate" if os.environ.get("CI") else "draw")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, Database]]:
    """A private RabbitMQ and a private MySQL-compatible server for the whole run."""
    with both(
        tmp_path_factory.mktemp("servers"), ensure(logging.getLogger(__name__).info)
    ) as running:
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
