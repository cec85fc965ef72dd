"""Single values: their escapes undone; a time, an address, an e-mail address's domain, a number."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton  # converts text, opens nothing
from types import MappingProxyType

from datastream.parsing.event import Unparseable

_HEX = re.compile(r"((?:\\x[0-9A-Fa-f]{2})+)|\\([\"\\bfnrtv])")
_JSON = re.compile(r"\\u([0-9A-Fa-f]{4})|\\([\"\\/bfnrt])")
_NAMED = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}


def from_default(text: str) -> str:
    r"""Turn `\xHH` (nginx) and `\"`, `\\`, `\n` … (Apache) back into text.

    Neighbouring `\xHH` are bytes of UTF-8; one that is no part of UTF-8 stays, in lower case.
    """
    return _HEX.sub(_from_hex, text) if "\\" in text else text


def _from_hex(found: re.Match[str]) -> str:
    if found[1] is None:
        return _NAMED[found[2]]
    return bytes.fromhex(found[1].replace("\\x", "")).decode("utf-8", "backslashreplace")


def from_json(text: str) -> str:
    r"""Turn the escapes of JSON back into text; half of a surrogate pair stays an escape."""
    if "\\" not in text:
        return text
    text = _JSON.sub(lambda found: chr(int(found[1], 16)) if found[1] else _NAMED[found[2]], text)
    # Pairs become characters on the way through UTF-16.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return text.encode("utf-8", "backslashreplace").decode()


def _from_none(text: str) -> str:
    return text


#: By the `escape=` of a log_format.
UNESCAPE: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"default": from_default, "json": from_json, "none": _from_none}
)


_TIME = re.compile(
    r"""
    ([0-9]{2}) / ([A-Z][a-z]{2}) / ([0-9]{4})   # day, month, year
    : ([0-9]{2}) : ([0-9]{2}) : ([0-9]{2})      # hour, minute, second
    (?: \. ([0-9]{1,9}) )?                      # fraction: Apache's if it is told to
    [ ] ([+-]) ([0-9]{2}) ([0-5][0-9])          # zone: sign, hours, minutes
    """,
    re.VERBOSE,
)

# Not strptime's %b, which changes with the locale; the months of a log do not.
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}

_MONTH_NAMES = {f"{number:02}": name for name, number in _MONTHS.items()}

_ISO_TIME = re.compile(
    r"""
    ([0-9]{4}) - ([0-9]{2}) - ([0-9]{2})            # year, month, day
    T ([0-9]{2} : [0-9]{2} : [0-9]{2})              # hour, minute, second
    (\. [0-9]{1,9})?                                # fraction: not nginx's
    (Z | [+-] [0-9]{2} :? [0-5][0-9])               # zone
    """,
    re.VERBOSE,
)

_EPOCH_TIME = re.compile(r"([0-9]{1,12}) (?: \. ([0-9]{1,9}) )?", re.VERBOSE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = 253_402_300_799

_EMAIL = re.compile(
    r"""
    [^@\s]++ @                            # something before the only "@"
    ( [^@\s.]++ (?: \. [^@\s.]++ )++ )    # domain: two labels or more
    """,
    re.VERBOSE,
)

_DECIMAL = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")

# The digits of 2^63-1. int() is never asked about more: it refuses some thousands of them.
_MOST_DIGITS = 19


# A log repeats its seconds. What raises is not kept, so a text in the cache is 26 characters,
# and up to 36 with a fraction.
@lru_cache(maxsize=4096)
def utc_time(text: str) -> str:
    """Turn `10/Oct/2000:13:55:36 -0700` into `2000-10-10 20:55:36.000`.

    A fraction of the second, `13:55:36.123`, is cut to milliseconds.
    Raises Unparseable("time") when the text has another shape, when no such date, time or zone
    exists (a zone is less than 24 hours from UTC), or when the year in UTC is not 1000 to 9999.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise Unparseable("time")
    day, month, year, hour, minute, second, fraction, sign, *zone = found.groups()
    zone_hours, zone_minutes = zone
    offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
    try:
        moment: datetime | None = datetime(
            int(year),
            _MONTHS[month],
            int(day),
            int(hour),
            int(minute),
            int(second),
            tzinfo=timezone(-offset if sign == "-" else offset),
        ).astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        moment = None  # raised below: these quote the line, and would go along as the context
    if moment is None or moment.year < 1000:
        raise Unparseable("time")
    return f"{moment:%Y-%m-%d %H:%M:%S}.{_milliseconds(fraction)}"


def _milliseconds(fraction: str | None) -> str:
    """Return the first three decimals of the digits after the point."""
    return f"{fraction or '':0<3.3}"


@lru_cache(maxsize=4096)
def iso_time(text: str) -> str:
    """Turn `2000-10-10T13:55:36-07:00` into `2000-10-10 20:55:36.000`. Raises as utc_time()."""
    found = _ISO_TIME.fullmatch(text)
    if found is None:
        raise Unparseable("time")
    year, month, day, clock, fraction, zone = found.groups()
    name = _MONTH_NAMES.get(month, month)
    zone = "+0000" if zone == "Z" else zone.replace(":", "")
    return utc_time(f"{day}/{name}/{year}:{clock}{fraction or ''} {zone}")


def epoch_time(text: str) -> str:
    """Turn the seconds `971211336.123` into `2000-10-10 20:55:36.123`.

    More than three decimals are cut. Raises Unparseable("time") when the text is none, or when the
    year is not 1970 to 9999.
    """
    found = _EPOCH_TIME.fullmatch(text)
    if found is None:
        raise Unparseable("time")
    seconds, fraction = found.groups()
    return f"{_epoch_second(seconds)}.{_milliseconds(fraction)}"


@lru_cache(maxsize=4096)
def _epoch_second(seconds: str) -> str:
    moment = _EPOCH + timedelta(seconds=int(seconds)) if int(seconds) <= _LAST_SECOND else None
    if moment is None:
        raise Unparseable("time")
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def packed_address(text: str) -> bytes | None:
    """Return the 4 bytes of an IPv4 address or the 16 of an IPv6 one; None for any other text."""
    # No cache: it would take as long as the conversion, and keep whatever a client makes up.
    try:
        return inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):
        return None


def email_domain(text: str) -> str | None:
    """Return the domain of an e-mail address, in lower case; None when the text is not one.

    An e-mail address has exactly one "@", something before it, two or more labels joined by dots
    after it, and no white space.
    """
    found = _EMAIL.fullmatch(text)
    return found[1].lower() if found else None


def number(text: str, most: int = 2**63 - 1) -> int | None:
    """Return the number that decimal digits write; None for any other text, or more than `most`."""
    if len(text) > _MOST_DIGITS or not (text.isascii() and text.isdigit()):
        return None
    value = int(text)
    return value if value <= most else None


def decimal(text: str) -> float | None:
    """Return the number that digits write, with a point among them or none; None for others."""
    return float(text) if _DECIMAL.fullmatch(text) else None


def decimal_total(values: Sequence[float | None]) -> float | None:
    """Return the sum of what upstream servers took, in whole milliseconds; None without any."""
    known = [value for value in values if value is not None]
    return round(sum(known), 3) if known else None
