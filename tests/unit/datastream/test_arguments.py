"""Numbers as a person types them."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastream.arguments import LARGEST, whole_number


@given(st.integers(-(2**70), 2**70), st.integers(0, 3))
def test_a_whole_number_is_taken_or_refused_in_words(number: int, lowest: int) -> None:
    """What is below the lowest or larger than any column holds has words and no traceback."""
    convert = whole_number(lowest)

    if lowest <= number <= LARGEST:
        assert convert(str(number)) == number
    else:
        with pytest.raises(argparse.ArgumentTypeError, match=f"from {lowest} on"):
            convert(str(number))


@given(st.text() | st.sampled_from(["", "1_000", " 1", "+1", "\u0661", "1e3", "9" * 5_000]))
def test_only_decimal_digits_are_a_number(text: str) -> None:
    """Nothing else that Python would read as a number, nor one without an end."""
    try:
        assert whole_number(0)(text) == int(text)
    except argparse.ArgumentTypeError:
        return
    assert text.isascii()
    assert text.isdigit()


@pytest.mark.parametrize(
    "command",
    [
        ("producer", "--rewind", "--stream", "0" * 16, "--position", "-1"),
        ("datastream_operator", "rewind", "--stream", "0" * 16, "--position", "-1"),
        ("producer", "--rewind", "--stream", "0" * 16, "--position", str(2**63)),
        ("datastream_operator", "sample", "--lines", "-1"),
        ("datastream_operator", "sample", "--rate", "1e-320"),
        ("datastream_operator", "sample", "--rate", "nan"),
        ("datastream_operator", "demo", "--lines", "0"),
        ("datastream_operator", "replay", "--all", "--lines-per-second", "9" * 5_000),
    ],
)
def test_a_number_that_no_command_can_use(command: tuple[str, ...]) -> None:
    """Usage, one line that names the argument, exit code 2."""
    module, *arguments = command

    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert f"argument {arguments[-2]}" in done.stderr
    assert "Traceback" not in done.stderr
