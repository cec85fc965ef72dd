"""The mutants that no test can notice: see expected.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("expected.toml")


class Change(NamedTuple):
    """What a mutant is: in a module, lines in the place of others, without their indentation."""

    module: str
    before: str
    after: str


def expected() -> dict[Change, str]:
    """Return the mutants that are expected to survive, each with the reason."""
    entries = tomllib.loads(FILE.read_text(encoding="utf-8")).get("mutant", [])
    return {Change(e["module"], e["before"], e["after"]): e["why"] for e in entries}
