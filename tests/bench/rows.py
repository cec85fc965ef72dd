"""Finished rows out of a table and into another one, whatever its columns are."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from bench.servers import PrivateDatabase
from datastream_playground.local.servers import Database

#: Bytes as they are: a log holds any.
_AS_BYTES = "CHARACTER SET binary"


class Column(NamedTuple):
    """A column of a table that holds values of its own."""

    name: str
    type: str


def columns(cursor: Any, table: str) -> list[Column]:  # noqa: ANN401 - the driver's
    """Return the columns of a table of the current schema, without those that are computed."""
    cursor.execute(
        "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS"
        " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s"
        " AND COALESCE(GENERATION_EXPRESSION, '') = '' ORDER BY ORDINAL_POSITION",
        (table,),
    )
    return [Column(*row) for row in cursor.fetchall()]


def export(database: PrivateDatabase, schema: str, table: str) -> str:
    """Write all rows of a table to a file of the server's and return its path."""
    path = f"{database.files}/{table}-{uuid.uuid4().hex}"
    with database.connect(schema, read_timeout=600) as connection, connection.cursor() as cursor:
        names = ", ".join(f"`{column.name}`" for column in columns(cursor, table))
        cursor.execute(f"SELECT {names} INTO OUTFILE %s {_AS_BYTES} FROM {table}", (path,))
    return path


def load(
    database: PrivateDatabase, schema: str, table: str, path: str, *, generation: int = 0
) -> None:
    """Add the rows of a file to a table in one transaction.

    Each `generation` gives the same rows other keys: those of a log that begins alike.
    """
    with database.connect(schema, read_timeout=3600) as connection, connection.cursor() as cursor:
        fields, settings = [], []
        for name, kind in columns(cursor, table):
            # Each needs an expression: text alone has a character set that JSON can be made of.
            if kind == "json":
                settings.append(f"`{name}` = CONVERT(@`{name}` USING utf8mb4)")
            elif name == "stream_id" and generation:
                settings.append(f"`{name}` = @`{name}` ^ {generation:d}")
            else:
                fields.append(f"`{name}`")
                continue
            fields.append(f"@`{name}`")
        change = f" SET {', '.join(settings)}" if settings else ""
        cursor.execute(
            f"LOAD DATA INFILE %s INTO TABLE {table} {_AS_BYTES} ({', '.join(fields)}){change}",
            (path,),
        )
        connection.commit()


def room(database: Database, schema: str, prefix: str) -> int:
    """Return how many bytes the tables take whose names begin so, with their indexes.

    A view takes none: what it shows may be packed in tables beside it.
    """
    with database.connect(schema) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
            " AND TABLE_TYPE = 'BASE TABLE' AND LEFT(TABLE_NAME, %s) = %s",
            (len(prefix), prefix),
        )
        tables = [table for (table,) in cursor.fetchall()]
        total = 0
        for table in tables:
            cursor.execute(f"ANALYZE TABLE `{table}`")
            cursor.execute(
                "SELECT DATA_LENGTH + INDEX_LENGTH FROM information_schema.TABLES"
                " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s",
                (table,),
            )
            [[size]] = cursor.fetchall()
            total += int(size)
    return total
