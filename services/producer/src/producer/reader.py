"""Reads one stream: cuts a file into slices of whole lines."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from datastream.slices import TRUNCATED, UNTERMINATED, Slice
from datastream.streams import Stream
from producer.files import LogFile
from producer.places import MARKER_BYTES, PREFIX_BYTES, Place, fingerprint

#: Bytes of a line over the limit that are passed over before others get their turn.
PASSED_OVER = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a slice may grow while the producer is behind, and how long a line may be."""

    slice_lines: int
    slice_bytes: int
    line_bytes: int


class Truncated(Exception):
    """The bytes before the position are no longer the ones that were read there."""


class StreamReader:
    """Reads one file, from its beginning or from a place in it.

    It has no stream before `begin` says, by the `first_line`, which one it is. Then `next` and
    `rest` hand out one slice; `confirm` says that it is safe, before the next is asked for; `place`
    is how far that has come. What is read and not handed out is kept here: at most a slice and a
    line.
    """

    def __init__(
        self,
        file: LogFile,
        limits: Limits,
        stream: Stream | None = None,
        place: Place | None = None,
    ) -> None:
        """Read on from a place, or read a file from its beginning. Raises OSError."""
        self.file = file
        self._stream = stream
        self._limits = limits
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
        #: The last next() ended inside such a line for the sake of other logs: there is more.
        self.is_paused = False
        self._is_gone = False
        self._read_at_ms = 0
        self._prefix = file.read(0, min(PREFIX_BYTES, self.position))
        #: The bytes just before `position`, `_next` and `_unread`.
        marker = min(MARKER_BYTES, self.position)
        self._marker = self._next_marker = self._tail = file.read(self.position - marker, marker)
        #: When there was last something to read, and when there was last no more (monotonic).
        self.grew_at = self.caught_up_at = time.monotonic()
        if place is not None:
            # The bytes before the position may be alike in every file, or none: only what is read
            # from there on tells that the file was truncated.
            self._fill()

    @property
    def is_known(self) -> bool:
        """Whether it is known which stream this is."""
        return self._stream is not None

    @property
    def stream(self) -> Stream:
        """The stream; a mistake to ask for before it is known."""
        if self._stream is None:
            raise ValueError("the stream is not known yet")
        return self._stream

    def first_line(self, *, is_complete: bool) -> bytes | None:
        """Return the first line, up to the limit of a line; None while it is not all there.

        `is_complete`: the file cannot grow any more. Raises Truncated and OSError.
        """
        limit = self._limits.line_bytes
        while b"\n" not in self._pending and len(self._pending) <= limit and self._fill():
            pass
        line, newline, _ = self._pending.partition(b"\n")
        if newline or len(line) > limit or (line and is_complete):
            return line[:limit]
        return None

    def begin(self, stream: Stream) -> None:
        """Say which stream this is."""
        self._stream = stream

    def is_truncated(self) -> bool:
        """Say whether the bytes that were read last are no longer there."""
        if self.file.is_complete:
            return False
        with suppress(OSError):
            before = len(self._tail)
            return self.file.read(self._unread - before, before) != self._tail
        return False

    def next(self, *, may_pause: bool = False) -> Slice | None:
        """Return the next slice, or None while there is no whole line.

        Also None, where that is allowed, after passing over so much of a line over the limit that
        other logs should have their turn. Raises Truncated and OSError.
        """
        if self._skipping:
            self._skip()
        begin = self._unread
        self.is_paused = False
        try:
            while not self.is_paused and not self._is_enough() and self._fill():
                read = self._unread - begin
                self.is_paused = may_pause and self._skipping and read >= PASSED_OVER
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
        self.position = self._next
        if not self._skipping:
            self._marker = self._next_marker

    def give_up(self) -> None:
        """Note that no file holds this stream any more."""
        self._is_gone = True

    @property
    def partial_line(self) -> bytes:
        """What is read of a line that is not whole."""
        return self._pending

    @property
    def behind_bytes(self) -> int:
        """How many bytes of the file are not confirmed; of a gzip file, of those that are read."""
        size = self.file.size()
        return max(0, (self._unread if size is None else size) - self.position)

    @property
    def place(self) -> Place:
        """How far the stream is confirmed."""
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
            marker="" if self._is_gone else fingerprint(self._marker),
            finished=self._is_gone,
        )

    def _is_enough(self) -> bool:
        """Say whether a slice can be cut: it is full, or a line is longer than a slice."""
        pending = self._pending
        return len(pending) > self._limits.slice_bytes and (
            b"\n" in pending or len(pending) > self._limits.line_bytes
        )

    def _fill(self) -> bool:
        """Read on; return whether there was anything. Raises Truncated and OSError."""
        # Twice as much each time, for a line far longer than a slice: not all of it once a slice.
        length = max(self._limits.slice_bytes, len(self._pending))
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
        limits = self._limits
        end = self._pending.rfind(b"\n", 0, limits.slice_bytes + 1)
        if end < 0:
            end = self._pending.find(b"\n")
        if end < 0:
            return self._cut_head() if len(self._pending) > limits.line_bytes else None
        lines = self._pending[:end].split(b"\n", limits.slice_lines)[: limits.slice_lines]
        if end > limits.line_bytes:
            whole = next((i for i, line in enumerate(lines) if len(line) > limits.line_bytes), None)
            if whole == 0:
                return self._cut_head()
            lines = lines[:whole]
        piece = self._slice(b"\n".join(lines), len(lines), 0)
        self._drop(len(piece.body) + 1)
        self._next += len(piece.body) + 1
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
