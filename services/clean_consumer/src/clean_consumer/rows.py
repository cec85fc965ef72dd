"""From a slice to the rows of its tables. Pure: no clock, no database of lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Any

from clean_consumer.enrichment import NONE, Enrichment
from clean_consumer.places import NOWHERE
from datastream.errors import NotASlice
from datastream.parsing import (
    ERROR,
    PARSER_VERSION,
    ErrorEvent,
    FormatError,
    Unparseable,
    parser_for,
)
from datastream.slices import DISGUISED, TRUNCATED, Slice

#: A row of a table, in the order of its columns.
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Parsed:
    """A slice with its rows: each of its lines is in exactly one of the three lists."""

    piece: Slice
    clean: list[Row] = field(default_factory=list)
    errors: list[Row] = field(default_factory=list)
    rejected: list[Row] = field(default_factory=list)
    #: The distinct user agents of the slice, by id.
    agents: dict[int, str] = field(default_factory=dict)
    #: The distinct referrers of the slice, by id.
    referrers: dict[int, str] = field(default_factory=dict)

    @property
    def is_error_log(self) -> bool:
        """Whether its lines belong into error_log rather than clean_log."""
        return self.piece.stream.format.partition(" ")[0] == ERROR


def parse(piece: Slice, enrichment: Enrichment = NONE) -> Parsed:
    """Parse every line of a slice.

    Raises NotASlice when its format is none that this version knows: a newer producer's, say.
    """
    try:
        parse_line = parser_for(piece.stream.format)
    except FormatError as error:
        raise NotASlice(f"unknown format {piece.stream.format[:64]!r}: {error}") from None
    enrichment.refresh()
    place, file_type, columns = enrichment.place, enrichment.file_type, enrichment.columns
    stream_id, flags = piece.stream.stream_id, piece.flags
    private = enrichment.private_again if flags & DISGUISED else enrichment.private
    parsed = Parsed(piece)
    for offset, line in piece.numbered():
        try:
            event = parse_line(line)
        except Unparseable as error:
            reason = "truncated" if flags & TRUNCATED else error.reason
            parsed.rejected.append((stream_id, offset, PARSER_VERSION, flags, reason))
            continue
        country, city, asn = NOWHERE if event.client is None else place(event.client)
        for keep in private:
            event = keep(event)
        if isinstance(event, ErrorEvent):
            parsed.errors.append((stream_id, offset, PARSER_VERSION, flags, *event))
            continue
        agent_id = referrer_id = None
        if event.user_agent is not None:
            agent_id = user_agent_id_of(event.user_agent)
            parsed.agents[agent_id] = event.user_agent
        if event.referrer is not None:
            referrer_id = referrer_id_of(event.referrer)
            parsed.referrers[referrer_id] = event.referrer
        parsed.clean.append(
            (
                *(stream_id, offset, PARSER_VERSION, flags),
                *columns(event),
                *(referrer_id, agent_id, country, city, asn),
                None if event.path is None else file_type(event.path),
                event.extra,
            )
        )
    return parsed


def refuse(piece: Slice) -> Parsed:
    """Return the rows of a slice whose clean rows the database refuses: rejects, all of them."""
    rows = [
        (piece.stream.stream_id, offset, PARSER_VERSION, piece.flags, "refused")
        for offset, _line in piece.numbered()
    ]
    return Parsed(piece, rejected=rows)


@lru_cache(maxsize=4096)
def user_agent_id_of(agent: str) -> int:
    """Return the key of a user agent: 64 bits of a hash of its text."""
    return int.from_bytes(blake2b(agent.encode(), digest_size=8).digest())


@lru_cache(maxsize=4096)
def referrer_id_of(referrer: str) -> int:
    """Return the key of a referrer: 64 bits of a hash that SQL knows too, for the migrations."""
    return int.from_bytes(sha256(referrer.encode()).digest()[:8])


def halves(parsed: Parsed) -> tuple[Parsed, Parsed] | None:
    """Return the two halves of a slice, parsed, or None when it is a single line."""
    if parsed.piece.lines == 1:
        return None
    first, second = parsed.piece.halves()
    return (
        _between(parsed, first, 0, second.position),
        _between(parsed, second, second.position, 2**64),
    )


def _between(parsed: Parsed, piece: Slice, first: int, end: int) -> Parsed:
    """Return what belongs to a part of a slice: the rows whose offsets are in [first, end)."""
    clean, errors, rejected = (
        [row for row in rows if first <= row[1] < end]
        for rows in (parsed.clean, parsed.errors, parsed.rejected)
    )
    return replace(parsed, piece=piece, clean=clean, errors=errors, rejected=rejected)


def by_key(batch: Sequence[Parsed]) -> list[Parsed]:
    """Return the slices in the order of their keys: the order in which rows are written."""
    return sorted(batch, key=lambda parsed: (parsed.piece.stream.stream_id, parsed.piece.position))
