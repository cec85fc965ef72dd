"""The lake's store, on the real server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from datastream.errors import Unavailable
from datastream.mysql import Session
from datastream.privacy import LineDisguise, hashed, truncated
from datastream.slices import DISGUISED, TRUNCATED, UNTERMINATED, Slice
from datastream.streams import Stream
from datastream_operator import migrate
from deployment import Deployment
from lake_consumer.store import Lake
from producer.pipeline import disguised as producer_disguised

STREAM = Stream(2**63 + 5, "test", "host", "/var/log/access.log", "combined", 0)
ANOTHER = Stream(7, "test", "host", "/var/log/another.log", "combined", 0)


@pytest.fixture
def lake(deployment: Deployment) -> Iterator[Lake]:
    """A lake on a schema of the test's own."""
    with closing(Session(deployment.mysql, "test")) as session:
        yield Lake(session)


def slice_of(*lines: bytes, position: int = 0, flags: int = 0, stream: Stream = STREAM) -> Slice:
    """Return a slice of these lines."""
    return Slice(stream, position, b"\n".join(lines), len(lines), flags, read_at_ms=0)


def rows(deployment: Deployment) -> list[tuple[int, int, bytes]]:
    """Return offset, flags and line of every row, in the order of the keys."""
    return [
        (offset, flags, line)
        for offset, flags, line in deployment.query(
            "SELECT line_offset, flags, line FROM raw_log ORDER BY stream_id, line_offset"
        )
    ]


def test_new_lines_are_rows(deployment: Deployment, lake: Lake) -> None:
    """Each line is a row under its offset; two equal lines are two rows."""
    outcome = lake.store([slice_of(b"one", b"", b"one")])

    assert rows(deployment) == [(0, 0, b"one"), (4, 0, b""), (5, 0, b"one")]
    assert outcome.stored == {"raw_log": 3}
    assert outcome.duplicates == 0
    assert deployment.query("SELECT source, path FROM log_stream") == [("test", STREAM.path)]


def test_the_same_slice_again_changes_nothing(deployment: Deployment, lake: Lake) -> None:
    """In another batch, or twice in one, it is counted as duplicates."""
    first = lake.store([slice_of(b"one", b"two"), slice_of(b"one", b"two")])
    again = lake.store([slice_of(b"one", b"two")])

    assert rows(deployment) == [(0, 0, b"one"), (4, 0, b"two")]
    assert (first.stored["raw_log"], first.duplicates) == (2, 2)
    assert (again.stored["raw_log"], again.duplicates) == (0, 2)


def test_slices_of_several_streams_in_any_order(deployment: Deployment, lake: Lake) -> None:
    """A batch is written in the order of the keys, whatever order it came in."""
    lake.store([slice_of(b"c", position=4), slice_of(b"x", stream=ANOTHER), slice_of(b"a", b"b")])

    assert rows(deployment) == [(0, 0, b"x"), (0, 0, b"a"), (2, 0, b"b"), (4, 0, b"c")]


def test_a_line_that_had_no_newline_is_completed(deployment: Deployment, lake: Lake) -> None:
    """The whole line takes its place, in another batch or in the same one."""
    lake.store([slice_of(b"begin", flags=UNTERMINATED)])
    completed = lake.store([slice_of(b"beginning", b"next")])
    beginning = slice_of(b"x", stream=ANOTHER, flags=UNTERMINATED)
    lake.store([beginning, slice_of(b"xy", stream=ANOTHER)])

    assert rows(deployment) == [(0, 0, b"xy"), (0, 0, b"beginning"), (10, 0, b"next")]
    assert (completed.stored["raw_log"], completed.replaced, completed.duplicates) == (1, 1, 0)


def test_an_older_look_at_a_line_changes_nothing(deployment: Deployment, lake: Lake) -> None:
    """The beginning of a line that is stored whole is a duplicate, however late it comes."""
    lake.store([slice_of(b"whole line")])
    late = lake.store([slice_of(b"whole", flags=UNTERMINATED)])
    head = lake.store([slice_of(b"who", flags=TRUNCATED)])

    assert rows(deployment) == [(0, 0, b"whole line")]
    assert (late.duplicates, head.duplicates) == (1, 1)
    assert late.quarantined == head.quarantined == []


def test_a_head_cut_at_a_higher_limit_replaces_a_shorter_one(
    deployment: Deployment, lake: Lake
) -> None:
    """More of a line is better than less of it."""
    lake.store([slice_of(b"abc", flags=TRUNCATED)])
    lake.store([slice_of(b"abcdef", flags=TRUNCATED)])

    assert rows(deployment) == [(0, TRUNCATED, b"abcdef")]


def test_another_line_under_the_same_key_is_never_silent(
    deployment: Deployment, lake: Lake
) -> None:
    """Its slice is quarantined whole; what was stored stays, and the others are stored."""
    lake.store([slice_of(b"as it was")])
    going_on = slice_of(b"as it was", b"not here yet")
    differing = slice_of(b"different", position=0)

    outcome = lake.store([differing, slice_of(b"innocent", stream=ANOTHER), going_on])

    assert outcome.quarantined == [(differing, "identity_conflict")]
    assert rows(deployment) == [
        (0, 0, b"innocent"),
        (0, 0, b"as it was"),
        (10, 0, b"not here yet"),
    ]


def test_nothing_of_a_slice_in_conflict_is_stored(deployment: Deployment, lake: Lake) -> None:
    """Its other lines belong to another log: they must not end up in this one."""
    lake.store([slice_of(b"first", b"second")])
    other_log = slice_of(b"first", b"SECOND", b"third")

    outcome = lake.store([other_log])

    assert outcome.quarantined == [(other_log, "identity_conflict")]
    assert rows(deployment) == [(0, 0, b"first"), (6, 0, b"second")]


