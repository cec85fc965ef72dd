"""From the bytes of one log line to the fields of one row. Pure: no clock, no I/O, no logs.

parse = parser_for("combined")
try:
    event = parse(line)
except Unparseable as reject:
    ...  # reject.reason is one of REJECT_REASONS
"""

from __future__ import annotations

from datastream.parsing.advice import about_rest, unsure
from datastream.parsing.detect import AUTO, FEWEST_LINES, SAMPLE_LINES, Detected, detect
from datastream.parsing.entries import ENTRY_BYTES, Entry, begins, entries, whole
from datastream.parsing.event import (
    CONTINUED,
    ERROR_LIMITS,
    EXTRA_LIMIT,
    LIMITS,
    PARSER_VERSION,
    REJECT_MEANINGS,
    REJECT_REASONS,
    ErrorEvent,
    Event,
    Unparseable,
)
from datastream.parsing.formats import (
    ERROR,
    NAMES,
    PRESETS,
    Parser,
    canonical,
    compiled,
    ends_with_client,
    has_entries,
    is_error_log,
    parser_for,
    split_prefixes,
)
from datastream.parsing.log_format import FormatError, marked
from datastream.parsing.prefix import PREFIXES

__all__ = [
    "AUTO",
    "CONTINUED",
    "ENTRY_BYTES",
    "ERROR",
    "ERROR_LIMITS",
    "EXTRA_LIMIT",
    "FEWEST_LINES",
    "LIMITS",
    "NAMES",
    "PARSER_VERSION",
    "PREFIXES",
    "PRESETS",
    "REJECT_MEANINGS",
    "REJECT_REASONS",
    "SAMPLE_LINES",
    "Detected",
    "Entry",
    "ErrorEvent",
    "Event",
    "FormatError",
    "Parser",
    "Unparseable",
    "about_rest",
    "begins",
    "canonical",
    "compiled",
    "detect",
    "ends_with_client",
    "entries",
    "has_entries",
    "is_error_log",
    "marked",
    "parser_for",
    "split_prefixes",
    "unsure",
    "whole",
]
