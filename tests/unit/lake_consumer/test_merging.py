"""Which packs are merged."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from datastream.packs import MOST_SPAN, MOST_TEXT
from datastream.slices import DISGUISED, UNTERMINATED
from lake_consumer.merging import TAIL, Key, groups

#: A pack: bytes in its log, lines, flags, bytes between it and the one before.
PACK = st.tuples(
    st.one_of(st.integers(1, 200), st.integers(1, MOST_TEXT)),
    st.integers(1, 5),
    st.sampled_from([0, 0, 0, DISGUISED, UNTERMINATED]),
    st.sampled_from([0, 0, 0, 0, 7]),
)


def keys_of(drawn: list[tuple[int, int, int, int]]) -> list[Key]:
    """Return packs, one after the other."""
    keys = []
    offset = 0
    for length, lines, flags, gap in drawn:
        offset += gap
        keys.append(Key(offset, flags, offset + length, lines))
        offset += length + 1
    return keys


def merged(keys: list[Key], found: list[list[Key]]) -> list[Key]:
    """Return the packs after merging."""
    by_first = {group[0].offset: group for group in found}
    gone = {key.offset for group in found for key in group[1:]}
    return [
        key._replace(
            end=by_first[key.offset][-1].end, lines=sum(k.lines for k in by_first[key.offset])
        )
        if key.offset in by_first
        else key
        for key in keys
        if key.offset not in gone
    ]


@given(st.lists(PACK, max_size=80))
def test_only_neighbours_that_fit_one_pack_are_merged(
    drawn: list[tuple[int, int, int, int]],
) -> None:
    """Nothing across a gap, of other flags, that may go on, or of more than a pack holds."""
    keys = keys_of(drawn)
    found, next_ = groups(keys)

    for group in found:
        assert len(group) > 1
        assert {key.flags for key in group} <= {group[0].flags}
        assert not group[0].flags & UNTERMINATED
        for one, other in pairwise(group):
            assert one.end is not None
            assert other.offset == one.end + 1
        assert sum(key.size for key in group) <= MOST_TEXT
        assert group[-1].offset - group[0].offset <= MOST_SPAN
    assert next_ in {0, *(key.offset for key in keys)}


@given(st.lists(PACK, max_size=80))
def test_what_was_merged_is_not_merged_again(drawn: list[tuple[int, int, int, int]]) -> None:
    """A second look, at all of the stream or from where to look next, finds nothing to do."""
    keys = keys_of(drawn)
    found, next_ = groups(keys)
    settled = merged(keys, found)

    again, _ = groups(settled)
    from_next, _ = groups(key for key in settled if key.offset >= next_)

    # The end of the stream may be merged with what is now the pack before it.
    assert all(group[-1] == settled[-1] for group in again)
    assert from_next in ([], again)


@given(st.integers(1, 3_000))
def test_a_line_at_a_time_gives_few_packs_and_little_is_written_again(lines: int) -> None:
    """Each line is written again a few times, whatever the number of lines."""
    keys: list[Key] = []
    written = 0
    for number in range(lines):
        keys.append(Key(number * 100, 0, number * 100 + 99, 1))
        found, _ = groups(keys)
        written += sum(key.lines for group in found for key in group)
        keys = merged(keys, found)

    assert sum(key.lines for key in keys) == lines
    assert len(keys) < 3 * TAIL + lines * 116 // MOST_TEXT * 2
    assert written <= 4 * lines