def test_a_slice_that_begins_inside_a_stored_line_is_in_conflict(
    deployment: Deployment, lake: Lake
) -> None:
    """None of its keys is taken, and yet it is another log's; those beside it are stored."""
    lake.store([slice_of(b"0123456789", b"next")])
    inside = slice_of(b"of", b"another", position=5)
    at_its_newline = slice_of(b"log", position=10)

    outcome = lake.store([inside, at_its_newline, slice_of(b"going on", position=16)])

    assert outcome.quarantined == [
        (inside, "identity_conflict"),
        (at_its_newline, "identity_conflict"),
    ]
    assert rows(deployment) == [(0, 0, b"0123456789"), (11, 0, b"next"), (16, 0, b"going on")]


def test_a_line_that_the_database_refuses_stands_alone(deployment: Deployment, lake: Lake) -> None:
    """It is quarantined as a slice of its own at its offset; all the others are stored."""
    with deployment.database.connect(deployment.mysql.database) as connection:
        connection.cursor().execute("ALTER TABLE raw_log MODIFY line VARBINARY(8) NOT NULL")
    slices = [
        slice_of(b"1", b"2", b"much too long", b"3"),
        slice_of(b"4", b"5", stream=ANOTHER),
    ]

    outcome = lake.store(slices)

    assert outcome.quarantined == [(slice_of(b"much too long", position=4), "refused")]
    assert sorted(line for _, _, line in rows(deployment)) == [b"1", b"2", b"3", b"4", b"5"]
    assert outcome.stored["raw_log"] == 5


def test_a_schema_that_is_missing_is_an_outage(deployment: Deployment, lake: Lake) -> None:
    """Nothing is quarantined because of it."""
    migrate.roll_back(deployment.mysql)

    with pytest.raises(Unavailable, match="run the migrations"):
        lake.check()
    with pytest.raises(Unavailable, match="run the migrations"):
        lake.store([slice_of(b"a line")])


HASHES, NETWORKS = (
    LineDisguise(disguise, drops_queries=True) for disguise in (hashed("a key"), truncated)
)


def disguised(disguise: LineDisguise, *lines: bytes, position: int = 0, flags: int = 0) -> Slice:
    """Return the slice that a producer publishes of these lines with PRIVACY_BEFORE=lake."""
    [one] = producer_disguised(slice_of(*lines, position=position, flags=flags), disguise)
    return one


def test_disguised_lines_are_stored_where_the_lines_were(
    deployment: Deployment, lake: Lake
) -> None:
    """Longer or shorter, they and those after them are in no conflict; again is a duplicate."""
    first = disguised(HASHES, b"192.0.2.1 a", b"192.0.2.2 /b?c d")
    second = disguised(NETWORKS, b"192.0.2.3 e", position=first.end + 1)

    assert lake.store([first]).stored == {"raw_log": 2}
    assert lake.store([second]).quarantined == []
    assert lake.store([first, second]).duplicates == 3
    assert rows(deployment) == [
        (0, DISGUISED, HASHES(b"192.0.2.1 a")),
        (12, DISGUISED, HASHES(b"192.0.2.2 /b d")),
        (29, DISGUISED, b"192.0.2.0 e"),
    ]


def test_after_a_change_of_the_settings_what_is_stored_stays(
    deployment: Deployment, lake: Lake
) -> None:
    """Another disguise, or one after none, is the same line; another log's line is in conflict."""
    lines = (b"192.0.2.1 /a?b c", b"192.0.2.2 d")
    lake.store([disguised(HASHES, *lines)])
    stored = rows(deployment)
    plain = slice_of(*lines, stream=ANOTHER)
    lake.store([plain])

    other = lake.store([disguised(NETWORKS, *lines)])
    none = lake.store([slice_of(*lines)])
    late = lake.store([replace(disguised(HASHES, *lines), stream=ANOTHER)])
    intruder = lake.store([disguised(HASHES, b"192.0.2.1 /e?b c", b"192.0.2.2 d")])

    assert [(o.duplicates, o.quarantined) for o in (other, none, late)] == [(2, [])] * 3
    assert [reason for _, reason in intruder.quarantined] == ["identity_conflict"]
    assert [row for row in rows(deployment) if row[1]] == stored
    assert [row[1] for row in rows(deployment)[:2]] == [0, 0]


def test_the_beginning_of_a_disguised_line_gives_way_to_it(
    deployment: Deployment, lake: Lake
) -> None:
    """Though the beginning was cut within an address."""
    begun = lake.store([disguised(HASHES, b"a 192.0.2.", flags=UNTERMINATED)])
    whole = lake.store([disguised(HASHES, b"a 192.0.2.77 b", b"c")])
    again = lake.store([disguised(HASHES, b"a 192.0.2.", flags=UNTERMINATED)])

    assert begun.stored == {"raw_log": 1}
    assert (whole.replaced, whole.stored["raw_log"], again.duplicates) == (1, 1, 1)
    assert rows(deployment)[0] == (0, DISGUISED, HASHES(b"a 192.0.2.77 b"))


def test_a_whole_line_is_not_replaced_by_a_longer_one(deployment: Deployment, lake: Lake) -> None:
    """Its flag says that it is disguised, not that it may go on."""
    lake.store([disguised(HASHES, b"whole")])

    assert lake.store([disguised(HASHES, b"whole and more")]).quarantined
    assert rows(deployment) == [(0, DISGUISED, b"whole")]
