"""Every command says what it is for, and which version it is, whatever its settings."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMANDS = {
    name: (module.partition(":")[0], project["version"], project["description"])
    for file in [*ROOT.glob("services/*/pyproject.toml"), ROOT / "deploy/operator/pyproject.toml"]
    for project in [tomllib.loads(file.read_text())["project"]]
    for name, module in project["scripts"].items()
}


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command, with settings of which none is right."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={"RABBIT_PORT": "none", "MYSQL_PORT": "none"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_there_are_commands() -> None:
    """One of each service, and the operator's."""
    assert {"producer", "lake-consumer", "clean-consumer", "datastream"} <= COMMANDS.keys()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_it_is_for(command: str) -> None:
    """And nothing is started."""
    module, _, description = COMMANDS[command]

    ended = run(module, "--help")

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"usage: {command} ")
    assert description in " ".join(ended.stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_version(command: str) -> None:
    """On one line."""
    module, version, _ = COMMANDS[command]

    assert run(module, "--version").stdout == f"{command} {version}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_what_it_does_not_know_is_a_usage_error(command: str) -> None:
    """A consumer that is given a queue's name does not start on the one it has anyway."""
    ended = run(COMMANDS[command][0], "--queue=other")

    assert ended.returncode == 2
    assert ended.stderr.startswith(f"usage: {command} ")
