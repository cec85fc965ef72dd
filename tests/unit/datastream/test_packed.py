from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from datastream.packed import HEAD_BYTES, READABLE, CutShort, Damaged, PackedFile, packing_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def _zstd(plain: bytes) -> bytes:
    return zstd.compress(plain, options={zstd.CompressionParameter.checksum_flag: 1})


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda plain: gzip.compress(plain, mtime=0),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "zstd": _zstd,
}
SUFFIXES = {"gzip": ".gz", "xz": ".xz", "bzip2": ".bz2", "zstd": ".zst"}
#: The first bytes of members.
MEMBERS = {
    "gzip": [b"\x1f"],
    "xz": [b"\xfd"],
    "bzip2": [b"B"],
    "zstd": [b"\x28", *map(bytes, zip(range(80, 96)))],
}
#: Packed by lz4, lzop, compress, lzip, lzma, lrzip, snappy, zip, 7z and rar.
OTHERS = {
    "lz4": b"\x04\x22\x4d\x18\x64\x40\xa7",
    "lzop": b"\x89LZO\x00\r\n\x1a\n\x10\x40",
    "compress": b"\x1f\x9d\x90\x61\xc4",
    "lzip": b"LZIP\x01\x0c",
    "lzma": b"\x5d\x00\x00\x80\x00" + b"\xff" * 8 + b"\x00",
    "lrzip": b"LRZI\x00\x06",
    "snappy": b"\xff\x06\x00\x00sNaPpY",
    "zip": b"PK\x03\x04\x14\x00",
    "7z": b"7z\xbc\xaf\x27\x1c\x00\x04",
    "rar": b"Rar!\x1a\x07\x01\x00",
}

packings = st.sampled_from(sorted(PACK))
#: Lines of a log, and bytes of any kind.
plains = st.one_of(
    st.binary(max_size=300),
    st.lists(st.sampled_from([b"GET / 200\n", b"POST /x 500\n", b"\xff\x00\n"]), max_size=400).map(
        b"".join
    ),
)


def _read_all(file: PackedFile, offset: int = 0, length: int = 97) -> bytes:
    """Read to the checked end. Raises what the file does."""
    found = b""
    while part := file.read(offset + len(found), length):
        found += part
    return found


def _read_what_there_is(file: PackedFile, length: int = 97) -> tuple[bytes, OSError | None]:
    """Read up to the first error."""
    found = b""
    try:
        while part := file.read(len(found), length):
            found += part
    except OSError as error:
        return found, error
    return found, None


@given(
    packing=packings,
    members=st.lists(plains, min_size=1, max_size=4),
    reads=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 2000)), max_size=8),
)
def test_any_reads_of_any_members_return_the_plain_bytes(
    packing: str, members: list[bytes], reads: list[tuple[int, int]]
) -> None:
    """Whatever is packed, in however many members, each read returns its part of the plain text."""
    plain = b"".join(members)
    packed = b"".join(map(PACK[packing], members))
    assert packing_of(packed[:HEAD_BYTES]) == packing
    file = PackedFile(io.BytesIO(packed), packing)
    for offset, length in reads:
        assert file.read(offset, length) == plain[offset : offset + length]
    assert _read_all(file) == plain


@given(packing=packings, members=st.lists(plains, min_size=1, max_size=3), data=st.data())
def test_a_file_that_grows_is_read_on_from_where_it_ended(
    packing: str, members: list[bytes], data: st.DataObject
) -> None:
    """Cut at any bytes, what is there is read, then the rest, once that is written."""
    plain = b"".join(members)
    packed = b"".join(map(PACK[packing], members))
    ends = {0}
    for member in members:
        ends.add(max(ends) + len(PACK[packing](member)))
    cuts = data.draw(st.lists(st.integers(0, len(packed)), max_size=6).map(sorted))
    raw = io.BytesIO()
    file = PackedFile(raw, packing)
    found = b""
    for begin, end in zip([0, *cuts], [*cuts, len(packed)], strict=True):
        raw.seek(0, io.SEEK_END)
        raw.write(packed[begin:end])
        is_whole = True
        try:
            while part := file.read(len(found), 50):
                found += part
        except CutShort:
            is_whole = False
        assert plain.startswith(found)
        assert is_whole == (end in ends)
    assert found == plain


def test_what_was_read_is_not_unpacked_again_when_a_member_is_appended() -> None:
    """Growth costs the new member alone: the members before it are not read again."""
    first, second = b"a\n" * 500_000, b"b\n"
    for packing, pack in PACK.items():
        raw = io.BytesIO(pack(first))
        file = PackedFile(raw, packing)
        assert _read_all(file, length=2**20) == first
        end = raw.seek(0, io.SEEK_END)
        raw.write(pack(second))
        raw.getbuffer()[:end] = b"\0" * end
        assert _read_all(file, len(first)) == second


