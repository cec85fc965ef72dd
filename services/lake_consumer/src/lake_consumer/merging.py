"""Merges neighbouring packs that are small, beside the storing of others.

A quiet log gives packs of a line or two, and an older version left one row a line. A few at a time,
in one transaction, become one pack, and the server compares the lines byte for byte.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, NamedTuple

from datastream.config import MysqlSettings
from datastream.errors import RowRefused, Unavailable
from datastream.mysql import Session, StreamLog, TakenBack, Transaction
from datastream.packs import LINE_OVERHEAD, MOST_SPAN, MOST_TEXT, Pack, json_bytes, packs
from datastream.slices import INCOMPLETE

logger = logging.getLogger(__name__)

#: At the end of a stream, which goes on growing, so many packs are merged, and a larger one with
#: them only once they are so many times its size: a line is written again three times or four.
TAIL = 16
GROWTH = 4
#: Packs that are looked at together.
PAGE = 2_000
#: Streams whose place is remembered, and packs that were not merged: a few MB at most.
REMEMBERED = 10_000
#: Seconds between looks while there is nothing to do.
PAUSE = 10.0
#: Of the time, what merging takes at most, so that storing goes first.
SHARE = 0.25
#: Seconds that the end of a service waits for the merging in hand.
LEAVE = 2.0

#: Of a line that an older version stored disguised (flag 4) the length in its log is not known; it
#: stays alone. The body is looked for where nothing else tells the end: each row of a query that
#: names it is read with it, and the first pass goes over every pack there is.
KEYS = """
    SELECT line_offset, flags,
        COALESCE(end_offset, IF(flags & 4, NULL, (
            SELECT older.line_offset + LENGTH(older.body) FROM raw_pack AS older
            WHERE older.stream_id = raw_pack.stream_id
                AND older.line_offset = raw_pack.line_offset
        ))), line_count
    FROM raw_pack WHERE stream_id = %s AND line_offset >= %s ORDER BY line_offset LIMIT %s
"""
PACKS = """
    SELECT line_offset, flags, COALESCE(end_offset, line_offset + LENGTH(body)), line_count, codec,
        body
    FROM raw_pack WHERE stream_id = %s AND line_offset BETWEEN %s AND %s ORDER BY line_offset
