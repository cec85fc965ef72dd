"""Single values: their escapes undone; a time, an address, an e-mail address's domain, a number."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
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

    Neighbouring `\xHH` are bytes of UTF-8; one that is not part of UTF-8 stays, in lower case.
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


_HAPROXY = re.compile("(?:#[0-9A-F]{2})+")


def from_haproxy(text: str) -> str:
    """Turn `#HH`, the bytes that HAProxy escapes, back into text, as from_default() does."""
    return _HAPROXY.sub(_from_bytes, text) if "#" in text else text


def _from_bytes(found: re.Match[str]) -> str:
    return bytes.fromhex(found[0].replace("#", "")).decode("utf-8", "backslashreplace")


#: By the `escape=` of a log_format.
UNESCAPE: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"default": from_default, "json": from_json, "none": _from_none, "haproxy": from_haproxy}
)


def without_absent_args(text: str) -> str:
    """Return `$uri$is_args$args` without the dash that nginx writes for `$args` if there are none.

    Behind a `?`, which may have been decoded within the path, a dash is an argument.
    """
    return text if text == "-" or "?" in text else text.removesuffix("-")


_TIME = re.compile(
    r"""
    ([0-9]{2}) / ([A-Z][a-z]{2}) / ([0-9]{4})   # day, month, year
    : ([0-9]{2}) : ([0-9]{2}) : ([0-9]{2})      # hour, minute, second
    (?: \. ([0-9]{1,9}) )?                      # fraction: Apache's if it is told to
    [ ] ([+-]) ([0-9]{2}) ([0-5][0-9])          # zone: sign, hours, minutes
    """,
    re.VERBOSE,
)

#: What servers other than nginx write: see local_time(), c_time() and spaced_time().
_LOCAL_TIME = re.compile(
    r"""
    ([0-9]{2}) / ([A-Z][a-z]{2}) / ([0-9]{4}) : ([0-9]{2}:[0-9]{2}:[0-9]{2})
    (\. [0-9]{1,9})?
    """,
    re.VERBOSE,
)
_C_TIME = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ 0-9][0-9]) ([0-9]{2}:[0-9]{2}:[0-9]{2}) ([0-9]{4})"
)
_SPACED_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9]{2}:[0-9]{2}:[0-9]{2}) ([+-][0-9]{4})"
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

# The digits of 2^63-1. int() is never given more: it refuses some thousands of them.
_MOST_DIGITS = 19


# A log repeats its seconds. Exceptions are not cached, so a cached text is 26 characters, and up to
# 36 with a fraction.
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
        moment = None  # raised below: these quote the line, and would be its context
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


@lru_cache(maxsize=4096)
def spaced_time(text: str) -> str:
    """Turn `2000-10-10 13:55:36 -0700` into `2000-10-10 20:55:36.000`. Raises as utc_time()."""
    found = _SPACED_TIME.fullmatch(text)
    if found is None:
        raise Unparseable("time")
    return iso_time("{}T{}{}".format(*found.groups()))


def local_time(text: str, zone: tzinfo) -> str:
    """Turn `10/Oct/2000:13:55:36.123`, or one without a fraction, of a zone into UTC.

    Where clocks are set back an hour is taken for the first of the two. Raises as utc_time().
    """
    found = _LOCAL_TIME.fullmatch(text)
    if found is None:
        raise Unparseable("time")
    day, month, year, clock, fraction = found.groups()
    return _in_zone(f"{day}/{month}/{year}:{clock}{fraction or ''}", zone)


def c_time(text: str, zone: tzinfo) -> str:
    """Turn `Tue Oct 10 13:55:36 2000`, as ctime() of C writes it, of a zone into UTC.

    As local_time(). The day of the week is not looked at.
    """
    found = _C_TIME.fullmatch(text)
    if found is None:
        raise Unparseable("time")
    month, day, clock, year = found.groups()
    return _in_zone(f"{day.replace(' ', '0')}/{month}/{year}:{clock}", zone)


def _in_zone(text: str, zone: tzinfo) -> str:
    """Return a local time in UTC. Raises Unparseable("time")."""
    read = utc_time(f"{text} +0000")  # the same clock, as if it were UTC's
    try:
        moment: datetime | None = datetime.fromisoformat(read).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None  # raised below: these quote the line, and would be its context
    if moment is None or moment.year < 1000:
        raise Unparseable("time")
    return f"{moment:%Y-%m-%d %H:%M:%S}{read[-4:]}"


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


#: What an IPv4 address within IPv6 begins with: `::ffff:192.0.2.7`.
_MAPPED = bytes(10) + b"\xff\xff"

#: A host in brackets, or with a port, or both.
_WITH_PORT = re.compile(
    r"""
      \[ ([^\]]*+) \] (?: : (?=[0-9]) 0*+ ([0-9]{0,5}) )?+
    | ([^:]*+) : (?=[0-9]) 0*+ ([0-9]{0,5})
    """,
    re.VERBOSE,
)
_MOST_PORT = 2**16 - 1


def packed_address(text: str) -> bytes | None:
    """Return the 4 bytes of an IPv4 address or the 16 of an IPv6 one; None for any other text.

    It may have a port and be in brackets and in quotes: `192.0.2.7:51234`, `[2001:db8::7]:443`.
    `::ffff:192.0.2.7` is the address of IPv4.
    """
    # No cache: it would take as long as the conversion, and keep any text that a client invents.
    packed = _packed(text)
    if packed is None:
        host, _port = host_and_port(text[1:-1] if _is_quoted(text) else text)
        packed = _packed(host)
    return packed


def unmapped(packed: bytes) -> bytes:
    """Return an address in 4 bytes where it is one of IPv4 within IPv6; any other as it is."""
    return packed[12:] if packed.startswith(_MAPPED) and len(packed) == 16 else packed


def host_and_port(text: str) -> tuple[str, int | None]:
    """Split `192.0.2.7:80`, `[2001:db8::7]` and `[2001:db8::7]:80`; any other text has no port.

    A port is 0 to 65535.
    """
    found = _WITH_PORT.fullmatch(text)
    if found is None:
        return text, None
    host, port = found.group(1, 2) if found[3] is None else found.group(3, 4)
    value = None if port is None else int(port or 0)
    return (host, value) if value is None or value <= _MOST_PORT else (text, None)


def _is_quoted(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] == '"'


def _packed(text: str) -> bytes | None:
    try:
        if ":" in text:
            return unmapped(inet_pton(AF_INET6, text))
        return inet_pton(AF_INET, text)
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
    """Return the number in decimal digits; None for any other text, or a number over `most`."""
    if len(text) > _MOST_DIGITS or not (text.isascii() and text.isdigit()):
        return None
    value = int(text)
    return value if value <= most else None


def decimal(text: str) -> float | None:
    """Return the number in digits, with or without a decimal point; None for any other text."""
    return float(text) if _DECIMAL.fullmatch(text) else None


_WITH_EXPONENT = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?[eE][+-]?[0-9]{1,2}")
_MOST_DECIMALS = 9


def without_exponent(text: str) -> str:
    """Turn the number `1.5e-3` into `0.0015`, with up to nine decimals. Any other text stays."""
    if _WITH_EXPONENT.fullmatch(text) is None:
        return text
    whole, _, fraction = f"{Decimal(text):f}".partition(".")
    fraction = fraction[:_MOST_DECIMALS].rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def decimal_total(values: Sequence[float | None]) -> float | None:
    """Return the sum of upstream times, rounded to milliseconds; None when there is none."""
    known = [value for value in values if value is not None]
    return round(sum(known), 3) if known else None
