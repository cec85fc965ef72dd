"""From the bytes of one log line to the fields of one row. Pure: no clock, no I/O, no logs.

parse = parser_for("combined")
try:
    event = parse(line)
except Unparseable as reject:
    ...  # reject.reason is one of REJECT_REASONS
"""

from __future__ import annotations

from datastream.parsing.detect import AUTO, FEWEST_LINES, SAMPLE_LINES, Detected, detect
from datastream.parsing.event import (
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
    in_configuration,
    parser_for,
)
from datastream.parsing.log_format import FormatError, marked

__all__ = [
    "AUTO",
    "ERROR",
    "ERROR_LIMITS",
    "EXTRA_LIMIT",
    "FEWEST_LINES",
    "LIMITS",
    "NAMES",
    "PARSER_VERSION",
    "PRESETS",
    "REJECT_MEANINGS",
    "REJECT_REASONS",
    "SAMPLE_LINES",
    "Detected",
    "ErrorEvent",
    "Event",
    "FormatError",
    "Parser",
    "Unparseable",
    "canonical",
    "compiled",
    "detect",
    "in_configuration",
    "marked",
    "parser_for",
]
