"""The lake: every line as the web server wrote it, in raw_log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter

from datastream.consuming import Outcome, store_by_halves
from datastream.inserts import Insert, binaries, numbers
from datastream.mysql import Session, StreamLog, Transaction, Vanished
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


class _Conflict(Exception):
    """Slices hold lines that differ from what is stored under their keys."""

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
            if len(slices) == 1:
                return _quarantine(slices[0], "identity_conflict")
            # Each of them alone: it may differ from another's lines that are not stored after all.
            others = [slice_ for slice_ in slices if slice_ not in conflict.slices]
            parts = [others, *([slice_] for slice_ in conflict.slices)]
            return sum((self._commit(part) for part in parts if part), Outcome())

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
    """Raise _Conflict for slices, in key order, that begin inside a stored line.

    Even if none of their keys is taken, they are of another log that begins with the same line.
    """
    end: tuple[int, int] | None = None
    conflicts = []
    for slice_ in slices:
        begin = slice_.stream.stream_id, slice_.position
        if begin != end and any(
            before >= slice_.position for (before,) in transaction.select(LINE_BEFORE, begin)
        ):
            conflicts.append(slice_)
        end = slice_.stream.stream_id, slice_.end + 1
    if conflicts:
        raise _Conflict(conflicts)


def _compare(transaction: Transaction, slices: Iterable[Slice]) -> int:
    """Compare what is stored with what was sent; return how many lines were replaced.

    An equal line is a duplicate. A stored line that was only a beginning (no newline yet, or over a
    lower limit) is replaced by the line that continues it. A beginning of the stored line is an
    older read of it. A line that differs only in its disguise, as after a change of the settings,
    is a duplicate: what is stored stays. Raises _Conflict for anything else.
    """
    replaced = 0
    conflicts = []
    for slice_ in slices:
        key = slice_.stream.stream_id, slice_.position, slice_.end
        stored = {
            offset: (flags, line) for offset, flags, line in transaction.select(STORED_LINES, key)
        }
        for offset, line in slice_.numbered():
            stored_flags, stored_line = stored[offset]
            is_alike = not (stored_flags ^ slice_.flags) & INCOMPLETE
            if stored_line == line and is_alike:
                continue
            if stored_flags & INCOMPLETE and line.startswith(stored_line):
                replaced += transaction.execute(
                    COMPLETE_LINE, (slice_.stream.stream_id, offset, slice_.flags, line)
                )
            elif slice_.flags & INCOMPLETE and stored_line.startswith(line):
                continue
            elif not (is_alike and _is_same(stored_flags | slice_.flags, stored_line, line)):
                conflicts.append(slice_)
                break
    if conflicts:
        raise _Conflict(conflicts)
    return replaced


def _is_same(flags: int, stored: bytes, line: bytes) -> bool:
    """Return whether two different lines are the same line, one or both of them disguised."""
    return bool(flags & DISGUISED) and skeleton(stored) == skeleton(line)


def _halves(slice_: Slice) -> tuple[Slice, Slice] | None:
    return slice_.halves() if slice_.lines > 1 else None


def _quarantine(slice_: Slice, reason: str) -> Outcome:
    return Outcome(quarantined=[(slice_, reason)])
