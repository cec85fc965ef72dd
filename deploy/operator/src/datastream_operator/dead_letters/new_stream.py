"""An identity conflict becomes a stream of its own: all lines of the log that came second.

Two logs claimed one stream. Of the second one the lake consumer set aside the slices that differ
from what is stored, and stored those that do not overlap it. So the second log is its dead letters,
and between them adjoining rows of the stream: raw.chain().
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from datastream.how_many import how_many
from datastream.mysql import Session
from datastream.rabbitmq import Box
from datastream.slices import DISGUISED, GREATEST, TRUNCATED, Slice
from datastream.streams import Stream, stream_id
from datastream.topology import CLEAN_KEY, LAKE_KEY, routing_key
from datastream_operator import raw
from datastream_operator.dead_letters.letters import conflicts_in
from datastream_operator.refused import Refused

FIRST_LINE = "SELECT line FROM raw_log WHERE stream_id = %s AND line_offset = 0"
IS_KNOWN = "SELECT 1 FROM log_stream WHERE stream_id = %s"


@dataclass(slots=True)
class Intruder:
    """What is known of the log that came second to a stream."""

    #: The stream that it claims.
    claimed: Stream
    #: The offset of the beginning of each of its dead letters, and of the end.
    parts: set[tuple[int, int]] = field(default_factory=set)
    #: The same offset, and a hash of the line there: a log has one line at each offset.
    lines: set[tuple[int, int]] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    #: Its dead letter with the lowest offset.
    first: Slice | None = None

    def add(self, slice_: Slice) -> None:
        """Add a dead letter."""
        self.parts.add((slice_.position, slice_.end + 1))
        self.lines.add((slice_.position, hash(slice_.body.partition(b"\n")[0])))
        self.hosts.add(slice_.stream.host)
        if self.first is None or slice_.position < self.first.position:
            self.first = slice_

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Yield the gaps between the dead letters, as offsets; the last gap has no end."""
        at = 0
        for begin, end in sorted(self.parts):
            if begin > at:
                yield at, begin
            at = max(at, end)
        yield at, GREATEST


def intruders(conflicts: Iterable[Slice]) -> dict[int, Intruder]:
    """Return the logs that came second, by the stream that they claim."""
    found: dict[int, Intruder] = {}
    for slice_ in conflicts:
        found.setdefault(slice_.stream.stream_id, Intruder(slice_.stream)).add(slice_)
    return found


def new_stream(session: Session, intruder: Intruder) -> Stream:
    """Return the stream that the log becomes: the next generation, or that of an earlier attempt.

    Raises Refused and Unavailable.
    """
    claimed, first = intruder.claimed, intruder.first
    places = {place for place, _ in intruder.lines}
    if first is None or len(intruder.hosts) > 1 or len(places) < len(intruder.lines):
        raise Refused(
            f"the dead letters of stream {claimed.stream_id:016x} are of more than one log: give "
            "each log a SOURCE of its own and read it again"
        )
    with session.transaction() as transaction:
        line = next(transaction.select(FIRST_LINE, (claimed.stream_id,)), None)
    if line is None:
        raise Refused(f"raw_log has no first line of stream {claimed.stream_id:016x}")
    generation = claimed.generation + 1
    while True:
        number = stream_id(claimed.source, claimed.path, line[0], generation)
        if _is_free(session, number, first):
            return replace(claimed, stream_id=number, generation=generation)
        generation += 1


def _is_free(session: Session, number: int, slice_: Slice) -> bool:
    """Return whether a number is free, or is that of a stream that an earlier attempt began."""
    key = number, slice_.position, slice_.end
    with session.transaction() as transaction:
        if not list(transaction.select(IS_KNOWN, (number,))):
            return True
        stored = dict(transaction.select(raw.TEXTS, key))
    if stored:
        return stored.items() <= dict(slice_.numbered()).items()
    return _arrives(session, number, 0, slice_.position)


def filled(session: Session, intruder: Intruder, stream: Stream) -> Iterator[Slice | str]:
    """Yield the slices of the new stream that are stored under the claimed one.

    Yields a text for each gap between dead letters that they do not fill. Raises Unavailable.
    """
    claimed = intruder.claimed.stream_id
    for begin, end in intruder.gaps():
        if end < GREATEST:
            if _arrives(session, stream.stream_id, begin, end):
                continue  # by an earlier attempt
            if not _arrives(session, claimed, begin, end):
                yield f"bytes {begin:,} to {end:,} of it are neither stored nor dead letters"
                continue
        for group in raw.groups(raw.chain(session, claimed, begin, end)):
            if group[0].flags & DISGUISED:
                # Each ends where the next one begins, which may be another log's.
                yield f"whose the disguised lines from byte {group[0].offset:,} on are is not known"
                break
            yield raw.slice_of(session, claimed, stream, group)


def _arrives(session: Session, stream: int, begin: int, end: int) -> bool:
    """Return whether adjoining lines of a stream lead from one offset to another."""
    at, is_certain = begin, True
    for line in raw.chain(session, stream, begin, end):
        at = line.offset + line.length + 1
        is_certain = not line.flags & TRUNCATED
    return at == end or not is_certain


# --- sending them


def send_as_new_streams(
    box: Box, session: Session, ids: Collection[str], say: Callable[[str], None]
) -> bool:
    """Send every log that has messages with these IDs; return whether none has a gap.

    Nothing is removed before all stored lines of a log are sent, and each message only once it is
    confirmed on both queues; repeating it changes no row. Raises Refused and Unavailable.
    """
    wanted: set[int] = set()
    slices = ((found.id, slice_) for _, found, slice_ in conflicts_in(box))

    def noted(name: str, slice_: Slice) -> Slice:
        if name in ids:
            wanted.add(slice_.stream.stream_id)
        return slice_

    logs = intruders(noted(name, slice_) for name, slice_ in slices)
    if not wanted:
        raise Refused("none of these messages is an identity conflict")
    streams = {number: new_stream(session, logs[number]) for number in sorted(wanted)}
    whole = [_gather(box, session, logs[number], new, say) for number, new in streams.items()]
    sent = 0
    for number, _, slice_ in conflicts_in(box):
        new = streams.get(slice_.stream.stream_id)
        if new is not None:
            _send(box, replace(slice_, stream=new))
            box.remove(number)
            sent += 1
    say(f"{sent:,} dead letters are sent as the new streams, to both queues")
    return all(whole)


def _gather(
    box: Box, session: Session, log: Intruder, new: Stream, say: Callable[[str], None]
) -> bool:
    """Send a log's lines stored under the stream it claimed; return whether none is missing."""
    claimed = f"stream {log.claimed.stream_id:016x}"
    lines, is_whole = 0, True
    for slice_ in filled(session, log, new):
        if isinstance(slice_, str):
            is_whole = False
            say(f"{claimed}: {slice_}: read the log again")
            continue
        _send(box, slice_)
        lines += slice_.lines
    say(
        f"{claimed}: the log that came second is stream {new.stream_id:016x} now, generation "
        f"{new.generation}; {how_many(lines, 'line')} of it, stored under the old one, sent along"
    )
    return is_whole


def _send(box: Box, slice_: Slice) -> None:
    for side in (LAKE_KEY, CLEAN_KEY):
        box.publish(routing_key(side, slice_.stream.source), slice_)
