"""Reads one stream: cuts a file into slices of whole lines."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace

from datastream.packed import CutShort
from datastream.slices import TRUNCATED, UNTERMINATED, Slice
from datastream.streams import Stream
from producer.files import LogFile, Version
from producer.state import MARKER_BYTES, PREFIX_BYTES, Entry, fingerprint

#: Seconds between two comparisons of a file whose size and time do not change with what was read.
COMPARE_EVERY = 1.0
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
    """Reads one file, from its beginning or from an entry in it.

    It has no stream before `begin` says, by the `first_line`, which one it is. Then `next` and
    `rest` hand out one slice; `confirm` says that it is safe, before the next is asked for; `entry`
    is how far that has come. What is read and not handed out is kept here: at most a slice and a
    line.
    """

    def __init__(
        self,
        file: LogFile,
        limits: Limits,
        stream: Stream | None = None,
        entry: Entry | None = None,
    ) -> None:
        """Read on from an entry, or read a file from its beginning.

        Raises OSError, and Truncated when the file does not hold what was read up to the entry.
        """
        self.file = file
        self._stream = stream
        self._limits = limits
        #: The first byte that is not confirmed.
        self.position = entry.position if entry else 0
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
        #: See lose().
        self.is_lost = self.is_stale = False
        #: The end that was reached is none: a packed file is not whole.
        self.is_cut_short = False
        #: It was read to an end that was none: a packed file that is written to like a log.
        self.has_grown = False
        #: Nothing more is waited for: a packed file that has no end is damaged.
        self.is_final = False
        self._is_gone = False
        self._read_at_ms = 0
        #: The file as it was when there was nothing more to read, and when that was (monotonic).
        self._ended: Version | None = None
        self._ended_at = 0.0
        self._prefix = file.read(0, min(PREFIX_BYTES, self.position))
        #: The bytes just before `position`, `_next` and `_unread`.
        marker = min(MARKER_BYTES, self.position)
        self._marker = self._next_marker = self._tail = file.read(self.position - marker, marker)
        #: When there was last something to read, and when there was last no more (monotonic).
        self.grew_at = self.caught_up_at = time.monotonic()
        if entry is not None:
            if fingerprint(self._marker) != entry.marker:
                raise Truncated
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
        while b"\n" not in self._pending and len(self._pending) <= limit:
            if self._is_quiet() or not self._fill():
                break
        line, newline, _ = self._pending.partition(b"\n")
        if newline or len(line) > limit or (line and is_complete):
            return line[:limit]
        return None

    def begin(self, stream: Stream) -> None:
        """Say which stream this is."""
        self._stream = stream

    @property
    def is_in_hand(self) -> bool:
        """Whether a slice was handed out that is not confirmed yet."""
        return self._next != self.position

    @property
    def is_drained(self) -> bool:
        """Whether all that the file holds is confirmed, but for a line that is not whole."""
        return not self.is_in_hand and not self.has_lines and self.is_at_end

    @property
    def end(self) -> int:
        """How many bytes were read."""
        return self._unread

    @property
    def is_at_end(self) -> bool:
        """Whether the file is as it was when there was nothing more to read."""
        with suppress(OSError):
            return self._ended is not None and self._ended == self.file.version
        return False

    @property
    def ended_length(self) -> int:
        """How long the file was when there was nothing more to read; -1 where there may be more."""
        return -1 if self._ended is None else self._ended[2]

    def is_unchanged(self, version: Version | None) -> bool:
        """Say whether a plain file, which is so now, holds what was read of it and no more."""
        now = time.monotonic()
        if version != self._ended or self.file.is_packed or self.is_truncated():
            return False
        self.caught_up_at = now
        return True

    def is_truncated(self) -> bool:
        """Say whether the bytes that were read last are no longer there."""
        try:
            if self.file.is_packed:
                return False
            before = len(self._tail)
            return self.file.read(self._unread - before, before) != self._tail
        except OSError:
            return False

    def next(self, *, may_pause: bool = False) -> Slice | None:
        """Return the next slice, or None while there is no whole line.

        Also None, where that is allowed, after passing over so much of a line over the limit that
        other logs should have their turn. Raises Truncated and OSError.
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

    def lose(self, *, is_stale: bool = False) -> None:
        """Note that the file does not hold what was read of it. What is read stays to be sent.

        Stale: the file may hold it, but cannot be read by this descriptor any more.
        """
        self.is_lost = True
        self.is_stale = is_stale

    @property
    def has_lines(self) -> bool:
        """Whether whole lines, or one over the limit, were read that are in no slice yet."""
        is_whole = b"\n" in self._pending or len(self._pending) > self._limits.line_bytes
        return is_whole and not self._skipping

    def remaining(self) -> Slice | None:
        """Return the next slice of what was read; None when no line is whole."""
        return self._cut()

    def _is_quiet(self) -> bool:
        """Say whether nothing can have come since there was nothing more, for a second at most."""
        is_skippable = self._skipping and self._pending != b""
        if self._ended is None or self.is_final or self.has_lines or is_skippable:
            return False
        now = time.monotonic()
        if now - self._ended_at >= COMPARE_EVERY or not self.is_at_end:
            return False
        self.caught_up_at = now
        return True

    def give_up(self) -> None:
        """Note that no file holds this stream any more."""
        self._is_gone = True

    @property
    def partial_line(self) -> bytes:
        """What was read and is in no slice yet: of a known stream, a line that is not whole."""
        return self._pending

    @property
    def behind_bytes(self) -> int:
        """How many bytes of the file are not confirmed; of a packed one, of those that are read."""
        size = self.file.size()
        return max(0, (self._unread if size is None else size) - self.position)

    @property
    def prefix_length(self) -> int:
        """How many bytes the file is known by: its first ones, as far as they are read."""
        return len(self._prefix)

    @property
    def entry(self) -> Entry:
        """How far the stream is confirmed."""
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
        """Return the entry of a file of which nothing is read: behind its last whole line.

        Of a packed one, behind what its beginning is known by. Raises OSError.
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
        """Say whether a slice can be cut: it is full, or a line is longer than a slice."""
        pending = self._pending
        return len(pending) > self._limits.slice_bytes and (
            b"\n" in pending or len(pending) > self._limits.line_bytes
        )

    def _fill(self) -> bool:
        """Read on; return whether there was anything. Raises Truncated and OSError."""
        # Asked before reading: what comes while it is read is read the next time.
        version = self.file.version
        self.is_cut_short = False
        # Twice as much each time, for a line far longer than a slice: not all of it once a slice.
        length = max(self._limits.slice_bytes, len(self._pending))
        if self.file.is_packed:
            try:
                chunk = self.file.read(self._unread, length)
            except CutShort:
                if self.is_final:
                    raise
                self.is_cut_short = True  # the rest of it is not written yet
                chunk = b""
        else:
            # One read with the bytes before, so that nothing can change between the two; of no
            # more than there is.
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
        if end > limits.line_bytes and max(map(len, lines)) > limits.line_bytes:
            whole = next(i for i, line in enumerate(lines) if len(line) > limits.line_bytes)
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
