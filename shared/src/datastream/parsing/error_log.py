"""nginx's error log: from the bytes of a line to an ErrorEvent."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from datastream.parsing.access_log import Destination, Misfit
from datastream.parsing.event import ERROR_LIMITS, EXTRA_LIMIT, ErrorEvent, Unparseable
from datastream.parsing.log_format import FormatError
from datastream.parsing.values import number, packed_address

_LINE = re.compile(
    r"""
    ([0-9]{4}/[0-9]{2}/[0-9]{2} [ ] [0-9]{2}:[0-9]{2}:[0-9]{2})    # local time
    [ ] \[ ([a-z]{1,16}+) \]                                        # level
    [ ] ([0-9]++) \# ([0-9]++) :                                    # process, thread
    [ ] (?: \* ([0-9]++) [ ] )?+                                    # connection
    (.*+)                                                           # message, and fields
    """,
    re.VERBOSE | re.DOTALL,
)

_CLIENT = ", client: "
_SERVER = re.compile(r"([^ ,\"]++)(?:, server: ([^,\"]*+))?+(?=,|$)")
#: The fields that follow the server, in nginx's order.
_QUOTED = ("request", "subrequest", "upstream", "host", "referrer")
_FIELD = re.compile(rf", ({'|'.join(_QUOTED)}): \"")
_LIMITED = re.compile(r"^limiting \w+(?:, excess: ([0-9]+\.[0-9]+))?.* by zone \"([^\"]*)\"")

_OFFSET = re.compile(r"([+-])([0-9]{2}):?([0-5][0-9])")


def zone(name: str) -> tzinfo:
    """Return the zone of `Europe/Paris`, `+02:00` or `UTC`. Raises FormatError."""
    if name in ("", "UTC"):
        return UTC
    if found := _OFFSET.fullmatch(name):
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        if offset < timedelta(hours=24):
            return timezone(-offset if found[1] == "-" else offset)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise FormatError(
            f"{name!r} is no time zone: write one as Europe/Paris or +02:00"
        ) from None


class ErrorFormat:
    """The format of the error log, whose times are local ones of a zone."""

    def __init__(self, zone_name: str = "") -> None:
        """`zone_name` is one that zone() reads. Raises FormatError."""
        local = zone(zone_name)
        self._utc = lru_cache(maxsize=4096)(lambda text: _utc_time(text, local))

    def parse(self, line: bytes) -> ErrorEvent:
        """Return the event of a line. Raises Unparseable."""
        text = line.decode("utf-8", "backslashreplace").removesuffix("\r")
        found = _LINE.fullmatch(text)
        if found is None:
            raise Unparseable("format" if text.strip() else "empty")
        time, level, pid, tid, connection, rest = found.groups()
        message, fields = _fields(rest)
        client = fields.pop("client", None)
        packed = packed_address(client) if client else None
        extra: dict[str, object] = {}
        if client and packed is None:
            extra["client"] = client
        if "subrequest" in fields:
            extra["subrequest"] = fields.pop("subrequest")
        if limited := _LIMITED.match(message):
            if limited[1]:
                extra["excess"] = float(limited[1])
            extra["zone"] = limited[2]
        return _within_limits(
            ErrorEvent(
                time=self._utc(time),
                level=level,
                pid=number(pid),
                tid=number(tid),
                connection=number(connection) if connection else None,
                client=packed,
                server=fields.get("server") or None,
                request=fields.get("request"),
                upstream=fields.get("upstream"),
                host=fields.get("host"),
                referrer=fields.get("referrer"),
                message=message,
                extra=extra or None,
            )
        )

    def misfit(self, line: bytes) -> Misfit:
        """Return where a line that was rejected stops fitting, and what should follow there."""
        text = line.decode("utf-8", "backslashreplace")
        offset = 0
        for what, pattern in _BEGINNINGS:
            found = pattern.match(text, offset)
            if found is None:
                return Misfit(offset, what)
            offset = found.end()
        return Misfit(0, _BEGINNINGS[0][0])

    def destinations(self) -> list[Destination]:
        """Return what each part of a line is, and where it goes."""
        return [Destination(name, "", (name,)) for name in ErrorEvent._fields if name != "extra"]


_BEGINNINGS = (
    (
        "a time such as 2026/01/31 23:59:59",
        re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}"),
    ),
    ("a level such as [error]", re.compile(r" \[[a-z]{1,16}+\]")),
    ("process and thread, as 17#17:", re.compile(r" [0-9]++#[0-9]++: ")),
)


def _utc_time(text: str, local: tzinfo) -> str:
    """Turn `2000/10/10 13:55:36` of a zone into UTC. Raises Unparseable("time").

    Where the clocks are set back and an hour comes twice, it is taken for the first one.
    """
    try:
        moment: datetime | None = (
            datetime.strptime(text, "%Y/%m/%d %H:%M:%S").replace(tzinfo=local).astimezone(UTC)
        )
    except (ValueError, OverflowError):
        moment = None  # raised below: these quote the line, and would go along as the context
    if moment is None or moment.year < 1000:
        raise Unparseable("time")
    return moment.strftime("%Y-%m-%d %H:%M:%S.000")


def _fields(text: str) -> tuple[str, dict[str, str]]:
    """Return the message, and the fields after it that nginx's HTTP and mail modules write.

    What a client sent is in the message, decoded, and in the fields; so where the fields
    could begin at several offsets it is the last one, unless they do not fit there.
    """
    for start in (text.rfind(_CLIENT), text.find(_CLIENT)):
        if start < 0:
            break
        found = _SERVER.match(text, start + len(_CLIENT))
        if found is None:
            continue
        fields = {"client": found[1]}
        if found[2] is not None:
            fields["server"] = found[2]
        left_over = _quoted(text[found.end() :], fields)
        return text[:start] + left_over, fields
    return text, {}


def _quoted(text: str, fields: dict[str, str]) -> str:
    """Add the quoted fields of a text; return what of it is no such field."""
    starts: list[tuple[str, int, int]] = []
    known = -1
    for found in _FIELD.finditer(text):
        # One out of order is part of the value before it.
        if _QUOTED.index(found[1]) > known:
            known = _QUOTED.index(found[1])
            starts.append((found[1], found.start(), found.end()))
    if not starts:
        return text
    left_over = text[: starts[0][1]]
    ends = [start for _, start, _ in starts[1:]] + [len(text)]
    for (name, _, begin), end in zip(starts, ends, strict=True):
        value, quote, after = text[begin:end].rpartition('"')
        fields[name] = value if quote else after
        left_over += after if quote else ""
    return left_over


def _within_limits(event: ErrorEvent) -> ErrorEvent:
    columns = {
        column: text[:limit]
        for column, limit in ERROR_LIMITS.items()
        if (text := getattr(event, column)) is not None and len(text) > limit
    }
    extra = dict(event.extra or {})
    long = [name for name, v in extra.items() if isinstance(v, str) and len(v) > EXTRA_LIMIT]
    if not columns and not long:
        return event
    extra |= {name: str(extra[name])[:EXTRA_LIMIT] for name in long}
    return event._replace(**columns, extra={**extra, "cut": [*columns, *long]})
