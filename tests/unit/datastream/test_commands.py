"""Every command says what it is for, and which version it is, whatever its settings."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from datastream import __version__
from datastream.parsing import PARSER_VERSION
from deployment import PATIENCE

ROOT = Path(__file__).parents[3]
COMMANDS = {
    name: (module.partition(":")[0], project["description"])
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
        timeout=PATIENCE,
        check=False,
    )


def test_there_are_commands() -> None:
    """One of each service, and the operator's."""
    assert {"producer", "lake-consumer", "clean-consumer", "datastream"} <= COMMANDS.keys()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_it_is_for(command: str) -> None:
    """And nothing is started."""
    module, description = COMMANDS[command]

    ended = run(module, "--help")

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"usage: {command} ")
    assert description in " ".join(ended.stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_version(command: str) -> None:
    """On one line, with that of the parser and the last migration whose tables it knows."""
    last = max(int(file.name[:4]) for file in ROOT.glob("migrations/[0-9]*.sql"))

    said = run(COMMANDS[command][0], "--version").stdout

    assert said == f"{command} {__version__}, parser {PARSER_VERSION}, schema {last}\n"


#: Who repeats the version, since it cannot be asked for there: the images' labels and tags, what a
#: package needs of the others, and what is written for people.
REPEATED = {
    "*/*/Dockerfile": r"^ARG VERSION=(.+)$",
    "deploy/docker-compose.yml": r"DATASTREAM_VERSION:-(.+?)}",
    "services/*/pyproject.toml": r'"datastream==(.+?)"',
    "deploy/*/pyproject.toml": r'"datastream(?:-operator)?==(.+?)"',
    "docs/deploy.md": r"`DATASTREAM_VERSION`, .* \| `datastream`, `(.+?)`",
}


@pytest.mark.parametrize("pattern", REPEATED)
def test_there_is_one_version(pattern: str) -> None:
    """Whoever repeats it says the same."""
    says = re.compile(REPEATED[pattern], re.MULTILINE)

    found = {str(file): set(says.findall(file.read_text())) for file in ROOT.glob(pattern)}

    assert found
    assert found == {name: {__version__} for name in found}


def test_every_image_is_tagged_with_the_version() -> None:
    """None is called `latest`, which says nothing."""
    text = (ROOT / "deploy/docker-compose.yml").read_text()
    images = re.findall(r"image: \$\{DATASTREAM_IMAGES:-datastream\}/(.*)", text)

    assert len(images) == 5
    assert {image.partition(":")[2] for image in images} == {
        f"${{DATASTREAM_VERSION:-{__version__}}}"
    }


def test_every_package_takes_the_version_from_the_library() -> None:
    """And needs the others of its own version: the name is another's where packages come from."""
    files = [*ROOT.glob("*/*/pyproject.toml"), ROOT / "shared/pyproject.toml"]
    packages = {file: tomllib.loads(file.read_text()) for file in files}

    for file, package in packages.items():
        source = file.parent / package["tool"]["hatch"]["version"]["path"]
        assert source.resolve() == ROOT / "shared/src/datastream/__init__.py"
        assert package["project"]["dynamic"] == ["version"]
        needs = [one for one in package["project"]["dependencies"] if one.startswith("datastream")]
        assert all(f"=={__version__}" in one for one in needs)
        assert needs or file.parent.name == "shared"


def test_the_changelog_begins_with_the_version() -> None:
    """Below what is not released yet."""
    titles = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert titles[:2] == ["Unreleased", __version__]


@pytest.mark.parametrize("command", COMMANDS)
def test_what_it_does_not_know_is_a_usage_error(command: str) -> None:
    """A consumer that is given a queue's name does not start on the one it has anyway."""
    ended = run(COMMANDS[command][0], "--queue=other")

    assert ended.returncode == 2
    assert ended.stderr.startswith(f"usage: {command} ")
