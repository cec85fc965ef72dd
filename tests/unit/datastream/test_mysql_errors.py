"""What a database's error is told as, by its number."""

from __future__ import annotations

import pymysql
import pytest

from datastream import mysql
from datastream.mysql import explained

#: What an operator meets, by number, and a word of what to do.
CURES = {
    1040: "max_connections",
    1049: "create the database",
    1129: "FLUSH HOSTS",
    1130: "make an account for this host",
    1203: "max_user_connections",
    1226: "raise the account's limit",
    1290: "take writes again",
    1449: "make the account again",
    1665: "binlog_format to ROW",
    1820: "new password",
    1836: "take writes again",
    1862: "new password",
    3032: "offline_mode",
    3118: "ACCOUNT UNLOCK",
    3159: "MYSQL_TLS",
    3955: "ACCOUNT UNLOCK",
    4151: "ACCOUNT UNLOCK",
}


@pytest.mark.parametrize(("number", "cure"), CURES.items())
def test_a_cause_that_a_person_mends_is_told_with_the_cure(number: int, cure: str) -> None:
    """The server's number and words come first."""
    words = explained(pymysql.OperationalError(number, "the server's words"))

    assert words.startswith(f"error {number}: the server's words; ")
    assert cure in words


def test_an_error_that_is_not_known_is_told_in_the_servers_words() -> None:
    """Nothing is put in their place, and an error without a number is told too."""
    assert explained(pymysql.OperationalError(9999, "of tomorrow")) == "error 9999: of tomorrow"
    assert explained(pymysql.InterfaceError("closed")) == "closed"
    assert explained(pymysql.InterfaceError(0, "")) == "error 0: "


def test_an_error_of_a_row_or_a_lock_is_not_among_those_that_a_person_mends() -> None:
    """Those are decided before, and a hint would never be seen."""
    assert not mysql.HINTS.keys() & (mysql.DATA_ERRORS | mysql.LOCK_ERRORS)
