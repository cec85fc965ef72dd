"""Another revision's build: its own files, its own environment, or words that say why not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.revisions import CannotBuild, built, commit_of

#: What makes an environment: it keeps which Python it was given, and what it knew besides.
MAKEFILE = """\
venv:
\tmkdir -p .venv/bin
\techo '$(PYTHON)' >.venv/made-with
\techo "$$PYTHONPATH$$MAKEFLAGS" >.venv/knew
"""
FAILING = "venv:\n\t@echo 'there is no pip here'; exit 3\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with two commits: `old` can be built, the one after it cannot."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init")
    commit(folder, {"Makefile": MAKEFILE, "code": "old"})
    git(folder, "tag", "old")
    commit(folder, {"Makefile": FAILING, "code": "new"})
    return folder


def git(folder: Path, *arguments: str) -> None:
    """Run git with no settings but its own."""
    names = {
        f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    nothing = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-c", "init.defaultBranch=main", *arguments]
    env = os.environ | names | nothing
    subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)


def commit(folder: Path, files: dict[str, str]) -> None:
    """Commit some files."""
    for name, text in files.items():
        (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--message", "More")


def test_a_build_is_the_revision_with_an_environment_of_its_own(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made by its own Makefile, with the Python of today, and with nothing of today's paths."""
    monkeypatch.setenv("PYTHONPATH", "tests")
    monkeypatch.setenv("MAKEFLAGS", " -- AGAINST=old")

    build = built("old", tmp_path / "other", root)

    assert (build.name, build.commit) == ("old", commit_of("old", root))
    assert build.python == tmp_path / "other/.venv/bin/python"
    assert (tmp_path / "other/code").read_text() == "old"
    assert (root / "code").read_text() == "new"
    environment = tmp_path / "other/.venv"
    assert (environment / "made-with").read_text().strip() == os.path.realpath(sys.executable)
    assert "tests" not in (environment / "knew").read_text()
    assert "AGAINST" not in (environment / "knew").read_text()


def test_a_commit_is_named_in_every_way_that_git_knows(root: Path) -> None:
    """A tag, a place before another, the start of a hash."""
    commit_ = commit_of("old", root)

    assert len(commit_) == 40
    assert commit_of("HEAD~1", root) == commit_of(commit_[:10], root) == commit_


@pytest.mark.parametrize("revision", ["nothing", "--all", "", "HEAD:code"])
def test_what_is_no_commit_is_told(revision: str, root: Path, tmp_path: Path) -> None:
    """Before any folder is made."""
    with pytest.raises(CannotBuild, match="no such revision"):
        built(revision, tmp_path / "other", root)

    assert not (tmp_path / "other").exists()


def test_a_folder_that_is_no_repository_is_told_in_the_words_of_git(tmp_path: Path) -> None:
    """Such as what was unpacked from a release."""
    with pytest.raises(CannotBuild, match="not a git repository"):
        commit_of("HEAD", tmp_path)


def test_a_build_that_fails_is_told_in_its_own_words(root: Path, tmp_path: Path) -> None:
    """What cannot be installed cannot be measured."""
    with pytest.raises(CannotBuild, match=r"(?s)HEAD: make venv .* failed:.*there is no pip here"):
        built("HEAD", tmp_path / "other", root)
