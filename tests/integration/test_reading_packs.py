"""What reads raw_log reads packs, and rows of an older version, as the same lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from datastream.mysql import Session
from datastream_operator import raw
from datastream_operator.lines import numbered_lines
from datastream_operator.refused import Refused
from datastream_operator.verify.stored import StreamRow
from datastream_playground import sample
from datastream_playground.demo.tables import LogTables
from deployment import Deployment
from old_rows import as_rows

LINES = 5_000
DISGUISE = {
    "PRIVACY_BEFORE": "lake",
    "PRIVACY_ADDRESSES": "truncated",
    "PRIVACY_QUERIES": "drop",
}


@pytest.fixture(params=[{}, DISGUISE], ids=["as it was", "disguised"])
def settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """The producer's settings."""
    found: dict[str, str] = request.param
    return found


@pytest.fixture
def log(deployment: Deployment, tmp_path: Path, settings: dict[str, str]) -> Path:
    """A log that is stored: its first half as rows of an older version, the other in packs."""
    path = tmp_path / "access.log"
    sample.write(path, LINES, "combined", seed=41)
    deployment.start_consumers()
    producer = deployment.start("producer", "--once", str(path), MAX_SLICE_LINES="500", **settings)
    assert producer.wait() == 0
    deployment.assert_settled(LINES)
    as_rows(deployment, path.stat().st_size // 2)
    counts = deployment.query("SELECT codec, COUNT(*) FROM raw_pack GROUP BY codec ORDER BY codec")
    assert [codec for codec, _ in counts] == [0, 1]
    assert counts[0][1] > 2_000
    return path


@pytest.fixture
def session(deployment: Deployment) -> Iterator[Session]:
    """A session with the database."""
    with closing(Session(deployment.mysql, "test")) as opened:
        yield opened


def stream_of(deployment: Deployment) -> int:
    """Return the id of the one stream."""
    [(number,)] = deployment.query("SELECT stream_id FROM log_stream")
    return int(number)


def test_lines_are_read_with_their_offsets_and_lengths(
    deployment: Deployment, session: Session, log: Path, settings: dict[str, str]
) -> None:
    """Those of the log, whole, from one to another, and some that are far from each other."""
    number = stream_of(deployment)
    expected = dict(numbered_lines(log))
    offsets = list(expected)

    found = list(raw.lines(session, number))

    assert [(line.offset, line.length) for line in found] == [
        (offset, len(line)) for offset, line in expected.items()
    ]
    if not settings:
        assert [line.text for line in found] == list(expected.values())
    assert list(raw.chain(session, number, 0)) == found
    for first, last in ((10, 20), (2_000, 4_000), (4_321, 4_321), (4_999, 4_999)):
        assert (
            list(raw.lines(session, number, offsets[first], offsets[last]))
            == (found[first : last + 1])
        )
        assert (
            list(raw.lines(session, number, offsets[first] + 1, offsets[last] - 1))
            == (found[first + 1 : last])
        )
    some = [*range(0, LINES, 97), LINES - 2, LINES - 1]
    near = sorted({offsets[at] + more for at in some for more in (0, 1)})
    assert list(raw.lines_at(session, number, near)) == [found[at] for at in some]
    assert list(raw.lines(session, number, offsets[-1] + 1)) == []
    assert list(raw.lines(session, number + 1)) == []


def test_old_rows_and_packs_are_verified_and_parsed_again(
    deployment: Deployment, log: Path, settings: dict[str, str]
) -> None:
    """As one stream; its end and its counts are the log's."""
    verified = deployment.operate("verify", str(log), **settings)
    assert verified.returncode == 0, verified.stdout
    end = log.stat().st_size
    assert f"{end:,} bytes stored" in deployment.operate("streams").stdout
    deployment.change("UPDATE clean_log SET parser_version = 0")
    deployment.change("UPDATE rejected_log SET parser_version = 0")
    rejects = deployment.count("rejected_log")

    some = deployment.operate("replay", "--rejected")
    every = deployment.operate("replay", "--all")

    assert some.stdout == f"{rejects} lines of 1 stream sent to be parsed\n", some.stderr
    assert every.stdout == f"{LINES:,} lines of 1 stream sent to be parsed\n", every.stderr
    deployment.assert_settled(LINES)


def test_lines_below_any_offset_are_counted(
    deployment: Deployment, session: Session, log: Path
) -> None:
    """Also below one that is within a pack, or at its edge."""
    tables = LogTables(session, StreamRow(stream_of(deployment), str(log), "combined", 0))
    offsets = [offset for offset, _ in numbered_lines(log)]
    packs = [at for (at,) in deployment.query("SELECT line_offset FROM raw_pack WHERE codec = 1")]

    for end in [0, 1, offsets[3_333], *packs, *(at + 1 for at in packs), log.stat().st_size]:
        assert tables.counts(end).raw == sum(offset < end for offset in offsets)


@pytest.mark.usefixtures("log")
def test_rows_among_the_lines_of_a_pack_hide_none(deployment: Deployment, session: Session) -> None:
    """However many there are: each is read where it begins, and the pack's lines around them."""
    number = stream_of(deployment)
    expected = list(raw.lines(session, number))
    [(begin, end)] = deployment.query(
        "SELECT line_offset, end_offset FROM raw_pack WHERE line_count > 100 ORDER BY 1 LIMIT 1"
    )
    own = {line.offset for line in expected}
    others = [at for at in range(begin + 1, end, 3) if at not in own][: 3 * raw.PACKS_AT_ONCE]
    for at in others:
        deployment.change(
            "INSERT INTO raw_pack (stream_id, line_offset, flags, body) VALUES (%s, %s, 0, '')",
            *(number, at),
        )

    found = list(raw.lines(session, number))
    assert [line for line in found if line.offset in own] == expected
    assert [line.offset for line in found] == sorted(own | {*others})
    for first in (others[5], others[100] + 1, others[-1] + 1):
        rest = [line for line in found if line.offset >= first]
        assert list(raw.lines(session, number, first)) == rest
    assert list(raw.lines_at(session, number, [line.offset for line in found])) == found


@pytest.mark.parametrize("settings", [{}], indirect=True, ids=["as it was"])
def test_another_line_in_a_pack_is_found(deployment: Deployment, log: Path) -> None:
    """And named as in a row of its own; a pack that is gone is as many lines."""
    lines = dict(numbered_lines(log))
    at = list(lines)[4_499]
    change = "UPDATE raw_pack SET body = COMPRESS(REPLACE(UNCOMPRESS(body), %s, %s)) WHERE codec"
    deployment.change(change, f'[{at},"', f'[{at},"x')

    result = deployment.operate("verify", str(log))

    assert result.returncode == 1
    assert f"line 4,500, byte {at:,}: raw_log holds another line" in result.stdout
    assert "they differ from byte 0 of the line on" in result.stdout
    assert "more difference" not in result.stdout


@pytest.mark.parametrize("settings", [{}], indirect=True, ids=["as it was"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("body = LEFT(body, 100)", "a damaged pack: "),
        ("codec = 7", "a pack of codec 7, which this version does not know"),
    ],
)
def test_a_pack_that_cannot_be_read_is_named(
    deployment: Deployment, session: Session, log: Path, change: str, words: str
) -> None:
    """By its stream and its place in it; nothing is replayed or found exact."""
    number = stream_of(deployment)
    deployment.change(f"UPDATE raw_pack SET {change} WHERE codec = 1")
    [(at,)] = deployment.query("SELECT MIN(line_offset) FROM raw_pack WHERE line_count > 1")

    place = f"raw_pack cannot be read: stream {number:016x}, byte {at:,}: {words}"
    for command in (("verify", str(log)), ("replay", "--all")):
        result = deployment.operate(*command)
        assert result.returncode == 1
        assert place in result.stderr
    with pytest.raises(Refused, match=words):
        list(raw.lines(session, number))
