"""What a command needs to start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from datastream_operator.__main__ import COMMANDS, parser


def loaded(*arguments: str) -> set[str]:
    """Return the modules that are loaded once the arguments of `datastream` are understood."""
    code = """
import sys
from datastream_operator.__main__ import main
try:
    main()
except SystemExit:
    sys.stderr.write("\\n".join(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines())


def test_help_loads_no_client_and_no_command() -> None:
    """It names them, and is there at once."""
    modules = loaded("--help")

    assert not modules & {"pika", "pymysql", "rich", "shtab", "yoyo", "datastream_operator.check"}


def test_a_command_loads_no_other() -> None:
    """A check of a format needs no server, and so no client."""
    modules = loaded("check", "--help")

    assert "datastream_operator.check" in modules
    assert not modules & {"pika", "pymysql", "yoyo", "datastream_operator.migrate"}


def test_the_command_is_the_first_word_that_is_no_option() -> None:
    """Newer versions of Python take one behind `--`."""
    assert "datastream_operator.check" in loaded("--", "check", "--help")


@pytest.mark.parametrize("name", COMMANDS)
def test_alone_a_command_is_as_among_all(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its help, and so its arguments, are the same."""
    helps = []
    for built in (parser(), parser(only=name)):
        with pytest.raises(SystemExit):
            built.parse_args([name, "--help"])
        helps.append(capsys.readouterr().out)
    assert helps[0] == helps[1]
    assert "exit codes:" in helps[0]
