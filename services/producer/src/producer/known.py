"""The streams of one log: how far each is confirmed, and which number the next one gets."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from datastream.streams import Stream, stream_id
from producer.places import PREFIX_BYTES, Place, fingerprint


class Generations:
    """The highest generation of each first line that was ever used, of all logs of a source.

    Kept for as long as the checkpoint lives: a generation that came again would give two lines one
    key. By the stream id that the first generation has.
    """

    def __init__(self, highest: dict[int, int]) -> None:
        #: Never changed, but replaced: whoever has it has it as it was.
        self.highest = highest

    def note(self, first: int, generation: int) -> None:
        """Note that a generation is used."""
        self.highest = {**self.highest, first: generation}


class KnownStreams:
    """The streams of one log by their ids, with the place of each; the oldest first."""

    def __init__(
        self,
        source: str,
        log: str,
        line_format: str,
        places: Iterable[Place],
        generations: Generations,
    ) -> None:
        self._source = source
        self._log = log
        self._format = line_format
        self._places = {place.stream_id: place for place in places}
        self._generations = generations

    @property
    def by_id(self) -> Mapping[int, Place]:
        """Every place, by its stream."""
        return self._places

    def places(self) -> list[Place]:
        """Return every place."""
        return list(self._places.values())

    def note(self, place: Place) -> None:
        """Note how far a stream is confirmed."""
        self._places[place.stream_id] = place

    def finish(self, place: Place, length: int = 0) -> None:
        """Note that there is nothing left to read of a stream, whose file holds so many bytes."""
        self.note(replace(place, finished=True, length=length))

    def forget(self, stream: int) -> None:
        """Forget a stream that no file holds. Its generation is never used again."""
        del self._places[stream]

    def alike(self, head: bytes) -> list[Place]:
        """Return the places of the streams that begin like a file with these first bytes."""
        by_length: dict[int, list[Place]] = defaultdict(list)
        for place in self._places.values():
            if place.prefix_length <= len(head):
                by_length[place.prefix_length].append(place)
        alike = []
        for length, places in by_length.items():
            prefix = fingerprint(head[: min(length, PREFIX_BYTES)])
            alike += [place for place in places if place.prefix == prefix]
        return alike

    def new(self, first_line: bytes) -> Stream:
        """Return a stream that begins with a line: of the generations of it, the next."""
        first = stream_id(self._source, self._log, first_line, 0)
        highest = self._generations.highest.get(first, -1)
        # A checkpoint of version 1 has no generations, but places.
        there = max((place.generation for place in self._places.values()), default=-1)
        for generation in range(there, highest, -1):
            if stream_id(self._source, self._log, first_line, generation) in self._places:
                highest = generation
                break
        self._generations.note(first, highest + 1)
        number = stream_id(self._source, self._log, first_line, highest + 1)
        return self._stream(number, self._log, highest + 1)

    def stream(self, place: Place) -> Stream:
        """Return the stream of a place."""
        return self._stream(place.stream_id, place.path, place.generation)

    def _stream(self, number: int, log: str, generation: int) -> Stream:
        host = socket.gethostname()
        return Stream(number, self._source, host, log, self._format, generation)
