"""What follows a format that ends with `$rest`: a log_format that names it, by guesses."""

from __future__ import annotations

import re
from typing import NamedTuple

from datastream.parsing.event import Event, Unparseable
from datastream.parsing.formats import PRESETS, canonical, parser_for, split_prefixes
from datastream.parsing.values import packed_address

_FIELD = re.compile(r'(")[^"]*"|(\[)[^\]]*\]|[^\s",]+(?:, [^\s",]+)*')
_CLOSING = {'"': '"', "[": "]", "": ""}
_DECIMAL = r"[0-9]+\.[0-9]+"
_SERVER = r"(?:unix:\S+|[0-9.]+:[0-9]+|\[[0-9A-Fa-f:]+\]:[0-9]+)"
#: What fields may be, by the text of the first line: the first variable that is not used yet.
_GUESSES = (
    (re.compile(rf"{_DECIMAL}"), ("request_time", "upstream_response_time")),
    (re.compile(rf"{_DECIMAL}(?:, {_DECIMAL})+"), ("upstream_response_time",)),
    (re.compile(rf"{_SERVER}(?:, {_SERVER})*"), ("upstream_addr",)),
    (re.compile(r"TLSv[0-9.]+"), ("ssl_protocol",)),
    (re.compile(r"TLS_[A-Z0-9_]+|(?:ECDHE|DHE|AES)[A-Z0-9-]+"), ("ssl_cipher",)),
    (re.compile(r"MISS|BYPASS|EXPIRED|STALE|UPDATING|REVALIDATED|HIT"), ("upstream_cache_status",)),
    (re.compile(r"https?"), ("scheme",)),
    (re.compile(r"[0-9a-f]{32}"), ("request_id",)),
    (re.compile(r"[1-5][0-9]{2}"), ("upstream_status",)),
    (re.compile(r"(?:[0-9A-Za-z_-]+\.)+[A-Za-z]{2,}"), ("host",)),
)


class Named(NamedTuple):
    """A log_format in place of one that ends with `$rest`."""

    directive: str
    #: The variables of it that are guesses, with their `$`.
    guesses: tuple[str, ...]


def rest_of(event: object) -> str | None:
    """Return what an event holds of a line that no variable names; None if there is nothing."""
    found = (event.extra or {}).get("rest") if isinstance(event, Event) else None
    return found if isinstance(found, str) else None


def named(form: str, line: bytes) -> Named | None:
    """Return a log_format that names what follows in a line; None where that cannot be told.

    `form` is the name of a format that ends with `$rest`, behind its prefixes or not.
    """
    prefixes, name = split_prefixes(form)
    text = PRESETS.get(name, "").replace("$session", "-")  # as nginx writes it
    rest = rest_of(parser_for(form)(line))
    if rest is None or not text.endswith("$rest"):
        return None
    guesses: list[str] = []
    written = _FIELD.sub(lambda field: _variable(field, guesses), rest)
    directive = canonical(" ".join([*prefixes, text.removesuffix("$rest") + written]))
    try:
        parser_for(directive)(line)
    except Unparseable:
        return None
    return Named(directive, tuple(guesses))


def _variable(field: re.Match[str], guesses: list[str]) -> str:
    """Return a field's variable, in the quotes or brackets of its value, and note it."""
    opening = field[1] or field[2] or ""
    value = field[0].strip('"[]')
    fitting = [name for pattern, names in _GUESSES if pattern.fullmatch(value) for name in names]
    if opening == '"' and (value == "-" or all(map(packed_address, value.split(", ")))):
        fitting = ["http_x_forwarded_for"]
    free = [f"${name}" for name in fitting if f"${name}" not in guesses]
    guesses.append(free[0] if free else f"$field_{len(guesses) + 1}")
    return f"{opening}{guesses[-1]}{_CLOSING[opening]}"