@given(packing=packings, members=st.lists(plains, min_size=1, max_size=3), data=st.data())
def test_damage_is_never_taken_for_a_checked_end(
    packing: str, members: list[bytes], data: st.DataObject
) -> None:
    """With any byte changed, the end is reached with the plain bytes as they were, or not at all.

    A few bytes have no meaning, such as the time in a gzip header.
    """
    plain = b"".join(members)
    packed = bytearray(b"".join(map(PACK[packing], members)))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= data.draw(st.integers(1, 255))
    file = PackedFile(io.BytesIO(packed), packing)
    found, error = _read_what_there_is(file)
    if error is None:
        assert found == plain
    else:
        assert isinstance(error, Damaged | CutShort)
        # The same when it is asked again, and from the beginning.
        with pytest.raises(type(error)):
            file.read(len(found), 1)
        assert _read_what_there_is(file)[0] == found


@pytest.mark.parametrize("packing", sorted(PACK))
def test_what_is_before_damage_is_returned_first(packing: str) -> None:
    """Lines before the damage are read, whether of this member or of those before."""
    lines = b"".join(b"%d some line of a log\n" % number for number in range(60_000))
    # Of the last member the end is wrong: all of its text can be unpacked, or all but a block.
    packed = bytearray(PACK[packing](lines) + PACK[packing](lines))
    packed[-5] ^= 0x55
    found, error = _read_what_there_is(PackedFile(io.BytesIO(packed), packing), 2**18)
    assert isinstance(error, Damaged)
    assert "Damaged: " in str(error)
    assert (lines * 2).startswith(found)
    assert len(found) >= 2 * len(lines) - 900_000


@given(packing=st.sampled_from(["gzip", "xz"]), zeros=st.integers(0, 700), again=st.booleans())
@example("xz", 4, True)
@example("xz", 6, True)
def test_zeros_are_padding_where_the_format_allows_them(
    packing: str, zeros: int, again: bool
) -> None:
    """Zeros follow a member of gzip, and in fours one of xz; another member may follow them."""
    packed = PACK[packing](b"one\n") + b"\0" * zeros + PACK[packing](b"two\n") * again
    file = PackedFile(io.BytesIO(packed), packing)
    found, error = _read_what_there_is(file)
    if packing == "xz" and zeros % 4:
        assert found == b"one\n"
        assert isinstance(error, Damaged if again else CutShort)
    else:
        assert error is None
        assert found == b"one\n" + b"two\n" * again


@given(packing=packings, follows=st.binary(min_size=1, max_size=40))
@example("xz", b"GET /\n")
def test_what_follows_and_is_no_member_is_damage(packing: str, follows: bytes) -> None:
    """What is behind the last member is not passed over, as gzip does: it may be lines of a log."""
    assume(follows[0] not in {byte[0] for byte in (*MEMBERS[packing], b"\0")})
    file = PackedFile(io.BytesIO(PACK[packing](b"one\n") + follows), packing)
    assert file.read(0, 100) == b"one\n"
    with pytest.raises(Damaged, match="Damaged: "):
        file.read(4, 100)


@pytest.mark.slow
@pytest.mark.parametrize("packing", sorted(PACK))
def test_a_bomb_takes_no_memory(packing: str) -> None:
    """What unpacks to a thousand times as much is read in pieces of the size that is asked for."""
    size = 64 * 1024**2
    packed = PACK[packing](bytes(size))
    tracemalloc.start()
    try:
        file = PackedFile(io.BytesIO(packed), packing)
        offset = 0
        while part := file.read(offset, 256 * 1024):
            offset += len(part)
        assert file.read(size - 1, 1) == b"\0"
        assert offset == size
        assert tracemalloc.get_traced_memory()[1] < 16 * 1024**2
    finally:
        tracemalloc.stop()


def test_data_that_asks_for_too_much_memory_is_named() -> None:
    """A window of gigabytes is refused in words, before anything of that size is taken."""
    xz = bytearray(lzma.compress(b"a\n"))
    xz[16] = 36  # the size of the dictionary, in the header of the block: 1 GiB
    end = 12 + xz[12] * 4
    xz[end : end + 4] = zlib.crc32(xz[12:end]).to_bytes(4, "little")
    # A window of 1 GiB, and a last block of one byte as it is.
    framed = b"\x28\xb5\x2f\xfd\x00" + bytes([20 << 3]) + b"\x09\x00\x00a"
    for packing, packed in (("xz", bytes(xz)), ("zstd", framed)):
        assert packing_of(packed) == packing
        with pytest.raises(Damaged, match=r"Cannot be unpacked: .*[Mm]emory"):
            PackedFile(io.BytesIO(packed), packing).read(0, 10)


