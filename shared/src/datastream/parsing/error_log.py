"""nginx's error log: from the bytes of an entry to an ErrorEvent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from urllib.parse import unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from datastream.parsing.access_log import Destination, Misfit
from datastream.parsing.entries import ENTRY_BYTES
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

_CLIENT = r", (udp )?client: (?P<client>{})( using starttls)?+"
_ADDRESS = r"(?:[0-9A-Fa-f.:]++|unix:)"
#: Where the fields may begin: after the server comes nothing or another field. The name of a server
#: may be a regular expression, with commas.
_FIELDS = re.compile(
    _CLIENT.format(_ADDRESS) + r"(?:\Z|, server: ((?:[^,\"\n]|,(?! ))*+)"
    r"(?=\Z|, (?:[a-z_]++: \"|upstream: |bytes from/to )))"
)
#: The same in a line of which something else stands among the fields, or behind them.
_ANY_FIELDS = re.compile(_CLIENT.format(r"[^ ,\"]++") + r"(?:, server: ([^,\"\n]*+))?+(?=,|\Z)")
#: The fields that may follow the server, in nginx's order; the first is of the mail modules, the
#: last of Kong and APISIX.
_QUOTED = ("login", "request", "subrequest", "upstream", "host", "referrer", "request_id")
_FIELD = re.compile(rf", ({'|'.join(_QUOTED)}): \"")
#: What may be spelled in two ways where it is decoded, and where it is not.
_NOT_PLAIN = re.compile(r"%[0-9A-Fa-f]{2}|\\x[0-9a-f]{2}|\\|[^ -~]")
#: How long the text of a byte may be: that of one that is no text, `\\xff`.
_LONGEST = 4
_UNQUOTED_UPSTREAM = re.compile(r", upstream: ([^ ,\"]++)\Z")
_LIMITED = re.compile(
    r"(?:limiting (?:requests|connections)|delaying request)(, dry run)?"
    r"(?:, excess: ([0-9]+\.[0-9]+))?,? by zone \"([^\"]*)\""
)
#: The bytes of a line that nginx, or OpenResty, may have cut at its limit.
_CUT = (ENTRY_BYTES // 2 - 1, ENTRY_BYTES - 1)

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

    #: What is ambiguous in the format itself, in sentences.
    doubts: tuple[str, ...] = ()
    #: What else a person should know of it.
    remarks: tuple[str, ...] = ()

    def __init__(self, zone_name: str = "") -> None:
        """`zone_name` is one that zone() reads. Raises FormatError."""
        local = zone(zone_name)
        if not zone_name:
            self.remarks = (
                "its times have no zone and are taken for UTC: name the zone behind it, as in "
                "error Europe/Paris",
            )
        self._utc = lru_cache(maxsize=4096)(lambda text: _utc_time(text, local))

    def parse(self, line: bytes) -> ErrorEvent:
        """Return the event of a line, or of the lines of an entry. Raises Unparseable."""
        text = line.decode("utf-8", "backslashreplace").removesuffix("\r")
        found = _LINE.fullmatch(text)
        if found is None:
            raise Unparseable("format" if text.strip() else "empty")
        time, level, pid, tid, connection, rest = found.groups()
        message, fields, more = _fields(rest, is_cut=len(line) in _CUT)
        client = fields.pop("client", None)
        packed = packed_address(client) if client else None
        return _within_limits(
            ErrorEvent(
                time=self._utc(time),
                level=level,
                pid=number(pid),
                tid=number(tid),
                connection=number(connection) if connection else None,
                client=packed,
                server=fields.pop("server", None) or None,
                request=fields.pop("request", None),
                upstream=fields.pop("upstream", None),
                host=fields.pop("host", None),
                referrer=fields.pop("referrer", None),
                message=message,
                extra={
                    **({"client": client} if client and packed is None else {}),
                    **fields,
                    **more,
                    **_limited(message),
                }
                or None,
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

    Where clocks are set back and an hour comes twice, it is taken as the first one.
    """
    try:
        moment: datetime | None = (
            datetime.strptime(text, "%Y/%m/%d %H:%M:%S").replace(tzinfo=local).astimezone(UTC)
        )
    except (ValueError, OverflowError):
        moment = None  # raised below: these quote the line, and would be its context
    if moment is None or moment.year < 1000:
        raise Unparseable("time")
    return moment.strftime("%Y-%m-%d %H:%M:%S.000")


