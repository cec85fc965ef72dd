"""`make status` where no Docker engine answers, with commands that are made up."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

STATUS = Path(__file__).parents[3] / "deploy/bin/status"
UNIT = "datastream-producer.service loaded active running Datastream producer"


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder in front of PATH, with an engine that does not answer and no service."""
    command(tmp_path, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    command(tmp_path, "systemctl", "exit 0")
    return tmp_path


def command(folder: Path, name: str, script: str) -> None:
    """Make a command up."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def status(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it."""
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [STATUS], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )


def test_the_services_that_systemd_runs_are_named(commands: Path) -> None:
    """They are the status of this host."""
    command(commands, "systemctl", f"echo '{UNIT}'")

    done = status(commands)

    assert (done.returncode, done.stderr) == (0, "")
    assert "datastream-producer.service: active (running)" in done.stdout


@pytest.mark.parametrize("state", ["failed failed", "activating auto-restart"])
def test_a_service_that_is_not_ready_fails_it(commands: Path, state: str) -> None:
    """It is named, with what says why; one that somebody stopped is as they want it."""
    command(
        commands,
        "systemctl",
        f"""echo '{UNIT}'
echo 'datastream-clean-consumer@1.service loaded {state} Datastream clean consumer 1'
echo 'datastream-migrate.service loaded inactive dead Datastream migrations'""",
    )

    done = status(commands)

    assert done.returncode == 1
    assert "datastream-producer.service: active (running)" in done.stdout
    assert "not ready: datastream-clean-consumer@1.service." in done.stderr
    assert "journalctl -u datastream-clean-consumer@1.service -n 50" in done.stderr


def test_where_nothing_runs_it_says_what_needs_no_docker(commands: Path) -> None:
    """Nobody who asks what runs has asked to start an engine."""
    done = status(commands)

    assert done.returncode == 1
    assert "`make demo` and `make follow` need no Docker" in done.stderr
    assert "systemctl" not in done.stderr


def test_an_engine_that_one_may_not_use_is_another_matter(commands: Path) -> None:
    """Containers may well run there."""
    command(commands, "docker", "echo 'permission denied while trying to connect' >&2; exit 1")

    assert "you may not use the Docker engine" in status(commands).stderr
