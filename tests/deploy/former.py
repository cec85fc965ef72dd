"""The version before this one of what `make install` puts on a host, out of the history."""

from __future__ import annotations

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

from deploy.stack import run

#: What makes one program another.
PROGRAM = (
    ":(glob)services/*/src/**",
    ":(glob)services/*/requirements.lock",
    "shared/src",
    "deploy/operator/src",
    "deploy/operator/requirements.lock",
    "migrations",
    "deploy/systemd",
)
UNITS = "deploy/bin/units"


def former_commit(checkout: Path) -> str | None:
    """Return the newest commit of a checkout's history that installs another program than it does.

    Of a merge, the side that was merged into. None where the history has none: there is no
    repository, it is shallow, or no other program was installed by `UNITS` yet.
    """
    for commit in run("git", "rev-list", "--first-parent", "HEAD", cwd=checkout).stdout.split():
        if run("git", "diff", "--quiet", commit, "--", *PROGRAM, cwd=checkout).returncode == 1:
            there = run("git", "cat-file", "-e", f"{commit}:{UNITS}", cwd=checkout)
            return commit if there.returncode == 0 else None
    return None


def export(checkout: Path, commit: str, folder: Path) -> None:
    """Write the files of a commit into a folder, which is made. Raises CalledProcessError."""
    command = ["git", "archive", "--format=tar", commit]
    packed = subprocess.run(command, cwd=checkout, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(folder, filter="tar")
