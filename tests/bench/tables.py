"""How far both consumers have come, asked in a way that costs the server next to nothing."""

from __future__ import annotations

from deployment import Deployment

_STREAM = "SELECT stream_id FROM log_stream WHERE path LIKE %(path)s"

#: Another revision may be without one of them.
_PARSED = """
    SELECT TABLE_NAME FROM information_schema.TABLES
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ('clean_log', 'error_log', 'rejected_log')
"""
#: Looks at the ends of indexes. Batches commit in order, so what lies before is there.
_LAST_OF = "(SELECT COALESCE(MAX(line_offset), -1) FROM {table} WHERE stream_id = %(stream)s)"


class Tables:
    """Looks at one log's rows, on a connection of its own."""

    def __init__(self, deployment: Deployment, path: str = "%") -> None:
        """`path` is that of the log, as LIKE takes it; any where there is but one."""
        self._path = path
        connection = deployment.database.connect(deployment.mysql.database)
        connection.autocommit(True)
        self._connection = connection
        self._stream: int | None = None
        with connection.cursor() as cursor:
            cursor.execute(_PARSED)
            each = ", ".join(_LAST_OF.format(table=table) for (table,) in cursor.fetchall())
        self._parsed = f"GREATEST({each})"
        self._both = f"LEAST({_LAST_OF.format(table='raw_log')}, {self._parsed})"

    def last(self) -> int:
        """Return the offset up to which both consumers have stored each line; -1 for none."""
        return self._ask(self._both)

    def last_parsed(self) -> int:
        """The same of the clean consumers alone: lines of raw_log may be packed, and cost more."""
        return self._ask(self._parsed)

    def _ask(self, wanted: str) -> int:
        with self._connection.cursor() as cursor:
            if self._stream is None:
                cursor.execute(_STREAM, {"path": self._path})
                row = cursor.fetchone()
                if row is None:
                    return -1
                self._stream = row[0]
            cursor.execute(f"SELECT {wanted}", {"stream": self._stream})
            found = cursor.fetchone()
        # Compared with signed numbers, the greatest unsigned ones come as decimals.
        return int(found[0]) if found else -1

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
