"""The commands of the runbook can be pasted: each is whole, and known to what runs it."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from boards import runbook

from datastream_operator.__main__ import parser

ROOT = Path(__file__).parents[3]
PAGE = runbook.PAGE.read_text(encoding="utf-8")
SPANS = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))
#: A span is a command where its first word is a program; one word alone may be a name.
PROGRAMS = (
    "docker ",
    "deploy/bin/datastream ",
    "make ",
    "systemctl ",
    "journalctl ",
    "df ",
    "datastream ",
)
COMMANDS = sorted({span for span in SPANS if span.startswith(PROGRAMS)} - {"docker compose"})
#: What a person fills in, as the page's first lines say.
CAPITALS = {"LOG": "access.log", "ID": "1", "NAME": "a", "TIME": "2026-01-01", "FORMAT": "combined"}
#: Commands that only go on from another one.
REST = re.compile(r"^(?:rabbitmqctl|replay|rewind|verify|dead-letters|requeue|purge|topology) ")
SUBCOMMANDS = {"ps", "logs", "stop", "restart", "exec"}
SERVICES = set(yaml.safe_load((ROOT / "deploy" / "docker-compose.yml").read_text())["services"])
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_no_command_is_a_part_of_one() -> None:
    """None needs a word that stands elsewhere, or a variable that a shell does not have."""
    assert COMMANDS
    assert [span for span in SPANS if "$DC" in span or "\n" in span or REST.match(span)] == []
    assert [command for command in COMMANDS if "…" in command] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_known_to_what_runs_it(command: str) -> None:
    """A shell reads it; programs of ours take its arguments; services and targets are there."""
    assert subprocess.run(["/bin/sh", "-n", "-c", command], check=False).returncode == 0
    words = shlex.split(command)
    filled = [CAPITALS.get(word, word) for word in words]
    if command.startswith("docker compose"):
        assert words[2:4] == ["-p", "data-stream"]
        subcommand, arguments = words[4], words[5:]
        assert subcommand in SUBCOMMANDS
        if subcommand in ("stop", "restart", "exec"):
            assert arguments[0] in SERVICES
        if subcommand in ("ps", "logs", "stop", "restart"):
            named = [word for word in arguments if re.fullmatch(r"[a-z_]+", word)]
            assert set(named) <= SERVICES
    elif words[0] == "deploy/bin/datastream":
        if filled[1:] != ["--help"]:
            parser().parse_args(filled[1:])
    elif words[0] == "make":
        assert words[1] in TARGETS
    else:
        assert words[0] in ("docker", "systemctl", "journalctl", "df")
