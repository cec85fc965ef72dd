"""The entries of nginx's error log: which lines belong together.

nginx writes an entry at once, and its message may hold newlines: of FastCGI, of a trace in Lua, of
a path that a client asked for. The first line of an entry begins with a time, a level, and process
and thread; the fields, such as the client, stand at the end of the last one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

#: The most bytes of an entry, with its last newline: 2,048 of nginx, twice that of OpenResty and
#: Tengine. What begins further away is no part of it.
ENTRY_BYTES = 4096

_BEGINNING = re.compile(
    rb"[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} \[[a-z]{1,16}+\] [0-9]++#[0-9]++: "
)
#: A line of something else that writes to the same file, of an access log say.
_OTHER = re.compile(
    rb"[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}"
    rb"|[^\[]*+\[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9]{2}:"
)
#: No line of an entry follows the one that ends with the fields.
_CLIENTS = (b", client: ", b", udp client: ")


class Entry(NamedTuple):
    """An entry, or a line that belongs to none."""

    #: The byte offset of its first line.
    offset: int
    #: Its lines, joined by newlines, without carriage returns at their ends.
    text: bytes
    #: The offsets of its lines after the first.
    continued: Sequence[int]


def begins(line: bytes) -> bool:
    """Say whether a line, or the first bytes of one, begins an entry."""
    return _BEGINNING.match(line) is not None


def entries(lines: Iterable[tuple[int, bytes]]) -> Iterator[Entry]:
    """Yield the entries of consecutive lines, each given with its byte offset, in their order.

    A line belongs to the entry before it, unless it begins one or is a line of something else, is
    further than ENTRY_BYTES from the beginning of the entry, or behind its client. One that belongs
    to none is yielded by itself, as it is.
    """
    group: list[tuple[int, bytes]] = []
    for offset, line in lines:
        is_beginning = begins(line)
        if group and (is_beginning or _OTHER.match(line) or offset - group[0][0] >= ENTRY_BYTES):
            yield from _of_group(group)
            group = []
        if group or is_beginning:
            group.append((offset, line))
        else:
            yield Entry(offset, line, ())
    if group:
        yield from _of_group(group)


def _of_group(group: list[tuple[int, bytes]]) -> Iterator[Entry]:
    """Yield the entry of which some lines are, and each line behind it."""
    ends = [at for at, (_, line) in enumerate(group, 1) if any(word in line for word in _CLIENTS)]
    end = ends[-1] if ends else len(group)
    text = b"\n".join(line.removesuffix(b"\r") for _, line in group[:end])
    yield Entry(group[0][0], text.rstrip(b"\n"), [offset for offset, _ in group[1:end]])
    for offset, line in group[end:]:
        yield Entry(offset, line, ())


def whole(lines: Sequence[bytes], after: bytes) -> int:
    """Return how many lines to cut off, so that no entry is torn: up to all of them.

    `after` is what follows them, as far as it is known. All of them where there is no better place:
    where the entry that goes on begins with the first line, or `after` belongs to none.
    """
    if begins(after):
        return len(lines)
    distance = 0
    for at in range(len(lines) - 1, 0, -1):
        distance += len(lines[at]) + 1
        if distance >= ENTRY_BYTES:
            break
        if begins(lines[at]):
            return at
    return len(lines)
