"""How far both consumers have come, asked in a way that costs the server next to nothing."""

from __future__ import annotations

from deployment import Deployment

_STREAM = "SELECT stream_id FROM log_stream WHERE path LIKE %(path)s"

#: Looks at the ends of indexes. Batches commit in order, so what lies before is there. A line ends
#: at its newline, which is behind the last one's beginning.
_LAST = """
    SELECT LEAST(
        COALESCE((
            SELECT end_offset FROM raw_pack
            WHERE stream_id = %(stream)s ORDER BY line_offset DESC LIMIT 1
        ), -1),
        GREATEST(
            (SELECT COALESCE(MAX(line_offset), -1) FROM clean_log WHERE stream_id = %(stream)s),
            (SELECT COALESCE(MAX(line_offset), -1) FROM error_log WHERE stream_id = %(stream)s),
            (SELECT COALESCE(MAX(line_offset), -1) FROM rejected_log WHERE stream_id = %(stream)s)
        )
    )
"""


class Tables:
    """Looks at one log's rows, on a connection of its own."""

    def __init__(self, deployment: Deployment, path: str = "%") -> None:
        """`path` is that of the log, as LIKE takes it; any where there is but one."""
        self._path = path
        connection = deployment.database.connect(deployment.mysql.database)
        connection.autocommit(True)
        self._connection = connection
        self._stream: int | None = None

    def last(self) -> int:
        """Return an offset before which both consumers have stored each line; -1 for none.

        It is at the last line's first byte, or behind that.
        """
        with self._connection.cursor() as cursor:
            if self._stream is None:
                cursor.execute(_STREAM, {"path": self._path})
                row = cursor.fetchone()
                if row is None:
                    return -1
                self._stream = row[0]
            cursor.execute(_LAST, {"stream": self._stream})
            found = cursor.fetchone()
        # Compared with signed numbers, the greatest unsigned ones come as decimals.
        return int(found[0]) if found else -1

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
