"""Rows as SQL text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymysql.converters import escape_string

from datastream import inserts
from datastream.inserts import (
    GROUP,
    ROWS_AT_ONCE,
    Insert,
    Statement,
    binaries,
    json_texts,
    numbers,
    texts,
)

ADD = Insert(
    "INSERT INTO t ({columns}) VALUES {values} ON DUPLICATE KEY UPDATE a = a",
    {"a": numbers, "b": texts, "c": binaries, "d": json_texts},
)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["'", '"', "\\", "\\'", "\0", "\n", "\r", "\x1a", "\x1f", "'\x1f\\", "%s", ""]
)


@given(st.lists(ANY_TEXT | st.none()))
def test_texts_are_escaped_as_the_driver_does(column: list[str | None]) -> None:
    """Each by itself, though they are escaped together; NULL stays in its place."""
    assert list(texts(column)) == [
        "NULL" if value is None else f"'{escape_string(value)}'" for value in column
    ]


@given(st.lists(st.binary() | st.none()))
def test_bytes_are_hexadecimal(column: list[bytes | None]) -> None:
    """Of any bytes, none is ever SQL."""
    assert list(binaries(column)) == [
        "NULL" if value is None else f"X'{value.hex()}'" for value in column
    ]


def test_numbers_are_written_as_they_are() -> None:
    """Up to 64 bits, with a fraction, and NULL."""
    assert numbers([2**64 - 1, 0, 0.25, None]) == [str(2**64 - 1), "0", "0.25", "NULL"]


def test_json_keeps_null_apart_from_its_own() -> None:
    """A value that is not there is NULL; a text in JSON is escaped twice."""
    assert json_texts([None, {"a": [1, "'"]}]) == ["NULL", r"""'{\"a\": [1, \"\'\"]}'"""]


def test_a_statement_names_the_columns_that_have_a_value() -> None:
    """In some row: one that is NULL in all of them is left out, and the others keep their order."""
    (part,) = ADD.statements([(1, None, None, None), (2, None, b"x", None)])

    assert str(part) == (
        "INSERT INTO t (`a`, `c`) VALUES (1,NULL),(2,X'78') ON DUPLICATE KEY UPDATE a = a"
    )


def test_no_rows_are_no_statement() -> None:
    """There is nothing to send."""
    assert list(ADD.statements([])) == []


@pytest.mark.parametrize("rows", [1, ROWS_AT_ONCE + 1, GROUP, GROUP + 1, 2 * GROUP + ROWS_AT_ONCE])
def test_every_row_is_in_one_statement(rows: int) -> None:
    """In its order, however many there are; a statement names what its own rows need."""
    parts = list(ADD.statements([(number, None, None, None) for number in range(rows)]))

    assert [row for part in parts for row in part.rows] == [f"({n})" for n in range(rows)]
    assert {part.before for part in parts} == {"INSERT INTO t (`a`) VALUES "}


def test_a_group_names_only_its_own_columns() -> None:
    """A value in a later group does not widen the statements before it."""
    rows = [(number, None, None, None) for number in range(GROUP)]
    first, second = ADD.statements([*rows, (GROUP, "x", None, None)])

    assert (first.before, second.before) == (
        "INSERT INTO t (`a`) VALUES ",
        "INSERT INTO t (`a`, `b`) VALUES ",
    )


def test_a_statement_has_a_bounded_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with the row by which it reaches the limit."""
    monkeypatch.setattr(inserts, "STATEMENT_CHARACTERS", 10)
    rows = [
        (1, "xxxx", None, None),
        (2, "x", None, None),
        (3, "y", None, None),
        (4, "z", None, None),
    ]
    parts = list(ADD.statements(rows))

    assert [part.rows for part in parts] == [["(1,'xxxx')"], ["(2,'x')", "(3,'y')"], ["(4,'z')"]]


def test_a_row_of_another_width_is_a_mistake() -> None:
    """It is not silently cut to the columns that there are."""
    with pytest.raises(ValueError, match="zip"):
        list(ADD.statements([(1, "x")]))


def test_halves_hold_the_rows_of_the_whole() -> None:
    """Each is a statement of its own; a single row has none."""
    part = Statement("a ", ["1", "2", "3"], " z")
    first, second = part.halves()

    assert (str(first), str(second)) == ("a 1 z", "a 2,3 z")
    with pytest.raises(ValueError, match="cannot be halved"):
        first.halves()
