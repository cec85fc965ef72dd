"""Values that are remembered by their texts: a log repeats itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from datastream.parsing.event import LIMITS, Event, Unparseable
from datastream.parsing.proxies import last_entry
from datastream.parsing.request import host_of
from datastream.parsing.values import (
    email_domain,
    epoch_time,
    iso_time,
    packed_address,
    utc_time,
    without_absent_args,
)

_MOST = 4096
#: In quotes and brackets, with a port.
_LONGEST_ADDRESS = len('"[0000:0000:0000:0000:0000:ffff:255.255.255.255]:65535"')
_LONGEST_TEXT = 255

T = TypeVar("T")


class Remembered(dict[str, T]):
    """The results of a function for the last few thousand texts; an exception is not kept.

    The function must refuse long texts, so that the memory used is bounded.
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
    """Return what packed_address() does. Raises ValueError when the text is no address."""
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


#: What the source of a parser that fast.py writes may name.
IN_FAST_SOURCE: Mapping[str, object] = {
    "Event": Event,
    "Unparseable": Unparseable,
    "addresses": Remembered(remembered_address),
    "email_domain": email_domain,
    "epoch_times": Remembered(epoch_time),
    "hosts": Remembered(remembered_host),
    "iso_times": Remembered(iso_time),
    "last_entry": last_entry,
    "local_times": Remembered(utc_time),
    # Lists of one, the same object each time: a new one for each line would cost more in garbage
    # collection than the rest of the line.
    "lists_of_decimal": Remembered(remembered_list_of_decimal),
    "lists_of_status": {str(status): [status] for status in range(100, 1000)},
    "lists_of_text": Remembered(remembered_list_of_text),
    "new": tuple.__new__,
    "statuses": {str(status): status for status in range(100, 1000)},
    "without_absent_args": without_absent_args,
}
