"""The clean side: every line as typed columns in clean_log or error_log, or as a reject."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import chain
from typing import LiteralString, NamedTuple

from clean_consumer.columns import RejectedRow, Row, key_of
from clean_consumer.dimension import REFERRERS, USER_AGENTS, Dimension
from clean_consumer.enrichment import NONE, Enrichment
from clean_consumer.rows import Parsed, by_key, halves, reject, renamed
from clean_consumer.tables import CLEAN_AND_REJECTED, ERROR_AND_REJECTED, PRESENT, TABLES
from datastream.consuming import Outcome, store_by_halves
from datastream.errors import RowRefused, Unavailable
from datastream.mysql import Session, StreamLog, Transaction, Vanished
from datastream.slices import INCOMPLETE


class _Span(NamedTuple):
    """Neighbouring lines of one stream: their rows lie between two keys."""

    stream_id: int
    first: int
    last: int


class _Named(NamedTuple):
    """The keys of the texts that rows name."""

    referrers: set[int]
    agents: set[int]


class Warehouse:
    """Stores parsed slices; each line ends up in exactly one of TABLES."""

    def __init__(
        self,
        session: Session,
        enrichment: Enrichment = NONE,
        collided: Callable[[str], None] = lambda _table: None,
        count: Callable[[Sequence[Parsed]], None] = lambda _batch: None,
    ) -> None:
        """`collided(table)` is called for each text whose key another text has.

        `count(batch)` is called once a batch is committed.
        """
        self._count = count
        self._session = session
        self._enrichment = enrichment
        self._streams = StreamLog(session)
        self._referrers = Dimension(session, REFERRERS, enrichment.referrer, collided)
        self._agents = Dimension(session, USER_AGENTS, enrichment.agent, collided)

    def check(self) -> None:
        """Raise Unavailable unless the tables are there and may be read."""
        with self._session.transaction() as transaction:
            transaction.select(PRESENT, (0, 0, 0) * len(TABLES))
        self._referrers.check()
        self._agents.check()

    def store(self, batch: Sequence[Parsed]) -> Outcome:
        """Commit the rows of a batch and return the outcome.

        A line whose clean row the database refuses becomes a reject (`refused`), and so does one
        that raises anything unforeseen (`crashed`). Raises Unavailable when the database is away;
        then the same batch must be stored again.
        """
        outcomes = [
            store_by_halves(self._commit, by_key(part), halves, self._reject)
            for part in _in_turn(batch)
        ]
        self._count(batch)
        return sum(outcomes, Outcome())

    def _commit(self, batch: Sequence[Parsed]) -> Outcome:
        """Commit the rows, and before them what they name."""
        try:
            return self._commit_rows(*self._commit_named(batch))
        except Vanished:
            for names in (self._streams, self._referrers, self._agents):
                names.forget()
            raise

    def _commit_named(self, batch: Sequence[Parsed]) -> tuple[Sequence[Parsed], _Named]:
        """Commit new streams and texts; return the batch with the keys they are stored under."""
        self._streams.ensure(parsed.slice.stream for parsed in batch)
        referrers = {k: v for parsed in batch for k, v in parsed.referrers.items()}
        agents = {k: v for parsed in batch for k, v in parsed.agents.items()}
        other_referrers = self._referrers.ensure(referrers)
        other_agents = self._agents.ensure(agents)
        if other_referrers or other_agents:
            batch = [
                renamed(parsed, self._enrichment, other_agents, other_referrers) for parsed in batch
            ]
        return batch, _Named(
            {*(referrers | other_referrers).values()}, {*(agents | other_agents).values()}
        )

    def _commit_rows(self, batch: Sequence[Parsed], named: _Named) -> Outcome:
        """Commit the rows in one transaction, where they are better than the stored ones."""
        # In the order of TABLES.
        rows: list[list[Row]] = [
            [row for parsed in batch for row in parsed.clean],
            [row for parsed in batch for row in parsed.errors],
            [row for parsed in batch for row in parsed.rejected],
        ]
        lines = sum(map(len, rows))
        reformatted = _reformatted(batch)
        if reformatted:  # one row a key: then fewer new rows mean another consumer's
            rows = [list({key_of(row): row for row in part}.values()) for part in rows]
        with self._session.transaction() as transaction:
            self._streams.assert_there(transaction, (parsed.slice.stream for parsed in batch))
            self._referrers.assert_there(transaction, named.referrers)
            self._agents.assert_there(transaction, named.agents)
            removed = 0
            present = rows_present(transaction, batch)
            if present:
                outdated = _outdated(present, chain(*rows), reformatted)
                removed = _remove(transaction, outdated)
                rows = [
                    [row for row in part if key_of(row) not in present or key_of(row) in outdated]
                    for part in rows
                ]
            new = [
                transaction.insert(table.insert, part)
                for table, part in zip(TABLES, rows, strict=True)
            ]
            missed = _in_two_tables(transaction, batch) - present.keys()
            if sum(new) < sum(map(len, rows)):
                missed |= _outdated(rows_present(transaction, batch), chain(*rows)).keys()
                missed |= reformatted  # their rows are as good as those stored now
            if missed:
                # Of both consumers the one that looks last sees the rows of both, and settles it
                # by storing its batch again.
                raise Unavailable("another consumer has just stored the same lines", "lock")
        return Outcome(
            stored=Counter(
                {table.name: count for table, count in zip(TABLES, new, strict=True) if count}
            ),
            # By key: the batch may hold a slice twice.
            rejected=Counter(
                {
                    key_of(row): row.reason for row in rows[-1] if isinstance(row, RejectedRow)
                }.values()
            ),
            duplicates=lines - sum(new),
            replaced=removed,
        )

    def _reject(self, parsed: Parsed, reason: str) -> Outcome:
        """Reject a line whose clean row cannot be stored, or quarantine it where that fails too."""
        try:
            return self._commit([reject(parsed.slice, reason)])
        except RowRefused:
            return Outcome(quarantined=[(parsed.slice, "refused")])
        except (Unavailable, MemoryError):
            raise
        except Exception:  # noqa: BLE001  # told once, for the whole slice
            return Outcome(quarantined=[(parsed.slice, "crashed")])


def _in_turn(batch: Iterable[Parsed]) -> list[list[Parsed]]:
    """Return the parts of a batch in the order of storing: later ones replace rows of earlier ones.

    First the beginnings of lines: the whole line, perhaps in the same batch, replaces them. Last
    the slices whose format was chosen anew, each format by itself: the one that came last holds.
    """
    others: list[list[Parsed]] = [[], []]
    reformatted: dict[tuple[int, str], list[Parsed]] = {}
    for parsed in batch:
        slice_ = parsed.slice
        if slice_.reformat:
            reformatted.setdefault((slice_.flags, slice_.stream.format), []).append(parsed)
        else:
            others[not slice_.flags & INCOMPLETE].append(parsed)
    return [part for part in (*others, *reformatted.values()) if part]


def _reformatted(batch: Iterable[Parsed]) -> set[tuple[int, int]]:
    """Return the keys of the lines whose format was chosen anew."""
    return {
        (parsed.slice.stream.stream_id, offset)
        for parsed in batch
        if parsed.slice.reformat
        for offset, _ in parsed.slice.numbered()
    }


#: What is stored under a key: how good the row is, and the statement that removes it.
_Presence = dict[tuple[int, int], tuple[tuple[int, bool], LiteralString]]


def _rank(parser_version: int, flags: int) -> tuple[int, bool]:
    """Return what makes a row better than another of its key: a newer parser, a whole line."""
    return parser_version, not flags & INCOMPLETE


def rows_present(transaction: Transaction, batch: Iterable[Parsed]) -> _Presence:
    """Return the rows that the tables hold under the batch's keys: usually none."""
    return {
        (span.stream_id, offset): (_rank(version, flags), TABLES[index].delete)
        for span in _spans(batch)
        for index, offset, version, flags in transaction.select(PRESENT, span * len(TABLES))
    }


