"""The lake: every line as the web server wrote it, packed, in raw_pack.

raw_log is the view that shows its lines as rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

from datastream.consuming import Outcome, store_by_halves
from datastream.inserts import Insert, binaries, numbers
from datastream.mysql import Session, StreamLog, Transaction, Vanished
from datastream.packs import PLAIN, ZLIB, Pack, json_bytes
from datastream.slices import Slice
from lake_consumer.plan import Plan, lines_of, plan

INSERT_PACKS = Insert(
    "INSERT INTO raw_pack ({columns}) VALUES {values}",
    {
        "stream_id": numbers,
        "line_offset": numbers,
        "flags": numbers,
        "end_offset": numbers,
        "line_count": numbers,
        "codec": numbers,
        "body": binaries,
    },
)

#: Of a line that an older version stored disguised (flag 4) the length in its log is not known.
_PACK = """
    SELECT line_offset, flags,
        COALESCE(end_offset, line_offset + IF(flags & 4, 0, LENGTH(body))),
        line_count, codec, body
    FROM raw_pack
"""
PACK_BEFORE = _PACK + "WHERE stream_id = %s AND line_offset < %s ORDER BY line_offset DESC LIMIT 1"
PACKS_WITHIN = _PACK + "WHERE stream_id = %s AND line_offset BETWEEN %s AND %s ORDER BY line_offset"

#: Bytes of a line, below which every server can show it: none takes statements of less than eight
#: times as much.
A_LONG_ONE = 128 * 1024

#: A procedure, so that the account that stores lines has no right to change one.
COMPLETE_LINE = "CALL complete_line(%s, %s, %s, %s, %s)"

IN_KEY_ORDER = attrgetter("stream.stream_id", "position")
STREAM_ID = attrgetter("stream.stream_id")


class Lake:
    """Stores slices in raw_pack; a line that is already there changes nothing."""

    def __init__(
        self,
        session: Session,
        stored: Callable[[Mapping[int, int]], None] = lambda _positions: None,
    ) -> None:
        """`stored(positions)` is called once a batch is committed: its first one by stream."""
        self._session = session
        self._stored = stored
        self._streams = StreamLog(session)

    def check(self) -> None:
        """Raise Unavailable unless raw_pack is there and may be read."""
        with self._session.transaction() as transaction:
            transaction.select(PACKS_WITHIN, (0, 0, 0))

    def store(self, slices: Sequence[Slice]) -> Outcome:
        """Commit every line of the slices and return the outcome.

        What cannot be stored is returned as quarantined: a line that the database refuses
        (`refused`) or that raises anything unforeseen (`crashed`), and a slice with a line that
        differs from the one stored under its key (`identity_conflict`). Raises Unavailable when the
        database is away; then the same slices must be stored again.
        """
        return store_by_halves(self._commit, sorted(slices, key=IN_KEY_ORDER), _halves, _quarantine)

    def _commit(self, slices: Sequence[Slice]) -> Outcome:
        """Commit the lines in one transaction, but for those of slices in conflict."""
        try:
            self._streams.ensure(slice_.stream for slice_ in slices)
            with self._session.transaction() as transaction:
                # Until the commit nobody else writes lines of these streams, or merges them.
                self._streams.lock(transaction, (slice_.stream for slice_ in slices))
                plans = [
                    _write(transaction, stream_id, list(its))
                    for stream_id, its in groupby(slices, STREAM_ID)
                ]
        except Vanished:
            self._streams.forget()
            raise
        self._stored({slice_.stream.stream_id: slice_.position for slice_ in reversed(slices)})
        return sum(map(_outcome, plans), Outcome())


def _write(transaction: Transaction, stream_id: int, slices: Sequence[Slice]) -> Plan:
    """Write what is new of one stream's slices, and return the plan for it."""
    stored = dict(
        line for pack in _packs_that_meet(transaction, stream_id, slices) for line in lines_of(pack)
    )
    made = plan(stored, slices)
    whole = (Pack(at, to.flags, to.end, 1, PLAIN, to.line) for at, to in made.completed.items())
    for pack in (*made.packs, *whole):
        # Only a line alone can be that long. The server would store it, and the view not show it.
        if len(pack.body) > A_LONG_ONE or pack.codec == ZLIB:
            transaction.assert_short(json_bytes(pack))
    transaction.insert(
        INSERT_PACKS,
        [
            (stream_id, p.line_offset, p.flags, p.end, p.line_count, p.codec, p.body)
            for p in made.packs
        ],
    )
    for offset, line in made.completed.items():
        transaction.execute(COMPLETE_LINE, (stream_id, offset, line.flags, line.line, line.end))
    return made


def _packs_that_meet(
    transaction: Transaction, stream_id: int, slices: Sequence[Slice]
) -> Iterator[Pack]:
    """Yield the stored packs that meet any of the slices, and not what is between those.

    A batch may hold the first slice of a stream and its last, as after a rewind.
    """
    read = -1  # the offset of the last pack that was read
    for first, end in _ranges(slices):
        before = [Pack(*row) for row in transaction.select(PACK_BEFORE, (stream_id, first))]
        within = transaction.select(PACKS_WITHIN, (stream_id, first, end))
        met = [*(pack for pack in before if pack.end >= first), *(Pack(*row) for row in within)]
        yield from (pack for pack in met if pack.line_offset > read)
        read = max([read, *(pack.line_offset for pack in met)])


def _ranges(slices: Sequence[Slice]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last offset of slices that follow on one another or overlap."""
    first, end = slices[0].position, slices[0].end
    for slice_ in slices[1:]:
        if slice_.position > end + 1:
            yield first, end
            first = slice_.position
        end = max(end, slice_.end)
    yield first, end


def _outcome(made: Plan) -> Outcome:
    return Outcome(
        stored=Counter(raw_log=made.new),
        duplicates=made.duplicates,
        replaced=made.replaced,
        quarantined=[(slice_, "identity_conflict") for slice_ in made.conflicts],
    )


def _halves(slice_: Slice) -> tuple[Slice, Slice] | None:
    return slice_.halves() if slice_.lines > 1 else None


def _quarantine(slice_: Slice, reason: str) -> Outcome:
    return Outcome(quarantined=[(slice_, reason)])
