"""The slice: consecutive whole lines of one stream, as one message."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from datastream.errors import NotASlice
from datastream.how_many import how_many
from datastream.parsing import begins, has_entries
from datastream.streams import Stream

#: The newest version of the envelope. Consumers read this one and the one before, so that an
#: upgrade with messages in the queue is safe. Version 2 is written for disguised lines only:
#: without those no newer consumer is needed.
ENVELOPE_VERSION = 2

#: Bits of a line's flags. The last line of a file that has no newline:
UNTERMINATED = 1
#: The head of a line that was longer than the limit:
TRUNCATED = 2
#: A line without addresses or query strings; its length may differ from that in the file.
DISGUISED = 4

#: A line that may be only a beginning; it is alone in its slice.
INCOMPLETE = UNTERMINATED | TRUNCATED

#: The largest number that a header can hold.
GREATEST = 2**63 - 1

#: The most that one slice holds, and that a producer can be set to put into one: this bounds a
#: consumer's memory and the length of a statement.
MOST_BYTES = 1024**2
MOST_LINES = 4_000

#: The most characters of each text, and the largest value of each number. A slice beyond them
#: would have no row in log_stream.
HEADER_LIMITS = {"source": 255, "host": 255, "path": 1024, "format": 4096}
_NUMBERS = {
    "version": GREATEST,
    "position": GREATEST,
    "lines": MOST_LINES,
    "flags": INCOMPLETE | DISGUISED,
    "generation": 2**32 - 1,
    "read_at_ms": GREATEST,
}


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive whole lines of one stream, byte for byte unless they are disguised.

    A line that is INCOMPLETE is alone in its slice, so the flags are the slice's.
    """

    stream: Stream
    #: The byte offset of the first line in its stream.
    position: int
    #: The lines, joined by newlines, without a last one.
    body: bytes
    #: How many lines the body holds.
    lines: int
    #: Some of UNTERMINATED, TRUNCATED and DISGUISED, or 0.
    flags: int
    #: When it was read from the file: milliseconds since the epoch.
    read_at_ms: int
    #: A person chose another format: it replaces rows that the same parser made under the old one.
    reformat: bool = False
    #: The length of each line in its stream, in bytes; None where it is the same here.
    lengths: tuple[int, ...] | None = None

    @property
    def end(self) -> int:
        """The byte offset in the stream after the last line: that of its newline."""
        if self.lengths is None:
            return self.position + len(self.body)
        return self.position + sum(self.lengths) + self.lines - 1

    @property
    def message_id(self) -> str:
        """A name for log lines and for people: the stream and the offset."""
        return f"{self.stream.stream_id:016x}-{self.position}"

    def numbered(self) -> Iterator[tuple[int, bytes]]:
        """Yield each line with its byte offset in the stream."""
        offset = self.position
        lines = self.body.split(b"\n")
        if self.lengths is None:
            for line in lines:
                yield offset, line
                offset += len(line) + 1
            return
        for line, length in zip(lines, self.lengths, strict=True):
            yield offset, line
            offset += length + 1

    def halves(self) -> tuple[Slice, Slice]:
        """Return two slices with half of the lines each. Raises ValueError on a single line.

        Entries of an error log stay whole, as long as there is more than one.
        """
        if self.lines < 2:
            raise ValueError("a single line cannot be halved")
        first = self.lines // 2
        if has_entries(self.stream.format):
            lines = self.body.split(b"\n")
            places = [at for at in range(1, self.lines) if begins(lines[at])]
            first = min(places, key=lambda at: abs(at - self.lines // 2), default=first)
        parts = self.body.split(b"\n", first)
        head, tail = b"\n".join(parts[:-1]), parts[-1]
        lengths = self.lengths
        half = replace(
            self, body=head, lines=first, lengths=None if lengths is None else lengths[:first]
        )
        return half, replace(
            self,
            body=tail,
            lines=self.lines - first,
            position=half.end + 1,
            lengths=None if lengths is None else lengths[first:],
        )

    def headers(self) -> dict[str, int | str]:
        """Return what travels beside the body."""
        stream = self.stream
        is_new = self.flags & DISGUISED or self.lengths is not None
        return {
            "version": ENVELOPE_VERSION if is_new else 1,
            # In hexadecimal: the integers of an AMQP header are signed.
            "stream": f"{stream.stream_id:016x}",
            "position": self.position,
            "lines": self.lines,
            "flags": self.flags,
            "read_at_ms": self.read_at_ms,
            "source": stream.source,
            "host": stream.host,
            "path": stream.path,
            "format": stream.format,
            "generation": stream.generation,
            # Usually left out, and no reason for another version: a consumer that does not know it
            # parses the lines all the same.
            **({"reformat": 1} if self.reformat else {}),
            # As text, which is short: all headers must fit into one frame.
            **({} if self.lengths is None else {"lengths": " ".join(map(str, self.lengths))}),
        }


def decode(headers: Mapping[str, object] | None, body: bytes) -> Slice:
    """Return the slice that a message carries.

    Raises NotASlice when a header is missing or odd, or when the body does not hold as many lines
    as the headers say: a consumer must not guess at the offsets of lines.
    """
    if not headers:
        raise NotASlice("the message has no headers")
    numbers = {name: _number(headers, name, most) for name, most in _NUMBERS.items()}
    texts = {name: _text(headers, name, limit) for name, limit in HEADER_LIMITS.items()}
    version, flags = numbers["version"], numbers["flags"]
    if version not in (ENVELOPE_VERSION, ENVELOPE_VERSION - 1):
        raise NotASlice(f"envelope version {version} is newer than {ENVELOPE_VERSION}, or none")
    if version == 1 and (flags & DISGUISED or "lengths" in headers):
        raise NotASlice("disguised lines, in an envelope of version 1")
    if len(body) > MOST_BYTES:
        raise NotASlice(f"the body holds more than {MOST_BYTES} bytes")
    found = body.count(b"\n") + 1
    if found != numbers["lines"]:
        raise NotASlice(
            f"the body holds {how_many(found, 'line')}, the headers say {numbers['lines']}"
        )
    if flags & INCOMPLETE and found != 1:
        raise NotASlice("a line that may go on is not alone in its slice")
    slice_ = Slice(
        stream=Stream(stream_id=_stream(headers), generation=numbers["generation"], **texts),
        position=numbers["position"],
        body=body,
        lines=found,
        flags=flags,
        read_at_ms=numbers["read_at_ms"],
        reformat=headers.get("reformat") == 1,
        lengths=_lengths(headers, found),
    )
    if slice_.end > GREATEST:
        raise NotASlice("the body reaches beyond the greatest position")
    return slice_


def _lengths(headers: Mapping[str, object], lines: int) -> tuple[int, ...] | None:
    if "lengths" not in headers:
        return None
    text = headers["lengths"]
    # At most 7 digits each: no more is read of a longer line.
    if not isinstance(text, str) or not re.fullmatch("[0-9]{1,7}(?: [0-9]{1,7})*+", text):
        raise NotASlice("the header lengths is not numbers with a space between them")
    lengths = tuple(map(int, text.split(" ")))
    if len(lengths) != lines:
        numbers = how_many(len(lengths), "number")
        raise NotASlice(f"the header lengths has {numbers} for {how_many(lines, 'line')}")
    return lengths


def _number(headers: Mapping[str, object], name: str, most: int) -> int:
    value = headers.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise NotASlice(f"the header {name} is not a whole number from 0 to {most}")
    return value


def _text(headers: Mapping[str, object], name: str, limit: int) -> str:
    value = headers.get(name)
    if not isinstance(value, str) or len(value) > limit:
        raise NotASlice(f"the header {name} is not text of up to {limit} characters")
    return value


def _stream(headers: Mapping[str, object]) -> int:
    text = _text(headers, "stream", 16)
    # int() alone would take "0x1f", "1_000" and the digits of other scripts.
    if not re.fullmatch("[0-9a-f]{16}", text):
        raise NotASlice("the header stream is not 16 hexadecimal digits")
    return int(text, 16)
