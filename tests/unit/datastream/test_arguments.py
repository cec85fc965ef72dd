"""Numbers as a person types them."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastream.arguments import LARGEST, stream_number, whole_number


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


@given(st.integers(10**16, 2**64 - 1))
def test_a_stream_is_taken_as_sql_shows_it_and_in_hexadecimal(stream: int) -> None:
    """In digits of either kind, with or without what tells them apart."""
    hexadecimal = f"{stream:016x}"

    assert stream_number(str(stream)) == stream_number(f"0x{hexadecimal.upper()}") == stream
    if not hexadecimal.isdecimal():
        assert stream_number(hexadecimal) == stream


def test_a_stream_that_may_be_two_is_refused() -> None:
    """With what to write instead."""
    with pytest.raises(argparse.ArgumentTypeError, match=r"write 0\d{16} .decimal. or 0x\d"):
        stream_number("1234567890123456")

    assert stream_number("01234567890123456") == 1234567890123456
    assert stream_number("0x1234567890123456") == 0x1234567890123456


@pytest.mark.parametrize("text", ["", "xyz", "-1", "1_0", str(2**64), "0x", "0" * 21, "deadbeef"])
def test_what_is_no_stream_has_words(text: str) -> None:
    """Neither a number nor too large a one."""
    with pytest.raises(argparse.ArgumentTypeError, match="not a stream"):
        stream_number(text)
