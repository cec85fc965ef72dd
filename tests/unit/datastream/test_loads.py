"""Rows as tab-separated text."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastream.inserts import Insert, binaries, booleans, json_texts, numbers, texts
from datastream.loads import (
    MOST,
    ROWS_AT_ONCE,
    binary_fields,
    boolean_fields,
    json_fields,
    loads,
    number_fields,
    text_fields,
)

ADD = Insert(
    "INSERT INTO t ({columns}) VALUES {values} ON DUPLICATE KEY UPDATE a = a",
    {"a": numbers, "b": texts, "c": binaries, "d": json_texts, "e": booleans},
    load="t",
)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["\\", "\\N", "\\t", "\0", "\t", "\n", "\r", "\x1f", "\\\x1f", "\\\\\n\t", "\U0001f600", ""]
)
WORDS = {b"t": b"\t", b"n": b"\n"}


def read(field: str) -> bytes | None:
    """Return what the server makes of a field."""
    if field == r"\N":
        return None
    written = field.encode("latin-1")
    assert not re.search(rb"[\t\n]|(?<!\\)(\\\\)*\\[^tn\\]", written), "would end it"
    return re.sub(rb"\\(.)", lambda each: WORDS.get(each[1], each[1]), written, flags=re.DOTALL)


@given(st.lists(ANY_TEXT | st.none()))
def test_texts_are_read_as_they_were(column: list[str | None]) -> None:
    """As UTF-8, each by itself, though they are escaped together; NULL is no text."""
    assert [read(field) for field in text_fields(column)] == [
        None if value is None else value.encode() for value in column
    ]


@given(st.lists(st.binary() | st.sampled_from([b"\\N", b"\t", b"\n", b"\\\n"]) | st.none()))
def test_bytes_are_read_as_they_were(column: list[bytes | None]) -> None:
    """Any bytes, what ends a field or a row as well."""
    assert [read(field) for field in binary_fields(column)] == column


def test_numbers_are_written_as_they_are() -> None:
    """Up to 64 bits, with a fraction, and NULL."""
    assert number_fields([2**64 - 1, 0, 0.25, None]) == [str(2**64 - 1), "0", "0.25", r"\N"]


def test_yes_and_no_are_numbers() -> None:
    """The server takes no words for them."""
    assert boolean_fields([True, False, None]) == ["1", "0", r"\N"]


def test_json_keeps_null_apart_from_its_own() -> None:
    """A value that is not there is NULL; a text in JSON is escaped twice."""
    value = {"a": [1, "\n\\", None]}
    first, second = json_fields([None, value])

    assert read(first) is None
    assert json.loads(read(second) or b"") == value


def test_half_of_a_pair_is_no_text() -> None:
    """UTF-8 has no bytes for it: it is not sent as others."""
    with pytest.raises(UnicodeEncodeError):
        text_fields(["a\udc80"])


def test_a_statement_names_every_column() -> None:
    """Of one that it leaves out the server might make a value, without a warning."""
    (part,) = loads(ADD, [(1, None, None, None, True), (2, None, b"x\t", None, None)])

    assert part.statement == (
        "LOAD DATA LOCAL INFILE 'datastream-rows' IGNORE INTO TABLE t CHARACTER SET binary"
        r" FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n'"
        " (`a`, `b`, `c`, `d`, `e`)"
    )
    assert part.text == b"1\t\\N\t\\N\t\\N\t1\n2\t\\N\tx\\t\t\\N\t\\N\n"
    assert part.rows == 2


def test_json_is_made_of_a_text() -> None:
    """The server makes none of bytes, which is what it reads."""
    (part,) = loads(ADD, [(1, None, None, {"é": 1}, None)])

    assert part.statement.endswith(
        "(`a`, `b`, `c`, @`d`, `e`) SET `d` = CONVERT(@`d` USING utf8mb4)"
    )
    assert part.text == b'1\t\\N\t\\N\t{"\\\\u00e9": 1}\t\\N\n'


@pytest.mark.parametrize("rows", [1, ROWS_AT_ONCE + 1, MOST, MOST + 1, 2 * MOST + ROWS_AT_ONCE])
def test_every_row_is_in_one_statement(rows: int) -> None:
    """In its order, however many there are."""
    parts = list(loads(ADD, [(number, None, None, None, None) for number in range(rows)]))

    assert b"".join(part.text for part in parts) == b"".join(
        b"%d" % n + b"\t\\N" * 4 + b"\n" for n in range(rows)
    )
    assert sum(part.rows for part in parts) == rows
    assert max(part.rows for part in parts) <= MOST


@given(
    st.lists(st.tuples(ANY_TEXT | st.none(), st.booleans() | st.none()), min_size=1, max_size=20)
)
def test_values_that_come_again_are_the_same_fields(
    few: list[tuple[str | None, bool | None]],
) -> None:
    """However many rows there are: each is made once, and NULL is among them."""
    rows = [(0, text, None, None, flag) for text, flag in few]
    times = MOST // len(rows)
    (once,), (again,) = loads(ADD, rows), loads(ADD, rows * times)

    assert again.text == once.text * times


def test_rows_of_a_table_that_is_not_named_do_not_go_this_way() -> None:
    """Their INSERT may mean something else."""
    with pytest.raises(ValueError, match="INSERT alone"):
        list(loads(ADD._replace(load=None), [(1, None, None, None, None)]))
