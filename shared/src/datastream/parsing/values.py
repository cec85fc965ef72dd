"""Single values: a time, an address, the domain of an e-mail address, a number."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton  # converts text, opens nothing

from datastream.parsing.event import Unparseable

_TIME = re.compile(
    r"""
    ([0-9]{2}) / ([A-Z][a-z]{2}) / ([0-9]{4})   # day, month, year
    : ([0-9]{2}) : ([0-9]{2}) : ([0-9]{2})      # hour, minute, second
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

_EMAIL = re.compile(
    r"""
    [^@\s]++ @                            # something before the only "@"
    ( [^@\s.]++ (?: \. [^@\s.]++ )++ )    # domain: two labels or more
    """,
    re.VERBOSE,
)

# The digits of 2^63-1. int() is never asked about more: it refuses some thousands of them.
_MOST_DIGITS = 19


# A log repeats its seconds. What raises is not kept, so each text in the cache is 26 characters.
@lru_cache(maxsize=4096)
def utc_time(text: str) -> str:
    """Turn `10/Oct/2000:13:55:36 -0700` into `2000-10-10 20:55:36.000`.

    Raises Unparseable("time") when the text has another shape, when no such date, time or zone
    exists (a zone is less than 24 hours from UTC), or when the year in UTC is not 1000 to 9999.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise Unparseable("time")
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
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
    return moment.strftime("%Y-%m-%d %H:%M:%S.000")


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


def number(text: str, most: int) -> int | None:
    """Return the number that decimal digits write; None for "-" and for more than `most`."""
    if text == "-" or len(text) > _MOST_DIGITS:
        return None
    value = int(text)
    return value if value <= most else None
