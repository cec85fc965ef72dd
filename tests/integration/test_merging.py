"""Merging of small packs, on the real server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace

import pytest

from datastream.errors import Unavailable
from datastream.inserts import Insert, binaries, numbers
from datastream.mysql import Session, StreamLog
from datastream.packs import packs
from datastream.slices import DISGUISED, UNTERMINATED, Slice
from datastream.streams import Stream
from deployment import Deployment
from lake_consumer.merging import TAIL, Merging
from lake_consumer.store import INSERT_PACKS, Lake

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


def test_what_the_server_has_no_room_to_compare_is_merged_by_parts(
    deployment: Deployment,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is too large even then is named, with the server's limit."""
    store(session, [b"x" * 1_000] * TAIL)
    before = lines(deployment)

    limit = "SET SESSION group_concat_max_len = 12288"
    monkeypatch.setattr("lake_consumer.merging.COMPARED", limit)
    assert settle(session) == [2] * (TAIL // 2)
    assert caplog.records == []

    store(session, [b"y" * 4_000] * TAIL, 1_001 * TAIL)
    before = lines(deployment)
    assert settle(session) == []
    assert lines(deployment) == before
    told = {vars(record)["error"] for record in caplog.records}
    assert told == {
        "the server compares no more: max_allowed_packet or group_concat_max_len is 12,288"
    }


def call(session: Session, procedure: str, *arguments: object, compared: int = 2**24) -> int:
    """Call a procedure as the lake consumer may; return how many packs it changed."""
    placeholders = ", ".join(["%s"] * (1 + len(arguments)))
    with session.transaction() as transaction:
        transaction.execute("SET SESSION group_concat_max_len = %s", (compared,))
        return transaction.execute(
            f"CALL {procedure}({placeholders})",
            (STREAM.stream_id, *arguments),  # type: ignore[arg-type]
        )


def test_texts_that_the_server_would_cut_are_not_equal(
    deployment: Deployment, session: Session
) -> None:
    """Whoever has only the beginnings compared removes nothing."""
    other = next(packs([(1_000, b"a" * 600), (1_601, b"b" * 600)], 0, 2_201))
    store(session, [b"a" * 600, b"c" * 600], 1_000)
    with session.transaction() as transaction:
        row = (STREAM.stream_id, 999, 0, 2_201, 2, other.codec, other.body)
        transaction.insert(INSERT_PACKS, [row])
    before = lines(deployment)

    with suppress(Unavailable):  # as MySQL answers, where its sql_mode is strict
        assert call(session, "drop_packs", 999, 1_000, 1_601, compared=1_024) == 0
    assert lines(deployment) == before


@pytest.mark.parametrize(("end", "count"), [(4, 2), (10, 3)])
def test_a_pack_grows_by_lines_that_are_seen_in_it(
    deployment: Deployment, session: Session, end: int, count: int
) -> None:
    """The view shows none beyond a pack's end, and so this is no way to hide one."""
    store(session, [b"line", b"other"])
    whole = next(packs([(0, b"line"), (5, b"other")], 0, 10))

    assert call(session, "grow_pack", 0, 5, end, count, whole.body) == 0
    assert call(session, "grow_pack", 0, 5, 10, 2, whole.body) == 1
    assert call(session, "drop_packs", 0, 5, 5) == 1
    assert lines(deployment) == [(0, 0, b"line"), (5, 0, b"other")]


def test_a_pack_that_cannot_be_read_is_not_removed(
    deployment: Deployment, session: Session
) -> None:
    """Its lines are in no other, for all that the server knows."""
    store(session, [b"line", b"next"])
    call(session, "grow_pack", 0, 5, 9, 2, next(packs([(0, b"line"), (5, b"next")], 0, 9)).body)
    with session.transaction() as transaction:
        transaction.insert(INSERT_PACKS, [(STREAM.stream_id, 10, 0, 13, 1, 1, b"damaged")])

    assert call(session, "drop_packs", 0, 5, 10) == 0
    assert len(stored_packs(deployment)) == 3


def test_a_line_is_not_completed_to_before_its_beginning(
    deployment: Deployment, session: Session
) -> None:
    """There the view would not show it."""
    store(session, [b"begin"], 100, UNTERMINATED)

    assert call(session, "complete_line", 100, 0, b"beginning", 99) == 0
    assert call(session, "complete_line", 100, 0, b"beginning", 109) == 1
    assert lines(deployment) == [(100, 0, b"beginning")]


def test_a_stream_that_is_written_all_the_time_leaves_room_for_others(
    deployment: Deployment, session: Session
) -> None:
    """Rows of older versions of another stream are merged meanwhile."""
    older = replace(STREAM, stream_id=7)
    StreamLog(session).ensure([STREAM, older])
    with session.transaction() as transaction:
        rows = [(older.stream_id, offset, 0, b"older") for offset in range(0, 600, 6)]
        transaction.insert(OLDER_ROWS, rows)
    merged: list[int] = []
    at_work = Merging(session, merged.append)

    for _ in range(6):
        at_work.stored({STREAM.stream_id: 0})
        at_work.step()

    assert merged == [100]
    assert stored_packs(deployment) == [(0, 100)]


def test_lines_that_take_more_room_than_in_their_log_are_merged_by_halves(
    deployment: Deployment, session: Session
) -> None:
    """Bytes that JSON escapes take six times their length."""
    store(session, [b"\x01" * 10_000] * 20)
    before = lines(deployment)

    assert settle(session) == [5] * 4
    assert lines(deployment) == before
    assert settle(session) == []


def test_what_fills_a_gap_is_merged_with_what_was_looked_at(
    deployment: Deployment, session: Session
) -> None:
    """As between two lake consumers, of which one is ahead of the other."""
    merged: list[int] = []
    at_work = Merging(session, merged.append)
    lake = Lake(session, at_work.stored)

    def store_at(*positions: int) -> None:
        for position in positions:
            lake.store([Slice(STREAM, position, b"line", 1, 0, read_at_ms=0)])
        while at_work.step():
            pass

    store_at(*range(0, 50, 5), *range(55, 155, 5))
    store_at(50)
    store_at(*range(155, 155 + 5 * TAIL, 5))

    assert merged[:2] == [10, 20]
    assert stored_packs(deployment) == [(0, 10), (50, 21 + TAIL)]
