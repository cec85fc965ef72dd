"""The columns of the tables of lines, declared once: a class for the rows of each table.

The INSERTs are made of them; tests hold the parsers' events, the migrations and docs/tables.md to
the same.
"""

from __future__ import annotations

from typing import NamedTuple


class CleanRow(NamedTuple):
    """A row of clean_log: a request, and what is added to it.

    From `time` to `upstream_time` it is the Event of its line, field by field.
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
    #: The number of the network's operator.
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


#: A row of any of the tables. All begin with the line's identity, its parser's version and flags.
Row = CleanRow | ErrorRow | RejectedRow


def key_of(row: Row) -> tuple[int, int]:
    """Return the primary key of a row: the identity of its line."""
    return row[:2]
