"""Disguises a slice before it is published: PRIVACY_BEFORE=lake."""

from __future__ import annotations

from dataclasses import replace

from datastream.privacy import LineDisguise
from datastream.slices import DISGUISED, INCOMPLETE, MOST_BYTES, TRUNCATED, Slice


def disguised(piece: Slice, disguise: LineDisguise) -> list[Slice]:
    """Return a slice with its lines disguised and flagged, under the identity that they have.

    Several, in order, where what stands in the place of addresses is so much longer that one would
    be too large; of a line for which one alone is, the head.
    """
    is_cut = bool(piece.flags & INCOMPLETE)
    before = piece.body.split(b"\n")
    lines = [disguise(line, is_cut=is_cut) for line in before]
    body, lengths = b"\n".join(lines), tuple(map(len, before))
    if len(body) > MOST_BYTES and piece.lines > 1:
        return [part for half in piece.halves() for part in disguised(half, disguise)]
    return [
        replace(
            piece,
            body=body[:MOST_BYTES],
            flags=piece.flags | DISGUISED | (TRUNCATED if len(body) > MOST_BYTES else 0),
            lengths=None if lengths == tuple(map(len, lines)) else lengths,
        )
    ]
