"""What `make release` refuses, before it builds anything; and what ends it without a tag."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from datastream import __version__
from releasing import CHANGES

RELEASE = Path(__file__).parents[3] / "deploy/bin/release"
VERSION = "shared/src/datastream/__init__.py"


class Checkout:
    """No more of one than is looked at first, with neither engine nor packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {"PATH": f"{folder / '.git/bin'}:/usr/bin:/bin", "HOME": str(folder)}
        for name, text in {
            "deploy/bin/release": RELEASE.read_text(),
            "CHANGELOG.md": CHANGES,
            VERSION: f'__version__ = "{__version__}"\n',
        }.items():
            self.write(name, text)
        self.git("init", "--quiet")
        self.git("config", "user.name", "A test")
        self.git("config", "user.email", "test@example.com")
        self.commit()
        self.write(".git/bin/docker", "#!/bin/sh\nexit 1\n")
        self.write(".git/bin/python", "#!/bin/sh\necho 'it did not work'\nexit 1\n")

    def write(self, name: str, text: str) -> None:
        """Write a file, which may be a program."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def git(self, *arguments: str) -> str:
        """Return what git prints; it must succeed."""
        command = ["git", *arguments]
        ended = subprocess.run(
            command, cwd=self.folder, env=self.env, check=True, capture_output=True, text=True
        )
        return ended.stdout

    def commit(self) -> None:
        """Commit all that is there."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "A commit")

    def release(self, **settings: str) -> str:
        """Return why it is refused; neither a tag nor a wheel is made."""
        tags = self.git("tag")
        ended = subprocess.run(
            [self.folder / "deploy/bin/release", self.folder / ".git/bin/python"],
            env=self.env | settings,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 1
        assert self.git("tag") == tags
        assert not (self.folder / "dist").exists()
        return ended.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """One that may be released."""
    return Checkout(tmp_path)


def change(checkout: Checkout) -> None:
    """Leave a file that no commit has."""
    checkout.write("more.py", "")


def tag(checkout: Checkout) -> None:
    """Release it."""
    checkout.git("tag", f"v{__version__}")


def replace(old: str, new: str) -> Callable[[Checkout], None]:
    """Return what commits another changelog."""

    def replaced(checkout: Checkout) -> None:
        checkout.write("CHANGELOG.md", CHANGES.replace(old, new))
        checkout.commit()

    return replaced


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (change, "make release: there are changes that no commit has:\n?? more.py\n"),
        (tag, f"the tag v{__version__} is there already"),
        (replace(__version__, "0.9.9"), f'no section "## [{__version__}] - YYYY-MM-DD"'),
        (replace(__version__, __version__.replace(".", "x")), "no section"),
        (replace("2026-11-30", "soon"), "no section"),
        (replace("[Unreleased]\n", "[Unreleased]\n- More.\n"), "has lines under Unreleased"),
        (lambda _: None, "make release IMAGES=no\n"),
    ],
    ids=["changed", "tagged", "other version", "other dots", "no date", "unreleased", "no engine"],
)
def test_what_is_refused(
    checkout: Checkout, prepare: Callable[[Checkout], None], words: str
) -> None:
    """With the reason, and nothing is built."""
    prepare(checkout)

    said = checkout.release()

    assert words in said
    assert "it did not work" not in said


def test_without_a_wheel_there_is_no_tag(checkout: Checkout) -> None:
    """The words of what failed are shown."""
    said = checkout.release(IMAGES="no")

    assert said == "it did not work\nmake release: a wheel could not be built\n"
