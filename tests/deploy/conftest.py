"""What the tests of the containers share: an engine, images, and one installation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from datastream_playground import sample
from deploy import images as images_of
from deploy.stack import Stack, image_settings

#: Lines in the log before anything runs.
FIRST_LINES = 2_000
#: A person's own accounts, as .env has them; the passwords are awkward on purpose.
OWNER = {
    "RABBIT_USER": "alice",
    "RABBIT_PASSWORD": "'it is a $ecret: #1, \"really\"'",
    "MYSQL_USER": "bob",
    "MYSQL_PASSWORD": '"it\'s a $$ecret too; #2 %s"',
}


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    """An engine that answers."""
    with images_of.engine():
        yield


@pytest.fixture(scope="session")
def images(engine: None) -> dict[str, str]:  # noqa: ARG001 - an engine is what builds them
    """The image for each setting; Grafana's may be missing."""
    return images_of.choose(image_settings())


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log as Debian's nginx has it: neither folder nor file is for everybody."""
    folder = tmp_path_factory.mktemp("log")
    path = folder / "access.log"
    sample.write(path, FIRST_LINES, "combined", seed=1)
    for entry, mode in ((folder, 0o750), (path, 0o640)):
        os.chown(entry, -1, 4)
        entry.chmod(mode)
    return path


@pytest.fixture(scope="session")
def stack(
    images: dict[str, str], log: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Datastream as `make deploy` brings it up, and `make destroy` removes it."""
    without = "" if "GRAFANA_IMAGE" in images else "grafana"
    made = Stack(tmp_path_factory.mktemp("deploy"), images, without, OWNER)
    try:
        made.script("deploy", LOG=str(log))
        yield made
    finally:
        made.destroy()
    assert made.left_over() == []
