"""Sends logs that came second as streams of their own: `requeue --as-new-stream`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from datastream.mysql import Session
from datastream.rabbitmq import Box
from datastream.slices import Slice
from datastream.streams import Stream
from datastream.topology import CLEAN_KEY, LAKE_KEY, routing_key
from datastream_operator.dead_letters.new_stream import Intruder, filled, intruders, new_stream
from datastream_operator.dead_letters.waiting import conflicts_in
from datastream_operator.refused import Refused


def send_as_new_streams(
    box: Box, session: Session, ids: Collection[str], say: Callable[[str], None]
) -> bool:
    """Send every log that the messages of these IDs are of; return whether none has a gap.

    Nothing is removed before all that is stored of a log is sent, and each message only once it
    is confirmed on both queues; doing it again changes no row. Raises Refused and Unavailable.
    """
    wanted: set[int] = set()
    pieces = ((found.id, piece) for _, found, piece in conflicts_in(box))

    def noted(name: str, piece: Slice) -> Slice:
        if name in ids:
            wanted.add(piece.stream.stream_id)
        return piece

    logs = intruders(noted(name, piece) for name, piece in pieces)
    if not wanted:
        raise Refused("none of these messages is an identity conflict")
    streams = {number: new_stream(session, logs[number]) for number in sorted(wanted)}
    whole = [_gather(box, session, logs[number], new, say) for number, new in streams.items()]
    sent = 0
    for number, _, piece in conflicts_in(box):
        new = streams.get(piece.stream.stream_id)
        if new is not None:
            _send(box, replace(piece, stream=new))
            box.remove(number)
            sent += 1
    say(f"{sent:,} dead letters are sent as the new streams, to both queues")
    return all(whole)


def _gather(
    box: Box, session: Session, log: Intruder, new: Stream, say: Callable[[str], None]
) -> bool:
    """Send what is stored of a log under the stream it claimed; return whether that is all."""
    claimed = f"stream {log.claimed.stream_id:016x}"
    lines, is_whole = 0, True
    for piece in filled(session, log, new):
        if isinstance(piece, str):
            is_whole = False
            say(f"{claimed}: {piece}: read the log again")
            continue
        _send(box, piece)
        lines += piece.lines
    say(
        f"{claimed}: the log that came second is stream {new.stream_id:016x} now, generation "
        f"{new.generation}; {lines:,} lines of it, stored under the old one, are sent along"
    )
    return is_whole


def _send(box: Box, piece: Slice) -> None:
    for side in (LAKE_KEY, CLEAN_KEY):
        box.publish(routing_key(side, piece.stream.source), piece)
