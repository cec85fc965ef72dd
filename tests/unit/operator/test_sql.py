"""What `datastream sql` takes for a statement, and the table that it draws."""

from __future__ import annotations

import pytest

from datastream_operator.reading import Answer, Column
from datastream_operator.sql import Statement, show_table, statements


@pytest.mark.parametrize(
    ("text", "found", "rest"),
    [
        ("SELECT 1; SELECT 2", ["SELECT 1"], "SELECT 2"),
        (";; SELECT 1;\n;", ["SELECT 1"], ""),
        ("SELECT ';', \"a;b\", `c;d`;", ["SELECT ';', \"a;b\", `c;d`"], ""),
        (r"SELECT 'it\'s; ''so'';'; x", [r"SELECT 'it\'s; ''so'';'"], "x"),
        ("SELECT 1 -- one; two\n, 2;", ["SELECT 1  \n, 2"], ""),
        ("# a; b\nSELECT 1 /* ; */ + 1;", ["SELECT 1   + 1"], ""),
        ("SELECT 5--2;", ["SELECT 5--2"], ""),
        ("SELECT /*+ MAX_EXECUTION_TIME(9) */ 1;", ["SELECT /*+ MAX_EXECUTION_TIME(9) */ 1"], ""),
        ("SELECT 'open; ", [], "SELECT 'open;"),
        ("SELECT 1 /* open; ", [], "SELECT 1 /* open;"),
    ],
)
def test_a_semicolon_ends_a_statement(text: str, found: list[str], rest: str) -> None:
    """But none in a text, a name or a comment, nor in one that is still open."""
    ended, left = statements(text)

    assert [statement.text for statement in ended] == found
    assert left.split() == rest.split()


def test_a_statement_may_ask_for_lines_of_columns() -> None:
    """As in the client program of MySQL."""
    assert statements(r"SELECT 1\G SELECT '\\G';")[0] == [
        Statement("SELECT 1", is_vertical=True),
        Statement(r"SELECT '\\G'"),
    ]


def test_a_text_of_a_log_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters are escapes in a table; what rich takes for markup is text."""
    column = Column("line", is_integer=False, is_fraction=False, is_id=False)

    show_table(Answer([column], iter([("\x1b[2J[red]x",), (None,)])))

    assert capsys.readouterr().out.split() == ["line", r"\x1b[2J[red]x", "NULL"]
