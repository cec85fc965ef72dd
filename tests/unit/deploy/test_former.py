"""Which commit the test of an update takes for the version before."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.former import UNITS, export, former_commit

PROGRAM = "services/producer/src/producer/log.py"
#: A change to a program, a lock, a table or a unit; each installs something else.
INSTALLED = (
    PROGRAM,
    "services/lake_consumer/requirements.lock",
    "shared/src/datastream/a/new.py",
    "deploy/operator/requirements.lock",
    "migrations/0001_a_table.sql",
    "deploy/systemd/a.service",
)

Commit = Callable[..., str]


@pytest.fixture
def commit(tmp_path: Path) -> Commit:
    """Commit a file with a text in an empty repository; returns the commit."""

    def git(*arguments: str) -> str:
        settings = ("-c", "user.name=A test", "-c", "user.email=test@example.com")
        command = ["git", *settings, *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def made(path: str, text: str) -> str:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        git("add", "--all")
        git("commit", "--quiet", "--message", "A commit")
        return git("rev-parse", "HEAD")

    git("init", "--quiet")
    return made


@pytest.mark.parametrize("path", INSTALLED)
def test_it_is_the_newest_that_installs_something_else(
    tmp_path: Path, commit: Commit, path: str
) -> None:
    """One that changed only words or tests installs what the commit before it does."""
    commit(UNITS, "")
    commit(path, "an older one")
    commit(path, "the former one")
    commit("README.md", "words")
    commit(path, "the present one")
    commit("tests/unit/test_a.py", "a test")

    found = former_commit(tmp_path)

    assert found is not None
    export(tmp_path, found, tmp_path / "former")
    assert (tmp_path / "former" / path).read_text() == "the former one"
    assert (tmp_path / "former" / UNITS).exists()


def test_what_is_not_committed_is_the_present(tmp_path: Path, commit: Commit) -> None:
    """Then the last commit is the former one."""
    commit(UNITS, "")
    last = commit(PROGRAM, "the former one")
    (tmp_path / PROGRAM).write_text("the present one")

    assert former_commit(tmp_path) == last


def test_one_that_installs_no_consumers_is_none(tmp_path: Path, commit: Commit) -> None:
    """Nor is the only one there is; nor is there one without a repository."""
    commit(PROGRAM, "without units")
    commit(UNITS, "")
    commit("README.md", "words")

    assert former_commit(tmp_path) is None
    assert former_commit(tmp_path.parent) is None
