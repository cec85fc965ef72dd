"""Rows as tab-separated text, as LOAD DATA reads it: for many rows, in place of an INSERT.

The server takes fields apart quicker than SQL, and the text is quicker to make: see
docs/adr/0012-parsed-rows-by-load-data.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from datastream.inserts import (
    Column,
    Insert,
    Values,
    binaries,
    booleans,
    json_texts,
    numbers,
    texts,
)

#: The file that a statement names. There is none: its rows are in memory.
FILE = "datastream-rows"
#: Rows of a statement at most: more are no quicker, and all of their texts are in memory.
MOST = 2_000
#: Rows whose values become text together, and by which a column is judged.
ROWS_AT_ONCE = 100

#: The server takes bytes as they are, and checks texts when it stores them.
_STATEMENT = (
    f"LOAD DATA LOCAL INFILE '{FILE}' IGNORE INTO TABLE {{table}} CHARACTER SET binary"
    r" FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n' ({fields}){expressions}"
)
#: What would end a field or a row, or is the start of an escape. That one first: the others bring
#: their own.
_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"))
_NULL = "\\N"
#: Stands between texts that are escaped together; a text that holds it is escaped by itself.
_BETWEEN = "\x1f"

#: How the values of one column become fields: text of which each character is a byte.
Fields = Callable[[Sequence[Any]], Sequence[str]]


def number_fields(column: Sequence[float | None]) -> list[str]:
    """Return numbers as fields."""
    return [_NULL if value is None else str(value) for value in column]


def boolean_fields(column: Sequence[bool | None]) -> list[str]:
    """Return yes and no as fields."""
    return [_NULL if value is None else f"{value:d}" for value in column]


def text_fields(column: Sequence[str | None]) -> list[str]:
    """Return texts as fields. Raises UnicodeEncodeError for one that UTF-8 has no bytes for."""
    there = [value for value in column if value is not None]
    fields = _escaped(_BETWEEN.join(there)).split(_BETWEEN) if there else []
    if len(fields) != len(there):
        fields = list(map(_escaped, there))
    if len(there) == len(column):
        return fields
    next_one = iter(fields)
    return [_NULL if value is None else next(next_one) for value in column]


def binary_fields(column: Sequence[bytes | None]) -> list[str]:
    """Return bytes as fields, any bytes."""
    return [_NULL if value is None else _bytes_escaped(value) for value in column]


def json_fields(column: Sequence[object | None]) -> list[str]:
    """Return values as JSON, as fields."""
    return text_fields([None if value is None else json.dumps(value) for value in column])


def _escaped(text: str) -> str:
    for character, escape in _ESCAPES:
        if character in text:
            text = text.replace(character, escape)
    return text if text.isascii() else text.encode().decode("latin-1")


def _bytes_escaped(value: bytes) -> str:
    text = value.decode("latin-1")
    for character, escape in _ESCAPES:
        if character in text:
            text = text.replace(character, escape)
    return text


#: How values become fields, by how they become SQL literals.
_FIELDS: Mapping[Column, Fields] = MappingProxyType(
    {
        numbers: number_fields,
        booleans: boolean_fields,
        texts: text_fields,
        binaries: binary_fields,
        json_texts: json_fields,
    }
)


class Load(NamedTuple):
    """One statement, and the rows that it loads."""

    statement: str
    #: What the server reads as the file.
    text: bytes
    #: How many rows that is.
    rows: int


def loads(insert: Insert, rows: Sequence[Sequence[object]]) -> Iterator[Load]:
    """Yield rows as statements of a bounded length. Raises ValueError where it has no `load`.

    A statement names every column: of one that it leaves out, and that must have a value, MySQL
    makes 0 or an empty text without a warning.
    """
    if insert.load is None:
        raise ValueError("these rows go by INSERT alone")
    for start in range(0, len(rows), MOST):
        part = rows[start : start + MOST]
        columns = [
            (name, column, values)
            for (name, column), values in zip(
                insert.columns.items(), zip(*part, strict=True), strict=True
            )
        ]
        yield Load(_statement(insert.load, columns), b"".join(_text(columns)), len(part))


def _statement(table: str, columns: Sequence[Values]) -> str:
    """Return the statement that loads the columns, in their order."""
    fields, expressions = [], []
    for name, column, values in columns:
        if column is json_texts and not _is_null(values):
            # JSON is made of no text without a character set.
            fields.append(f"@`{name}`")
            expressions.append(f"`{name}` = CONVERT(@`{name}` USING utf8mb4)")
        else:
            fields.append(f"`{name}`")
    made = f" SET {', '.join(expressions)}" if expressions else ""
    return _STATEMENT.format(table=table, fields=", ".join(fields), expressions=made)


def _text(columns: Sequence[Values]) -> Iterator[bytes]:
    """Yield the rows as text, some at a time."""
    fields = [_fields(column, values) for _, column, values in columns]
    for start in range(0, len(fields[0]), ROWS_AT_ONCE):
        block = [column[start : start + ROWS_AT_ONCE] for column in fields]
        lines = "\n".join(map("\t".join, zip(*block, strict=True)))
        yield f"{lines}\n".encode("latin-1")


def _fields(column: Column, values: Sequence[Any]) -> Sequence[str]:
    """Return the values of a column as fields, each of a few once."""
    if _is_null(values):
        return [_NULL] * len(values)
    fields = _FIELDS[column]
    if column is not json_texts and len(set(values[:ROWS_AT_ONCE])) * 2 <= ROWS_AT_ONCE:
        known = list(dict.fromkeys(values))
        by_value = dict(zip(known, fields(known), strict=True))
        return [by_value[value] for value in values]
    return [
        field
        for start in range(0, len(values), ROWS_AT_ONCE)
        for field in fields(values[start : start + ROWS_AT_ONCE])
    ]


def _is_null(values: Sequence[object]) -> bool:
    """Return whether a column is NULL in all rows."""
    return values[0] is None and values.count(None) == len(values)
