"""Rows of raw_pack as they were before it had packs."""

from __future__ import annotations

from deployment import Deployment


def as_rows(deployment: Deployment, below: int = 2**63) -> None:
    """Store every line of the packs that begin below an offset as an older version did.

    That is a row each, without the offset of its end.
    """
    for statement in (
        "CREATE TABLE old_row AS SELECT stream_id, line_offset, flags, line, stored_at"
        f" FROM raw_log WHERE pack < {below}",
        f"DELETE FROM raw_pack WHERE line_offset < {below}",
        "INSERT INTO raw_pack (stream_id, line_offset, flags, body, stored_at)"
        " SELECT stream_id, line_offset, flags, line, stored_at FROM old_row",
        "DROP TABLE old_row",
    ):
        deployment.change(statement)
