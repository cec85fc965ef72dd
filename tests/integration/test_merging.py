"""Merging of small packs, on the real server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from datastream.inserts import Insert, binaries, numbers
from datastream.mysql import Session, StreamLog
from datastream.packs import packs
from datastream.slices import DISGUISED, UNTERMINATED, Slice
from datastream.streams import Stream
from deployment import Deployment
from lake_consumer.merging import TAIL, Merging
from lake_consumer.store import Lake

OLDER_ROWS = Insert(
    "INSERT INTO raw_pack ({columns}) VALUES {values}",
    {"stream_id": numbers, "line_offset": numbers, "flags": numbers, "body": binaries},
)
STREAM = Stream(2**63 + 5, "test", "host", "/var/log/access.log", "combined", 0)


@pytest.fixture
def session(deployment: Deployment) -> Iterator[Session]:
    """A session with a schema of the test's own."""
    with closing(Session(deployment.mysql, "test")) as opened:
        yield opened


def store(session: Session, lines: list[bytes], position: int = 0, flags: int = 0) -> int:
    """Store each line as a slice of its own, in a batch of its own; return the next position."""
    lake = Lake(session)
    for line in lines:
        lake.store([Slice(STREAM, position, line, 1, flags, read_at_ms=0)])
        position += len(line) + 1
    return position


def lines(deployment: Deployment) -> list[tuple[int, int, bytes]]:
    """Return offset, flags and line of every row."""
    found = deployment.query("SELECT line_offset, flags, line FROM raw_log ORDER BY line_offset")
    return [(offset, flags, line) for offset, flags, line in found]


def stored_packs(deployment: Deployment) -> list[tuple[int, int]]:
    """Return offset and number of lines of every pack."""
    return list(deployment.query("SELECT line_offset, line_count FROM raw_pack ORDER BY 1"))


def settle(session: Session) -> list[int]:
    """Merge until there is nothing to do; return how many packs became one, each time."""
    merged: list[int] = []
    at_work = Merging(session, merged.append)
    while at_work.step():
        pass
    return merged


def test_one_line_after_the_other_does_not_stay_a_row_a_line(
    deployment: Deployment, session: Session
) -> None:
    """As many as make a merge are one pack afterwards, byte for byte."""
    texts = [bytes([byte]) * 3 for byte in range(256) if byte != 0x0A][: TAIL * 5]
    texts[7] = b'"quoted" \\n \x00\xff'
    store(session, texts)
    before = lines(deployment)

    assert settle(session) == [TAIL * 5]
    assert lines(deployment) == before
    assert stored_packs(deployment) == [(0, TAIL * 5)]
    assert settle(session) == []


def test_a_few_at_the_end_wait_for_more(deployment: Deployment, session: Session) -> None:
    """And what is merged is not written again for each of them."""
    position = store(session, [b"line"] * (TAIL - 1))
    assert settle(session) == []

    position = store(session, [b"line"], position)
    assert settle(session) == [TAIL]

    position = store(session, [b"line"] * (TAIL - 1), position)
    assert settle(session) == []
    assert stored_packs(deployment)[0] == (0, TAIL)


def test_rows_of_an_older_version_become_packs(deployment: Deployment, session: Session) -> None:
    """Those that follow on one another; across a gap nothing is joined."""
    StreamLog(session).ensure([STREAM])
    offsets = [*range(0, 600, 6), *range(1_000, 1_600, 6)]
    rows = [(STREAM.stream_id, offset, 0, b"older") for offset in offsets]
    with session.transaction() as transaction:
        transaction.insert(OLDER_ROWS, rows)

    assert settle(session) == [100, 100]
    assert lines(deployment) == [(offset, 0, b"older") for offset in offsets]
    assert stored_packs(deployment) == [(0, 100), (1_000, 100)]


def test_what_may_go_on_or_is_disguised_otherwise_stays_apart(
    deployment: Deployment, session: Session
) -> None:
    """A beginning is a row of its own, which a whole line can replace."""
    position = store(session, [b"plain"] * TAIL)
    position = store(session, [b"masked"] * TAIL, position, DISGUISED)
    store(session, [b"begin"], position, UNTERMINATED)
    before = lines(deployment)

    assert settle(session) == [TAIL, TAIL]
    assert lines(deployment) == before
    assert [count for _, count in stored_packs(deployment)] == [TAIL, TAIL, 1]


@pytest.mark.parametrize("change", ["a byte", "a line less"])
def test_the_server_merges_no_other_lines(
    deployment: Deployment, session: Session, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """A pack that does not hold the stored lines takes the place of none of them."""
    store(session, [b"line"] * TAIL)
    before = lines(deployment)

    def wrong(found: list[tuple[int, bytes]], flags: int, end: int) -> object:
        other = found[:-1] if change == "a line less" else [*found[:-1], (found[-1][0], b"lime")]
        return packs(other, flags, end)

    monkeypatch.setattr("lake_consumer.merging.packs", wrong)

    assert settle(session) == []
    assert lines(deployment) == before
    assert len(stored_packs(deployment)) == TAIL
