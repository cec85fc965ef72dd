"""`.env` as Docker Compose reads it, and as the scripts of deploy/bin do."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from datastream.config import Environment
from datastream.format_setting import read_format
from deploy.stack import COMPOSE_FILE, ROOT, run
from env_files import DIRECTIVES, ENVIRONMENT, READ, REFUSED

pytestmark = pytest.mark.usefixtures("engine")

ENV = {
    name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_CONFIG") if name in os.environ
} | ENVIRONMENT
ASKED = json.dumps({"services": {"asked": {"image": "none", "environment": ["A", "B"]}}})
SCRIPT = """
. "$0"
names() { printf '%s\\n' A B COMPOSE_PROJECT_NAME; }
read_settings
printf '%s\\0%s' "$A" "$B"
"""


def compose(path: Path) -> subprocess.CompletedProcess[str]:
    """Ask Docker Compose itself for A and B of a file."""
    command = ("docker", "compose", "--project-name", "asked", "--env-file", str(path))
    return run(*command, "--file", "-", "config", "--format", "json", env=ENV, input=ASKED)


def script(path: Path, text: str = SCRIPT) -> subprocess.CompletedProcess[str]:
    """Read a file as the scripts do."""
    common = str(ROOT / "deploy" / "bin" / "common.sh")
    env = ENV | {"ENV_FILE": str(path)}
    ended = subprocess.run(
        ["/bin/sh", "-euc", text, common], env=env, capture_output=True, check=False
    )
    # Text as it is, with its carriage returns.
    return subprocess.CompletedProcess(
        ended.args, ended.returncode, ended.stdout.decode(), ended.stderr.decode()
    )


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """Where a test writes its settings."""
    return tmp_path / "env"


@pytest.mark.parametrize("name", READ)
def test_compose_and_the_scripts_read_the_same(env_file: Path, name: str) -> None:
    """The table of tests/env_files.py is what Compose says, and what the scripts do."""
    text, *values = READ[name]
    env_file.write_text(text, newline="")

    of_compose = json.loads(compose(env_file).stdout)["services"]["asked"]["environment"]
    of_scripts = script(env_file)

    # Compose doubles a dollar sign in what it shows.
    shown = {key: value and value.replace("$$", "$") for key, value in of_compose.items()}
    assert [shown["A"], shown["B"]] == values
    if name == "rare escapes":
        assert "A holds a control character" in of_scripts.stderr
    else:
        assert of_scripts.stdout.split("\0") == [value or "" for value in values]


@pytest.mark.parametrize("name", REFUSED)
def test_compose_and_the_scripts_refuse_the_same(env_file: Path, name: str) -> None:
    """Compose fails or warns; the scripts say the line and why, and no value."""
    text, line, reason = REFUSED[name]
    env_file.write_text(text)

    of_compose, of_scripts = compose(env_file), script(env_file)

    assert of_compose.returncode != 0 or "variable is not set" in of_compose.stderr
    assert of_scripts.returncode == 1
    assert f"{env_file} cannot be read: line {line}: " in of_scripts.stderr
    assert reason in of_scripts.stderr or reason == "name"
    assert "secret" not in of_scripts.stderr


@pytest.mark.parametrize("name", DIRECTIVES)
def test_the_scripts_hand_over_a_directive(env_file: Path, name: str) -> None:
    """A directive of nginx.conf stands in `.env` as it is, for the scripts as for the services."""
    directive, form = DIRECTIVES[name]
    env_file.write_bytes(directive.encode())
    text = '. "$0"; read_settings; printf "%s\\n%s\\n%s" "$SOURCE" "$LOG_PATH" "$FORMAT"'

    said = script(env_file, text)

    assert said.returncode == 0, said.stderr
    source, log_path, handed_over = said.stdout.split("\n", 2)
    assert (source, log_path) == ("web", "/a")
    assert read_format(Environment({"FORMAT": handed_over})) == form


def test_a_file_that_is_no_text(env_file: Path) -> None:
    """Compose puts other characters into the place of what is no UTF-8."""
    env_file.write_bytes(b"A=\xff\n")

    assert "A holds a control character, or is no UTF-8" in script(env_file).stderr


def test_the_project_has_a_name_whatever_compose_says(env_file: Path) -> None:
    """That of docker-compose.yml where it hands over an empty one."""
    text = """
    . "$0"
    docker() { echo '"COMPOSE_PROJECT_NAME": ""'; }
    read_settings
    printf %s "$project"
    """

    name = re.search("^name: (.*)$", COMPOSE_FILE.read_text(), re.MULTILINE)
    assert name is not None
    assert script(env_file, text).stdout == name[1]
