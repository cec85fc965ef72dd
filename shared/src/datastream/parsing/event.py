"""What a parser gives: an Event, or an Unparseable with a reason from a bounded set."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

#: The version of the rules. It goes up whenever a line would give another event or reason than
#: before. Rows carry it, so those of an older parser can be found and replaced.
PARSER_VERSION: int = 4

#: The reason of a line that is no trouble: its text is in the row of another one.
CONTINUED = "continued"

#: Why a line has no row in clean_log, and what each reason means. The parsers raise the first
#: four; the consumer gives the others, and `truncated` to lines that the producer cut.
REJECT_MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "empty": "the line holds nothing, or only white space",
        "format": "the line does not have the fields of its format, in their order",
        "time": "the fields are there, but what stands where the time should is none",
        "truncated": (
            "the line was cut at a size limit, and what is left does not fit the format, or ends "
            "within an address"
        ),
        "refused": "the line parsed, but the database refused its row",
        "crashed": "the parser crashed at this line: a bug in our code",
        CONTINUED: "the line goes on with an entry of an error log, whose first line has its row",
    }
)

REJECT_REASONS: tuple[str, ...] = tuple(REJECT_MEANINGS)

#: The most characters that each text column holds. A longer text is cut, and `extra["cut"]` names
#: the column; the whole line is in raw_log.
LIMITS: Mapping[str, int] = MappingProxyType(
    {
        "session": 255,
        "user": 255,
        "email_domain": 255,
        "method": 32,
        "url": 2048,
        "scheme": 16,
        "host": 255,
        "path": 2048,
        "query": 2048,
        "http_version": 8,
        "referrer": 2048,
        "user_agent": 1024,
    }
)

#: The same for each text in `extra`, so that no line makes a huge row.
EXTRA_LIMIT = 2048


class Unparseable(Exception):
    """The line does not parse under these rules. Reject it; trying again cannot help.

    Carries the reason, one of REJECT_REASONS, and nothing of the line.
    """

    def __init__(self, reason: str) -> None:
        if reason not in REJECT_MEANINGS:
            raise ValueError("the reason of an Unparseable must be one of REJECT_REASONS")
        super().__init__(reason)
        self.reason = reason


class Event(NamedTuple):
    r"""One request, as a row of clean_log: each field is named after its column.

    Texts are as they were before the server escaped them; bytes that are not UTF-8 are written as
    `\xff`. Every text can be encoded to UTF-8 and keeps to LIMITS.
    """

    #: UTC, as MySQL reads it: "YYYY-MM-DD HH:MM:SS.mmm".
    time: str
    #: The packed address, 4 or 16 bytes. None when it is no IP address; see `extra["client"]`.
    client: bytes | None
    #: The ident field.
    session: str | None
    user: str | None
    is_email: bool
    #: Lower case.
    email_domain: str | None
    #: None when the request is no HTTP request line; see `extra["request"]`.
    method: str | None
    #: The request target.
    url: str | None
    #: Lower case.
    scheme: str | None
    #: Lower case, without the port, and without the brackets of an IPv6 address.
    host: str | None
    path: str | None
    #: What follows the first "?". None when there is no "?".
    query: str | None
    #: Such as "1.1".
    http_version: str | None
    status: int | None
    #: In bytes.
    size: int | None
    #: In seconds: from the first byte of the request to the last of the response.
    request_time: float | None
    #: In seconds: the sum over all upstream servers that were tried.
    upstream_time: float | None
    referrer: str | None
    user_agent: str | None
    #: What no column holds: the format's other variables by name, odd values, and `cut`.
    extra: dict[str, object] | None


class ErrorEvent(NamedTuple):
    """One line of nginx's error log, as a row of error_log: each field is named after its column.

    Every text can be encoded to UTF-8 and keeps to ERROR_LIMITS.
    """

    #: UTC, as MySQL reads it: "YYYY-MM-DD HH:MM:SS.mmm".
    time: str
    #: debug, info, notice, warn, error, crit, alert or emerg.
    level: str
    pid: int | None
    tid: int | None
    #: The number after the asterisk, the same for all lines about one connection.
    connection: int | None
    #: The packed address, 4 or 16 bytes. None when it is no IP address; see `extra["client"]`.
    client: bytes | None
    server: str | None
    #: The request line.
    request: str | None
    upstream: str | None
    #: As the client sent it.
    host: str | None
    referrer: str | None
    #: What happened, without the fields above.
    message: str
    #: The other fields that nginx or a module of it wrote, by name, and `cut`.
    extra: dict[str, object] | None


#: The most characters that each text of an ErrorEvent holds.
ERROR_LIMITS: Mapping[str, int] = MappingProxyType(
    {
        "level": 16,
        "server": 255,
        "request": 2048,
        "upstream": 2048,
        "host": 255,
        "referrer": 2048,
        "message": 4096,
    }
)
