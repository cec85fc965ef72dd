"""The columns of the tables of lines, declared once: a class for the rows of each table.

The INSERTs are made of them; tests compare the parsers' events, the migrations and docs/tables.md
with them.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias


class CleanRow(NamedTuple):
    """A row of clean_log: a request, and what is added to it.

    From `time` on, and up to `referrer_id`, it is the Event of its line, field by field.
    """

    stream_id: int
    line_offset: int
    parser_version: int
    flags: int
    time: str
    client: bytes | None
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
    status: int | None
    size: int | None
    request_time: float | None
    upstream_time: float | None
    #: The keys of its texts in `referrer` and `user_agent`.
    referrer_id: int | None
    user_agent_id: int | None
    #: ISO 3166: two letters.
    country: str | None
    city: str | None
    #: The autonomous system number of the network.
    asn: int | None
    file_type: str | None
    extra: dict[str, object] | None


class ErrorRow(NamedTuple):
    """A row of error_log: the ErrorEvent of its line, after the identity of the line."""

    stream_id: int
    line_offset: int
    parser_version: int
    flags: int
    time: str
    level: str
    pid: int | None
    tid: int | None
    connection: int | None
    client: bytes | None
    server: str | None
    request: str | None
    upstream: str | None
    host: str | None
    referrer: str | None
    message: str
    extra: dict[str, object] | None


class RejectedRow(NamedTuple):
    """A row of rejected_log: why a line has no other row."""

    stream_id: int
    line_offset: int
    parser_version: int
    flags: int
    #: One of REJECT_REASONS.
    reason: str


#: The values of a CleanRow as a plain tuple: to make a CleanRow of each line cost a seventh of all
#: that the clean consumer does (make bench-guard).
CleanValues: TypeAlias = tuple[Any, ...]

#: A row of any of the tables. All begin with the line's identity, its parser's version and flags.
Row: TypeAlias = CleanValues | ErrorRow | RejectedRow


def key_of(row: Row) -> tuple[int, int]:
    """Return the primary key of a row: the identity of its line."""
    return row[0], row[1]
