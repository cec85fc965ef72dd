"""Reads one stream: cuts a file into slices of whole lines."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from datastream.slices import TRUNCATED, UNTERMINATED, Slice
from datastream.streams import Stream
from producer.files import MARKER_BYTES, PREFIX_BYTES, LogFile, Place, fingerprint


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a slice may grow while the producer is behind, and how long a line may be."""

    slice_lines: int
    slice_bytes: int
    line_bytes: int


class Truncated(Exception):
    """The bytes before the position are no longer the ones that were read there."""


class StreamReader:
    """Reads one stream, from its beginning or from a place in it.

    `next` and `rest` hand out one slice; `confirm` says that it is safe, before the next is asked
    for; `place` is how far that has come. What is read and not handed out is kept here: at most a
    slice and a line.
    """

    def __init__(
        self, file: LogFile, stream: Stream, limits: Limits, place: Place | None = None
    ) -> None:
        self.file = file
        self.stream = stream
        self._limits = limits
        self._too_long = re.compile(rb"[^\n]{%d}" % (limits.line_bytes + 1))
        #: The first byte that is not confirmed.
        self.position = place.position if place else 0
        #: The first byte that is in no slice yet; the beginning of a line.
        self._next = self.position
        #: The first byte that is not read yet, and what is read and in no slice yet.
        self._unread = self.position
        self._pending = b""
        #: Inside a line whose head is sent and whose rest is not.
        self._skipping = False
        self._rest_sent = False
        self._read_at_ms = 0
        marker = min(MARKER_BYTES, self.position)
        #: The bytes just before `position`, `_next` and `_unread`.
        self._marker = self._next_marker = self._tail = file.read(self.position - marker, marker)
        self._prefix = file.read(0, min(PREFIX_BYTES, self.position))
        self._is_known = place is not None
        #: When there was last something to read, and when there was last no more (monotonic).
        self.grew_at = self.caught_up_at = time.monotonic()

    def next(self) -> Slice | None:
        """Return the next slice, or None while there is no whole line.

        Raises Truncated, OSError, and EOFError for a gzip file that is cut short.
        """
        if self._skipping:
            self._skip()
        try:
            while not self._is_enough() and self._fill():
                pass
        except Truncated:
            # What was read before that is whole lines of this stream all the same.
            piece = self._cut()
            if piece is None:
                raise
            return piece
        return self._cut()

    def rest(self) -> Slice | None:
        """Return the last line, which has no newline, flagged; None when there is none to send."""
        if not self._pending or self._skipping or self._rest_sent:
            return None
        self._rest_sent = True
        return self._slice(self._pending, 1, UNTERMINATED)

    def confirm(self) -> None:
        """Note that what was handed out is safe."""
        self._is_known = True
        self.position = self._next
        if not self._skipping:
            self._marker = self._next_marker

    @property
    def behind_bytes(self) -> int:
        """How many bytes of the file are not confirmed; of a gzip file, of those that are read."""
        size = self.file.size()
        return max(0, (self._unread if size is None else size) - self.position)

    @property
    def place(self) -> Place | None:
        """How far the stream is confirmed; None while nothing is."""
        if not self._is_known:
            return None
        device, inode = self.file.identity
        return Place(
            stream_id=self.stream.stream_id,
            path=self.stream.path,
            generation=self.stream.generation,
            device=device,
            inode=inode,
            position=self.position,
            prefix_length=len(self._prefix),
            prefix=fingerprint(self._prefix),
            marker=fingerprint(self._marker),
        )

    def _is_enough(self) -> bool:
        """Say whether a slice can be cut: it is full, or a line is longer than a slice."""
        pending = self._pending
        return len(pending) > self._limits.slice_bytes and (
            b"\n" in pending or len(pending) > self._limits.line_bytes
        )

    def _fill(self) -> bool:
        """Read on; return whether there was anything."""
        length = self._limits.slice_bytes
        if self.file.is_complete:
            chunk = self.file.read(self._unread, length)
        else:
            # One read with the bytes before, so that nothing can change between the two.
            before = len(self._tail)
            data = self.file.read(self._unread - before, before + length)
            if data[:before] != self._tail:
                raise Truncated
            chunk = data[before:]
        if not chunk:
            self.caught_up_at = time.monotonic()
            return False
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
        """Drop the rest of a line whose head is sent, as far as it is read."""
        end = self._pending.find(b"\n")
        if end < 0:
            self._drop(len(self._pending))
            return
        self._skipping = False
        self._drop(end + 1)
        # Only now is the beginning of the next line known.
        self._next = self.position = self._unread - len(self._pending)
        self._marker = self._next_marker

    def _cut(self) -> Slice | None:
        """Cut the next slice off what is read; return None when no line is whole."""
        if self._skipping:
            return None
        pending, limits = self._pending, self._limits
        end = pending.rfind(b"\n", 0, limits.slice_bytes + 1)
        if end < 0:
            end = pending.find(b"\n")
        body = pending[:end] if end >= 0 else pending
        if len(body) > limits.line_bytes and (too_long := self._too_long.search(body)):
            if too_long.start() == 0:
                return self._cut_head()
            body = body[: too_long.start() - 1]
        elif end < 0:
            return None
        lines = body.count(b"\n") + 1
        if lines > limits.slice_lines:
            lines = limits.slice_lines
            body = body[: -len(body.split(b"\n", lines)[-1]) - 1]
        piece = self._slice(body, lines, 0)
        self._drop(len(body) + 1)
        self._next += len(body) + 1
        return piece

    def _cut_head(self) -> Slice:
        """Cut the head off a line over the limit; its rest is skipped."""
        piece = self._slice(self._pending[: self._limits.line_bytes], 1, TRUNCATED)
        self._skipping = True
        return piece

    def _drop(self, length: int) -> None:
        dropped = self._pending[:length]
        self._next_marker = (self._next_marker + dropped[-MARKER_BYTES:])[-MARKER_BYTES:]
        self._pending = self._pending[length:]

    def _slice(self, body: bytes, lines: int, flags: int) -> Slice:
        return Slice(self.stream, self._next, body, lines, flags, self._read_at_ms)
