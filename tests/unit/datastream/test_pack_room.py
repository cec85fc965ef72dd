"""What the server must unpack to show a pack's lines."""

from __future__ import annotations

from itertools import pairwise
from unittest.mock import Mock

import pymysql
import pytest

from datastream.loading import NOBODY, Loading
from datastream.mysql import Transaction
from datastream.packs import MOST_JSON, MOST_TEXT, json_bytes, packs
from datastream.slices import UNTERMINATED


@pytest.mark.parametrize("byte", [b"a", b"\x01", b'"', b"\xff", b"\x80"])
def test_bytes_that_take_more_room_make_more_packs(byte: bytes) -> None:
    """No pack of several lines has more JSON than the server unpacks, whatever the bytes."""
    lines = [(at * 200, byte * 199) for at in range(1_200)]

    made = list(packs(lines, 0, 1_200 * 200 - 1))

    assert [line for pack in made for line in pack.lines()] == lines
    assert all(json_bytes(pack) <= MOST_JSON for pack in made)
    assert all(one.end + 1 == other.line_offset for one, other in pairwise(made))


def test_a_line_alone_is_as_long_as_its_json() -> None:
    """Compressed, or plain because it may go on."""
    line = b"\x01" * MOST_TEXT
    ((whole,), (head,)) = (list(packs([(0, line)], flags, 1)) for flags in (0, UNTERMINATED))

    assert json_bytes(whole) == json_bytes(head) == 6 * MOST_TEXT + len('[[0,""]]')


def test_what_the_server_cannot_show_is_refused_before_it_is_stored() -> None:
    """With the server's number, which has a hint."""
    transaction = Transaction(Mock(), 1_000, Loading(NOBODY, is_wanted=False))
    transaction.assert_short(999)

    with pytest.raises(pymysql.OperationalError, match="1153"):
        transaction.assert_short(1_000)
