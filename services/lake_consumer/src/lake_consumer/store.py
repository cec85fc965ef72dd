"""The lake: every line as the web server wrote it, in raw_log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from operator import attrgetter
from typing import NamedTuple

from datastream.consuming import Outcome, store_by_halves
from datastream.inserts import Insert, binaries, numbers
from datastream.mysql import Session, StreamLog, TakenBack, Transaction, Vanished
from datastream.privacy import skeleton
from datastream.slices import DISGUISED, INCOMPLETE, Slice

INSERT_LINES = Insert(
    """
    INSERT INTO raw_log ({columns}) VALUES {values}
    ON DUPLICATE KEY UPDATE line_offset = line_offset
    """,
    {"stream_id": numbers, "line_offset": numbers, "flags": numbers, "line": binaries},
)

STORED_LINES = """
    SELECT line_offset, flags, line FROM raw_log
    WHERE stream_id = %s AND line_offset BETWEEN %s AND %s
"""

#: The end of the stored line before an offset; of a disguised one (flag 4), whose length is not
#: known, its beginning.
LINE_BEFORE = """
    SELECT line_offset + IF(flags & 4, 0, LENGTH(line)) FROM raw_log
    WHERE stream_id = %s AND line_offset < %s ORDER BY line_offset DESC LIMIT 1
"""

#: A procedure, so that the account that stores lines has no right to change one.
COMPLETE_LINE = """
    CALL complete_line(%s, %s, %s, %s)
"""

IN_KEY_ORDER = attrgetter("stream.stream_id", "position")


class _Conflict(TakenBack):
    """Slices hold lines that differ from what is stored under their keys, or from each other's."""

    def __init__(self, slices: list[Slice]) -> None:
        super().__init__()
        self.slices = slices


class Lake:
    """Stores slices in raw_log; a line that is already there changes nothing."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._streams = StreamLog(session)

    def check(self) -> None:
        """Raise Unavailable unless raw_log is there and may be read."""
        with self._session.transaction() as transaction:
            transaction.select(STORED_LINES, (0, 0, 0))

    def store(self, slices: Sequence[Slice]) -> Outcome:
        """Commit every line of the slices and return the outcome.

        What cannot be stored is returned as quarantined: a line that the database refuses
        (`refused`) or that raises anything unforeseen (`crashed`), and a slice with a line that
        differs from the one stored under its key (`identity_conflict`). Raises Unavailable when the
        database is away; then the same slices must be stored again.
        """
        return store_by_halves(self._commit, sorted(slices, key=IN_KEY_ORDER), _halves, _quarantine)

    def _commit(self, slices: Sequence[Slice]) -> Outcome:
        try:
            return self._commit_equal(slices)
        except Vanished:
            self._streams.forget()
            raise
        except _Conflict as conflict:
            # They may differ from lines of this batch that are not stored in the end.
            differing = self._differing_from_stored(conflict.slices) or conflict.slices
            outcome = Outcome(quarantined=[(s, "identity_conflict") for s in differing])
            others = [slice_ for slice_ in slices if slice_ not in differing]
            return outcome + self._commit(others) if others else outcome

    def _differing_from_stored(self, slices: Sequence[Slice]) -> list[Slice]:
        with self._session.transaction() as transaction:
            return [
                slice_
                for slice_ in slices
                if _begins_inside(transaction, slice_)
                or _Relation.DIFFERS in _relations(slice_, _stored(transaction, slice_)).values()
            ]

    def _commit_equal(self, slices: Sequence[Slice]) -> Outcome:
        """Commit the lines in one transaction, or none of them when any slice is in conflict."""
        self._streams.ensure(slice_.stream for slice_ in slices)
        rows = [
            (slice_.stream.stream_id, offset, slice_.flags, line)
            for slice_ in slices
            for offset, line in slice_.numbered()
        ]
        replaced = 0
        with self._session.transaction() as transaction:
            self._streams.assert_there(transaction, (slice_.stream for slice_ in slices))
            _check_beginnings(transaction, slices)
            new = transaction.insert(INSERT_LINES, rows)
            if new < len(rows):
                replaced = _compare(transaction, slices)
        return Outcome(
            stored=Counter(raw_log=new), duplicates=len(rows) - new - replaced, replaced=replaced
        )


def _check_beginnings(transaction: Transaction, slices: Iterable[Slice]) -> None:
    """Raise _Conflict for slices, in key order, that begin inside a line that is stored.

    None of their keys may be taken, and yet they are of another log that begins with the same line.
    """
    end: tuple[int, int] | None = None
    conflicts = []
    for slice_ in slices:
        begin = slice_.stream.stream_id, slice_.position
        if begin != end and _begins_inside(transaction, slice_):
            conflicts.append(slice_)
        end = slice_.stream.stream_id, slice_.end + 1
    if conflicts:
        raise _Conflict(conflicts)


def _begins_inside(transaction: Transaction, slice_: Slice) -> bool:
    begin = slice_.stream.stream_id, slice_.position
    return any(end >= slice_.position for (end,) in transaction.select(LINE_BEFORE, begin))


def _stored(transaction: Transaction, slice_: Slice) -> dict[int, _Line]:
    """Return the lines that are stored under the slice's keys, by offset."""
    key = slice_.stream.stream_id, slice_.position, slice_.end
    return {
        offset: _Line(flags, line) for offset, flags, line in transaction.select(STORED_LINES, key)
    }


