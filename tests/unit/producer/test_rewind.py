"""Rewinding: every file that is still there is found again, as the stream that it is."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from datastream.slices import Slice
from producer.checkpoint import NotThere, Wanted, rewind
from producer.settings import SliceLimits, Source
from producer.state import State
from producer.tailer import Tailer

ONCE = Source("test", "combined", SliceLimits(10, 65_536, 65_536), once=True)


def read(paths: list[Path], state: State) -> tuple[dict[tuple[int, int], bytes], State]:
    """Read some logs to their end; return their lines by key, and the state after that."""
    tailer = Tailer(map(str, paths), ONCE, state)
    found: dict[tuple[int, int], bytes] = {}
    for slice_ in tailer.slices():
        assert isinstance(slice_, Slice)
        found |= {(slice_.stream.stream_id, at): line for at, line in slice_.numbered()}
        tailer.confirm()
    tailer.close()
    return found, tailer.state()


@pytest.fixture
def history(tmp_path: Path) -> list[Path]:
    """Three files of a log that begin alike, with far more than is fingerprinted; oldest first."""
    begin = b"the same line\n" * 200
    files = [tmp_path / name for name in ("access.log.2.gz", "access.log.1", "access.log")]
    files[0].write_bytes(gzip.compress(begin + b"oldest\n"))
    files[1].write_bytes(begin + b"older\n")
    files[2].write_bytes(begin + b"newest\n")
    for age, file in enumerate(files):
        os.utime(file, (1_700_000_000 + age, 1_700_000_000 + age))
    return files


def test_all_is_read_again_under_the_same_keys(history: list[Path]) -> None:
    """Also after the files were renamed and packed, and although they begin alike."""
    first, state = read(history, State())
    packed = history[1].with_name("access.log.3.gz")
    packed.write_bytes(gzip.compress(history[1].read_bytes()))
    os.utime(packed, (1_700_000_001, 1_700_000_001))
    history[1].unlink()

    rewound = rewind(state, Wanted())
    again, _ = read([history[0], packed, history[2]], rewound.state)

    assert len(first) == 603
    assert again == first
    assert len(rewound.words) == 3
    assert all("is read again from byte 0 on" in words for words in rewound.words)


def test_without_it_nothing_is_read_again(history: list[Path]) -> None:
    """It is the rewinding that does it."""
    _, state = read(history, State())

    assert read(history, state)[0] == {}


def test_a_file_that_is_gone_stays_read(history: list[Path]) -> None:
    """It is told, and its entry is kept as it was, so that no generation is lost."""
    _, state = read(history, State())
    history[1].unlink()
    gone = state.entries[1]

    rewound = rewind(state, Wanted())

    assert gone in rewound.state.entries
    assert sum("its file is gone" in words for words in rewound.words) == 1
    again, _ = read([history[0], history[2]], rewound.state)
    assert len(again) == 402


def test_only_what_is_wanted(history: list[Path]) -> None:
    """One stream, from a line on; or the files that have changed since then."""
    first, state = read(history, State())
    number, position = sorted(first)[-1]

    one = rewind(state, Wanted(stream=number, position=position))
    assert read(history, one.state)[0] == {(number, position): first[number, position]}
    assert len(one.words) == 1

    late = rewind(state, Wanted(since=1_700_000_002.0))
    again, _ = read(history, late.state)
    assert len(again) == 201
    assert b"newest" in again.values()
    assert sum("has not changed since, left alone" in words for words in late.words) == 2


@pytest.mark.parametrize("position", [1, 13, 10_000])
def test_a_position_that_is_none(history: list[Path], position: int) -> None:
    """Inside a line and behind the end no line begins."""
    _, state = read(history, State())

    with pytest.raises(NotThere, match=f"no line that was read begins at byte {position:,}"):
        rewind(state, Wanted(stream=state.entries[-1].stream_id, position=position))


def test_a_position_that_was_not_read(history: list[Path]) -> None:
    """A line begins there, and everything before it is not confirmed: it would be lost."""
    first, state = read(history, State())
    position = max(at for _, at in first) + len(b"newest\n")
    for file in history[1:]:
        file.write_bytes(file.read_bytes() + b"not read\n" * 2)

    with pytest.raises(NotThere, match="no line that was read begins"):
        rewind(
            state,
            Wanted(stream=state.entries[-1].stream_id, position=position + len(b"not read\n")),
        )


def test_a_stream_that_is_unknown(history: list[Path]) -> None:
    """It is named."""
    _, state = read(history, State())

    with pytest.raises(NotThere, match="knows no stream 0000000000000001"):
        rewind(state, Wanted(stream=1))
    assert rewind(State(), Wanted()).words == []
