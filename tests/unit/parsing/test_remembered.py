"""Values that are remembered by their texts."""

from __future__ import annotations

import pytest

from datastream.parsing import LIMITS
from datastream.parsing.remembered import (
    Remembered,
    remembered_address,
    remembered_host,
    remembered_list_of_decimal,
    remembered_list_of_text,
)


def test_a_text_is_converted_once() -> None:
    """As long as it is one of the last few thousand."""
    asked: list[str] = []

    def length(text: str) -> int:
        asked.append(text)
        return len(text)

    lengths = Remembered(length)
    assert [lengths["a"], lengths["ab"], lengths["a"]] == [1, 2, 1]
    assert asked == ["a", "ab"]
    texts = [str(number) for number in range(4096 - 2)]
    assert [lengths[text] for text in texts] == list(map(len, texts))
    assert lengths["a"] == 1
    assert (asked.count("a"), len(lengths)) == (1, 4096)
    assert lengths["one too many"] == 12
    assert len(lengths) == 1
    assert lengths["a"] == 1
    assert asked.count("a") == 2


def test_an_exception_is_not_remembered() -> None:
    """Nor is its text."""
    numbers = Remembered(int)

    for _ in range(2):
        with pytest.raises(ValueError, match="x"):
            _ = numbers["x"]
    assert not numbers


def test_the_longest_address_is_one() -> None:
    """What is longer, or none, is refused."""
    longest = '"[0000:0000:0000:0000:0000:ffff:255.255.255.255]:65535"'

    assert remembered_address(longest) == b"\xff" * 4
    for text in ("", "-", "www.example.com", longest.replace(":6", ":06"), "0" * 60):
        with pytest.raises(ValueError, match="no address"):
            remembered_address(text)


def test_a_long_text_is_not_remembered() -> None:
    """It could be as long as a line."""
    longest = "h" * LIMITS["host"]

    assert remembered_host(f"{longest[3:].upper()}:80") == longest[3:]
    assert remembered_host(longest) == longest
    assert remembered_list_of_text("t" * 255) == ["t" * 255]
    for remember in (remembered_host, remembered_list_of_text):
        with pytest.raises(ValueError, match=r"limit|long"):
            remember("t" * 256)


def test_a_number_is_a_list_of_one() -> None:
    """Of an upstream list with one server."""
    assert remembered_list_of_decimal("0.042") == [0.042]
    with pytest.raises(ValueError, match="could not convert"):
        remembered_list_of_decimal("-")
