"""What is written of slices: every line of a log once, whatever is delivered, however it is cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from datastream.packs import PLAIN, Pack, packs
from datastream.privacy import LineDisguise, hashed, skeleton, truncated
from datastream.slices import DISGUISED, INCOMPLETE, TRUNCATED, UNTERMINATED, Slice
from datastream.streams import Stream
from lake_consumer.merging import Key, groups
from lake_consumer.plan import Line, Plan, lines_of, plan
from producer.pipeline import disguised

STREAM = Stream(5, "test", "host", "/var/log/access.log", "combined", 0)
HASHES = LineDisguise(hashed("a key"), drops_queries=True)
NETWORKS = LineDisguise(truncated, drops_queries=True)

#: Packs of a few lines, so that short logs have many of them.
TEXT, SPAN = 48, 40
small_packs = partial(patch.multiple, "datastream.packs", MOST_TEXT=TEXT, MOST_SPAN=SPAN)
#: And merges of few.
eager = partial(patch.multiple, "lake_consumer.merging", MOST_TEXT=TEXT, MOST_SPAN=SPAN, TAIL=2)


def slice_of(*lines: bytes, position: int = 0, flags: int = 0) -> Slice:
    """Return a slice of these lines."""
    return Slice(STREAM, position, b"\n".join(lines), len(lines), flags, read_at_ms=0)


class Table:
    """raw_pack of one stream, in memory."""

    def __init__(self) -> None:
        self.packs: dict[int, Pack] = {}

    def store(self, slices: Sequence[Slice]) -> Plan:
        """Write a batch as the lake does, and return the plan for it."""
        batch = sorted(slices, key=lambda slice_: slice_.position)
        first, end = batch[0].position, max(slice_.end for slice_ in batch)
        made = plan(
            {
                offset: line
                for pack in self.packs.values()
                if pack.line_offset <= end and pack.end >= first
                for offset, line in lines_of(pack)
            },
            batch,
        )
        for pack in made.packs:
            assert pack.line_offset not in self.packs
            self.packs[pack.line_offset] = pack
        for offset, line in made.completed.items():
            pack = self.packs[offset]
            # What the procedure asks for.
            assert (pack.codec, pack.line_count) == (PLAIN, 1)
            assert pack.flags & INCOMPLETE
            assert line.line.startswith(pack.body)
            self.packs[offset] = pack._replace(flags=line.flags, end=line.end, body=line.line)
        self.assert_sound()
        return made

    def merge(self) -> None:
        """Merge neighbours as the merging does."""
        every = [self.packs[offset] for offset in sorted(self.packs)]
        keys = [Key(pack.line_offset, pack.flags, pack.end, pack.line_count) for pack in every]
        with eager():
            found, _ = groups(keys)
        for group in found:
            small = [self.packs[key.offset] for key in group]
            lines = [line for pack in small for line in pack.lines()]
            whole, *others = packs(lines, small[0].flags, small[-1].end)
            if not others:
                for key in group:
                    del self.packs[key.offset]
                self.packs[whole.line_offset] = whole
        self.assert_sound()

    def assert_sound(self) -> None:
        """Assert that the packs are what the view and the next plan rely on."""
        every = [self.packs[offset] for offset in sorted(self.packs)]
        assert all(one.end < next_.line_offset for one, next_ in pairwise(every))
        for pack in every:
            lines = pack.lines()
            assert len(lines) == pack.line_count
            assert lines[0][0] == pack.line_offset
            assert lines[-1][0] - pack.line_offset <= SPAN
            assert pack.line_count == 1 or sum(len(line) for _, line in lines) <= TEXT
            if pack.flags & INCOMPLETE:
                assert (pack.codec, pack.line_count) == (PLAIN, 1)

    def lines(self) -> dict[int, Line]:
        """Return every line by its offset."""
        every = [line for pack in self.packs.values() for line in lines_of(pack)]
        found = dict(every)
        assert len(found) == len(every)
        return found


def meeting(slice_: Slice) -> Iterator[tuple[int, Line]]:
    """Yield the lines of a slice by their offsets, from its message alone."""
    lengths = slice_.lengths or tuple(map(len, slice_.body.split(b"\n")))
    offset = slice_.position
    for line, length in zip(slice_.body.split(b"\n"), lengths, strict=True):
        yield offset, Line(line, slice_.flags, offset + length)
        offset += length + 1


class Model:
    """What is to be stored, found by comparing each line with each."""

    def __init__(self) -> None:
        self.lines: dict[int, Line] = {}
        self.new = self.duplicates = self.replaced = 0
        self.conflicts: list[Slice] = []

    def store(self, slice_: Slice) -> None:
        """Take a slice, or set it aside whole."""
        changes: list[tuple[int, Line, bool]] = []
        duplicates = 0
        for offset, line in meeting(slice_):
            others = {at: one for at, one in self.lines.items() if at != offset}
            there = self.lines.get(offset)
            if there is not None and not self.is_the_same(there, line):
                self.conflicts.append(slice_)
                return
            if there is not None and not self.is_more(there, line):
                duplicates += 1
                continue
            if any(at <= line.end and offset <= one.end for at, one in others.items()):
                self.conflicts.append(slice_)
                return
            changes.append((offset, line, there is None))
        self.duplicates += duplicates
        for offset, line, is_new in changes:
            self.lines[offset] = line
            self.new += is_new
            self.replaced += not is_new

    @staticmethod
    def is_more(there: Line, line: Line) -> bool:
        """Whether a line says more than the one that is there."""
        if not there.flags & INCOMPLETE or not line.line.startswith(there.line):
            return False
        return (there.line, there.flags & INCOMPLETE) != (line.line, line.flags & INCOMPLETE)

    @staticmethod
    def is_the_same(there: Line, line: Line) -> bool:
        """Whether two lines may be one of a log."""
        if not (there.flags | line.flags) & INCOMPLETE:
            is_disguised = (there.flags | line.flags) & DISGUISED
            key = skeleton if is_disguised else bytes
            return there.end == line.end and key(there.line) == key(line.line)
        begins = [
            longer.line.startswith(shorter.line)
            for shorter, longer in ((there, line), (line, there))
            if shorter.flags & INCOMPLETE
        ]
        if (there.flags ^ line.flags) & INCOMPLETE or not (there.flags | line.flags) & DISGUISED:
            return any(begins)
        return any(begins) or skeleton(there.line) == skeleton(line.line)


@dataclass
class Log:
    """Lines at their offsets."""

    lines: list[bytes]

    def offset(self, number: int) -> int:
        """Return where a line begins."""
        return sum(len(line) + 1 for line in self.lines[:number])

    def slice(self, first: int, behind: int, flags: int = 0) -> Slice:
        """Return the slice of some lines."""
        return slice_of(*self.lines[first:behind], position=self.offset(first), flags=flags)


#: Mostly short ones: two logs then often have a line that ends where another begins.
LINES = st.one_of(
    st.sampled_from([b"", b"a", b"ab", b"abc", b'"\\', b"\xff\0"]),
    st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"\0")),
    st.builds(
        b"%s 192.0.2.%d /%s".__mod__,
        st.tuples(
            st.sampled_from([b"", b"x"]),
            st.integers(0, 255),
            st.sampled_from([b"", b"p?q=1", b"p"]),
        ),
    ),
)
LOGS = st.lists(LINES, min_size=1, max_size=12).map(Log)


@st.composite
def looks(draw: st.DrawFn, log: Log, disguises: Sequence[LineDisguise | None]) -> Slice:
    """Draw a slice that a producer may send of a log at some time: with one of its settings."""
    disguise = draw(st.sampled_from(disguises))
    first = draw(st.integers(0, len(log.lines) - 1))
    is_whole = draw(st.booleans())
    behind = draw(st.integers(first + 1, len(log.lines))) if is_whole else first + 1
    made = log.slice(first, behind)
    # After a change of the settings a beginning is told from another's by no disguise.
    if not is_whole and len(disguises) == 1:
        limit = draw(st.integers(0, len(made.body)))
        flags = draw(st.sampled_from([UNTERMINATED, TRUNCATED]))
        made = replace(made, body=made.body[:limit], flags=flags)
    if disguise is None:
        return made
    (hidden,) = disguised(made, disguise)
    # The first digits of an address are not found in its hash.
    assume(disguise(log.lines[first]).startswith(hidden.body) or not hidden.flags & INCOMPLETE)
    return hidden


DISGUISES: st.SearchStrategy[list[LineDisguise | None]] = st.sampled_from(
    [[None], [HASHES], [NETWORKS], [None, HASHES, NETWORKS]]
)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[Log, list[list[Slice]]]:
    """Draw a log and batches of its slices: gaps, repeated, in any order."""
    log, disguises = draw(LOGS), draw(DISGUISES)
    return log, draw(
        st.lists(st.lists(looks(log, disguises), min_size=1, max_size=6), min_size=1, max_size=6)
    )


@given(deliveries())
def test_each_line_of_a_log_is_stored_once(delivered: tuple[Log, list[list[Slice]]]) -> None:
    """Whatever came of it, in whatever order: nothing is in conflict, and all is counted."""
    log, batches = delivered
    table = Table()
    with small_packs():
        plans = [table.store(batch) for batch in batches]

    sent = [slice_ for batch in batches for slice_ in batch]
    assert [made.conflicts for made in plans] == [[]] * len(plans)
    assert sum(m.new + m.duplicates + m.replaced for m in plans) == sum(s.lines for s in sent)
    looked_at: dict[int, list[Line]] = {}
    for slice_ in sent:
        for offset, line in meeting(slice_):
            looked_at.setdefault(offset, []).append(line)
    stored = table.lines()
    assert stored.keys() == looked_at.keys()
    assert sum(made.new for made in plans) == len(stored)
    whole = {log.offset(number): line for number, line in enumerate(log.lines)}
    for offset, line in stored.items():
        assert line in looked_at[offset]
        is_whole = any(not look.flags & INCOMPLETE for look in looked_at[offset])
        if is_whole:
            assert not line.flags & INCOMPLETE
            assert line.end == offset + len(whole[offset])
            assert skeleton(line.line) == skeleton(whole[offset])
            if not line.flags & DISGUISED:
                assert line.line == whole[offset]
        else:
            assert len(line.line) == max(len(look.line) for look in looked_at[offset])


@given(deliveries(), st.data())
def test_what_is_complete_after_all_was_delivered_is_the_log(
    delivered: tuple[Log, list[list[Slice]]], data: st.DataObject
) -> None:
    """Once each line has come whole, cut in slices of any boundaries, nothing is missing."""
    log, batches = delivered
    table = Table()
    cuts = sorted(data.draw(st.sets(st.integers(1, len(log.lines) - 1)))) if log.lines[1:] else []
    if any(slice_.flags & DISGUISED for batch in batches for slice_ in batch):
        batches = []
    rest = [[log.slice(a, b)] for a, b in pairwise([0, *cuts, len(log.lines)])]
    with small_packs():
        for batch in data.draw(st.permutations([*batches, *rest])):
            table.store(batch)

    assert [table.lines()[offset].line for offset in sorted(table.lines())] == log.lines


@st.composite
def two_logs(draw: st.DrawFn) -> list[list[Slice]]:
    """Draw batches of slices of two logs that begin alike and have one stream."""
    log = draw(LOGS)
    shared = draw(st.integers(0, len(log.lines)))
    other = Log([*log.lines[:shared], *draw(LOGS).lines])
    disguises = draw(DISGUISES)
    either = st.sampled_from([log, other]).flatmap(lambda one: looks(one, disguises))
    return draw(st.lists(st.lists(either, min_size=1, max_size=6), min_size=1, max_size=6))


@given(two_logs(), st.sets(st.integers(0, 5)))
def test_a_slice_of_another_log_is_stored_whole_or_not_at_all(
    batches: list[list[Slice]], merged_after: set[int]
) -> None:
    """It is compared with every line that is there; two lines never share a byte of the stream.

    Two consumers that take turns, under the lock of the stream, are batches in any order; between
    some of them neighbours are merged.
    """
    table, model = Table(), Model()
    plans = []
    with small_packs():
        for number, batch in enumerate(batches):
            plans.append(table.store(batch))
            if number in merged_after:
                table.merge()
    for batch in batches:
        for slice_ in sorted(batch, key=lambda slice_: slice_.position):
            model.store(slice_)

    assert [slice_ for made in plans for slice_ in made.conflicts] == model.conflicts
    assert table.lines() == model.lines
    assert sum(made.new for made in plans) == model.new
    assert sum(made.duplicates for made in plans) == model.duplicates
    assert sum(made.replaced for made in plans) == model.replaced


def stored(table: Mapping[int, Line]) -> dict[int, bytes]:
    """Return the lines without the rest."""
    return {offset: line.line for offset, line in table.items()}


def test_a_completed_line_that_would_reach_into_another_is_of_another_log() -> None:
    """The beginning stays, as the line behind it shows where it ended."""
    table = Table()
    table.store([slice_of(b"beg", flags=UNTERMINATED), slice_of(b"next", position=6)])
    longer = slice_of(b"beginning")

    made = table.store([longer])

    assert made.conflicts == [longer]
    assert stored(table.lines()) == {0: b"beg", 6: b"next"}
    assert table.store([slice_of(b"begin", b"next")]).replaced == 1


def test_two_disguised_lines_of_other_lengths_are_two() -> None:
    """They look alike, but end in other places of their logs."""
    table = Table()
    (short,) = disguised(slice_of(b"192.0.2.7 a"), NETWORKS)
    (long,) = disguised(slice_of(b"192.0.2.77 a"), NETWORKS)
    assert short.body == long.body

    table.store([short])

    assert table.store([long]).conflicts == [long]
    assert table.store([slice_of(b"192.0.2.8 a")]).duplicates == 1
    assert table.store([slice_of(b"192.0.2.88 a")]).conflicts != []


def test_where_a_line_ends_that_an_older_version_disguised_is_not_known() -> None:
    """Its row has no end: the same line is a duplicate, whatever its length in the log was."""
    there = {0: Line(b"192.0.2.0 a", DISGUISED, 0)}

    assert plan(there, [slice_of(b"192.0.2.77 a")]).duplicates == 1
    assert plan(there, [slice_of(b"next", position=1)]).new == 1


def test_slices_that_do_not_follow_are_packs_of_their_own() -> None:
    """As are those of other flags, and lines that may go on, which are never compressed."""
    (disguised_one,) = disguised(slice_of(b"b", position=2), HASHES)
    parts = [
        slice_of(b"a"),
        disguised_one,
        slice_of(b"c", position=4),
        slice_of(b"d", b"e", position=6),
        slice_of(b"f", position=11),
        slice_of(b"g", position=13, flags=TRUNCATED),
        slice_of(b"h", position=15, flags=TRUNCATED),
    ]

    found = [(p.line_offset, p.flags, p.line_count, p.end) for p in plan({}, parts).packs]

    assert found == [
        (0, 0, 1, 1),
        (2, DISGUISED, 1, 3),
        (4, 0, 3, 9),
        (11, 0, 1, 12),
        (13, TRUNCATED, 1, 14),
        (15, TRUNCATED, 1, 16),
    ]
    met = plan({30: Line(b"", 0, 30)}, [*parts, slice_of(b"", position=30)])
    assert [(p.line_offset, p.flags, p.line_count, p.end) for p in met.packs] == found


@pytest.mark.parametrize("flags", [0, DISGUISED])
def test_a_line_of_a_pack_ends_where_the_next_one_begins(flags: int) -> None:
    """Whatever the length of what is kept of it is."""
    part = replace(slice_of(b"long line", b"", b"x", flags=flags), lengths=(2, 3, 4))
    (pack,) = plan({}, [part]).packs

    assert [(offset, line.end) for offset, line in lines_of(pack)] == [(0, 2), (3, 6), (7, 11)]
