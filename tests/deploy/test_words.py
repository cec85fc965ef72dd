"""What the scripts say where Docker is not as it should be; a stand-in for docker says so."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from deploy.stack import COMPOSE_FILE, ROOT

#: A docker that answers each command as a file says.
DOCKER = """#!/bin/sh
case "$*" in
{cases}
esac
"""


def deploy(folder: Path, cases: dict[str, str], **settings: str) -> str:
    """Return what `make deploy` says before it gives up, with a docker that answers so."""
    ended = run_script(folder, cases, "deploy", **settings)
    assert ended.returncode == 1
    return ended.stderr


def run_script(
    folder: Path, cases: dict[str, str], *command: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a script of deploy/bin to its end, with a docker that answers so."""
    programs = folder / "bin"
    programs.mkdir()
    if cases:
        body = "\n".join(f"    {pattern}) {answer} ;;" for pattern, answer in cases.items())
        docker = programs / "docker"
        docker.write_text(DOCKER.format(cases=body))
        docker.chmod(0o755)
    for name in ("sh", "awk", "sed", "cat", "mktemp", "rm", "dirname", "head", "uname", "cut", "tr",
                 "id", "grep", "sort", "tail", "ls", "paste", "mkdir", "chmod", "cmp", "cp", "mv",
                 "touch", "git", "wc"):  # fmt: skip
        found = next(
            Path(path, name) for path in os.environ["PATH"].split(":") if Path(path, name).exists()
        )
        (programs / name).symlink_to(found)
    env = {
        "PATH": str(programs),
        "ENV_FILE": str(folder / "env"),
        "SECRETS_DIR": str(folder / "secrets"),
        **settings,
    }
    script, *arguments = command
    return subprocess.run(
        [ROOT / "deploy" / "bin" / script, *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


FINE = {"'version'*|'compose version'*": "exit 0", "info*": "echo 8000000000"}


@pytest.mark.parametrize(
    ("cases", "words"),
    [
        ({}, "there is no Docker here"),
        (
            {"version*": "echo 'Cannot connect to the Docker daemon at x' >&2; exit 1"},
            "no Docker engine answers",
        ),
        (
            {"version*": "echo 'permission denied while trying to connect' >&2; exit 1"},
            "you may not use the Docker engine",
        ),
        ({"version*": "exit 0", "compose*": "exit 1"}, "install the Compose plugin"),
        (FINE | {"info*": "echo 1000000000"}, "Docker has 1000 MB of memory"),
        (
            FINE
            | {
                "'volume inspect'*|'image inspect'*": "exit 1",
                "pull*": "echo no such host >&2; exit 1",
            },
            "cannot be pulled (no such host)",
        ),
        (FINE | {"'volume inspect'*": "exit 0"}, "there is a database"),
    ],
    ids=["none", "no engine", "no permission", "no compose", "memory", "pull", "lost passwords"],
)
def test_what_is_wrong_is_said_in_words(tmp_path: Path, cases: dict[str, str], words: str) -> None:
    """Each trouble has a sentence that says what it is."""
    assert words in deploy(tmp_path, cases)


def test_a_port_that_is_taken_is_named_with_its_setting(tmp_path: Path) -> None:
    """The setting that chooses another port is in the message."""
    taken = "echo 'Error: listen tcp4 127.0.0.1:3306: bind: address already in use' >&2; exit 1"
    cases = FINE | {
        "'volume inspect'*": "exit 1",
        "*' up '*": taken,
        "*' run '*definitions*": "echo '{}'",
        "*' run '*": "echo readable",
        "*": "exit 0",
    }

    said = deploy(tmp_path, cases, LOG_DIR=str(tmp_path))

    assert "port 3306 is taken" in said
    assert "MYSQL_PORT=13306" in said


def test_the_source_is_written_down_once(tmp_path: Path) -> None:
    """It is the machine's name, for ever; a SOURCE that is there stays."""
    settings = tmp_path / "env"
    settings.write_text("SOURCE=shop\n")

    deploy(tmp_path, FINE | {"'volume inspect'*": "exit 0"})

    assert settings.read_text() == "SOURCE=shop\n"


@pytest.mark.parametrize(
    ("command", "running", "code", "words"),
    [
        (("verify", "/var/log/a b.log"), "", 3, "--no-deps -T operator verify /var/log/a b.log|"),
        (("rewind", "--since", "2026-10-10"), "", 3, "-T producer --rewind --since 2026-10-10|"),
        (("rewind",), "c0ffee", 1, "deploy/bin/datastream: the producer runs. Stop it"),
    ],
    ids=["operator", "rewind", "producer runs"],
)
def test_the_commands_of_the_person_on_call(
    tmp_path: Path, command: tuple[str, ...], running: str, code: int, words: str
) -> None:
    """They run in the operator's container, or the producer's, and end with their exit code."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "rabbitmq_definitions").touch()
    cases = FINE | {
        "*' ps '*": f"echo {running}" if running else "exit 0",
        "*' run '*": 'echo "$*|"; exit 3',
    }

    ended = run_script(tmp_path, cases, "datastream", *command)

    assert ended.returncode == code
    assert words in ended.stdout + ended.stderr


def test_every_setting_of_the_containers_is_documented() -> None:
    """docs/deploy.md names each variable of docker-compose.yml."""
    named = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE_FILE.read_text(encoding="utf-8")))
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")

    assert {name for name in named if f"`{name}`" not in page} == set()
