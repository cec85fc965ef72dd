"""What to write of some slices: from the lines that are stored to those that are to be.

A stream is a row of intervals, one for each line: from its first byte to its newline. Lines that
meet one that is there, stored or of a slice before, are compared with it. Nothing here knows a
database.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import chain, pairwise
from typing import NamedTuple

from datastream.packs import Pack, packs
from datastream.privacy import skeleton
from datastream.slices import DISGUISED, INCOMPLETE, Slice


class Line(NamedTuple):
    """A line at its offset."""

    line: bytes
    #: See datastream.slices.
    flags: int
    #: The byte offset of its newline in the stream.
    end: int


@dataclass
class Plan:
    """What is to be written of one stream, and what is not."""

    #: In order, and disjoint.
    packs: list[Pack] = field(default_factory=list)
    #: Whole lines that take the place of stored beginnings, by offset.
    completed: dict[int, Line] = field(default_factory=dict)
    #: Slices with a line that differs from what is there: nothing of them is written.
    conflicts: list[Slice] = field(default_factory=list)
    duplicates: int = 0
    #: Beginnings that were replaced, among the slices too.
    replaced: int = 0

    @property
    def new(self) -> int:
        """How many lines are new."""
        return sum(pack.line_count for pack in self.packs)


def plan(stored: Mapping[int, Line], slices: Sequence[Slice]) -> Plan:
    """Return what is to be written of slices of one stream, given in order.

    `stored` are the lines, by offset, that meet any of the slices.
    """
    if not stored and all(one.end < next_.position for one, next_ in pairwise(slices)):
        return Plan(packs=list(_packed(slices)))
    return _compared(dict(stored), slices)


def lines_of(pack: Pack) -> Iterator[tuple[int, Line]]:
    """Yield the lines of a pack by their offsets. Raises ValueError when it is damaged."""
    lines = pack.lines()
    ends = [*(offset - 1 for offset, _ in lines[1:]), pack.end]
    for (offset, line), end in zip(lines, ends, strict=True):
        yield offset, Line(line, pack.flags, end)


def _packed(slices: Sequence[Slice]) -> Iterator[Pack]:
    """Yield disjoint slices as packs; those that follow on one another share one."""
    for run in _runs(slices):
        lines = list(chain.from_iterable(slice_.numbered() for slice_ in run))
        yield from packs(lines, run[0].flags, run[-1].end)


def _runs(slices: Sequence[Slice]) -> Iterator[list[Slice]]:
    run = [slices[0]]
    for slice_ in slices[1:]:
        last = run[-1]
        follows = slice_.position == last.end + 1 and slice_.flags == last.flags
        if not follows or slice_.flags & INCOMPLETE:
            yield run
            run = []
        run.append(slice_)
    yield run


def _compared(there: dict[int, Line], slices: Sequence[Slice]) -> Plan:
    """Return the plan for slices that meet lines that are there, or each other."""
    made = Plan()
    offsets = sorted(there)
    new: set[int] = set()
    for slice_ in slices:
        lines = dict(_lines(slice_))
        relations = {
            offset: _relation(there, offsets, offset, line) for offset, line in lines.items()
        }
        if _Relation.DIFFERS in relations.values():
            made.conflicts.append(slice_)
            continue
        for offset, relation in relations.items():
            if relation is _Relation.DUPLICATE:
                made.duplicates += 1
                continue
            there[offset] = lines[offset]
            if relation is _Relation.NEW:
                insort(offsets, offset)
                new.add(offset)
                continue
            made.replaced += 1
            if offset not in new:
                made.completed[offset] = lines[offset]
    made.packs = list(_packed_lines((offset, there[offset]) for offset in sorted(new)))
    return made


def _packed_lines(lines: Iterable[tuple[int, Line]]) -> Iterator[Pack]:
    run: list[tuple[int, Line]] = []
    for offset, line in lines:
        if run:
            last = run[-1][1]
            follows = offset == last.end + 1 and line.flags == last.flags
            if not follows or line.flags & INCOMPLETE:
                yield from _packed_run(run)
                run = []
        run.append((offset, line))
    if run:
        yield from _packed_run(run)


def _packed_run(run: Sequence[tuple[int, Line]]) -> Iterator[Pack]:
    last = run[-1][1]
    return packs([(offset, line.line) for offset, line in run], last.flags, last.end)


def _lines(slice_: Slice) -> Iterator[tuple[int, Line]]:
    numbered = list(slice_.numbered())
    ends = [*(offset - 1 for offset, _ in numbered[1:]), slice_.end]
    for (offset, line), end in zip(numbered, ends, strict=True):
        yield offset, Line(line, slice_.flags, end)


class _Relation(Enum):
    """How a line that was sent relates to what is there."""

    NEW = auto()
    #: Equal, or an earlier look at the one that is there, or the same but for its disguise, as
    #: after a change of the settings: what is there stays.
    DUPLICATE = auto()
    #: What is there is only its beginning: it had no newline yet, or was over a lower limit.
    COMPLETES = auto()
    DIFFERS = auto()


def _relation(
    there: Mapping[int, Line], offsets: Sequence[int], offset: int, sent: Line
) -> _Relation:
    """Return the relation of a line to those that are there, whose `offsets` are in order.

    A new or longer one that reaches into another is of another log that has the same first line.
    """
    stored = there.get(offset)
    relation = _Relation.NEW if stored is None else _to_one(offset, stored, sent)
    if relation is _Relation.DUPLICATE or relation is _Relation.DIFFERS:
        return relation
    at = bisect_left(offsets, offset)
    begins_inside = at > 0 and there[offsets[at - 1]].end >= offset
    behind = at if stored is None else at + 1
    ends_inside = behind < len(offsets) and offsets[behind] <= sent.end
    return _Relation.DIFFERS if begins_inside or ends_inside else relation


def _to_one(offset: int, stored: Line, sent: Line) -> _Relation:
    """Return the relation of a line to the one that is there under its offset."""
    is_alike = not (stored.flags ^ sent.flags) & INCOMPLETE
    is_whole = not (stored.flags | sent.flags) & INCOMPLETE
    # Where a line of an older version ends is not known, if it is disguised: then it has no length.
    if is_whole and offset < stored.end != sent.end:
        return _Relation.DIFFERS
    if stored.line == sent.line and is_alike:
        return _Relation.DUPLICATE
    if stored.flags & INCOMPLETE and sent.line.startswith(stored.line):
        return _Relation.COMPLETES
    if sent.flags & INCOMPLETE and stored.line.startswith(sent.line):
        return _Relation.DUPLICATE
    if is_alike and _is_same(stored.flags | sent.flags, stored.line, sent.line):
        return _Relation.DUPLICATE
    return _Relation.DIFFERS


def _is_same(flags: int, stored: bytes, line: bytes) -> bool:
    """Return whether two different lines are the same line, one or both of them disguised."""
    return bool(flags & DISGUISED) and skeleton(stored) == skeleton(line)
