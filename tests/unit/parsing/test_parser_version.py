"""The version of the rules goes up when they change."""

from __future__ import annotations

from hashlib import sha256

from datastream.parsing import (
    ERROR_LIMITS,
    EXTRA_LIMIT,
    LIMITS,
    PARSER_VERSION,
    PRESETS,
    ErrorEvent,
    Event,
)
from datastream.parsing.variables import COLUMNS, KINDS

#: A version, and a digest of its tables.
RECORDED = (4, "9de049fd0978dccd")


def test_other_tables_are_another_version() -> None:
    """What goes where, and how long it may be: stored rows of a version are all made alike.

    Code that reads a line in another way is another version too; that no test can tell.
    """
    kinds = sorted((name, kind.value) for name, kind in KINDS.items())
    limits = [*LIMITS.items(), *ERROR_LIMITS.items(), EXTRA_LIMIT]
    tables = (
        *(Event._fields, ErrorEvent._fields),
        *(sorted(COLUMNS.items()), kinds, sorted(PRESETS.items()), limits),
    )
    digest = sha256(repr(tables).encode()).hexdigest()[:16]

    assert (PARSER_VERSION, digest) == RECORDED, "raise PARSER_VERSION, then record both here"
