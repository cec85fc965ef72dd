"""What the tests of the containers share: an engine, images, and one installation."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from datastream_operator import sample
from deploy.stack import Stack, image_settings, run
from deployment import eventually

HERE = Path(__file__).parent
#: Where an engine that was started here has its process's number.
ENGINE_PID = Path("/run/docker.pid")
#: What each image is stood in for by, where it cannot be pulled. There is no Grafana in Debian.
STAND_INS = {
    "PYTHON_IMAGE": ("python", "local/python:3.13"),
    "RABBITMQ_IMAGE": ("rabbitmq", "local/rabbitmq:4"),
    "MYSQL_IMAGE": ("mysql", "local/mysql:9"),
    "PROMETHEUS_IMAGE": ("prometheus", "local/prometheus"),
    "MYSQLD_EXPORTER_IMAGE": ("mysqld_exporter", "local/mysqld-exporter"),
    "NGINX_IMAGE": ("nginx", "local/nginx"),
}
#: Lines in the log before anything runs.
FIRST_LINES = 2_000
#: A person's own accounts, as the .env of old has them; the passwords are awkward on purpose.
OWNER = {
    "RABBIT_USER": "alice",
    "RABBIT_PASSWORD": "'it is a $ecret: #1, \"really\"'",
    "MYSQL_USER": "bob",
    "MYSQL_PASSWORD": '"it\'s a $ecret too; #2 %s"',
}

said: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end what was not as in production."""
    for line in said:
        terminalreporter.write_line(line, yellow=True, bold=True)


def _present(image: str) -> bool:
    """Whether the engine has an image, or can pull it."""
    if run("docker", "image", "inspect", image).returncode == 0:
        return True
    return run("docker", "pull", "--quiet", image).returncode == 0


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    """An engine that answers; started, and stopped again, where there is none, or a failure."""
    is_there = run("docker", "version").returncode == 0 if shutil.which("docker") else False
    subprocess.run([HERE / "engine"], check=True)
    yield
    if not is_there:
        os.kill(int(ENGINE_PID.read_text()), signal.SIGTERM)

        def ended() -> None:
            assert not ENGINE_PID.exists()

        eventually(ended)


@pytest.fixture(scope="session")
def images(engine: None) -> dict[str, str]:
    """The image for each setting: as set, as pulled, or a stand-in; Grafana's may be missing."""
    chosen, to_build = {}, []
    for setting, default in image_settings().items():
        image = os.environ.get(setting) or default
        if _present(image):
            chosen[setting] = image
        elif setting in STAND_INS:
            name, chosen[setting] = STAND_INS[setting]
            to_build.append(name)
            said.append(f"{image} cannot be pulled: a stand-in from Debian's packages was tested")
        else:
            said.append(f"NOT TESTED: {image} cannot be pulled, so the boards were not rendered")
    if to_build:
        subprocess.run([HERE / "stand_ins" / "build", *to_build], check=True)
    return chosen


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
