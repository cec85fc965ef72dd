"""From a slice to the rows of its tables. Pure: no clock, no database of lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b, sha256

from clean_consumer.columns import CleanRow, CleanValues, ErrorRow, RejectedRow, key_of
from clean_consumer.enrichment import NONE, Enrichment
from clean_consumer.locations import NOWHERE
from datastream.errors import NotASlice
from datastream.parsing import (
    CONTINUED,
    PARSER_VERSION,
    ErrorEvent,
    Event,
    FormatError,
    Parser,
    Unparseable,
    ends_with_client,
    entries,
    has_entries,
    is_error_log,
    parser_for,
)
from datastream.slices import DISGUISED, TRUNCATED, Slice


@dataclass(frozen=True, slots=True)
class Parsed:
    """A slice with its rows: each of its lines is in exactly one of the three lists."""

    slice: Slice
    clean: list[CleanValues] = field(default_factory=list)
    errors: list[ErrorRow] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    #: The distinct user agents of the slice, each with the key that its rows name.
    agents: dict[str, int] = field(default_factory=dict)
    #: The distinct referrers of the slice, in the same way.
    referrers: dict[str, int] = field(default_factory=dict)

    @property
    def is_error_log(self) -> bool:
        """Whether its lines belong in error_log rather than clean_log."""
        return is_error_log(self.slice.stream.format)


def parse(slice_: Slice, enrichment: Enrichment = NONE) -> Parsed:
    """Parse every line of a slice.

    Raises NotASlice when this version does not know its format: a newer producer's, say.
    """
    parse_line = _parser_of(slice_)
    enrichment.refresh()
    locate, file_type, columns = enrichment.locate, enrichment.file_type, enrichment.columns
    stream_id, flags = slice_.stream.stream_id, slice_.flags
    private = enrichment.private_again if flags & DISGUISED else enrichment.private
    parsed = Parsed(slice_)
    for offset, line in (
        _entries(parsed) if has_entries(slice_.stream.format) else slice_.numbered()
    ):
        try:
            event = parse_line(line)
        except Unparseable as error:
            reason = "truncated" if flags & TRUNCATED else error.reason
            parsed.rejected.append(RejectedRow(stream_id, offset, PARSER_VERSION, flags, reason))
            continue
        country, city, asn = NOWHERE if event.client is None else locate(event.client)
        for keep in private:
            event = keep(event)
        if isinstance(event, ErrorEvent):
            parsed.errors.append(ErrorRow(stream_id, offset, PARSER_VERSION, flags, *event))
            continue
        agent_id = referrer_id = None
        if event.user_agent is not None:
            agent_id = user_agent_id_of(event.user_agent)
            parsed.agents[event.user_agent] = agent_id
        if event.referrer is not None:
            referrer_id = referrer_id_of(event.referrer)
            parsed.referrers[event.referrer] = referrer_id
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


def _parser_of(slice_: Slice) -> Parser:
    """Return the parser of a slice's lines. Raises NotASlice."""
    form = slice_.stream.format
    try:
        parse_line = parser_for(form)
    except FormatError as error:
        raise NotASlice(f"unknown format {form[:64]!r}: {error}") from None
    # What is left of an address that was cut is another one.
    is_torn = slice_.flags & TRUNCATED and ends_with_client(form)
    return _refuse if is_torn else parse_line


def _refuse(_line: bytes) -> Event | ErrorEvent:
    raise Unparseable("truncated")


def _entries(parsed: Parsed) -> Iterator[tuple[int, bytes]]:
    """Yield the entries of an error log; the lines after the first of each become rejects."""
    slice_ = parsed.slice
    for offset, text, continued in entries(slice_.numbered()):
        yield offset, text
        parsed.rejected.extend(
            RejectedRow(slice_.stream.stream_id, line, PARSER_VERSION, slice_.flags, CONTINUED)
            for line in continued
        )


def renamed(
    parsed: Parsed, enrichment: Enrichment, agents: Mapping[str, int], referrers: Mapping[str, int]
) -> Parsed:
    """Return a slice whose rows name these texts by other keys than the hashes of the texts.

    A row holds no text, so the lines are parsed again: that is rare, and making two texts of one
    hash costs a client more than this.
    """
    if agents.keys().isdisjoint(parsed.agents) and referrers.keys().isdisjoint(parsed.referrers):
        return parsed
    slice_ = parsed.slice
    parse_line = parser_for(slice_.stream.format)
    private = enrichment.private_again if slice_.flags & DISGUISED else enrichment.private
    lines = dict(slice_.numbered())
    clean: list[CleanValues] = []
    for row in map(CleanRow._make, parsed.clean):
        event = parse_line(lines[row.line_offset])
        for keep in private:
            event = keep(event)
        if isinstance(event, ErrorEvent):  # has neither
            return parsed
        clean.append(
            row._replace(
                referrer_id=_key_of(event.referrer, referrers, row.referrer_id),
                user_agent_id=_key_of(event.user_agent, agents, row.user_agent_id),
            )
        )
    return replace(parsed, clean=clean)


def _key_of(text: str | None, others: Mapping[str, int], key: int | None) -> int | None:
    """Return the key of a text: its key in `others` where it has one, else its own."""
    return key if text is None else others.get(text, key)


#: The version in the row of a line at which a parser crashed: any other row is better.
NO_VERSION = 0


def reject(slice_: Slice, reason: str) -> Parsed:
    """Return a slice with all of its lines as rejects, for one reason."""
    version = NO_VERSION if reason == "crashed" else PARSER_VERSION
    rows = [
        RejectedRow(slice_.stream.stream_id, offset, version, slice_.flags, reason)
        for offset, _line in slice_.numbered()
    ]
    return Parsed(slice_, rejected=rows)


def next_id_of(text: str, attempt: int) -> int:
    """Return the key of a text whose earlier keys belong to other texts.

    `attempt` counts from 1. Every consumer gets the same key, as a taken key is never given back.
    """
    return int.from_bytes(blake2b(text.encode(), digest_size=8, salt=b"%d" % attempt).digest())


@lru_cache(maxsize=4096)
def user_agent_id_of(agent: str) -> int:
    """Return the key of a user agent: 64 bits of a hash of its text."""
    return int.from_bytes(blake2b(agent.encode(), digest_size=8).digest())


@lru_cache(maxsize=4096)
def referrer_id_of(referrer: str) -> int:
    """Return the key of a referrer: 64 bits of a hash that SQL also has, for the migrations."""
    return int.from_bytes(sha256(referrer.encode()).digest()[:8])


def halves(parsed: Parsed) -> tuple[Parsed, Parsed] | None:
    """Return the two halves of a slice, parsed, or None when it is a single line."""
    if parsed.slice.lines == 1:
        return None
    first, second = parsed.slice.halves()
    return (
        _between(parsed, first, 0, second.position),
        _between(parsed, second, second.position, 2**64),
    )


def _between(parsed: Parsed, slice_: Slice, first: int, end: int) -> Parsed:
    """Return what belongs to a part of a slice: the rows whose offsets are in [first, end)."""
    return replace(
        parsed,
        slice=slice_,
        clean=[row for row in parsed.clean if first <= key_of(row)[1] < end],
        errors=[row for row in parsed.errors if first <= row.line_offset < end],
        rejected=[row for row in parsed.rejected if first <= row.line_offset < end],
    )


def by_key(batch: Sequence[Parsed]) -> list[Parsed]:
    """Return the slices in the order of their keys: the order in which rows are written."""
    return sorted(batch, key=lambda parsed: (parsed.slice.stream.stream_id, parsed.slice.position))
