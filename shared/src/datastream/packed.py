"""Packed log files: which packing one is in, and its plain bytes, also while it grows."""

from __future__ import annotations

import bz2
import errno
import lzma
import re
import sys
import zlib
from collections.abc import Callable
from typing import BinaryIO, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: The packings that PackedFile reads.
READABLE = frozenset({"gzip", "xz", "bzip2", "zstd"})
#: How many of a file's first bytes packing_of() looks at.
HEAD_BYTES = 512

#: More than the magic numbers, where these are short: a plain log may begin with any two bytes.
_MAGICS = {
    # Method deflate, and none of the reserved flags.
    "gzip": re.compile(rb"\x1f\x8b\x08[\x00-\x1f]", re.DOTALL),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
    # A first block, or the end of an empty file.
    "bzip2": re.compile(rb"BZh[1-9](?:\x31\x41\x59\x26\x53\x59|\x17\x72\x45\x38\x50\x90)"),
    # The reserved bit of a frame's header is 0. Or a frame to be skipped, as pzstd writes first.
    "zstd": re.compile(
        rb"\x28\xb5\x2f\xfd[%s]|[\x50-\x5f]\x2a\x4d\x18"
        % re.escape(bytes(byte for byte in range(256) if not byte & 0x08))
    ),
    "lz4": re.compile(rb"\x04\x22\x4d\x18|\x02\x21\x4c\x18"),
    "lzop": re.compile(rb"\x89LZO\x00\r\n\x1a\n"),
    # 9 to 16 bits, and none of the reserved flags.
    "compress": re.compile(rb"\x1f\x9d[\x09-\x10\x89-\x90]"),
    "lzip": re.compile(rb"LZIP[\x00\x01]"),
    # The usual properties; a size of less than 2^40, or none.
    "lzma": re.compile(rb"\x5d\x00\x00..(?:\xff{8}|.{5}\x00{3})", re.DOTALL),
    "lrzip": re.compile(rb"LRZI\x00"),
    "snappy": re.compile(rb"\xff\x06\x00\x00sNaPpY"),
    "zip": re.compile(rb"PK(?:\x03\x04|\x05\x06|\x07\x08)"),
    "7z": re.compile(rb"7z\xbc\xaf\x27\x1c"),
    "rar": re.compile(rb"Rar!\x1a\x07"),
}
_LONGEST_MAGIC = 10
#: How each member begins.
_BEGINNINGS = {
    "gzip": (b"\x1f\x8b\x08",),
    "xz": (b"\xfd7zXZ\x00",),
    "bzip2": (b"BZh",),
    "zstd": (
        b"\x28\xb5\x2f\xfd",
        *(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60)),
    ),
}
_SUFFIXES = {".gz": "gzip", ".xz": "xz", ".bz2": "bzip2", ".zst": "zstd"}

#: Bytes of the packed file that are read at once, and of plain text that are unpacked at least.
_CHUNK = 64 * 1024
_LEAST = 64 * 1024
#: Bytes of memory that the data may ask for: enough for `xz -9` and for `zstd --ultra -22`, which
#: ask for the most unless told a size. Of zstd the library's own limit is as high.
_MOST_MEMORY = 160 * 1024**2
#: Zeros may follow a member, as on tapes: a multiple of so many.
_PADDING = {"gzip": 1, "xz": 4}


class Damaged(OSError):
    """What is packed cannot be unpacked: a checksum is wrong, or what follows is no member."""


class CutShort(OSError):
    """A member has no end: the file was cut off, or the rest of it is not written yet."""


def packing_of(head: bytes, name: str = "") -> str | None:
    """Return the name of the packing that a file is in; None for plain text.

    `head` is its first HEAD_BYTES bytes, or all there are. The magic decides, not the name: that
    counts where the file is too short for a magic yet, and for brotli, which has none.
    """
    for packing, magic in _MAGICS.items():
        if magic.match(head):
            return packing
    if head[257:262] == b"ustar":
        return "tar"
    if len(head) < _LONGEST_MAGIC:
        for suffix, packing in _SUFFIXES.items():
            if name.endswith(suffix) and _may_begin(head, packing):
                return packing
    # `.br` is a country, too: the log of a site there is text.
    return "brotli" if name.endswith(".br") and not _is_text(head) else None


def _may_begin(head: bytes, packing: str) -> bool:
    """Say whether a member may begin so, as far as there is anything of it."""
    return any(head.startswith(b) or b.startswith(head) for b in _BEGINNINGS[packing])


def _is_text(head: bytes) -> bool:
    """Say whether bytes may be the beginning of a plain log that somebody named `.br`."""
    text = head.decode(errors="surrogateescape")[:-3]  # the last character may be cut
    return all(character.isprintable() or character in "\t\r\n" for character in text)


class _Decoder(Protocol):
    """What unpacks one member, as bz2, lzma and zstd have it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes: ...


class _Gzip:
    """The same for gzip: zlib has no such object that is public."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        unpacked = self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)
        # There may be more in the decoder itself, too.
        self.needs_input = len(unpacked) < max_length
        return unpacked


#: What the decoders raise for damaged data: bz2 an OSError.
_ERRORS = (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError, EOFError)
_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": _Gzip,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_MEMORY),
    "bzip2": bz2.BZ2Decompressor,
    "zstd": zstd.ZstdDecompressor,
}


