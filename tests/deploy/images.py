"""An engine, and an image for each setting: as set, as pulled, or a stand-in from Debian."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.stack import docker, run
from deployment import eventually

HERE = Path(__file__).parent
#: Where an engine that was started here has its process's number.
ENGINE_PID = Path("/run/docker.pid")
#: Held by each process that needs the engine; and by the one that looks for it, starts or stops it.
ENGINE_LOCK = Path(tempfile.gettempdir()) / "datastream-tests-engine.lock"
ENGINE_DOOR = ENGINE_LOCK.with_suffix(".door")
#: What each image is stood in for by, where it cannot be pulled. There is no Grafana in Debian.
STAND_INS = {
    "PYTHON_IMAGE": ("python", "local/python:3.13"),
    "RABBITMQ_IMAGE": ("rabbitmq", "local/rabbitmq:4"),
    "MYSQL_IMAGE": ("mysql", "local/mysql:9"),
    "PROMETHEUS_IMAGE": ("prometheus", "local/prometheus"),
    "ALERTMANAGER_IMAGE": ("alertmanager", "local/alertmanager"),
    "MYSQLD_EXPORTER_IMAGE": ("mysqld_exporter", "local/mysqld-exporter"),
    "NGINX_IMAGE": ("nginx", "local/nginx"),
}

#: What a run must say at its end: what was not as in production.
said: list[str] = []


@contextmanager
def engine() -> Iterator[None]:
    """Have an engine that answers for the length of the block.

    Where there is none it is started, and stopped again once no other process needs it. Raises
    CalledProcessError.
    """
    with ENGINE_LOCK.open("w") as used, ENGINE_DOOR.open("w") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        is_there = run("docker", "version").returncode == 0 if shutil.which("docker") else False
        subprocess.run([HERE / "engine"], check=True)
        fcntl.flock(used, fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            if not is_there:
                fcntl.flock(door, fcntl.LOCK_EX)
                fcntl.flock(used, fcntl.LOCK_EX)
                _stop()


def _stop() -> None:
    os.kill(int(ENGINE_PID.read_text()), signal.SIGTERM)

    def ended() -> None:
        assert not ENGINE_PID.exists()

    eventually(ended)


def choose(defaults: dict[str, str]) -> dict[str, str]:
    """Return the image for each setting, by default the one given; Grafana's may be missing."""
    chosen, to_build = {}, []
    for setting, default in defaults.items():
        image = os.environ.get(setting) or default
        if _present(image):
            chosen[setting] = image
        elif setting in STAND_INS:
            name, chosen[setting] = STAND_INS[setting]
            to_build.append(name)
            said.append(f"{image} cannot be pulled: a stand-in from Debian's packages was tested")
        else:
            said.append(f"{image} cannot be pulled: its published components drew the boards")
    if to_build:
        subprocess.run([HERE / "stand_ins" / "build", *to_build], check=True)
    return chosen


def assert_small_and_labelled(image: str) -> None:
    """Assert that an image of ours is under 200 MB and says of which revision it is."""
    assert int(docker("image", "inspect", "--format", "{{.Size}}", image)) < 200_000_000
    labels = docker("image", "inspect", "--format", "{{json .Config.Labels}}", image)
    assert "org.opencontainers.image.revision" in labels


def _present(image: str) -> bool:
    """Whether the engine has an image, or can pull it."""
    if run("docker", "image", "inspect", image).returncode == 0:
        return True
    return run("docker", "pull", "--quiet", image).returncode == 0