def _limited(message: str) -> dict[str, object]:
    """Return what a message about a limit of requests or connections says."""
    found = _LIMITED.match(message)
    if found is None:
        return {}
    dry_run, excess, zone_name = found.groups()
    return {
        **({"excess": float(excess)} if excess else {}),
        "zone": zone_name,
        **({"dry_run": True} if dry_run else {}),
    }


def _fields(text: str, *, is_cut: bool) -> tuple[str, dict[str, str], dict[str, object]]:
    """Return the message, the fields after it that nginx's modules write, and what `extra` adds.

    `is_cut`: the end may be missing, and the fields with it. Then a client at the end may be part
    of an address, and one in quotes is that of a path: there are none.
    """
    first = max(0, text.find("client: ") - len(", udp "))
    places = [*_FIELDS.finditer(text, first)] or [*_ANY_FIELDS.finditer(text, first)][-1:]
    if not places:
        return text, {}, {}
    found = _first_of(places, text)
    is_at_end = found.end() == len(text) and found[4] is None
    if is_cut and (is_at_end or text.count('"', 0, found.start()) % 2):
        return text, {}, {}
    fields = {"client": found["client"]}
    if found[4] is not None:
        fields["server"] = found[4]
    left_over = _quoted(text[found.end() :], fields, is_cut=is_cut)
    if "request" not in fields and (upstream := _UNQUOTED_UPSTREAM.search(left_over)):
        fields["upstream"] = upstream[1]
        left_over = left_over[: upstream.start()]
    udp, _, starttls, _ = found.groups()
    is_ambiguous = len(places) > 1
    more: dict[str, object] = {}
    if is_cut or udp or starttls or is_ambiguous:
        said = {
            "cut": [[*fields][-1]] if is_cut and not left_over else None,
            "protocol": "udp" if udp else None,
            "starttls": starttls is not None,
            "ambiguous": is_ambiguous,
        }
        more = {name: value for name, value in said.items() if value}
    return text[: found.start()] + left_over, fields, more


def _first_of(places: Sequence[re.Match[str]], text: str) -> re.Match[str]:
    """Return where the fields begin, of the places where they may.

    The first counts: what a client sent is in the fields too, so the others may be its own words.
    But a path is in the message as well, decoded. Words of a path that are in the line once more,
    in the request, are the client's.
    """
    if len(places) > 1 and len(text) <= ENTRY_BYTES * _LONGEST:
        decoded = unquote(text)
        plain = _NOT_PLAIN.sub(lambda odd: "\0" * len(odd[0]), text)
        for found in places:
            slash = plain.rfind("/", 0, found.start())
            begin = max(slash, plain.rfind("\0", 0, found.start())) + 1
            if slash < 0 or decoded.count(text[begin : found.end("client")]) < 2:
                return found
    return places[0]


def _quoted(text: str, fields: dict[str, str], *, is_cut: bool) -> str:
    """Add the quoted fields of a text; return the rest of it."""
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
        if is_cut and end == len(text):
            value, quote, after = text[begin:].removesuffix('"'), '"', ""
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
    cut_before = extra.pop("cut", None)
    long = [name for name, v in extra.items() if isinstance(v, str) and len(v) > EXTRA_LIMIT]
    if not columns and not long:
        return event
    extra |= {name: str(extra[name])[:EXTRA_LIMIT] for name in long}
    cut = dict.fromkeys([*columns, *long, *(cut_before if isinstance(cut_before, list) else ())])
    return event._replace(**columns, extra={**extra, "cut": [*cut]})
