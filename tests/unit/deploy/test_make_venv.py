"""`make venv`, with a Python that only notes what it is asked for."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
#: What is no environment and no package is as the real one has it.
PYTHON = f"""\
#!/bin/sh
case "$1 $2" in
    '-m venv') mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; echo "$0" >>"$4/../asked" ;;
    '-m pip') ;;
    *) exec '{sys.executable}' "$@" ;;
esac
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """That Python."""
    program = tmp_path / "python3.x"
    program.write_text(PYTHON)
    program.chmod(0o755)
    return program


def start(python: Path | str, venv: Path) -> subprocess.Popen[str]:
    """Start it as the Makefile does."""
    command = [str(ROOT / "deploy/operator/make-venv"), str(python), str(venv)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def asked(venv: Path) -> list[str]:
    """Return which Pythons were asked for the environment."""
    return (venv.parent / "asked").read_text().split()


def test_the_second_of_two_waits_for_the_first(tmp_path: Path, python: Path) -> None:
    """It finds all done, and does not clear what the first is filling."""
    venv = tmp_path / ".venv"
    lock = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    both = [start(python, venv), start(python, venv)]
    try:
        for one in both:
            assert one.stdout is not None
            assert "Waiting for another `make venv`" in one.stdout.readline()
        assert not venv.exists()
    finally:
        os.close(lock)

    said = [one.communicate()[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert asked(venv) == [str(python)]


def test_the_python_that_was_named_is_remembered(tmp_path: Path, python: Path) -> None:
    """The next `make demo` does not make the environment anew with another one."""
    venv = tmp_path / ".venv"
    for named in (str(python), "", ""):
        with start(named, venv) as one:
            said, _ = one.communicate()
        assert one.returncode == 0, said

    assert asked(venv) == [str(python)]
    assert (venv / "made-with").read_text() == f"{python}\n"
