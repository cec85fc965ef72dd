"""docs/commands.md says what the commands say of themselves."""

from __future__ import annotations

import argparse
import re

import pytest
import render_commands

import datastream_operator.__main__
from datastream.arguments import VERSION
from datastream_playground.commands import COMMANDS as PLAYGROUND


def test_the_page_is_as_the_commands_are() -> None:
    """A page that is stale is made anew by `make commands`."""
    assert render_commands.PAGE.read_text(encoding="utf-8") == render_commands.page()


def test_it_is_the_same_in_every_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its width."""
    made = render_commands.page()
    monkeypatch.setenv("COLUMNS", "40")

    assert render_commands.page() == made


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the commands of `datastream` and those below them."""
    parser = datastream_operator.__main__.parser()
    return {its.prog: its for its, _ in render_commands.every(parser, "")}


def test_every_command_is_there() -> None:
    """Those of the playground too, and the actions of one that has some."""
    titles = set(re.findall(r"^#+ `(.+)`$", render_commands.page(), re.MULTILINE))

    assert titles >= {*commands(), "producer", "lake-consumer", "clean-consumer"}
    assert titles >= {f"datastream {name}" for name in PLAYGROUND}
    assert "datastream dead-letters requeue" in titles


@pytest.mark.parametrize("command", [name for name in commands() if name.count(" ") == 1])
def test_every_command_says_what_it_does_and_its_exit_codes(command: str) -> None:
    """In --help, from which the page has it."""
    parser = commands()[command]

    assert parser.description
    assert "exit codes: 0 " in (parser.epilog or "")


@pytest.mark.parametrize("command", commands())
def test_every_command_says_its_version(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is one for all."""
    with pytest.raises(SystemExit) as ended:
        commands()[command].parse_args(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"datastream {VERSION}\n"
