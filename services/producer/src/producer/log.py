"""Reads one log in order: what is left of rotated files first, then the live one."""

from __future__ import annotations

import logging
import time
from contextlib import closing, suppress

from datastream.slices import Slice
from producer.files import LogFile
from producer.open_files import OpenFiles
from producer.reader import StreamReader, Truncated
from producer.state import PREFIX_BYTES

logger = logging.getLogger(__name__)


class Log:
    """Reads the open files of a log."""

    def __init__(self, files: OpenFiles) -> None:
        """`files` decides which files are open, and is told what reading them leads to."""
        self.files = files

    def next(self) -> tuple[StreamReader, Slice] | None:
        """Return the next slice and its reader; None when there is nothing to read for now.

        After None there may be more at once if `files.is_undecided`.
        """
        files = self.files
        files.look()
        if self._identify():
            # Other logs come first: the beginning of each is known before a first line is sent.
            files.is_undecided = True
            return None
        if files.remainders and not files.is_undecided and self._is_clear(files.remainders[0]):
            reader = files.remainders[0]
            try:
                slice_ = self._last_words(reader)
            except FileNotFoundError:
                files.is_undecided = True  # renamed or packed just now: the next look sees it
                return None
            if slice_ is not None:
                return reader, slice_
            files.remainders.remove(reader)
        for reader in list(files.readers):
            slice_ = self._next_of(reader)
            if slice_ is not None:
                stream = slice_.stream.stream_id
                if files.known.by_id[stream].prefix_length < PREFIX_BYTES:
                    files.note(reader)  # more of its beginning is known
                return reader, slice_
        return None

    @property
    def behind_bytes(self) -> int:
        """How many bytes are not confirmed."""
        return sum(reader.behind_bytes for reader in list(self.files.readers))

    @property
    def behind_seconds(self) -> float:
        """For how long there have been bytes that are not confirmed."""
        now = time.monotonic()
        behind = [reader for reader in list(self.files.readers) if reader.behind_bytes]
        return max((now - reader.caught_up_at for reader in behind), default=0.0)

    def _identify(self) -> bool:
        """Give every file that has a line its stream; return whether any got one."""
        files = self.files
        if all(reader.is_known for reader in files.readers):
            return False
        if not any(self._first_line(reader) is not None for reader in files.readers):
            return False
        if not files.is_undecided:
            # An empty log may have been filled, copied and truncated since the last look: another
            # look finds the copy, so that generations are counted in the same order each time.
            files.is_undecided = True
            files.look()
        if files.is_undecided or any(reader.is_lost for reader in files.readers):
            return False
        for reader in files.readers:
            first_line = self._first_line(reader)
            if first_line is not None:
                files.begin(reader, first_line)
                files.note(reader)
                logger.info(
                    "Reading from the beginning",
                    extra={
                        "file": reader.file.path,
                        "stream": f"{reader.stream.stream_id:016x}",
                        "format": files.source.format,
                    },
                )
        return True

    def _first_line(self, reader: StreamReader) -> bytes | None:
        """Return the first line of a file without a stream, if it is whole."""
        if reader.is_known or reader.is_lost:
            return None
        with suppress(OSError, Truncated):  # raised again when it is read
            return reader.first_line(is_complete=self._is_over(reader))
        return None

    def _next_of(self, reader: StreamReader) -> Slice | None:
        if reader.is_lost:
            return reader.remaining() if reader.is_known else None
        once = self.files.source.once
        try:
            # Before reading: what is written meanwhile must not change the answer.
            is_over = self._is_over(reader)
            reader.is_final = is_over and (once or self.files.is_quiet(reader))
            if not reader.is_known:
                reader.first_line(is_complete=is_over)  # for what it raises
                is_over = is_over and not reader.is_cut_short
                return None if reader.partial_line or not is_over else self._last_of(reader)
            slice_ = reader.next(may_pause=not once)
            if slice_ is None and is_over and not reader.is_paused and not reader.is_cut_short:
                slice_ = self._last_of(reader)
        except Truncated:
            self.files.lose(reader)
            return None
        except OSError as error:
            self.files.fail(reader, error)
            return None
        self.files.succeed(reader)
        return slice_

    def _last_of(self, reader: StreamReader) -> Slice | None:
        """Return the unterminated rest of a file that is over; without one, close the file."""
        slice_ = reader.rest() if reader.is_known else None
        if slice_ is None and reader is not self.files.live:
            self.files.finish(reader)
        return slice_

    def _is_over(self, reader: StreamReader) -> bool:
        """Say whether a file is not expected to grow."""
        files = self.files
        if files.source.once:
            return True
        if reader.file.is_packed and not reader.has_grown and not reader.is_cut_short:
            return True
        if reader is files.live or not files.is_quiet(reader):
            return False
        # While the new file is empty, the server may not have reopened its log.
        newest = files.live if files.is_followed else files.readers[-1]
        is_replaced = newest is not None and newest is not reader and newest.is_known
        return is_replaced or reader.file.is_deleted

    def _is_clear(self, reader: StreamReader) -> bool:
        """Say whether all files were seen that may be a copy of one that lost what was read."""
        return self.files.is_listed or self.files.is_quiet(reader)

    def _last_words(self, reader: StreamReader) -> Slice | None:
        """Return what is left of a truncated file; None if a copy has it.

        Raises FileNotFoundError when a file that may be the copy was renamed or removed.
        """
        files = self.files
        if reader.is_stale:
            return None  # the file still has it, and is opened again
        if not reader.is_known:
            # Its first line was not whole, or not sent yet.
            part = reader.partial_line
            if not part or self._is_in_a_file(part):
                return None
            line = part.partition(b"\n")[0]
            files.begin(reader, line[: files.source.limits.line_bytes])
            files.note(reader)
        entry = files.known.by_id.get(reader.stream.stream_id)
        if entry is None or entry.finished or entry.position != reader.position:
            return None  # it was read on in a copy
        if any(other.stream_id == reader.stream_id for other in files.readers):
            return None
        slice_ = reader.remaining()
        if slice_ is None:
            slice_ = reader.rest()
            if slice_ is not None:
                reader.give_up()
                files.note(reader)
        return slice_

    def _is_in_a_file(self, part: bytes) -> bool:
        """Say whether a file of the log begins with some bytes. Raises FileNotFoundError."""
        for reader in self.files.readers:  # under any name
            with suppress(OSError):
                if reader.file.read(0, len(part)) == part:
                    return True
        for path in self.files.there:
            try:
                with closing(LogFile(path)) as file:
                    if file.read(0, len(part)) == part:
                        return True
            except FileNotFoundError:
                raise
            except OSError:
                continue  # reported by the look
        return False
