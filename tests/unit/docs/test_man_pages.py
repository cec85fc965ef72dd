"""docs/man says what the commands say of themselves, in a way that `man` shows."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import render_man

from datastream.arguments import parser_of

ROOT = Path(__file__).parents[3]
PAGES = sorted(render_man.FOLDER.iterdir())
WITH_GROFF = pytest.mark.skipif(
    shutil.which("groff") is None, reason="there is no groff here (Debian: groff-base)"
)


def test_the_pages_are_as_the_commands_are() -> None:
    """Pages that are stale are made anew by `make commands`."""
    assert {page.name: page.read_text(encoding="utf-8") for page in PAGES} == render_man.pages()


@WITH_GROFF
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_roff_has_nothing_to_say_against_a_page(page: Path) -> None:
    """No warning of groff, where it is installed."""
    command = ["groff", "-man", "-Tutf8", "-ww", "-z", str(page)]

    ended = subprocess.run(command, check=True, capture_output=True, text=True)

    assert ended.stderr == ""


@WITH_GROFF
def test_what_is_typed_is_shown_as_it_is_typed(tmp_path: Path) -> None:
    """Hyphens, quotes, backslashes and dots at the beginning of a line are themselves."""
    odd = "'it''s' --a-b ~/c ^d \\n .e"
    typed = f"    .first {odd}\n    'second"
    parser = parser_of("odd", f".env and `{odd}`\n\n{typed}", f"exit codes: 0 {odd}")
    parser.add_argument("--f-g", metavar="H-I", help=f".j {odd}")
    page = tmp_path / "odd.1"
    page.write_text(render_man.page(parser))

    command = ["groff", "-man", "-Tutf8", "-P-cbou", "-rLL=100n", str(page)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [line.strip() for line in text.splitlines()]

    assert f".env and {odd}" in lines
    assert f".first {odd}" in lines
    assert "'second" in lines
    assert "odd [--f-g H-I]" in lines
    assert f".j {odd}" in lines
    assert f"0      {odd}" in lines


def test_every_command_brings_its_page() -> None:
    """In its wheel, for `man` to find beside the command."""
    for file in [*ROOT.glob("services/*/pyproject.toml"), ROOT / "deploy/operator/pyproject.toml"]:
        package = tomllib.loads(file.read_text())
        (command,) = package["project"]["scripts"]
        wheel = package["tool"]["hatch"]["build"]["targets"]["wheel"]
        ((source, target),) = wheel["shared-data"].items()

        assert (file.parent / source).resolve() == render_man.FOLDER / f"{command}.1"
        assert target == f"share/man/man1/{command}.1"
