"""The lines of a sample, and the truth about each.

The truth is made from the values that a line was made from, never by reading the line, so it is an
independent check of a parser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from typing import Literal, NamedTuple, get_args

from datastream_playground.sample.site import STRAY_BYTES, STRAY_TEXTS, Weighted
from datastream_playground.sample.traffic import Request, Traffic, nginx_escape

Format = Literal["combined", "common", "proxy"]
Reason = Literal["empty", "format", "time"]
FORMATS: tuple[Format, ...] = get_args(Format)

# Not strftime's %b: that one changes with the locale, and log files do not.
MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
#: An hour east of UTC and soon after midnight: the first lines are of another day, month and year
#: than their UTC times.
START = datetime(2026, 1, 1, 0, 50, tzinfo=timezone(timedelta(hours=1)))
#: Milliseconds between two lines, at most: about 285 lines a second.
GAP_MS = 8
JUNK_SHARE = 0.005
#: The share of lines that are followed by an equal one, in the same second.
REPEATED_SHARE = 0.01

IMPOSSIBLE_TIMES = (
    "31/Feb/2026:00:50:07 +0100",
    "30/Feb/2026:11:20:00 +0100",
    "00/Jan/2026:00:50:07 +0100",
    "32/Jan/2026:00:50:07 +0100",
    "01/Jan/2026:24:50:07 +0100",
    "01/Jan/2026:00:60:07 +0100",
)


class Expected(NamedTuple):
    """What a parser must find in a line: the fields of `datastream.parsing.Event`, in order."""

    time: str
    client: str
    session: str | None
    user: str | None
    is_email: bool
    email_domain: str | None
    method: str | None
    url: str | None
    scheme: str | None
    host: str | None
    path: str | None
    query: str | None
    http_version: str | None
    status: int
    size: int | None
    request_time: float | None
    upstream_time: float | None
    referrer: str | None
    user_agent: str | None
    extra: dict[str, str] | None


class Truth(NamedTuple):
    """The byte offset of a line, and either why it must be rejected or what it says."""

    offset: int
    reject: Reason | None
    event: Expected | None


class Clock:
    """The time of the log. It goes on by a few milliseconds a line; texts are kept by second."""

    def __init__(self) -> None:
        self._ms = 0
        self._second = -1
        self.local = self.utc = self.error_log = ""
        self.advance(0)

    def advance(self, milliseconds: int) -> None:
        """Go on, and set the texts: two as nginx writes them into its logs, `utc` for the truth."""
        self._ms += milliseconds
        second = self._ms // 1_000
        if second != self._second:
            self._second = second
            now = START + timedelta(seconds=second)
            self.local = f"{now:%d}/{MONTHS[now.month - 1]}/{now:%Y:%H:%M:%S %z}"
            self.error_log = f"{now:%Y/%m/%d %H:%M:%S}"
            self.utc = f"{now.astimezone(UTC):%Y-%m-%d %H:%M:%S}.000"


Layout = Callable[[Request, str], str]


def _common(request: Request, time: str) -> str:
    visitor = request.visitor
    size = "-" if request.size is None else request.size
    return (
        f"{visitor.client.logged} {visitor.session or '-'} {visitor.user.name or '-'} [{time}] "
        f'"{request.text}" {request.status} {size}'
    )


def _combined(request: Request, time: str) -> str:
    agent = "-" if request.visitor.agent is None else nginx_escape(request.visitor.agent.encode())
    return f'{_common(request, time)} "{request.referrer or "-"}" "{agent}"'


def _proxy(request: Request, time: str) -> str:
    return f"{_common(request, time)} -"


LAYOUTS: dict[Format, Layout] = {"combined": _combined, "common": _common, "proxy": _proxy}
#: The format that strays into a log of each.
OTHER_LAYOUT: dict[Format, Layout] = {"combined": _common, "common": _combined, "proxy": _combined}


class _Junk:
    """Lines that do not fit the format, each with the reason a parser must reject it for."""

    def __init__(self, traffic: Traffic, clock: Clock, log_format: Format) -> None:
        self._traffic = traffic
        self._clock = clock
        self._layout = LAYOUTS[log_format]
        self._other_layout = OTHER_LAYOUT[log_format]
        self._kinds: Weighted[tuple[Callable[[], bytes], Reason]] = Weighted(
            [
                ((self._torn_head, "format"), 2),
                ((self._torn_tail, "format"), 2),
                ((self._error_log, "format"), 2),
                ((self._other_format, "format"), 2),
                ((self._stray_text, "format"), 1.5),
                ((self._stray_bytes, "format"), 1),
                ((bytes, "empty"), 1.5),
                ((lambda: b" \t ", "empty"), 0.5),
                ((self._impossible_time, "time"), 2),
            ]
        )

    def next_line(self) -> tuple[bytes, Reason]:
        """Return the next line of junk."""
        make, reason = self._kinds.pick(self._traffic.random())
        return make(), reason

    def _torn_head(self) -> bytes:
        """Return the first part of a line, cut within the quoted request at the latest."""
        request = self._traffic.next_request()
        line = self._layout(request, self._clock.local)
        within_request = line.index('"') + 1 + self._traffic.below(len(request.text) + 1)
        return line[: 8 + self._traffic.below(within_request - 7)].encode()

    def _torn_tail(self) -> bytes:
        """Return the last part of a line, cut within the time or after it."""
        line = self._layout(self._traffic.next_request(), self._clock.local)
        within_time = line.index("[") + 1
        return line[within_time + self._traffic.below((len(line) - within_time) // 2) :].encode()

    def _error_log(self) -> bytes:
        request = self._traffic.next_request()
        return (
            f"{self._clock.error_log} [error] 1017#1017: *{self._traffic.below(900_000)} open() "
            '"/srv/www/missing" failed (2: No such file or directory), client: '
            f'{request.visitor.client.address}, server: www.example.com, request: "{request.text}"'
        ).encode()

    def _other_format(self) -> bytes:
        return self._other_layout(self._traffic.next_request(), self._clock.local).encode()

    def _stray_text(self) -> bytes:
        return STRAY_TEXTS[self._traffic.below(len(STRAY_TEXTS))].encode()

    def _stray_bytes(self) -> bytes:
        return STRAY_BYTES[self._traffic.below(len(STRAY_BYTES))]

    def _impossible_time(self) -> bytes:
        time = IMPOSSIBLE_TIMES[self._traffic.below(len(IMPOSSIBLE_TIMES))]
        return self._layout(self._traffic.next_request(), time).encode()


def _expected(request: Request, time: str, *, quotes_agent: bool) -> Expected:
    visitor, user, target = request.visitor, request.visitor.user, request.target
    return Expected(
        time,
        visitor.client.address,
        visitor.session,
        user.name,
        user.email_domain is not None,
        user.email_domain,
        request.method,
        target.url,
        target.scheme,
        target.host,
        target.path,
        target.query,
        request.http_version,
        request.status,
        request.size,
        None,
        None,
        request.referrer if quotes_agent else None,
        visitor.agent if quotes_agent else None,
        None
        if request.junk is None
        else {"request": request.junk.decode("utf-8", "backslashreplace")},
    )


def _endless(log_format: Format, seed: int, offset: int) -> Iterator[tuple[bytes, Truth]]:
    traffic = Traffic(seed, proxy=log_format == "proxy")
    clock = Clock()
    junk = _Junk(traffic, clock, log_format)
    layout = LAYOUTS[log_format]
    quotes_agent = log_format == "combined"
    line, event = b"", None
    while True:
        if event is None or traffic.random() >= REPEATED_SHARE:
            clock.advance(traffic.below(GAP_MS))
            if traffic.random() < JUNK_SHARE:
                line, reason = junk.next_line()
                event = None
                yield line, Truth(offset, reason, None)
                offset += len(line) + 1
                continue
            request = traffic.next_request()
            line = layout(request, clock.local).encode()
            event = _expected(request, clock.utc, quotes_agent=quotes_agent)
        yield line, Truth(offset, None, event)
        offset += len(line) + 1


def generate(
    lines: int, log_format: Format, seed: int, offset: int = 0
) -> Iterator[tuple[bytes, Truth]]:
    """Return that many lines, without their newlines, each with its truth.

    The same seed gives the same lines, and a longer sample begins with the shorter one. `offset` is
    where in its file the first line is to begin.
    """
    if log_format not in FORMATS:
        raise ValueError(f"No such format: {log_format!r}; there are {', '.join(FORMATS)}.")
    return islice(_endless(log_format, seed, offset), lines)
