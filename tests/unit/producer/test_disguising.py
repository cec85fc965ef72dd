"""Slices whose lines are disguised before they are published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from datastream.config import ConfigError, Environment
from datastream.privacy import LineDisguise, hashed, skeleton, truncated
from datastream.slices import DISGUISED, MOST_BYTES, TRUNCATED, UNTERMINATED, Slice, decode
from datastream.streams import Stream, stream_id
from producer.pipeline import disguised
from producer.settings import ProducerSettings
from unit.producer.followed import ONCE, Followed

STREAM = Stream(1, "test", "host", "/var/log/access.log", "combined", 0)
HASHES = LineDisguise(hashed("a key"), drops_queries=True)


def slice_of(body: bytes, flags: int = 0) -> Slice:
    """Return a slice with this body."""
    return Slice(STREAM, 100, body, body.count(b"\n") + 1, flags, read_at_ms=0)


def test_a_slice_keeps_its_offsets_and_says_what_it_is() -> None:
    """Whether its lines are as long as they were or not."""
    sent = slice_of(b"192.0.2.77 a\n192.0.2.1 b?c\nd")

    [same] = disguised(sent, LineDisguise(truncated, drops_queries=False))
    [other] = disguised(sent, HASHES)
    [plain] = disguised(slice_of(b"nothing\nin it"), HASHES)

    assert [offset for offset, _ in other.numbered()] == [o for o, _ in sent.numbered()]
    assert same.lengths == (12, 13, 1)
    assert (other.end, other.flags, other.lines) == (sent.end, DISGUISED, 3)
    assert b"192.0.2" not in other.body
    assert (plain.lengths, plain.flags) == (None, DISGUISED)
    assert decode(other.headers(), other.body) == other


def test_a_slice_that_grows_too_large_becomes_several() -> None:
    """And a line that does, its head; nothing that no consumer takes is published."""
    whole = slice_of(b"\n".join([b"1.1.1.1 " * 6_000] * 10))
    line = slice_of(b"1.1.1.1 " * (MOST_BYTES // 8))

    parts = disguised(whole, HASHES)
    [head] = disguised(line, HASHES)

    assert len(parts) > 1
    assert [o for part in parts for o, _ in part.numbered()] == [o for o, _ in whole.numbered()]
    assert all(decode(part.headers(), part.body) == part for part in [*parts, head])
    assert (head.flags, len(head.body), head.end) == (DISGUISED | TRUNCATED, MOST_BYTES, line.end)


def test_a_line_that_may_go_on_keeps_no_half_address() -> None:
    """Its flags stay."""
    [kept] = disguised(slice_of(b"a 192.0.2.", UNTERMINATED), HASHES)

    assert (kept.body, kept.flags, kept.lengths) == (b"a ", UNTERMINATED | DISGUISED, (10,))


def test_the_settings() -> None:
    """Nothing is disguised unless PRIVACY_BEFORE says so; what it cannot do is refused."""
    env = {"SOURCE": "web", "PRIVACY_ADDRESSES": "truncated"}
    lake = env | {"PRIVACY_BEFORE": "lake"}

    def read(values: dict[str, str]) -> ProducerSettings:
        return ProducerSettings.read(Environment(values), [], once=False)

    found = read(lake)
    assert read(env).disguise is None
    assert not read(env).source.is_disguised
    assert found.source.is_disguised
    assert found.disguise is not None
    assert found.disguise(b"192.0.2.77") == b"192.0.2.0"
    for change, words in (
        ({"PRIVACY_ADDRESSES": "full"}, "PRIVACY_BEFORE is lake, but"),
        ({"PRIVACY_ADDRESSES": "hashed"}, "PRIVACY_KEY is not set"),
        ({"PRIVACY_BEFORE": "broker"}, "must be one of clean, lake"),
        ({"FORMAT": "log_format x '$time_local $args';"}, r"FORMAT has \$args"),
        ({"FORMAT": "log_format x '$time_local $Args';"}, r"FORMAT has \$args"),
    ):
        with pytest.raises(ConfigError, match=words):
            read(lake | change)


def test_a_stream_s_id_does_not_give_its_first_line_away(tmp_path: Path) -> None:
    """Else whoever knows the rest of that line could try out every address."""
    log = tmp_path / "access.log"
    log.write_bytes(b"192.0.2.77 a?b c\n")
    followed = Followed(log, replace(ONCE, is_disguised=True))
    followed.read()

    number = followed.slices[0].stream.stream_id
    assert number == stream_id("test", str(log), skeleton(b"192.0.2.1 a?d c"), 0)


def test_nor_does_that_of_a_first_line_that_was_truncated(tmp_path: Path) -> None:
    """What was there of it is all that the stream will ever have."""
    log = tmp_path / "access.log"
    log.write_bytes(b"192.0.2.77 a")
    followed = Followed(log, replace(ONCE, once=False, is_disguised=True))
    followed.read()
    log.write_bytes(b"")
    followed.read()

    number = followed.slices[0].stream.stream_id
    assert number == stream_id("test", str(log), skeleton(b"192.0.2.77 a"), 0)
