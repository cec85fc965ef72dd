"""Packs: lines of one stream that follow on one another, compressed, as one row of raw_pack.

The view raw_log shows them as the rows they were: what is written here, SQL takes apart by
JSON_TABLE, since that is the one thing that both servers do quickly to a long text.
"""

from __future__ import annotations

import codecs
import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from datastream.slices import INCOMPLETE

#: How a pack's body is written: the bytes of its only line, as they are;
PLAIN = 0
#: or the lines as JSON, `[[OFFSET,"LINE"],…]`, in the form of MySQL's COMPRESS: the length of the
#: text, as four bytes in little-endian order, and the text in zlib's format. 2 and above are free.
ZLIB = 1

#: The most that one pack holds. One line is found in two milliseconds of CPU time in twice as much,
#: and pages of 16 KB are mostly full from here on.
MOST_TEXT = 256 * 1024
#: The most that its JSON takes, where it is not one line alone; bytes that are escaped, or are two
#: in UTF-8, take more. The server unpacks no text beyond its max_allowed_packet.
MOST_JSON = 512 * 1024
#: What a line takes there beside its bytes: its offset, quotes, brackets, a newline.
LINE_OVERHEAD = 16
#: How far from a pack's first line its last one may begin: by this SQL finds the pack of a line.
MOST_SPAN = 1024**2

#: 1 takes as long, for an eighth more room; 6 takes twice the time, for a quarter less.
LEVEL = 3

#: The server's latin1, which has a character for each byte: Windows-1252, and C1 where that has
#: nothing. Source: the manual of MySQL, "West European Character Sets".
_CHARACTERS = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256))
_BYTES = codecs.charmap_build(_CHARACTERS)
#: All but the control characters, which JSON escapes; the newline is in no line.
_NO_CONTROLS = bytes([0x0A, *range(0x20, 0x100)])

Line = tuple[int, bytes]


class Pack(NamedTuple):
    """A row of raw_pack, but for its stream."""

    #: The byte offset of its first line in the stream.
    line_offset: int
    #: The slice's: see datastream.slices.
    flags: int
    #: The byte offset after its last line: that of the newline.
    end: int
    line_count: int
    codec: int
    body: bytes

    def lines(self) -> list[Line]:
        """Return its lines, each with its offset. Raises ValueError when the body is damaged."""
        return unpacked(self.line_offset, self.codec, self.body)


def packs(lines: Sequence[Line], flags: int, end: int) -> Iterator[Pack]:
    """Yield packs of lines that follow on one another in a stream, up to the offset `end`.

    A line that may go on is alone, and stays as it is, for SQL to put the whole one in its place.
    """
    start = size = 0
    for at, (offset, line) in enumerate(lines):
        is_far = offset - lines[start][0] > MOST_SPAN
        if at > start and (size + len(line) + LINE_OVERHEAD > MOST_TEXT or is_far):
            yield from _packs(lines[start:at], flags, offset - 1)
            start, size = at, 0
        size += len(line) + LINE_OVERHEAD
    yield from _packs(lines[start:], flags, end)


def _packs(lines: Sequence[Line], flags: int, end: int) -> Iterator[Pack]:
    first, line = lines[0]
    if len(lines) == 1 and (flags & INCOMPLETE or len(line) < MOST_TEXT):
        yield Pack(first, flags, end, 1, PLAIN, line)
        return
    text = _text(lines)
    if len(text) > MOST_JSON and len(lines) > 1:
        middle = len(lines) // 2
        yield from _packs(lines[:middle], flags, lines[middle][0] - 1)
        yield from _packs(lines[middle:], flags, end)
        return
    body = struct.pack("<I", len(text)) + zlib.compress(text, LEVEL)
    yield Pack(first, flags, end, len(lines), ZLIB, body)


def json_bytes(pack: Pack) -> int:
    """Return how long the JSON is that the server makes or unpacks to show the pack's lines."""
    if pack.codec == ZLIB:
        length: int = struct.unpack("<I", pack.body[:4])[0]
        return length
    return len(_text(pack.lines()))


def _text(lines: Sequence[Line]) -> bytes:
    offsets, texts = zip(*lines, strict=True)
    body = b"\n".join(texts)
    # As a whole, since json.dumps of each line takes five times as long. The backslash first: the
    # others bring their own.
    body = body.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    for control in set(body.translate(None, _NO_CONTROLS)):
        body = body.replace(bytes([control]), b"\\u%04x" % control)
    pairs = map(b'[%d,"%b"]'.__mod__, zip(offsets, body.split(b"\n"), strict=True))
    text = b"[" + b",\n".join(pairs) + b"]"
    return (
        text if text.isascii() else codecs.charmap_decode(text, "strict", _CHARACTERS)[0].encode()
    )


def unpacked(line_offset: int, codec: int, body: bytes) -> list[Line]:
    """Return the lines of a pack, each with its offset.

    Raises ValueError when the body is damaged, or of a codec that this version does not know.
    """
    if codec == PLAIN:
        return [(line_offset, body)]
    if codec != ZLIB:
        raise ValueError(f"a pack of codec {codec}, which this version does not know")
    try:
        text = zlib.decompress(body[4:])
    except zlib.error as error:
        raise ValueError(f"a damaged pack: {error}") from error
    return [
        (offset, codecs.charmap_encode(line, "strict", _BYTES)[0])
        for offset, line in json.loads(text)
    ]
