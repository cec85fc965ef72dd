"""The commands of the playground, where it is installed and where it is not."""

from __future__ import annotations

import sys

import pytest

from datastream_operator import __main__ as command
from datastream_playground import commands


def run(*arguments: str) -> int:
    """Run `datastream` in this process; return its exit code."""
    sys.argv = ["datastream", *arguments]
    try:
        return command.main()
    except SystemExit as ended:
        return int(ended.code or 0)


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the arguments of this process back afterwards."""
    monkeypatch.setattr(sys, "argv", sys.argv)


@pytest.fixture
def no_playground(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no playground, as in the operator's image."""
    monkeypatch.setattr(command, "PLAYGROUND", "datastream_no_playground")


def test_they_are_there_where_it_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    """`datastream demo` is the playground's own, with its own help."""
    assert run("demo", "--help") == 0

    assert "Put a log through the whole pipeline" in capsys.readouterr().out


def test_they_are_those_that_the_playground_offers() -> None:
    """The command knows them by name, so that it can say where they are."""
    assert command.PLAYGROUND_COMMANDS.keys() == commands.COMMANDS.keys()


@pytest.mark.usefixtures("no_playground")
@pytest.mark.parametrize(
    "arguments",
    [
        ("demo",),
        ("demo", "--lines", "5"),
        ("demo", "--help"),
        ("follow", "--log", "a log"),
        ("sample", "--", "-x", "y"),
    ],
)
def test_where_it_is_not_one_line_says_where_to_get_them(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the command is given, with the exit code of a command that is wrong."""
    assert run(*arguments) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"datastream: `{arguments[0]}` is not installed here: it is a command of"
        " datastream-playground, which `make venv` installs in a checkout\n"
    )


@pytest.mark.usefixtures("no_playground")
def test_where_it_is_not_the_help_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Of each of its commands, and of no other."""
    assert run("--help") == 0

    help_text = " ".join(capsys.readouterr().out.split())
    assert help_text.count("not installed here") == len(command.PLAYGROUND_COMMANDS)
    for words in command.PLAYGROUND_COMMANDS.values():
        assert f"{words}; not installed here" in help_text