"""
NEXT_STREAM = "SELECT MIN(stream_id) FROM log_stream WHERE stream_id > %s"
#: Bytes: what the comparison of a pack's lines may take.
COMPARED = "SET SESSION group_concat_max_len = 16777216"
LIMIT = "SELECT LEAST(@@group_concat_max_len, @@max_allowed_packet)"
GROW_PACK = "CALL grow_pack(%s, %s, %s, %s, %s, %s)"
DROP_PACKS = "CALL drop_packs(%s, %s, %s, %s)"


class _TooLarge(TakenBack):
    """Lines take more room than they have in their log: disguised, or escaped."""


class _OverLimit(TakenBack):
    """The server has no room to compare so many lines."""


class Key(NamedTuple):
    """A pack without its lines."""

    offset: int
    flags: int
    #: The offset of the newline after its last line; None where it is not known.
    end: int | None
    lines: int

    @property
    def size(self) -> int:
        """How much of a pack it takes, about."""
        return (self.end or self.offset) - self.offset + LINE_OVERHEAD * self.lines

    def is_followed_by(self, other: Key) -> bool:
        """Whether the other goes on where this one ends, and may be one pack with it."""
        return (
            self.end is not None
            and other.end is not None
            and other.offset == self.end + 1
            and self.flags == other.flags
            and not self.flags & INCOMPLETE
        )


def groups(keys: Iterable[Key]) -> tuple[list[list[Key]], int]:
    """Return the groups of a stream's packs that are to become one each, and where to look next.

    `keys` are in order. What comes before the offset returned stays as it is from now on.
    """
    found = []
    group: list[Key] = []
    size = 0
    for key in keys:
        if group and not (
            group[-1].is_followed_by(key)
            and size + key.size <= MOST_TEXT
            and key.offset - group[0].offset <= MOST_SPAN
        ):
            found.append(group)
            group, size = [], 0
        group.append(key)
        size += key.size
    next_ = group[0].offset if group else 0
    # The end of what is there, which may grow: no pack is written again for a few lines more.
    while group and GROWTH * group[0].size > size - group[0].size:
        size -= group[0].size
        group = group[1:]
    if len(group) >= TAIL:
        found.append(group)
    return [one for one in found if len(one) > 1], next_


@contextmanager
def merging_beside(
    settings: MysqlSettings, name: str, merged: Callable[[int], None]
) -> Iterator[Merging]:
    """Merge in a thread, on a session of its own, until the body ends.

    `merged(packs)` is called with how many packs have become one.
    """
    ended = Event()
    session = Session(settings, name)
    merging = Merging(session, merged)

    def run() -> None:
        with closing(session):
            merging.run(ended)

    # A daemon: a database that hangs does not hold the process back.
    thread = Thread(target=run, name="merging", daemon=True)
    thread.start()
    try:
        yield merging
    finally:
        ended.set()
        thread.join(LEAVE)


class Merging:
    """Merges the packs of one stream after the other: first of all there are, then of new ones."""

    def __init__(
        self, session: Session, merged: Callable[[int], None] = lambda _packs: None
    ) -> None:
        """`merged(packs)` is called with how many packs have become one."""
        self._session = session
        self._merged = merged
        self._stored: SimpleQueue[tuple[int, int]] = SimpleQueue()
        #: Where to look next in streams, the one looked at last at the end.
        self._next: dict[int, int] = {}
        #: Streams to look at, in turns: one that is written all the time leaves room for others.
        self._due: dict[int, None] = {}
        #: The last stream that was looked at in the first pass, over all; None once it is over.
        self._pass: int | None = -1
        self._refused: dict[tuple[int, int], None] = {}

    def stored(self, positions: Mapping[int, int]) -> None:
        """Take note of streams that have new packs, and from where on. Any thread may call this."""
        for item in positions.items():
            self._stored.put(item)

    def run(self, stop: Event) -> None:
        """Merge until `stop` is set, through every outage of the database."""
        pause, is_told = 0.0, False
        while not stop.wait(pause):
            began = time.monotonic()
            try:
                is_more = self.step()
            except Unavailable as error:
                if not is_told and error.reason != "lock":
                    logger.warning(
                        "Small packs are not merged until the database answers; none is lost",
                        extra={"reason": error.reason, "error": str(error)},
                    )
                is_told, is_more = True, False
            else:
                is_told = False
            pause = (time.monotonic() - began) * (1 / SHARE - 1) if is_more else PAUSE

    def step(self) -> bool:
        """Look at a page of one stream's packs and merge them; return whether there is more to do.

        Raises Unavailable.
        """
        with suppress(Empty):
            while True:
                stream_id, position = self._stored.get_nowait()
                self._due.setdefault(stream_id)
                if position < self._next.get(stream_id, 0):
                    # It fills a gap: the pack before it, too, may have a new neighbour.
                    self._next[stream_id] = max(0, position - MOST_SPAN)
        if self._pass is not None and self._pass not in self._due:
            with self._session.transaction() as transaction:
                ((self._pass,),) = transaction.select(NEXT_STREAM, (self._pass,))
            if self._pass is not None:
                self._due[self._pass] = None
        if not self._due:
            return False
        stream_id = next(iter(self._due))
        self._due[stream_id] = self._due.pop(stream_id)  # to the end, whatever comes of it
        if not self._look(stream_id):
            del self._due[stream_id]
        return bool(self._due) or self._pass is not None

    def _look(self, stream_id: int) -> bool:
        """Merge what is to be merged in one page; return whether the stream has another one."""
        first = self._next.get(stream_id, 0)
        with self._session.transaction() as transaction:
            keys = [Key(*row) for row in transaction.select(KEYS, (stream_id, first, PAGE))]
        found, next_ = groups(keys)
        is_merged = [self._merge(stream_id, group) for group in found]
        is_full = len(keys) == PAGE
        if is_full and next_ <= first and not any(is_merged):
            next_ = keys[-1].offset  # else the same page would come again and again
        self._next.pop(stream_id, None)
        self._next[stream_id] = max(first, next_)
        _forget_the_first(self._next)
        return is_full

    def _merge(self, stream_id: int, group: Sequence[Key]) -> bool:
        if (stream_id, group[0].offset) in self._refused:
            return False
        try:
            with self._session.transaction() as transaction:
                is_merged = _merge(transaction, stream_id, group)
        except (_TooLarge, _OverLimit) as error:
            middle = len(group) // 2
            halves = [half for half in (group[:middle], group[middle:]) if len(half) > 1]
            if isinstance(error, _OverLimit) and not halves:
                self._refuse(stream_id, group, f"the server compares no more: {error}")
            return sum(self._merge(stream_id, half) for half in halves) > 0
        except (TakenBack, RowRefused, ValueError) as error:
            self._refuse(stream_id, group, f"their lines would differ: {error}")
            return False
        if is_merged:
            self._merged(len(group))
        return is_merged

    def _refuse(self, stream_id: int, group: Sequence[Key], why: str) -> None:
        """Remember a group that cannot be merged, and say so."""
        self._refused[stream_id, group[0].offset] = None
        _forget_the_first(self._refused)
        logger.warning(
            "Packs were not merged; they stay as they are",
            extra={"stream": f"{stream_id:016x}", "offset": group[0].offset, "error": why},
        )


def _forget_the_first(remembered: dict[Any, Any]) -> None:
    """Keep no more than REMEMBERED: what is forgotten is looked at again, and no more."""
    if len(remembered) > REMEMBERED:
        del remembered[next(iter(remembered))]


def _merge(transaction: Transaction, stream_id: int, group: Sequence[Key]) -> bool:
    """Make one pack of several, unless they have changed since; return whether that was done.

    Raises _TooLarge where that needs more than one, _OverLimit where the server compares no text so
    long, and TakenBack where it finds other lines in it.
    """
    first, last = group[0].offset, group[-1].offset
    transaction.execute(StreamLog.LOCK, ([stream_id],))
    transaction.execute(COMPARED)
    found = [Pack(*row) for row in transaction.select(PACKS, (stream_id, first, last))]
    if [Key(p.line_offset, p.flags, p.end, p.line_count) for p in found] != list(group):
        return False
    lines = [line for pack in found for line in pack.lines()]
    whole, *others = packs(lines, found[0].flags, found[-1].end)
    if others:
        raise _TooLarge
    grow = stream_id, first, last, whole.end, whole.line_count, whole.body
    drop = stream_id, first, group[1].offset, last
    if (
        transaction.execute(GROW_PACK, grow) != 1
        or transaction.execute(DROP_PACKS, drop) != len(group) - 1
    ):
        ((limit,),) = transaction.select(LIMIT)
        if limit <= 4 * json_bytes(whole):
            raise _OverLimit(f"max_allowed_packet or group_concat_max_len is {limit:,}")
        raise TakenBack("the server finds others in the pack")
    return True
