"""What `make mutants` reads is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutants.expected import Change, expected
from mutants.subjects import SUBJECTS, Subject

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.modules[0])
def test_modules_and_their_tests_are_there(subject: Subject) -> None:
    """One that was renamed is not left out in silence."""
    assert [path for path in subject.modules + subject.tests if not (ROOT / path).exists()] == []


def test_every_module_of_the_parsers_is_judged() -> None:
    """A new one as well."""
    judged = {path for subject in SUBJECTS for path in subject.modules}
    parsers = (ROOT / "shared/src/datastream/parsing").glob("*.py")

    assert {str(path.relative_to(ROOT)) for path in parsers} <= judged


@pytest.mark.parametrize("change", expected(), ids=lambda change: f"{change.before[:60]}")
def test_what_is_expected_to_survive_is_in_the_code(change: Change) -> None:
    """The lines that it changes are in its module still."""
    code = [line.strip() for line in (ROOT / change.module).read_text(encoding="utf-8").split("\n")]

    assert [line for line in change.before.split("\n") if line not in code] == []
