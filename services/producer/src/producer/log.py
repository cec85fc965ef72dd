"""One log: the file that the server writes now, and the rotated ones before it."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from datastream.paths import printable
from datastream.privacy import skeleton
from datastream.slices import Slice
from producer.files import Identity, LogFile, siblings
from producer.known import KnownStreams
from producer.places import Place
from producer.reader import Limits, StreamReader, Truncated
from producer.readers import Readers, modified_at
from producer.troubles import Troubles

logger = logging.getLogger(__name__)

#: Seconds without growth after which a rotated file is done with, once there are lines in the new
#: one: the server has long reopened its log by then.
ROTATED_QUIET = 60.0
#: Seconds until rotated files that could not be read are tried again.
SCAN_AGAIN = 1.0
#: Seconds by which the time of a file's last change may be before the time of day: its clock is a
#: coarser one.
CLOCK_SLACK = 2.0


@dataclass(frozen=True, slots=True)
class Source:
    """What is read: a name for ever, the format of the lines, and the limits."""

    name: str
    format: str
    limits: Limits
    #: Read to the end and no further; a last line without its newline is sent as it stands.
    once: bool = False
    #: Lines are disguised before they are published: nor may a stream's id give its first one away.
    is_disguised: bool = False


class Log:
    """Reads one log in order: what is left of rotated files first, then the live one."""

    def __init__(
        self, path: str, source: Source, places: Iterable[Place], *, is_followed: bool = True
    ) -> None:
        """`places` is how far its streams are confirmed. Not followed: rotated files alone."""
        self.path = path
        self.name = printable(path)
        self._folder = str(Path(path).parent)
        #: Until when (Unix time) no file of this log can have been missed.
        self.seen_at = 0.0
        self._source = source
        self._is_followed = is_followed
        self._known = KnownStreams(source.name, self.name, source.format, places)
        self._open = Readers()
        self._troubles = Troubles(path, once=source.once)
        #: The live file is open, but reading it fails.
        self._is_failing = False
        #: Rotated files that were asked for, and are not taken up yet.
        self._listed: set[str] = set()
        #: Whether all rotated files were looked at, and when that was last tried (Unix time).
        self._is_scanned = False
        self._scanned_at = 0.0
        #: When the live file was last looked for (Unix time).
        self._looked_at = 0.0

    def take_up(self, seen_at: float, listed: Iterable[str] = ()) -> None:
        """Find the files again that were being read, by their content, and those since then.

        `seen_at` is until when none can have been missed (Unix time). Of the rotated files, read
        are: the rest of those with a place, all of those that have changed since, and all that are
        `listed`; older ones were there before anybody asked for this log.
        """
        self.seen_at = seen_at
        self._listed = set(listed)
        unfinished = self._known.unfinished()
        if self._is_followed:
            self._look()
        else:
            self._take_up_rotated()
        self._identify()
        if self._open.live is None or not self._is_scanned:
            return  # what cannot be found now may be back together with the rest
        for place in unfinished:
            if place.stream_id not in self._open.stream_ids:
                self._known.finish(place)
                logger.warning(
                    "The file that was being read is gone; what was not read of it cannot be had",
                    extra={"path": self.path, "position": place.position},
                )

    def follow(self) -> None:
        """Read the live file as well, from now on."""
        self._is_followed = True

    def look(self) -> None:
        """Open the live file when it appeared or was replaced; read none of it."""
        if self._is_followed:
            self._look()

    def next(self) -> tuple[StreamReader, Slice] | None:
        """Return the next slice and its reader, or None when there is no more for now."""
        before: list[StreamReader] | None = None
        while before != self.readers:
            # One that was truncated or read to its end may have another one in its place.
            if self._is_followed:
                self._look()
            self._identify()
            before = self.readers
            for reader in before:
                piece = self._next_of(reader)
                if piece is not None:
                    return reader, piece
        return None

    def note(self, reader: StreamReader) -> None:
        """Note how far a reader is confirmed."""
        self._known.note(reader.place)

    def places(self) -> list[Place]:
        """Return how far each stream is confirmed."""
        return self._known.places()

    def close(self) -> None:
        """Close every file."""
        self._open.close()

    @property
    def readers(self) -> list[StreamReader]:
        """The files that are being read, oldest first."""
        return list(self._open)

    @property
    def trouble(self) -> str:
        """Why the live file cannot be read just now; empty when it can."""
        return self._troubles.of(self.path)

    @property
    def unread(self) -> dict[str, str]:
        """The files that could not be read, or not to their end, and why."""
        others = {self._folder}
        if self._open.live is not None and not self._is_failing:
            others.add(self.path)  # moved away, perhaps, but read
        unread = dict.fromkeys(self._listed - {self.path}, os.strerror(errno.ENOENT))
        unread |= self._troubles.all()
        return {path: words for path, words in unread.items() if path not in others}

    @property
    def behind_bytes(self) -> int:
        """How many bytes are not confirmed."""
        return self._open.behind_bytes

    @property
    def behind_seconds(self) -> float:
        """For how long there have been bytes that are not confirmed."""
        return self._open.behind_seconds

    # Which files there are.

    def _look(self) -> None:
        """Notice that the live file appeared or was replaced by another one."""
        looked_at = self._looked_at = time.time()
        try:
            status = Path(self.path).stat()
            live = self._open.live
            if live is None or live.file.identity != (status.st_dev, status.st_ino):
                self._open_live()
        except OSError as error:
            self._troubles.tell(self.path, error)
            self._looked_at = 0.0  # one may have come and gone
        else:
            if not self._is_failing and self._troubles.end(self.path):
                logger.info("Log can be read now", extra={"path": self.path})
        if not self._is_scanned and looked_at - self._scanned_at >= SCAN_AGAIN:
            self._take_up_rotated()

    def _saw_all(self) -> None:
        """Note that no file before the last look can have been missed.

        Not as long as one has no line: it has no place to be found again by, only its time; and
        nothing tells whether it was filled, copied and truncated.
        """
        if self._is_scanned and all(reader.is_known for reader in self._open):
            self.seen_at = max(self.seen_at, self._looked_at - CLOCK_SLACK)

    def _open_live(self) -> None:
        """Open the live file, and first what is left of the one before and of any between."""
        file = LogFile(self.path)
        if self._open.live is not None:
            logger.info(
                "Log was rotated; reading the old file to its end, then the new one",
                extra={"path": self.path, "position": self._open.live.position},
            )
            self._open.rotate()
        self._is_failing = False
        try:
            place = self._known.place_in(file, self._open.stream_ids)
            if place is not None and place.identity == file.identity:
                # Before a copy of it could be taken for it.
                self._open.live = self._resume(file, place)
            self._take_up_rotated(but=file.identity)
            if self._open.live is None:
                place = self._known.place_in(file, self._open.stream_ids)
                if place is None or place.stream_id in self._open.stream_ids:
                    self._open.live = self._start(file)
                else:
                    self._open.live = self._resume(file, place)
        except OSError:
            file.close()
            raise

    def _take_up_rotated(self, but: Identity | None = None) -> None:
        """Read the rotated files that are not read yet: see take_up()."""
        self._scanned_at = time.time()
        self._is_scanned = True
        try:
            found = siblings(self.path)
        except FileNotFoundError:
            return
        except OSError as error:
            self._is_scanned = False
            self._troubles.tell(self._folder, error)
            return
        self._troubles.end(self._folder)
        for sibling in found:
            is_listed = sibling.path in self._listed
            if not is_listed and (sibling.is_being_packed or not self._is_followed):
                continue
            if sibling.identity in {but, *self._open.identities}:
                continue
            is_new = is_listed or sibling.modified_at > self.seen_at
            self._take_up_one(sibling.path, is_new=is_new)
            if not self._troubles.of(sibling.path):
                self._listed.discard(sibling.path)
        self._open.sort_rotated()

    def _take_up_one(self, path: str, *, is_new: bool) -> None:
        """Read a rotated file if there is anything left to read in it."""
        if not is_new and all(
            place.stream_id in self._open.stream_ids for place in self._known.unfinished()
        ):
            return
        try:
            file = LogFile(path)
        except FileNotFoundError:
            self._is_scanned = False  # renamed or packed just now
            return
        except OSError as error:
            self._is_scanned = False
            self._troubles.tell(path, error)
            return
        self._troubles.end(path)
        reader = None
        try:
            reader = self._reader_of(file, is_new=is_new)
        except OSError as error:  # damaged, or not whole yet
            self._troubles.tell(path, error)
        if reader is None:
            file.close()
        else:
            self._open.add_rotated(reader)

    def _reader_of(self, file: LogFile, *, is_new: bool) -> StreamReader | None:
        """Return a reader of what is left to read in a rotated file; None when nothing is."""
        is_read = self._open.stream_ids
        place = self._known.place_in(file, is_read)
        if place is None:
            if not is_new or self._is_begun(file):
                return None
            if self._known.is_cut_short(file):
                logger.info(
                    "Rotated file lacks the end of what was read before; leaving it alone",
                    extra={"file": file.path},
                )
                return None
            return self._start(file)
        has_grown = is_new and (file.size() or 0) > place.position
        if place.stream_id in is_read or (place.finished and not has_grown):
            return None
        return self._resume(file, place)

    def _is_begun(self, file: LogFile) -> bool:
        """Say whether a file begins with the one line, not whole yet, of one that is read."""
        for reader in self._open:
            if not reader.is_known:
                self._first_line(reader)  # reads on
                part = reader.partial_line
                if part and file.read(0, len(part)) == part:
                    return True
        return False

    # Which streams they are.

    def _start(self, file: LogFile) -> StreamReader:
        return StreamReader(file, self._source.limits)

    def _resume(self, file: LogFile, place: Place) -> StreamReader:
        logger.info(
            "Reading on where the checkpoint says",
            extra={"file": file.path, "position": place.position},
        )
        return StreamReader(file, self._source.limits, self._known.stream(place), place)

    def _identify(self) -> None:
        """Give every file its stream as soon as it has a line, so that it has a place at once."""
        if not any(self._first_line(reader) is not None for reader in self._open):
            return
        if any(reader.is_known and reader.is_truncated() for reader in self._open):
            return  # that is dealt with first: what is there now is older
        # While a log was empty nothing told whether it was filled, copied and truncated: what was
        # before comes first, so that generations are counted in the same order by everybody.
        self._take_up_rotated()
        # The live file is the newest one, unless it is moved away and others came since.
        is_away = self._looked_at == 0.0
        for reader in sorted(self._open, key=modified_at) if is_away else self._open:
            first_line = self._first_line(reader)
            if first_line is not None:
                reader.begin(self._known.new(self._named(first_line)))
                self.note(reader)
                logger.info(
                    "Reading from the beginning",
                    extra={
                        "file": reader.file.path,
                        "stream": f"{reader.stream.stream_id:016x}",
                        "format": self._source.format,
                    },
                )

    def _named(self, line: bytes) -> bytes:
        """Return what a stream's id is made of."""
        return skeleton(line) if self._source.is_disguised else line

    def _first_line(self, reader: StreamReader) -> bytes | None:
        """Return the first line of a file without a stream, when it is there."""
        if reader.is_known:
            return None
        with suppress(OSError, Truncated):  # comes again when it is read
            return reader.first_line(is_complete=self._is_over(reader))
        return None

    # What is in them.

    def _next_of(self, reader: StreamReader) -> Slice | None:
        try:
            # Asked before reading: what arrives while it is read is no reason to wait, nor to end.
            is_over = self._is_over(reader)
            if not reader.is_known:
                reader.first_line(is_complete=is_over)  # raises what there is to raise
                return None if reader.partial_line or not is_over else self._last_of(reader)
            piece = reader.next(may_pause=not self._source.once)
            if piece is None and is_over and not reader.is_paused:
                piece = self._last_of(reader)
        except Truncated:
            return self._truncated(reader)
        except OSError as error:
            self._failed(reader, error)
            return None
        if reader is self._open.live:
            self._is_failing = False
            if piece is None and not reader.is_paused:
                # All of it was read, so it was not truncated either.
                self._saw_all()
        return piece

    def _is_over(self, reader: StreamReader) -> bool:
        """Say whether a file cannot grow any more."""
        if self._source.once or reader.file.is_complete:
            return True
        # While there is nothing in the new file, the server may not have reopened its log.
        live = self._open.live
        is_replaced = not self._is_followed or (live is not None and live.is_known)
        is_quiet = time.monotonic() - reader.grew_at > ROTATED_QUIET
        return reader is not live and is_replaced and is_quiet

    def _last_of(self, reader: StreamReader) -> Slice | None:
        """Return the unterminated rest of a file that cannot grow any more; else finish with it."""
        piece = reader.rest() if reader.is_known else None
        if piece is None and reader is not self._open.live:
            self._drop(reader)
            if reader.is_known:
                self._known.finish(reader.place)
            logger.info("Read a rotated file to its end", extra={"file": reader.file.path})
        return piece

    def _truncated(self, reader: StreamReader) -> Slice | None:
        """Go on after a file was truncated: with a copy of what it held, if there is one."""
        logger.warning(
            "Log was truncated; reading it from its beginning as a new stream",
            extra={"path": reader.file.path, "position": reader.position},
        )
        self._drop(reader)
        self._take_up_rotated()
        if not reader.is_known:
            # Not even its first line was whole. In a copy it may be.
            part = reader.partial_line
            if any(other.file.read(0, len(part)) == part for other in self._open.rotated):
                return None
            reader.begin(self._known.new(self._named(part[: self._source.limits.line_bytes])))
        elif reader.stream.stream_id in self._open.stream_ids:
            return None
        reader.give_up()
        self.note(reader)
        return reader.rest()

    def _failed(self, reader: StreamReader, error: OSError) -> None:
        if reader is self._open.live:
            self._is_failing = True
            self._troubles.tell(self.path, error)
            return
        # Its place stays unfinished: the next rotation, or start, tries again from there.
        trouble = self._troubles.note(reader.file.path, error)
        logger.error(
            "Rotated file cannot be read on; what was read of it is kept",
            extra={"file": reader.file.path, "error": trouble, "position": reader.position},
        )
        self._drop(reader)

    def _drop(self, reader: StreamReader) -> None:
        """Close a file, and forget the oldest streams that are not read any more."""
        self._open.drop(reader)
        self._known.forget(self._open.stream_ids)
