"""A copy of what is checked out, in which `make release` may commit and tag."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from datastream import __version__

ROOT = Path(__file__).parents[1]
CHANGES = f"# Changelog\n\n## [Unreleased]\n\n## [{__version__}] - 2026-11-30\n\nA change.\n"


class Copy:
    """A repository of its own, of one commit, with a changelog that names the version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        for name in self._git(*listed, folder=ROOT).split("\0"):
            if name and os.path.lexists(ROOT / name):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
        (folder / "CHANGELOG.md").write_text(CHANGES)
        self._git("init", "--quiet")
        self._git("config", "user.name", "A test")
        self._git("config", "user.email", "test@example.com")
        self.commit()

    def commit(self) -> None:
        """Commit all that is there."""
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", "A commit")

    def release(self, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run `make release` there, with the environment in which the tests run."""
        # An environment of its own would be the same, a minute later.
        options = (
            "--no-print-directory",
            "--old-file",
            "venv",
            f"BIN={Path(sys.executable).parent}",
        )
        named = [f"{name}={value}" for name, value in settings.items()]
        command = ["make", *options, "release", *named]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)

    def tags(self) -> list[str]:
        """Return each tag, its kind, and the commit that it names."""
        form = "%(refname:short) %(objecttype) %(*objectname)"
        return self._git("for-each-ref", f"--format={form}", "refs/tags").splitlines()

    def head(self) -> str:
        """Return the commit."""
        return self._git("rev-parse", "HEAD").strip()

    def wheels(self) -> set[str]:
        """Return the names of the wheels that were made."""
        return {path.name for path in self.folder.glob("dist/*/*")}

    def _git(self, *arguments: str, folder: Path | None = None) -> str:
        command = ["git", *arguments]
        where = folder or self.folder
        return subprocess.run(command, cwd=where, check=True, capture_output=True, text=True).stdout


def assert_released(copy: Copy) -> None:
    """Assert that all packages have their wheels, and the commit its tag."""
    packages = ("", "_producer", "_lake_consumer", "_clean_consumer", "_operator", "_playground")

    assert copy.tags() == [f"v{__version__} tag {copy.head()}"]
    assert copy.wheels() == {
        f"datastream{name}-{__version__}-py3-none-any.whl" for name in packages
    }
