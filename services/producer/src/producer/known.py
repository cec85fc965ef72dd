"""The streams of one log: which are known, and which of them is in a file."""

from __future__ import annotations

import logging
import socket
from collections.abc import Collection, Iterable
from dataclasses import replace

from datastream.streams import Stream, stream_id
from producer.files import LogFile
from producer.places import PREFIX_BYTES, Place

logger = logging.getLogger(__name__)

#: How many streams of a log are remembered that are not read any more, so that their files are
#: known.
REMEMBERED = 100


class KnownStreams:
    """The streams of one log by their ids, with the place of each; the oldest first."""

    def __init__(self, source: str, log: str, line_format: str, places: Iterable[Place]) -> None:
        self._source = source
        self._log = log
        self._format = line_format
        self._places = {place.stream_id: place for place in places}

    def places(self) -> list[Place]:
        """Return every place."""
        return list(self._places.values())

    def unfinished(self) -> list[Place]:
        """Return the places of files that were not read to their end."""
        return [place for place in self._places.values() if not place.finished]

    def note(self, place: Place) -> None:
        """Note how far a stream is confirmed."""
        self._places[place.stream_id] = place

    def finish(self, place: Place) -> None:
        """Note that there is nothing left to read of a stream."""
        self.note(replace(place, finished=True))

    def forget(self, is_read: Collection[int]) -> None:
        """Forget the oldest of the streams that are not being read, where they are too many."""
        others = [number for number in self._places if number not in is_read]
        for number in others[:-REMEMBERED]:
            del self._places[number]

    def place_in(self, file: LogFile, is_read: Collection[int]) -> Place | None:
        """Return the place that was noted in a file or its original; of several, the surest.

        `is_read` are the streams that another file is being read for. Raises OSError.
        """
        head = file.read(0, PREFIX_BYTES)
        return max(
            (p for p in self._places.values() if p.begins(head) and file.holds(p)),
            key=lambda p: (p.identity == file.identity, p.position, p.stream_id not in is_read),
            default=None,
        )

    def is_cut_short(self, file: LogFile) -> bool:
        """Say whether a file is a copy, of what was read, without its end. Raises OSError.

        One that is still being packed, for example, or that was made a moment before a line was
        written, read and truncated away.
        """
        head = file.read(0, PREFIX_BYTES)
        return any(
            p.prefix_length == PREFIX_BYTES and p.begins(head) and not file.reaches(p.position)
            for p in self._places.values()
        )

    def new(self, first_line: bytes) -> Stream:
        """Return a stream that begins with a line: of the generations of it, the next."""
        generation = 0
        while (
            number := stream_id(self._source, self._log, first_line, generation)
        ) in self._places:
            generation += 1
        return self._stream(number, generation)

    def stream(self, place: Place) -> Stream:
        """Return the stream of a place."""
        return self._stream(place.stream_id, place.generation)

    def _stream(self, number: int, generation: int) -> Stream:
        host = socket.gethostname()
        return Stream(number, self._source, host, self._log, self._format, generation)