def _spans(batch: Iterable[Parsed]) -> Iterator[_Span]:
    """Yield the keys of a batch in order, adjoining slices as one span."""
    span: _Span | None = None
    for parsed in batch:
        slice_ = parsed.slice
        last = slice_.end
        if span and span.stream_id == slice_.stream.stream_id and slice_.position <= span.last + 1:
            span = span._replace(last=max(last, span.last))
            continue
        if span:
            yield span
        span = _Span(slice_.stream.stream_id, slice_.position, last)
    if span:
        yield span


def _outdated(
    present: _Presence, rows: Iterable[Row], reformatted: Container[tuple[int, int]] = ()
) -> dict[tuple[int, int], LiteralString]:
    """Return the keys of the rows that are better than the stored ones, and how to remove those.

    A row whose format was chosen anew is better even where it is only as good.
    """
    outdated = {}
    for row in rows:
        key = key_of(row)
        if key in present:
            rank, (stored, remove) = _rank(row[2], row[3]), present[key]
            if rank > stored or (rank == stored and key in reformatted):
                outdated[key] = remove
    return outdated


def _in_two_tables(transaction: Transaction, batch: Sequence[Parsed]) -> set[tuple[int, int]]:
    """Return the keys of the batch that have a row in two tables.

    Two consumers with the same line, one with its beginning or a newer parser, may each find
    nothing and then write to different tables.
    """
    return {
        key
        for statements, is_error_log in ((CLEAN_AND_REJECTED, False), (ERROR_AND_REJECTED, True))
        for span in _spans(parsed for parsed in batch if parsed.is_error_log == is_error_log)
        for statement in statements
        for key in transaction.select(statement, span)
    }


def _remove(transaction: Transaction, outdated: dict[tuple[int, int], LiteralString]) -> int:
    return sum(transaction.execute(statement, key) for key, statement in outdated.items())
