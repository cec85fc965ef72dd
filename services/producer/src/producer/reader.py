"""Reads one stream: cuts a file into slices of whole lines."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace

from datastream.packed import CutShort
from datastream.parsing import begins, has_entries, whole
from datastream.slices import TRUNCATED, UNTERMINATED, Slice
from datastream.streams import Stream
from producer.files import LogFile, Version
from producer.settings import SliceLimits
from producer.state import MARKER_BYTES, PREFIX_BYTES, Entry, fingerprint

#: Seconds after which a file is read again although its size and time are unchanged.
COMPARE_EVERY = 1.0
#: Bytes of a line over the limit that are skipped before other logs get their turn.
PASSED_OVER = 16 * 1024**2
#: Enough of a line to see whether an entry of an error log begins there.
_BEGINNING_BYTES = 128


class Truncated(Exception):
    """The bytes before the position are no longer the ones that were read there."""


class StreamReader:
    """Reads one file, from its beginning or from the position of an entry.

    Without an entry its stream is unknown until begin(), which is called once first_line() has
    returned a line. Then next() and rest() return a slice, and confirm() must follow before the
    next one; `entry` is how far that has come. At most a slice and a line are kept in memory.
    """

    def __init__(
        self,
        file: LogFile,
        limits: SliceLimits,
        stream: Stream | None = None,
        entry: Entry | None = None,
    ) -> None:
        """Read on from the position of an entry, or from the beginning.

        Raises OSError, and Truncated when the bytes before the position are not those of the entry.
        """
        self.file = file
        self._stream = stream
        self._limits = limits
        #: The first byte that is not confirmed.
        self.position = entry.position if entry else 0
        #: The first byte that is in no slice yet; always the beginning of a line.
        self._next = self.position
        #: The first byte that is not read yet, and the bytes that are read and in no slice yet.
        self._unread = self.position
        self._pending = b""
        #: Inside a line over the limit: its head is sent, its rest is skipped.
        self._skipping = False
        #: rest() has returned the pending bytes.
        self._rest_sent = False
        #: The last next() stopped inside such a line to give other logs a turn: there is more.
        self.is_paused = False
        #: So it did for the rest of an entry, since the last slice.
        self._has_waited = False
        #: See lose().
        self.is_lost = self.is_stale = False
        #: A packed file ended before its end mark: the rest may still be being written.
        self.is_cut_short = False
        #: A packed file that grew after it was finished: it is written to like a log.
        self.has_grown = False
        #: Nothing more is expected, so that a packed file without an end mark is damaged.
        self.is_final = False
        self._is_gone = False
        self._read_at_ms = 0
        #: The version of the file at whose end the last read stopped, and when (monotonic).
        self._ended: Version | None = None
        self._ended_at = 0.0
        self._prefix = file.read(0, min(PREFIX_BYTES, self.position))
        #: The bytes just before `position`, `_next` and `_unread`.
        marker = min(MARKER_BYTES, self.position)
        self._marker = self._next_marker = self._tail = file.read(self.position - marker, marker)
        #: When there was last something to read, and when there was last nothing (monotonic).
        self.grew_at = self.caught_up_at = time.monotonic()
        if entry is not None:
            if fingerprint(self._marker) != entry.marker:
                raise Truncated
            # The bytes before the position may be the same in every file, or there are none: a
            # truncation shows in what is read from there on.
            self._fill()

    @property
    def is_known(self) -> bool:
        """Whether it is known which stream this is."""
        return self._stream is not None

    @property
    def stream(self) -> Stream:
        """The stream. Raises ValueError until begin() is called."""
        if self._stream is None:
            raise ValueError("the stream is not known yet")
        return self._stream

    @property
    def stream_id(self) -> int | None:
        """The id of the stream; None while it is unknown."""
        return None if self._stream is None else self._stream.stream_id

    def first_line(self, *, is_complete: bool) -> bytes | None:
        """Return the first line, up to the limit of a line; None while it is not whole.

        `is_complete`: the file will not grow, so that a line without a newline is whole. Raises
        Truncated and OSError.
        """
        limit = self._limits.line_bytes
        while b"\n" not in self._pending and len(self._pending) <= limit:
            if self._is_quiet() or not self._fill():
                break
        line, newline, _ = self._pending.partition(b"\n")
        if newline or len(line) > limit or (line and is_complete):
            return line[:limit]
        return None

    def begin(self, stream: Stream) -> None:
        """Set the stream."""
        self._stream = stream

    @property
    def is_in_hand(self) -> bool:
        """Whether a slice was returned that is not confirmed yet."""
        return self._next != self.position

    @property
    def is_drained(self) -> bool:
        """Whether everything in the file is confirmed, except a line that is not whole."""
        return not self.is_in_hand and not self.has_lines and self.is_at_end

    @property
    def end(self) -> int:
        """The offset up to which the file was read."""
        return self._unread

    @property
    def is_at_end(self) -> bool:
        """Whether the file has not changed since there was nothing more to read."""
        with suppress(OSError):
            return self._ended is not None and self._ended == self.file.version
        return False

    def is_unchanged(self, version: Version) -> bool:
        """Say whether a plain file of this version has not changed since it was read to its end."""
        if self.file.is_packed or version != self._ended:
            return False
        self.caught_up_at = time.monotonic()
        return True

    def is_truncated(self) -> bool:
        """Say whether the bytes read last are no longer in the file."""
        try:
            if self.file.is_packed:
                return False
            before = len(self._tail)
            return self.file.read(self._unread - before, before) != self._tail
        except OSError:
            return False

    def next(self, *, may_pause: bool = False) -> Slice | None:
        """Return the next slice, or None while there is no whole line.

        With `may_pause` also None, and `is_paused`, after skipping PASSED_OVER bytes of a line, and
        once where an entry of an error log is just being written. Raises Truncated and OSError.
        """
        self.is_paused = False
        if self._is_quiet():
            return None
        if self._skipping:
            self._skip()
        begin = self._unread
        try:
            while not self.is_paused and not self._is_enough() and self._fill():
                read = self._unread - begin
                self.is_paused = may_pause and self._skipping and read >= PASSED_OVER
        except Truncated:
            # The whole lines read before that belong to this stream all the same.
            slice_ = self._cut()
            if slice_ is None:
                raise
            return slice_
        if may_pause and not self._has_waited and self._is_half_written():
            self.is_paused = self._has_waited = True
            return None
        self._has_waited = False
        return self._cut()

    def rest(self) -> Slice | None:
        """Return the last line, flagged as unterminated; None without one, or the second time."""
        if not self._pending or self._skipping or self._rest_sent:
            return None
        self._rest_sent = True
        return self._slice(self._pending, 1, UNTERMINATED)

    def confirm(self) -> None:
        """Note that the slice returned last is safe."""
        self.position = self._next
        if not self._skipping:
            self._marker = self._next_marker

    def lose(self, *, is_stale: bool = False) -> None:
        """Note that the file no longer holds what was read; what was read can still be sent.

        `is_stale`: it may hold it, but the descriptor can no longer be used.
        """
        self.is_lost = True
        self.is_stale = is_stale

    @property
    def has_lines(self) -> bool:
        """Whether whole lines, or a line over the limit, are read and in no slice yet."""
        is_whole = b"\n" in self._pending or len(self._pending) > self._limits.line_bytes
        return is_whole and not self._skipping

    def remaining(self) -> Slice | None:
        """Return the next slice of what was read, without reading on; None without a whole line."""
        return self._cut()

    def _is_quiet(self) -> bool:
        """Say whether a read can be saved: the file is unchanged, for COMPARE_EVERY at most."""
        is_skippable = self._skipping and self._pending != b""
        if self._ended is None or self.is_final or self.has_lines or is_skippable:
            return False
        now = time.monotonic()
        if now - self._ended_at >= COMPARE_EVERY or not self.is_at_end:
            return False
        self.caught_up_at = now
        return True

    def give_up(self) -> None:
        """Note that no file holds this stream."""
        self._is_gone = True

    @property
    def partial_line(self) -> bytes:
        """The bytes that are in no slice yet; of a known stream, a line that is not whole."""
        return self._pending

    @property
    def behind_bytes(self) -> int:
        """How many bytes are not confirmed; for a packed file, of those that are read."""
        size = self.file.size()
        return max(0, (self._unread if size is None else size) - self.position)

    @property
    def prefix_length(self) -> int:
        """The length of the fingerprinted beginning: up to PREFIX_BYTES, as far as it is read."""
        return len(self._prefix)

    @property
    def entry(self) -> Entry:
        """How far the stream is confirmed. Raises ValueError until begin() is called."""
        device, inode = self.file.identity
        return Entry(
            stream_id=self.stream.stream_id,
            path=self.stream.path,
            generation=self.stream.generation,
            device=device,
            inode=inode,
            position=self.position,
            prefix_length=self.prefix_length,
            prefix=fingerprint(self._prefix),
            marker="" if self._is_gone else fingerprint(self._marker),
            finished=self._is_gone,
        )

    def skipped(self) -> Entry:
        """Return an entry for a file that is not read: with a position behind its last whole line.

        For a packed file, behind the fingerprinted beginning. Raises OSError.
        """
        size = self.file.size()
        if size is None:
            position = len(self._prefix)
        else:
            begin = max(0, size - self._limits.line_bytes)
            position = begin + self.file.read(begin, size - begin).rfind(b"\n") + 1 or size
        length = min(position, MARKER_BYTES)
        return replace(
            self.entry,
            position=position,
            marker=fingerprint(self.file.read(position - length, length)),
            finished=True,
            length=size or 0,
            skipped=True,
        )

    def _is_enough(self) -> bool:
        """Say whether enough is read to cut a full slice, or the head of a line over the limit."""
        pending = self._pending
        return len(pending) > self._limits.slice_bytes and (
            b"\n" in pending or len(pending) > self._limits.line_bytes
        )

    def _fill(self) -> bool:
        """Read on; return whether there was anything. Raises Truncated and OSError."""
        # Before reading: what is written meanwhile is read the next time.
        version = self.file.version
        self.is_cut_short = False
        # Doubled each time, so that a very long line takes linear and not quadratic time.
        length = max(self._limits.slice_bytes, len(self._pending))
        if self.file.is_packed:
            try:
                chunk = self.file.read(self._unread, length)
            except CutShort:
                if self.is_final:
                    raise
                self.is_cut_short = True  # the rest is not written yet
                chunk = b""
        else:
            # A single read with the bytes before, so that the file cannot change in between; of
            # no more than the file holds.
            before = len(self._tail)
            there = max(0, version[2] - self._unread)
            data = self.file.read(self._unread - before, before + min(length, there))
            if data[:before] != self._tail:
                raise Truncated
            chunk = data[before:]
        if not chunk:
            self.caught_up_at = self._ended_at = time.monotonic()
            self._ended = version
            return False
        self._ended = None
        self._read_at_ms = time.time_ns() // 1_000_000
        self.grew_at = time.monotonic()
        self._rest_sent = False
        self._unread += len(chunk)
        if len(self._prefix) < PREFIX_BYTES:
            self._prefix += chunk[: PREFIX_BYTES - len(self._prefix)]
        self._tail = (self._tail + chunk[-MARKER_BYTES:])[-MARKER_BYTES:]
        self._pending += chunk
        if self._skipping:
            self._skip()
        return True

    def _skip(self) -> None:
        """Drop the rest of a line over the limit, as far as it is read."""
        end = self._pending.find(b"\n")
        if end < 0:
            self._drop(len(self._pending))
            return
        self._skipping = False
        self._drop(end + 1)
        # The position stays at the beginning of the line until its end is known.
        self._next = self.position = self._unread - len(self._pending)
        self._marker = self._next_marker

    def _cut(self) -> Slice | None:
        """Cut the next slice off what is read; return None without a whole line."""
        if self._skipping:
            return None
        limits = self._limits
        end = self._pending.rfind(b"\n", 0, limits.slice_bytes + 1)
        if end < 0:
            end = self._pending.find(b"\n")
        if end < 0:
            return self._cut_head() if len(self._pending) > limits.line_bytes else None
        lines = self._pending[:end].split(b"\n", limits.slice_lines)[: limits.slice_lines]
        if end > limits.line_bytes and max(map(len, lines)) > limits.line_bytes:
            intact = next(i for i, line in enumerate(lines) if len(line) > limits.line_bytes)
            if intact == 0:
                return self._cut_head()
            lines = lines[:intact]
        if has_entries(self.stream.format):
            lines = lines[: self._whole_entries(lines)]
        slice_ = self._slice(b"\n".join(lines), len(lines), 0)
        self._drop(len(slice_.body) + 1)
        self._next += len(slice_.body) + 1
        return slice_

    def _whole_entries(self, lines: list[bytes]) -> int:
        """Return how many of the lines to cut off, so that no entry of an error log is torn."""
        begin = sum(map(len, lines)) + len(lines)
        after = self._pending[begin : begin + _BEGINNING_BYTES]
        return whole(lines, after) if after else len(lines)

    def _is_half_written(self) -> bool:
        """Say whether an entry of an error log has whole lines and one that is none yet."""
        end = self._pending.rfind(b"\n") + 1
        rest = self._pending[end : end + _BEGINNING_BYTES]
        is_last = rest != b"" and len(self._pending) <= self._limits.slice_bytes
        return end > 0 and is_last and has_entries(self.stream.format) and not begins(rest)

    def _cut_head(self) -> Slice:
        """Cut the head off a line over the limit; its rest is skipped."""
        slice_ = self._slice(self._pending[: self._limits.line_bytes], 1, TRUNCATED)
        self._skipping = True
        return slice_

    def _drop(self, length: int) -> None:
        dropped = self._pending[:length]
        self._next_marker = (self._next_marker + dropped[-MARKER_BYTES:])[-MARKER_BYTES:]
        self._pending = self._pending[length:]

    def _slice(self, body: bytes, lines: int, flags: int) -> Slice:
        return Slice(self.stream, self._next, body, lines, flags, self._read_at_ms)
