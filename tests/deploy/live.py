"""The answers of a stack that runs to the boards' queries."""

from __future__ import annotations

from typing import Any

import pymysql

from deploy.stack import Stack
from drawing import answers, browser
from drawing.answers import Away, Rows, Sources, Times
from drawing.browser import Board


def sources(stack: Stack) -> Sources:
    """Return what answers the boards of a stack."""

    def prometheus(path: str, **asked: str) -> Any:  # noqa: ANN401 - as Prometheus answers
        try:
            return stack.prometheus(path, **asked)
        except OSError as error:
            raise Away("prometheus") from error

    def sql(statement: str) -> Rows:
        try:
            with stack.connect("grafana") as connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return [column[0] for column in cursor.description], cursor.fetchall()
        except pymysql.OperationalError as error:
            raise Away("mysql") from error

    return Sources(prometheus, sql)


def answered(name: str, times: Times, asked: Sources) -> Board:
    """Return a board with what is answered to its queries."""
    board = browser.board(name)
    frames = answers.of_board(board, times, asked)
    return Board(name, board, times, frames)
