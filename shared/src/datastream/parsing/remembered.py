"""Values that are remembered by their texts, for a log says the same things again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from datastream.parsing.event import LIMITS
from datastream.parsing.request import host_of
from datastream.parsing.values import packed_address

_MOST = 4096
_LONGEST_ADDRESS = 45
_LONGEST_TEXT = 255

T = TypeVar("T")


class Remembered(dict[str, T]):
    """What a function made of the last few thousand texts; what raises is not kept.

    The function must refuse long texts, so that the memory this takes has a bound.
    """

    def __init__(self, convert: Callable[[str], T]) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, text: str) -> T:
        if len(self) >= _MOST:
            self.clear()
        value = self[text] = self._convert(text)
        return value


def remembered_address(text: str) -> bytes:
    """Return the packed address. Raises ValueError when the text is none."""
    address = packed_address(text) if len(text) <= _LONGEST_ADDRESS else None
    if address is None:
        raise ValueError("no address")
    return address


def remembered_host(text: str) -> str | None:
    """Return the host of `host:port`. Raises ValueError when the text is over the host's limit."""
    if len(text) > LIMITS["host"]:
        raise ValueError("over the limit")
    return host_of(text)


def remembered_list_of_text(text: str) -> list[str]:
    """Return the text as a list of one. Raises ValueError when it is long."""
    if len(text) > _LONGEST_TEXT:
        raise ValueError("too long to be remembered")
    return [text]


def remembered_list_of_decimal(text: str) -> list[float]:
    """Return the number as a list of one. Raises ValueError when the text is none."""
    return [float(text)]
