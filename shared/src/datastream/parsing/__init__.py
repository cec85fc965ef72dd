"""From the bytes of one access log line to the fields of one row. Pure: no clock, no I/O, no logs.

parse = FORMATS["combined"]
try:
    event = parse(line)
except Unparseable as reject:
    ...  # reject.reason is one of REJECT_REASONS
"""

from __future__ import annotations

from datastream.parsing.event import (
    EXTRA_LIMIT,
    LIMITS,
    PARSER_VERSION,
    REJECT_MEANINGS,
    REJECT_REASONS,
    Event,
    Unparseable,
)
from datastream.parsing.formats import FORMATS, Parser, best_format

__all__ = [
    "EXTRA_LIMIT",
    "FORMATS",
    "LIMITS",
    "PARSER_VERSION",
    "REJECT_MEANINGS",
    "REJECT_REASONS",
    "Event",
    "Parser",
    "Unparseable",
    "best_format",
]
