"""Another revision's code, out of the repository, in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.servers import ROOT

#: What `make` hands on to a `make` below it: this one's words are not the other one's.
_OF_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")


class CannotBuild(Exception):
    """There is no such revision, or it cannot be built; the text says why."""


@dataclass(frozen=True)
class Build:
    """The code of a revision, installed in an environment."""

    name: str
    #: Of the environment.
    python: Path
    #: Its full hash; empty for a checkout as it is.
    commit: str = ""


#: What this process runs.
TODAY = Build("today", Path(sys.executable))


def commit_of(revision: str, root: Path = ROOT) -> str:
    """Return the full hash of the commit that a revision names. Raises CannotBuild."""
    asked = f"{revision}^{{commit}}"
    # Whatever it is that a person typed, it is no option.
    done = _run(root, "git", "rev-parse", "--verify", "--quiet", "--end-of-options", asked)
    if done.returncode:
        words = done.stdout.strip() or "the repository has no such revision"
        raise CannotBuild(f"{revision!r}: {words}")
    return done.stdout.strip()


def built(revision: str, folder: Path, root: Path = ROOT) -> Build:
    """Write a revision's files to a new folder, and make its environment as its Makefile does.

    With the Python of this process, and with what its own lock names. Raises CannotBuild.
    """
    commit = commit_of(revision, root)
    folder.mkdir()
    packed = folder.with_suffix(".tar")
    steps = (
        (root, ["git", "archive", f"--output={packed}", commit]),
        (folder, ["tar", "--extract", f"--file={packed}"]),
        (folder, ["make", "venv", f"PYTHON={os.path.realpath(sys.executable)}"]),
    )
    for place, command in steps:
        done = _run(place, *command)
        if done.returncode:
            raise CannotBuild(f"{revision}: {' '.join(command)} failed:\n{done.stdout}")
    packed.unlink()
    return Build(revision, folder / ".venv/bin/python", commit)


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; all that it says is its output. Raises CannotBuild without it."""
    environment = {k: v for k, v in os.environ.items() if k not in (*_OF_MAKE, "PYTHONPATH")}
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise CannotBuild(f"{command[0]} is not installed") from error