def _compare(transaction: Transaction, slices: Iterable[Slice]) -> int:
    """Compare what is stored with what was sent; return how many lines were replaced.

    Raises _Conflict.
    """
    replaced = 0
    conflicts = []
    for slice_ in slices:
        relations = _relations(slice_, _stored(transaction, slice_))
        if _Relation.DIFFERS in relations.values():
            conflicts.append(slice_)
        elif _Relation.COMPLETES in relations.values():
            replaced += sum(
                transaction.execute(
                    COMPLETE_LINE, (slice_.stream.stream_id, offset, slice_.flags, line)
                )
                for offset, line in slice_.numbered()
                if relations[offset] is _Relation.COMPLETES
            )
    if conflicts:
        raise _Conflict(conflicts)
    return replaced


def _relations(slice_: Slice, stored: Mapping[int, _Line]) -> dict[int, _Relation]:
    """Return how each line relates to the stored one, by offset, where there is one."""
    return {
        offset: _relation(stored[offset], _Line(slice_.flags, line))
        for offset, line in slice_.numbered()
        if offset in stored
    }


class _Line(NamedTuple):
    flags: int
    line: bytes


class _Relation(Enum):
    """How a line that was sent relates to the one that is stored under its key."""

    #: Equal, or an earlier look at the stored one, or the same but for its disguise, as after a
    #: change of the settings: what is stored stays.
    DUPLICATE = auto()
    #: The stored one is only its beginning: it had no newline yet, or was over a lower limit.
    COMPLETES = auto()
    DIFFERS = auto()


def _relation(stored: _Line, sent: _Line) -> _Relation:
    is_alike = not (stored.flags ^ sent.flags) & INCOMPLETE
    if stored.line == sent.line and is_alike:
        return _Relation.DUPLICATE
    if stored.flags & INCOMPLETE and sent.line.startswith(stored.line):
        return _Relation.COMPLETES
    if sent.flags & INCOMPLETE and stored.line.startswith(sent.line):
        return _Relation.DUPLICATE
    if is_alike and _is_same(stored.flags | sent.flags, stored.line, sent.line):
        return _Relation.DUPLICATE
    return _Relation.DIFFERS


def _is_same(flags: int, stored: bytes, line: bytes) -> bool:
    """Return whether two different lines are the same line, one or both of them disguised."""
    return bool(flags & DISGUISED) and skeleton(stored) == skeleton(line)


def _halves(slice_: Slice) -> tuple[Slice, Slice] | None:
    return slice_.halves() if slice_.lines > 1 else None


def _quarantine(slice_: Slice, reason: str) -> Outcome:
    return Outcome(quarantined=[(slice_, reason)])