def test_frames_of_zstd_that_are_to_be_skipped_are() -> None:
    """Frames with no text, as pzstd writes them, may stand before, between and behind others."""
    skipped = b"\x5a\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    packed = skipped + _zstd(b"one\n") + skipped + skipped + _zstd(b"two\n") + skipped
    assert packing_of(packed[:HEAD_BYTES]) == "zstd"
    assert _read_all(PackedFile(io.BytesIO(packed), "zstd")) == b"one\ntwo\n"


def test_a_header_of_gzip_may_have_every_field() -> None:
    """A name, a comment, extra bytes and a checksum in the header are no part of the text."""
    header = b"\x1f\x8b\x08\x1f\0\0\0\0\0\x03" + b"\x02\0ab" + b"access.log\0" + b"words\0"
    header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    packed = header + gzip.compress(b"one\n")[10:]
    assert packing_of(packed[:HEAD_BYTES]) == "gzip"
    assert _read_all(PackedFile(io.BytesIO(packed), "gzip")) == b"one\n"


@pytest.mark.parametrize("tool", [["gzip"], ["xz", "-9e"], ["bzip2"], ["zstd", "-19"], ["lz4"]])
def test_the_tools_that_rotate_logs_are_understood(tool: list[str]) -> None:
    """What gzip, xz, bzip2 and zstd pack is read, and what lz4 does is named."""
    lines = b"".join(b"%d\n" % number for number in range(30_000))
    if (path := shutil.which(tool[0])) is None:
        return  # what the libraries pack is read in any case
    packed = subprocess.run(
        [path, *tool[1:], "-c"], input=lines, stdout=subprocess.PIPE, check=True
    ).stdout
    assert packing_of(packed[:HEAD_BYTES]) == tool[0]
    if tool[0] in READABLE:
        assert _read_all(PackedFile(io.BytesIO(packed), tool[0]), length=10_000) == lines


@pytest.mark.parametrize(("packing", "head"), OTHERS.items())
def test_other_packings_are_named(packing: str, head: bytes) -> None:
    """A file that is packed in a way that is not read here is told from text, by its magic."""
    assert packing_of(head + b"\0" * 40, "access.log.1") == packing
    assert packing not in READABLE


def test_brotli_is_known_by_its_name() -> None:
    """Brotli has no magic: the name counts, but for text, since sites are named so as well."""
    assert packing_of(b"\x8b\x02\x80GET / HTTP/1.1\n\x03", "access.log.1.br") == "brotli"
    assert packing_of(b"\x8b\x02\x80GET / HTTP/1.1\n\x03", "access.log.1") is None
    assert packing_of("GET /olá HTTP/1.1\n".encode() * 9, "www.example.com.br") is None
    assert packing_of("GET /olá".encode()[:-1], "www.example.com.br") is None
    assert packing_of(b"", "access.log.1.br") is None


@pytest.mark.parametrize(
    "head",
    [
        b"\x1f\x8b GET / HTTP/1.1",
        b"\x1f\x8b\x08\xe0 reserved flags",
        b"BZh9 is the name of an agent",
        b"\x28\xb5\x2f\xfd\x08 reserved bit",
        b"PK is a country",
        b"\x1f\x9d text",
        b"LZIP is a word",
        b"]\0 text",
        b"(",
        b"B",
        b"",
    ],
)
def test_a_plain_log_may_begin_like_a_packed_one(head: bytes) -> None:
    """Text that begins with the first bytes of a magic is text, whatever its file is called."""
    assert packing_of(head, "access.log") is None


@given(text=st.binary(max_size=80))
def test_printable_text_is_never_packed(text: bytes) -> None:
    """No line that a web server writes, which escapes control characters, is taken for packed."""
    line = bytes(byte for byte in text if 0x20 <= byte < 0x7F) + b"\n"
    assert packing_of(line, "access.log.1.gz") is None


@given(packing=packings, length=st.integers(0, 9))
def test_the_name_decides_while_the_magic_is_being_written(packing: str, length: int) -> None:
    """The first bytes of a packed file, or none yet, are packed by its name, not by themselves."""
    head = PACK[packing](b"one\n")[:length]
    assert packing_of(head, f"access.log.1{SUFFIXES[packing]}") == packing
