"""Where the migrations are not; and that a checkout needs no symbolic link to have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from datastream_operator import migrate
from datastream_operator.refused import Refused

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("is_file", [True, False], ids=["a file", "nothing"])
def test_a_folder_without_migrations_is_told_of(tmp_path: Path, *, is_file: bool) -> None:
    """It is refused, before a schema without tables is called up to date."""
    folder = tmp_path / "migrations"
    if is_file:
        folder.write_text("")

    with pytest.raises(Refused, match="no migrations in"):
        migrate.read(folder)


def test_a_checkout_has_them() -> None:
    """At its root."""
    assert len(migrate.read()) == len([*(ROOT / "migrations").glob("*_*.rollback.sql")])


def test_the_repository_has_no_symbolic_link() -> None:
    """Archives, and systems that make none, turn one into a file with a path in it."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]

    assert [path for folder in folders for path in folder.rglob("*") if path.is_symlink()] == []
