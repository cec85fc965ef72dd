"""One log: the file that the server writes now, and the rotated ones before it."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from datastream.slices import Slice
from datastream.streams import Stream, stream_id
from producer.files import LogFile, Place, siblings
from producer.reader import Limits, StreamReader, Truncated

logger = logging.getLogger(__name__)

#: Seconds without growth after which a rotated file is done with: the server has long reopened
#: its log by then. Should it grow later, the next start finds it by its content.
ROTATED_QUIET = 60.0
#: How many streams of a log are remembered after their end, so that their files are known.
REMEMBERED = 100


@dataclass(frozen=True, slots=True)
class Source:
    """What is read: a name for ever, the format of the lines, and the limits."""

    name: str
    format: str
    limits: Limits
    #: Read to the end and no further; a last line without its newline is sent as it stands.
    once: bool = False


class Log:
    """Reads one log in order: what is left of rotated files first, then the live one."""

    def __init__(
        self, path: str, source: Source, places: Iterable[Place], *, is_followed: bool = True
    ) -> None:
        """`places` is how far its streams are confirmed. Not followed: rotated files alone."""
        self.path = path
        #: Why the live file cannot be read just now; empty when it can.
        self.trouble = ""
        #: The streams that are being read, oldest first.
        self.readers: list[StreamReader] = []
        self._source = source
        self._is_followed = is_followed
        self._places = {place.stream_id: place for place in places}
        self._live: StreamReader | None = None
        #: The live file, while it has no first line yet and so is no stream.
        self._nascent: LogFile | None = None
        #: When the live file was last seen to be the one that is read (Unix time).
        self._seen_at = 0.0

    def take_up(self, saved_at: float, listed: Collection[str]) -> None:
        """Find the files again that were being read, by their content, and those since then.

        `saved_at` is when the places were noted (Unix time). Of the rotated files, read are: the
        rest of those with a place, all of those that have changed since, and all that are
        `listed`; older ones were there before anybody asked for this log.
        """
        unfinished = [place for place in self._places.values() if not place.finished]
        self._take_up_rotated(saved_at, listed)
        if self._is_followed:
            self._look()
        for place in unfinished:
            if place.stream_id not in self._stream_ids():
                logger.warning(
                    "The file that was being read is gone; what was not read of it cannot be had",
                    extra={"path": self.path, "position": place.position},
                )

    def next(self) -> tuple[StreamReader, Slice] | None:
        """Return the next slice and its reader, or None when there is no more for now."""
        again = True
        while again:
            again = False
            if self._is_followed:
                self._look()
            for reader in list(self.readers):
                piece = self._next_of(reader)
                if piece is not None:
                    return reader, piece
                # It was truncated or read to its end: there may be another one in its place.
                again = again or reader not in self.readers
        return None

    def note(self, reader: StreamReader) -> None:
        """Note how far a reader is confirmed."""
        place = reader.place
        if place is not None:
            self._places[place.stream_id] = place

    def places(self) -> list[Place]:
        """Return how far each stream is confirmed."""
        finished = [place for place in self._places.values() if place.finished]
        for place in finished[:-REMEMBERED]:
            del self._places[place.stream_id]
        return list(self._places.values())

    @property
    def behind_bytes(self) -> int:
        """How many bytes are not confirmed."""
        return sum(reader.behind_bytes for reader in list(self.readers))

    @property
    def behind_seconds(self) -> float:
        """For how long there have been bytes that are not confirmed."""
        now = time.monotonic()
        waiting = [r.caught_up_at for r in list(self.readers) if r.behind_bytes]
        return max((now - since for since in waiting), default=0.0)

    def _take_up_rotated(self, since: float, listed: Collection[str] = ()) -> None:
        """Read the rotated files that are not read yet: see take_up()."""
        unfinished = [place for place in self._places.values() if not place.finished]
        for path in siblings(self.path):
            file = self._open(path)
            if file is None:
                continue
            is_new = path in listed or 0 < since < file.modified_at
            place = _find(file, self._places.values() if is_new else unfinished)
            is_read = file.identity in {reader.file.identity for reader in self.readers}
            if is_read or (place is not None and place.stream_id in self._stream_ids()):
                file.close()
            elif place is not None:
                self._resume(file, place)
            elif not is_new or self._begin(file, is_complete=True) is None:
                file.close()

    def _look(self) -> None:
        """Notice that the live file appeared or was replaced by another one."""
        looked_at = time.time()
        try:
            status = Path(self.path).stat()
        except OSError as error:
            self._tell(self.path, error)
            return
        current = self._live.file if self._live else self._nascent
        if current is None or current.identity != (status.st_dev, status.st_ino):
            file = self._open(self.path)
            if file is None:
                return
            if current is not None:
                self._retire()
                # There may have been more than one since the last look: an outage is long.
                self._take_up_rotated(self._seen_at)
            self._nascent = file
        self._seen_at = looked_at
        if self._nascent is not None:
            self._try_to_begin(self._nascent)

    def _try_to_begin(self, file: LogFile) -> None:
        place = _find(file, self._places.values())
        if place is not None and place.stream_id not in self._stream_ids():
            self._nascent, self._live = None, self._resume(file, place)
        elif reader := self._begin(file, is_complete=self._source.once or file.is_complete):
            self._nascent, self._live = None, reader

    def _retire(self) -> None:
        """Let go of the live file: it was rotated, and is read to its end."""
        if self._live is not None:
            logger.info(
                "Log was rotated; reading the old file to its end, then the new one",
                extra={"path": self.path, "position": self._live.position},
            )
        elif self._nascent is not None:
            nascent, self._nascent = self._nascent, None
            if self._begin(nascent, is_complete=True) is None:
                nascent.close()
        self._live = None

    def _open(self, path: str) -> LogFile | None:
        try:
            file = LogFile(path)
        except OSError as error:
            self._tell(path, error)
            return None
        if path == self.path and self.trouble:
            logger.info("Log can be read now", extra={"path": self.path})
            self.trouble = ""
        return file

    def _tell(self, path: str, error: OSError) -> None:
        trouble = error.strerror or "cannot be read"
        if path != self.path:
            logger.warning("Rotated file cannot be read", extra={"file": path, "error": trouble})
        elif trouble != self.trouble:
            self.trouble = trouble
            logger.warning(
                "Log cannot be read, waiting for it", extra={"path": path, "error": trouble}
            )

    def _resume(self, file: LogFile, place: Place) -> StreamReader:
        stream = self._stream(place.stream_id, place.generation)
        logger.info(
            "Reading on where the checkpoint says",
            extra={"file": file.path, "position": place.position},
        )
        return self._add(StreamReader(file, stream, self._source.limits, place))

    def _begin(self, file: LogFile, *, is_complete: bool) -> StreamReader | None:
        """Begin a new stream; return None while there is no first line to know it by."""
        first_line = _first_line(file, self._source.limits.line_bytes, is_complete=is_complete)
        if first_line is None:
            return None
        generation = 0
        while (
            number := stream_id(self._source.name, self.path, first_line, generation)
        ) in self._places:
            generation += 1
        logger.info(
            "Reading from the beginning",
            extra={"file": file.path, "stream": f"{number:016x}", "format": self._source.format},
        )
        stream = self._stream(number, generation)
        return self._add(StreamReader(file, stream, self._source.limits))

    def _stream(self, number: int, generation: int) -> Stream:
        return Stream(
            number,
            self._source.name,
            socket.gethostname(),
            self.path,
            self._source.format,
            generation,
        )

    def _add(self, reader: StreamReader) -> StreamReader:
        self.readers.append(reader)
        return reader

    def _stream_ids(self) -> set[int]:
        return {reader.stream.stream_id for reader in self.readers}

    def _next_of(self, reader: StreamReader) -> Slice | None:
        try:
            return reader.next() or self._last_of(reader)
        except Truncated:
            return self._truncated(reader)
        except (OSError, EOFError) as error:
            # Its place stays unfinished: the next start tries again from there.
            logger.error(  # noqa: TRY400 - the traceback says nothing that this does not
                "File cannot be read on; what was read of it is kept",
                extra={"file": reader.file.path, "error": str(error), "position": reader.position},
            )
            self._drop(reader)
            return None

    def _last_of(self, reader: StreamReader) -> Slice | None:
        """Return the unterminated rest of a file that cannot grow any more; else finish with it."""
        is_quiet = time.monotonic() - reader.grew_at > ROTATED_QUIET
        is_rotated = reader is not self._live
        if not (self._source.once or reader.file.is_complete or (is_rotated and is_quiet)):
            return None
        piece = reader.rest()
        if piece is None and is_rotated:
            self._finish(reader)
        return piece

    def _truncated(self, reader: StreamReader) -> Slice | None:
        """Go on after a file was truncated: with a copy of what it held, if there is one."""
        logger.warning(
            "Log was truncated; reading it from its beginning as a new stream",
            extra={"path": self.path, "position": reader.position},
        )
        place = reader.place
        self._drop(reader)
        if place is not None:
            for path in reversed(siblings(self.path)):
                copy = self._open(path)
                if copy is not None and copy.holds(place):
                    self._resume(copy, place)
                    return None
                if copy is not None:
                    copy.close()
        return reader.rest()

    def _finish(self, reader: StreamReader) -> None:
        """Close a file that is read to its end, and remember that it is."""
        self._drop(reader)
        place = reader.place
        if place is not None:
            self._places[place.stream_id] = replace(place, finished=True)
        logger.info("Read a rotated file to its end", extra={"file": reader.file.path})

    def _drop(self, reader: StreamReader) -> None:
        self.readers.remove(reader)
        reader.file.close()
        if reader is self._live:
            self._live = None


def _find(file: LogFile, places: Iterable[Place]) -> Place | None:
    """Return the place that was noted in this file: of several, the one furthest on."""
    for place in sorted(places, key=lambda place: -place.position):
        if file.holds(place):
            return place
    return None


def _first_line(file: LogFile, limit: int, *, is_complete: bool) -> bytes | None:
    """Return the first line, up to a limit; None while it is not all there."""
    data = b""
    while b"\n" not in data and len(data) <= limit:
        chunk = file.read(len(data), 64 * 1024)
        if not chunk:
            break
        data += chunk
    line, newline, _ = data.partition(b"\n")
    if newline or len(line) > limit or (line and is_complete):
        return line[:limit]
    return None
