"""What a shell completes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from datastream_operator.__main__ import parser
from datastream_operator.completion import SHELLS


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the script for a shell."""
    arguments = parser().parse_args(["completion", shell])
    assert arguments.run(arguments) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_is_in_the_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of the playground as well, where it is installed."""
    said = script(shell, capsys)

    for command in ("migrate", "dead-letters", "purge", "follow", "completion"):
        assert command in said


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("datastream mig", ["migrate"]),
        ("datastream dead-letters sh", ["show"]),
        ("datastream check --fo", ["--format"]),
        ("datastream completion f", ["fish"]),
        ("datastream check a.l", ["a.log"]),
    ],
)
def test_bash_completes(
    words: str, completed: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Commands, their parts, options, choices, and files where a path is wanted."""
    typed = words.split()
    line = f"COMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}; COMP_LINE='{words}'"
    ask = (
        f"{line}; COMP_POINT={len(words)}; _shtab_datastream; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(
        ["/bin/bash", "--norc", "-c", f"touch a.log; {script('bash', capsys)}\n{ask}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout.split(), done.stderr) == (completed, "")