class _Members:
    """Unpacks a file from its beginning on, one member after another."""

    def __init__(self, raw: BinaryIO, packing: str) -> None:
        self._raw = raw
        self._packing = packing
        #: None between members.
        self._decoder: _Decoder | None = None
        #: What was read and is not unpacked, and its offset in the packed file.
        self._input = memoryview(b"")
        self._offset = 0
        #: The offsets that the decoder was given last.
        self._block = range(0)
        #: Zeros since the last member.
        self._zeros = 0
        #: Where the member at hand begins, and how many plain bytes of it were returned.
        self._begin = 0
        self._returned = 0
        #: How many of those are about to be unpacked once more; and the offsets in which there is
        #: damage, which are unpacked byte by byte.
        self._again = 0
        self._damaged = range(0)

    def next(self, most: int) -> bytes:
        """Return up to `most` bytes, none at the end. Raises OSError, CutShort among them."""
        while True:
            decoder = self._decoder or self._next_member()
            if decoder is None:
                return b""
            plain = self._unpack(decoder, most)
            fresh = plain[self._again :]
            self._again -= len(plain) - len(fresh)
            self._returned += len(fresh)
            if decoder.eof:
                self._end(decoder.unused_data)
            if fresh:
                return fresh

    def _next_member(self) -> _Decoder | None:
        """Begin the next member, if there is one behind the padding."""
        unit = _PADDING.get(self._packing, 0)
        while self._fill() and unit and self._offset and self._input[0] == 0:
            zeros = len(self._input) - len(bytes(self._input).lstrip(b"\0"))
            self._zeros += zeros
            self._advance(zeros)
        is_padded = not unit or self._zeros % unit == 0
        if not self._input:
            if not is_padded:
                raise CutShort(errno.EIO, "Cut short: in the zeros after a member")
            return None
        if not is_padded:
            raise Damaged(errno.EIO, "Damaged: zeros after a member are not a multiple of four")
        if not _may_begin(bytes(self._input[:_LONGEST_MAGIC]), self._packing):
            raise Damaged(errno.EIO, f"Damaged: what follows is not packed by {self._packing}")
        self._decoder = _DECODERS[self._packing]()
        self._begin, self._returned, self._zeros = self._offset, 0, 0
        return self._decoder

    def _end(self, unused: bytes) -> None:
        """End a member; `unused` follows it."""
        self._decoder = None
        self._again = 0
        self._offset -= len(unused)
        self._input = memoryview(unused + self._input)

    def _unpack(self, decoder: _Decoder, most: int) -> bytes:
        if decoder.needs_input:
            if not self._fill():
                raise CutShort(errno.EIO, "Cut short: what was packed last has no end")
            data = self._advance(self._block_length())
        else:
            data = memoryview(b"")
        try:
            return decoder.decompress(data, most)
        except _ERRORS as error:
            if len(self._block) > 1:
                self._unpack_again()
                return b""
            words = "Cannot be unpacked" if "memory" in str(error).lower() else "Damaged"
            raise Damaged(errno.EIO, f"{words}: {error}") from error

    def _unpack_again(self) -> None:
        """Return to the beginning of the member: what the last block holds before the damage.

        An error takes with it what the decoder made of a block up to there.
        """
        self._damaged = self._block
        self._again = self._returned
        self._decoder = _DECODERS[self._packing]()
        self._input = memoryview(b"")
        self._offset = self._begin

    def _fill(self) -> bool:
        """Have some bytes to unpack; say whether there are any. Raises OSError."""
        if not self._input:
            self._raw.seek(self._offset)
            self._input = memoryview(self._raw.read(_CHUNK))
        return len(self._input) > 0

    def _block_length(self) -> int:
        """Return how much of the input is unpacked next."""
        if self._offset in self._damaged:
            return 1
        if self._offset < self._damaged.start:
            return min(len(self._input), self._damaged.start - self._offset)
        return len(self._input)

    def _advance(self, length: int) -> memoryview:
        block, self._input = self._input[:length], self._input[length:]
        self._block = range(self._offset, self._offset + length)
        self._offset += length
        return block


class PackedFile:
    """The plain bytes of a packed file: of all its members, one after another.

    Each member is read to its end, where its checksum is compared. The file may grow: the next read
    goes on where this one ended.
    """

    def __init__(self, raw: BinaryIO, packing: str) -> None:
        """`raw` is unbuffered and seekable, and stays the caller's to close."""
        self._raw = raw
        self._packing = packing
        self._rewind()

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` plain bytes from `offset` on; fewer only at the end.

        None are left when all that the file holds now was read, and its checksums are right. Raises
        CutShort where a member has no end, and Damaged where it is that, in the read that
        begins there: the one before returns what could be unpacked. Bytes just before damage may be
        wrong, since a checksum comes last. A smaller offset than was reached means to start again.
        """
        if offset < self._position:
            self._rewind()
        parts: list[bytes] = []
        missing = length
        try:
            while missing and self._fill(missing):
                if self._position < offset:
                    self._take(offset - self._position)
                else:
                    parts.append(self._take(missing))
                    missing -= len(parts[-1])
        except OSError:
            if not parts:
                raise
        return b"".join(parts)

    def _rewind(self) -> None:
        self._members = _Members(self._raw, self._packing)
        #: Unpacked and not returned, and its offset.
        self._plain = b""
        self._position = 0
        self._damage: str | None = None

    def _fill(self, wanted: int) -> bool:
        """Have some bytes to return; say whether there are any. Raises OSError."""
        if self._damage is not None:
            raise Damaged(errno.EIO, self._damage)
        if not self._plain:
            try:
                self._plain = self._members.next(max(wanted, _LEAST))
            except Damaged as error:
                self._damage = error.strerror  # the decoder is of no use any more
                raise
        return self._plain != b""

    def _take(self, length: int) -> bytes:
        part, self._plain = self._plain[:length], self._plain[length:]
        self._position += len(part)
        return part
