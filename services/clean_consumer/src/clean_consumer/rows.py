"""From a slice to the rows of clean_log and rejected_log. Pure: no clock, no database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from datastream.errors import NotASlice
from datastream.parsing import PARSER_VERSION, ErrorEvent, FormatError, Unparseable, parser_for
from datastream.slices import TRUNCATED, Slice

#: A row of clean_log, or of rejected_log, in the order of its columns.
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Parsed:
    """A slice with its rows: each of its lines is in exactly one of `clean` and `rejected`."""

    piece: Slice
    clean: list[Row]
    rejected: list[Row]
    #: The distinct user agents of the slice, by id.
    agents: dict[int, str]


def parse(piece: Slice) -> Parsed:
    """Parse every line of a slice.

    Raises NotASlice when its format is none that this version knows: a newer producer's, say.
    """
    try:
        parse_line = parser_for(piece.stream.format)
    except FormatError as error:
        raise NotASlice(f"unknown format {piece.stream.format[:64]!r}: {error}") from None
    stream_id, flags = piece.stream.stream_id, piece.flags
    clean: list[Row] = []
    rejected: list[Row] = []
    agents: dict[int, str] = {}
    for offset, line in piece.numbered():
        try:
            event = parse_line(line)
        except Unparseable as error:
            reason = "truncated" if flags & TRUNCATED else error.reason
            rejected.append((stream_id, offset, PARSER_VERSION, flags, reason))
            continue
        if isinstance(event, ErrorEvent):
            raise NotASlice("there is no table for the lines of an error log")
        agent = event.user_agent
        agent_id = None
        if agent is not None:
            agent_id = user_agent_id(agent)
            agents[agent_id] = agent
        clean.append((stream_id, offset, PARSER_VERSION, flags, *event[:-2], agent_id, event.extra))
    return Parsed(piece, clean, rejected, agents)


def refuse(piece: Slice) -> Parsed:
    """Return the rows of a slice whose clean rows the database refuses: rejects, all of them."""
    rows = [
        (piece.stream.stream_id, offset, PARSER_VERSION, piece.flags, "refused")
        for offset, _line in piece.numbered()
    ]
    return Parsed(piece, [], rows, {})


@lru_cache(maxsize=4096)
def user_agent_id(agent: str) -> int:
    """Return the key of a user agent: 64 bits of a hash of its text."""
    return int.from_bytes(blake2b(agent.encode(), digest_size=8).digest())


def halves(parsed: Parsed) -> tuple[Parsed, Parsed] | None:
    """Return the two halves of a slice, parsed, or None when it is a single line."""
    if parsed.piece.lines == 1:
        return None
    first, second = parsed.piece.halves()
    return parse(first), parse(second)


def by_key(batch: Sequence[Parsed]) -> list[Parsed]:
    """Return the slices in the order of their keys: the order in which rows are written."""
    return sorted(batch, key=lambda parsed: (parsed.piece.stream.stream_id, parsed.piece.position))
