"""What the regression guard says of a change."""

from __future__ import annotations

import pytest

from bench.guard import compare

BASELINE = {"it": {"producer": 1.0, "lake": 5.0}}


def test_a_line_that_costs_too_much_fails() -> None:
    """More than 10 % beyond the baseline fails, whichever pipeline it is and whatever others do."""
    assert compare({"it": {"producer": 1.0, "lake": 5.6}}, BASELINE) == 1
    assert compare({"it": {"producer": 1.2, "lake": 1.0}}, BASELINE) == 1


def test_a_line_that_costs_less_or_hardly_more_passes() -> None:
    """Up to 10 % more may be chance."""
    assert compare({"it": {"producer": 1.09, "lake": 2.0}}, BASELINE) == 0


def test_another_python_has_no_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be compared is said so and does not pass."""
    assert compare({"another": {"producer": 1.0}}, BASELINE) == 2
    assert "RENEW=1" in capsys.readouterr().err
