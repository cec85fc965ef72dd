"""Removes addresses and query strings from lines of any format, whether they parse or not.

A line is bytes here, and stays as it is unless something is found in it. Its spelling and its
neighbours tell what is an address: `192.0.2.7`, `2001:db8::7`, either with a port, in brackets, in
lists, after `client: ` or in quotes; not the version in `Chrome/120.0.0.0`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b, sha256
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton  # converts, opens nothing
from typing import TypeAlias

from datastream.parsing.values import unmapped

#: From an address, 4 or 16 bytes, to what is kept instead, 4 or 16 bytes.
Disguise: TypeAlias = Callable[[bytes], bytes]

#: IPv6 addresses for use within a site (RFC 4193): no visitor on the internet has one.
_LOCAL = b"\xfd"

#: The longest text of an address.
_LONGEST = 45

#: Digits and dots, with nothing at either end that would make them part of something longer. An
#: escape that ends in a digit may precede them: `\x22`, `\u0022`, `\n`, `%20`.
_IPV4 = re.compile(
    rb"""
    [0-9]
    (?: (?<! [0-9A-Za-z.] [0-9] )
      | (?<= \\x [0-9A-Fa-f]{2} [0-9] )
      | (?<= \\u [0-9A-Fa-f]{4} [0-9] )
      | (?<= \\[bfnrtv] [0-9] )
      | (?<= % [0-9A-Fa-f]{2} [0-9] )
    )
    [0-9]{0,2}+ \. [0-9]{1,3}+ \. [0-9]{1,3}+ \. [0-9]{1,3}+
    (?! [0-9A-Za-z] | \.[0-9] )
    """,
    re.VERBOSE,
)
#: All neighbouring bytes that IPv6 is written with, at least one a colon.
_RUN = re.compile(rb"(?<![0-9A-Fa-f.])[0-9A-Fa-f.]*+:[0-9A-Fa-f:.]*+")
_HEX = re.compile(rb"[0-9A-Fa-f]+")
#: The name before a version, as user agents write it: `Chrome/`, but not `/whois/`.
_PRODUCT = re.compile(rb"(?<![0-9A-Za-z_/.:+!-])[A-Za-z][0-9A-Za-z_+!-]*+/")
_LONGEST_PRODUCT = 48
#: What may be the beginning of an address, at the end of a line that was cut.
_FRAGMENT = re.compile(rb"[0-9A-Fa-f.:]+\Z")

#: A value in quotes, an escaped quote, or a query outside of quotes. A client sent a quote that
#: something follows directly; a quote that does not end is in a line that was cut.
_VALUE = rb"""
    " (?P<value> (?: [^"\\]++ | \\. | " (?! [\s,;)\]}>|] | :(?!:) %(at_end)s ) %(cut)s )*+ )
    (?P<end> "? )
    | \\["\\]
    | \? (?: [^\s",\\]++ | \\["\\]? | ,(?!\s) )*+
"""
_VALUES = re.compile(_VALUE % {b"at_end": rb"| \Z", b"cut": b""}, re.VERBOSE | re.DOTALL)
#: A line may be cut within an escape.
_VALUES_OF_CUT = re.compile(_VALUE % {b"at_end": b"", b"cut": rb"| \\ \Z"}, re.VERBOSE | re.DOTALL)
#: A query among other words: up to white space, or to a comma that white space follows.
_QUERY = re.compile(rb"\?(?:[^\s,]++|,(?!\s))*+")
#: A request's target, or a URL, up to its question mark: at most a method before it.
_TARGET = re.compile(rb"(?:[^ /]+ )?[^ ]*")
_VERSION = re.compile(rb" HTTP/[0-9.]{1,8}\Z")

#: A line in a record of Docker's json-file, up to an escape that was cut: escapes hide where the
#: line's own quotes are.
_RECORD = re.compile(
    rb"""
    (?P<begin> \{"log":") (?P<held> (?: [^"\\]++ | \\u[0-9A-Fa-f]{4} | \\[^u] )*+ ) (?P<end> "?+ )
    """,
    re.VERBOSE | re.DOTALL,
)
#: What follows it there, and not in an object that a log_format writes.
_AFTER_HELD = b',"stream":"'
#: What Docker writes as an escape.
_ESCAPED = re.compile(rb'[\0-\x1f"\\<>&]')
_ESCAPES = {b'"': rb"\"", b"\\": rb"\\", b"\n": rb"\n", b"\r": rb"\r"}


def truncated(client: bytes) -> bytes:
    """Return the network of an address: the first 24 bits of IPv4, the first 48 of IPv6.

    As in hashed(), an IPv4 address within IPv6 is that address.
    """
    client = unmapped(client)
    if len(client) == 4:
        return client[:3] + bytes(1)
    return client[:6] + bytes(10)


def hashed(key: str) -> Disguise:
    """Return a disguise that replaces an address with one of fd00::/8, always the same one.

    Without the key the address cannot be found by trying all of them.
    """
    secret = sha256(key.encode()).digest()

    @lru_cache(maxsize=4096)
    def disguise(client: bytes) -> bytes:
        return _LOCAL + blake2b(unmapped(client), key=secret, digest_size=15).digest()

    return disguise


def but_hashes(disguise: Disguise) -> Disguise:
    """Return the disguise for what may be hashed already: it keeps an address of fd00::/8.

    Not for lines of a log: a visitor within a site may have such an address.
    """
    return lambda client: (
        client if len(client) == 16 and client.startswith(_LOCAL) else disguise(client)
    )


class LineDisguise:
    """Disguises addresses in a line, and drops its query strings; either may be off.

    Applied to its own result it changes nothing, but see but_hashes(). Its time is proportional to
    the line's length.
    """

    def __init__(self, address: Disguise | None, *, drops_queries: bool) -> None:
        self._drops_queries = drops_queries
        self._finds_addresses = address is not None

        @lru_cache(maxsize=8192)
        def disguised(text: bytes) -> bytes | None:
            packed = _packed(text)
            if packed is None or address is None:
                return None
            kept = _text(address(packed))
            # Among colons it stays spelled as an address of IPv6.
            return b"::ffff:" + kept if b":" in text and b"." in kept else kept

        self._disguised = disguised

    def __call__(self, line: bytes, *, is_cut: bool = False) -> bytes:
        """Return a line, without its newline, as it may be kept.

        `is_cut`: the line is the beginning of a longer one. Then what may be a part of an address
        is dropped from its end.
        """
        record = _RECORD.match(line)
        if record is None or not _is_of_docker(record):
            return self._line(line, is_cut=is_cut)
        is_held_cut = is_cut and not record["end"]
        rest = b"" if is_held_cut else self._line(line[record.end() :], is_cut=is_cut)
        held = self._in_json(record["held"], is_cut=is_held_cut)
        return record["begin"] + held + record["end"] + rest

    def _in_json(self, held: bytes, *, is_cut: bool) -> bytes:
        """Return what a JSON string holds, disguised as the line that it is."""
        try:
            text = json.loads(f'"{held.decode("utf-8", "surrogateescape")}"', strict=False)
            line = text.encode("utf-8", "surrogateescape")
        except ValueError:
            return self._line(held, is_cut=is_cut)
        return _ESCAPED.sub(_escape, self._line(line, is_cut=is_cut))

    def _line(self, line: bytes, *, is_cut: bool) -> bytes:
        if self._drops_queries and b"?" in line:
            values = _VALUES_OF_CUT if is_cut else _VALUES
            line = values.sub(_without_query, line)
        return self.addresses(line, is_cut=is_cut)

    def addresses(self, line: bytes, *, is_cut: bool = False) -> bytes:
        """Return a line with its addresses disguised, and its query strings as they are."""
        if not self._finds_addresses:
            return line
        if is_cut:
            line = self._without_fragment(line)
        if b"::" in line or line.count(b":") >= 7:
            line = _RUN.sub(self._ipv6, line)
        return _IPV4.sub(self._ipv4, line)

    def _without_fragment(self, line: bytes) -> bytes:
        found = _FRAGMENT.search(line, max(0, len(line) - _LONGEST - 1))
        if found is None or (found[0].count(b".") < 2 and found[0].count(b":") < 2):
            return line
        return line if self._disguised(found[0]) else line[: found.start()]

    def _ipv4(self, found: re.Match[bytes]) -> bytes:
        text, begin, end = found.string, found.start(), found.end()
        disguised = self._disguised(found[0])
        if disguised is None or _is_version(text, begin):
            return found[0]
        if b":" not in disguised:
            return disguised
        # IPv6 instead of IPv4, which a port, a key or an escape would run into.
        before, after = text[max(0, begin - 2) : begin], text[end : end + 2]
        is_run_into = (
            before == b"//"
            or before[-1:] in (b"\\", b"%")
            or after[:1] == b"["
            or (before[1:] == b":" and before[:1] in b"0123456789ABCDEFabcdef:.")
            or (
                after[:1] in (b":", b".") and after[1:] and after[1:] in b"0123456789ABCDEFabcdef:."
            )
        )
        return b"[%b]" % disguised if is_run_into else disguised

    def _ipv6(self, found: re.Match[bytes]) -> bytes:
        run = found[0]
        if b"::" not in run and run.count(b":") < 7:
            return run
        text, begin = found.string, found.start()
        before, after = text[max(0, begin - 2) : begin], text[found.end() : found.end() + 1]
        skipped = _skipped(before, run)
        if (whole := self._in_run(before, run, skipped, after)) is not None:
            return whole
        # Not one address: what is between addresses of IPv4, which are replaced later.
        if skipped > 0:
            # A part of the word or escape before would hide an address that follows it.
            run, before, skipped = run[skipped:], (before + run[:skipped])[-2:], 0
        passed = found[0][: len(found[0]) - len(run)]
        parts, at = [], 0
        for ipv4 in _IPV4.finditer(run):
            part = run[at : ipv4.start()]
            parts += [self._in_run(before, part, skipped, ipv4[0][:1]) or part, ipv4[0]]
            at = ipv4.end()
            before, skipped = b"", -1 if run.startswith(b"::", at) else 0
        if not parts:
            return found[0]
        last = self._in_run(before, run[at:], skipped, after) or run[at:]
        return b"".join((passed, *parts, last))

    def _in_run(self, before: bytes, run: bytes, skipped: int, after: bytes) -> bytes | None:
        """Return a run with the one address within it disguised; None when there is none."""
        if skipped < 0:
            return None
        if run[skipped : skipped + 1] == b":" and run[skipped + 1 : skipped + 2] != b":":
            skipped += 1
        core = run[skipped:].rstrip(b".")
        for address in (core, core.removesuffix(b":"), core.rpartition(b":")[0]):
            rest = run[skipped + len(address) :]
            if not 2 <= len(address) <= _LONGEST or b":" not in address:
                continue
            if not rest and (after.isalnum() or after == b"["):
                continue
            if (disguised := self._disguised(address)) is not None:
                is_run_into = (before + run[:skipped])[-1:] in (b"\\", b"%") or (
                    disguised.startswith(b"::") and run[:skipped].endswith(b":")
                )
                if is_run_into and b":" in disguised:
                    disguised = b"[%b]" % disguised
                return run[:skipped] + disguised + rest
        return None


def skeleton(line: bytes) -> bytes:
    """Return what a line and the same line disguised, in any way, have in common.

    It is the line without its query strings, with a mark for each address.
    """
    return _skeleton(line).replace(b"[\0]", b"\0").replace(rb"[\u0000]", rb"\u0000")


def _is_of_docker(record: re.Match[bytes]) -> bool:
    after = record.string[record.end() :][: len(_AFTER_HELD)]
    return not record["end"] or _AFTER_HELD.startswith(after)


def _escape(found: re.Match[bytes]) -> bytes:
    return _ESCAPES.get(found[0]) or rb"\u%04x" % ord(found[0])


def _without_query(found: re.Match[bytes]) -> bytes:
    value = found["value"]
    if value is None:
        return b"" if found[0].startswith(b"?") else found[0]
    at = value.find(b"?")
    if at < 0:
        return found[0]
    version = _VERSION.search(value) if found["end"] else None
    if version is not None:
        return b'"%b%b"' % (value[:at], version[0] if version.start() >= at else b"")
    if _TARGET.fullmatch(value, 0, at):
        return b'"%b%b' % (value[:at], found["end"])
    return b'"%b%b' % (_QUERY.sub(b"", value), found["end"])


def _skipped(before: bytes, run: bytes) -> int:
    """Return how many bytes of a run belong to the word or escape before it.

    -1 when no address follows, as in `Some::Module`.
    """
    last = before[-1:]
    if last == b"]" and run.startswith(b"::"):
        return -1
    if (before == b"\\x" or last == b"%") and _HEX.fullmatch(run[:2]) and len(run) > 2:
        return 2
    if before == b"\\u" and _HEX.fullmatch(run[:4]) and len(run) > 4:
        return 4
    if last == b"\\" and run[:1] in (b"b", b"f"):
        return 1
    if not last.isalnum() or before in (b"\\n", b"\\r", b"\\t", b"\\v"):
        return 0
    after_key = run.find(b":") + 1
    return -1 if run[after_key : after_key + 1] == b":" else after_key


def _is_version(text: bytes, begin: int) -> bool:
    """Return whether what begins at an offset is a product's version, and no address."""
    if text[begin - 1 : begin] == b"/":
        start = max(0, begin - _LONGEST_PRODUCT)
        found = _PRODUCT.search(text, start, begin)
        while found is not None and found.end() < begin:
            found = _PRODUCT.search(text, found.end(), begin)
        return found is not None
    return text[max(0, begin - 3) : begin] == b"rv:"


def _packed(text: bytes) -> bytes | None:
    try:
        return inet_pton(AF_INET6 if b":" in text else AF_INET, text.decode("ascii"))
    except (OSError, ValueError):
        return None


def _text(packed: bytes) -> bytes:
    if not packed:
        return b"\0"
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed).encode()


_skeleton = LineDisguise(lambda _client: b"", drops_queries=True)
