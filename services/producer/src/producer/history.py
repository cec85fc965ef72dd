"""What is to be done about the files of a log: a pure function of what is known and what is seen.

A log is a history of files: the one that the server writes now, those before it, under whatever
names, and what was made of them by copying and packing. Which file is which is told by content
alone. Names say no more than which files may belong to the log, and times no more than which of
them came first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from producer.files import Identity
from producer.state import Entry


class Role(Enum):
    """What a file is to a log, by its name."""

    #: The path of the log itself.
    LIVE = "live"
    ROTATED = "rotated"
    #: Beside the log; of it only if it holds a stream that was being read and is nowhere else.
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Seen:
    """A file, as a look at the folders shows it. Streams are those that have an entry."""

    path: str
    identity: Identity
    role: Role
    #: May be read when it is no file that is known; and even when it was passed over before.
    is_wanted: bool = True
    is_asked: bool = False
    is_empty: bool = False
    #: Nothing is known of its content: it cannot be read.
    is_opaque: bool = False
    #: That has been so for a minute, and it has not changed: nothing is to be expected of it.
    is_given_up: bool = False
    #: The streams of which it holds all that is confirmed, and those of which it holds more.
    holds: frozenset[int] = frozenset()
    more: frozenset[int] = frozenset()
    #: The streams that it begins like, and ends before what is confirmed of them.
    ends: frozenset[int] = frozenset()
    #: The streams that hold all that it holds, and the files that begin with all of it.
    echoes: frozenset[int] = frozenset()
    part_of: frozenset[Identity] = frozenset()
    #: The open files that hold something, and all of which it begins with.
    continues: frozenset[Identity] = frozenset()
    #: It is packed and begins like a stream whose file is read and has no name any more: what it
    #: was made from, probably. Nothing is decided before that is read.
    is_awaited: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that is being read."""

    identity: Identity
    #: None while there is no whole line in it.
    stream: int | None
    is_live: bool
    #: What it holds is not what was read of it: truncated, or its descriptor is stale.
    is_lost: bool = False
    #: It lost the end of a line that was begun: what it holds now is another stream.
    is_torn: bool = False
    #: A slice of it is on its way.
    is_in_hand: bool = False
    #: All that it holds is confirmed; and for a minute nothing came.
    is_drained: bool = False
    is_quiet: bool = False


class Look(NamedTuple):
    """What the folders of a log hold at a moment, oldest first, the live file last."""

    files: tuple[Seen, ...]
    #: Nothing vanished while it was made.
    is_complete: bool = True
    #: Every folder could be listed, so that what is not seen is not there.
    is_whole: bool = True

    @property
    def is_unclear(self) -> bool:
        """Whether it may be seen later on what is in a file."""
        return any(file.is_opaque and not file.is_given_up for file in self.files)


class Do(Enum):
    """What may be done about a file."""

    #: The file that is open is not the live one any more (the path is that of another one, if
    #: there is one), or is again.
    ROTATE = "rotate"
    REVIVE = "revive"
    #: Close a file that does not hold what was read of it.
    LOSE = "lose"
    #: Read a file from its beginning, as a stream that is not known yet.
    BEGIN = "begin"
    #: Read a stream on in this file; close the deleted one that it was read in, if there is one.
    RESUME = "resume"
    #: Note that a stream is in this file; there is nothing to read.
    KNOW = "know"
    #: Note that a file was there before anybody asked for the log.
    SKIP = "skip"
    #: Say that a file lacks the end of what was read; it is left alone.
    LEAVE = "leave"


class Action(NamedTuple):
    """One thing to do; equal to what another look leads to if it is the same thing."""

    do: Do
    identity: Identity
    path: str = ""
    stream: int | None = None


class Decision(NamedTuple):
    """What a look leads to."""

    #: In the order in which it is to be done.
    actions: tuple[Action, ...]
    #: The streams that no file holds; None where that is not sure.
    absent: frozenset[int] | None
    #: Something can be decided as soon as all is read of the files that are open.
    is_waiting: bool = False


def decide(entries: Mapping[int, Entry], look: Look, opened: Collection[Opened]) -> Decision:
    """Return what is to be done about the files of a log.

    `entries` are the streams that are known, `opened` the files that are being read. Two looks are
    not one moment: what is decided holds only when the look is complete and the next one, complete
    as well, leads to the same.
    """
    live = next((file for file in look.files if file.role is Role.LIVE), None)
    there = {file.identity for file in look.files}
    is_read = {o.identity: o for o in opened if not o.is_lost or o.is_in_hand}
    taken = {o.stream for o in is_read.values() if o.stream is not None}
    files = [f for f in look.files if f.identity not in is_read and not f.is_opaque]
    found = _assigned(entries, files, taken, {(o.identity, o.stream) for o in opened if o.is_torn})
    # What was read of a file that is lost is sent first: then it is known how far that was.
    unsettled = {o.stream for o in opened if o.is_lost and o.is_in_hand}
    scene = _Scene(
        gone=[o for o in opened if not o.is_lost and o.identity not in there],
        covered={*is_read, *found} | ({live.identity} if live else set()),
        streams=taken | set(found.values()),
    )
    actions = list(_about_opened(opened, live))
    for file in files:
        if (file.holds | file.ends) & unsettled:
            scene.covered.add(file.identity)  # what is being packed from it waits as well
            continue
        if file.identity in found:
            actions += _about_known(file, entries[found[file.identity]])
        else:
            actions += _about_unknown(file, scene)
    return Decision(
        actions=tuple(actions),
        absent=_absent(entries, look, scene.streams),
        is_waiting=bool(unsettled) or scene.is_waiting,
    )


@dataclass(slots=True)
class _Scene:
    """What is settled while the files of a look are gone through, oldest first."""

    #: The files that are read and have no name in these folders any more.
    gone: list[Opened]
    #: The files that need not be asked about: a copy of one of them is nothing new.
    covered: set[Identity]
    #: The streams that have a file.
    streams: set[int]
    #: The streams that are read on in the file that a deleted one was replaced by.
    continued: set[int | None] = field(default_factory=set)
    #: Something is decided once all is read of a file that is gone.
    is_waiting: bool = False


def _about_opened(opened: Iterable[Opened], live: Seen | None) -> Iterable[Action]:
    for file in opened:
        is_there = live is not None and live.identity == file.identity
        if file.is_lost:
            if not file.is_in_hand:
                yield Action(Do.LOSE, file.identity, stream=file.stream)
        elif file.is_live and not is_there:
            yield Action(Do.ROTATE, file.identity, live.path if live else "")
        elif not file.is_live and is_there:
            yield Action(Do.REVIVE, file.identity)


def _assigned(
    entries: Mapping[int, Entry],
    files: Iterable[Seen],
    taken: Set[int],
    torn: Collection[tuple[Identity, int | None]],
) -> dict[Identity, int]:
    """Return in which file each stream is that no open file has: one file a stream.

    A file of the log goes first, then the one in which it was being read, then the stream that was
    read furthest: of files that begin alike each gets its own.
    """
    candidates = [
        (file, entry)
        for file in files
        for entry in (entries[stream] for stream in file.holds if stream not in taken)
        if file.role is not Role.OTHER or not entry.finished
        if (file.identity, entry.stream_id) not in torn
        # A copy of what is read, which begins like another stream, does not go on with that.
        if entry.stream_id not in file.more or not (file.is_awaited or file.echoes & taken)
    ]
    candidates.sort(key=_surest, reverse=True)
    found: dict[Identity, int] = {}
    gone: set[int] = set()
    for file, entry in candidates:
        if file.identity not in found and entry.stream_id not in gone:
            found[file.identity] = entry.stream_id
            gone.add(entry.stream_id)
    return found


def _surest(candidate: tuple[Seen, Entry]) -> tuple[bool, bool, int, bool]:
    file, entry = candidate
    is_it = file.identity == entry.identity
    return file.role is not Role.OTHER, is_it and not entry.finished, entry.position, is_it


def _about_known(file: Seen, entry: Entry) -> Iterable[Action]:
    """Read on in a file whose stream is known, if there is something to read or to wait for."""
    has_grown = entry.stream_id in file.more and not (entry.skipped and not entry.length)
    is_asked = entry.skipped and file.is_asked
    if has_grown or is_asked or not entry.finished or file.role is Role.LIVE:
        yield Action(Do.RESUME, file.identity, file.path, entry.stream_id)
    elif entry.identity != file.identity:
        yield Action(Do.KNOW, file.identity, file.path, entry.stream_id)


def _about_unknown(file: Seen, scene: _Scene) -> Iterable[Action]:
    """Return what is to be done about a file that has no stream of its own."""
    former = next((o for o in scene.gone if o.stream in file.holds), None)
    if former is not None:
        # It has the content of a deleted file, and more perhaps: that was replaced by it. What the
        # deleted one holds besides comes first; and as long as there is nothing more in this one,
        # the server may write to the other.
        scene.is_waiting = scene.is_waiting or not former.is_drained
        is_due = former.is_drained and (former.stream in file.more or former.is_quiet)
        if is_due and former.stream not in scene.continued:
            scene.continued.add(former.stream)
            yield Action(Do.RESUME, file.identity, file.path, former.stream)
    elif file.role is Role.LIVE:
        yield from _about_new(file, scene)
    elif file.role is Role.ROTATED and not file.is_empty and not file.is_awaited:
        yield from _about_rotated(file, scene)


def _about_rotated(file: Seen, scene: _Scene) -> Iterable[Action]:
    """Read a rotated file that is no copy of another one, if it is wanted."""
    is_copy = file.part_of & (scene.covered - {file.identity}) or file.echoes & scene.streams
    scene.covered.add(file.identity)  # of a copy as well: it may be packed in its turn
    if is_copy:
        return
    if file.ends & scene.streams:
        scene.is_waiting = True  # until it can be compared with the file of that stream
    elif file.ends:
        yield Action(Do.LEAVE, file.identity, file.path)
    elif file.is_wanted:
        yield from _about_new(file, scene)
    else:
        yield Action(Do.SKIP, file.identity, file.path)


def _about_new(file: Seen, scene: _Scene) -> Iterable[Action]:
    """Read a file from its beginning; not also what it begins with in a deleted one."""
    for former in scene.gone:
        if former.stream is None and former.identity in file.continues:
            yield Action(Do.LOSE, former.identity)
    yield Action(Do.BEGIN, file.identity, file.path)


def _absent(entries: Mapping[int, Entry], look: Look, streams: set[int]) -> frozenset[int] | None:
    """Return the streams that no file holds; None where it is not sure what the folders hold.

    That they hold a stream of this log shows that they are the folders, and not what a disk that
    is not mounted leaves there.
    """
    if not look.is_whole or look.is_unclear or not streams:
        return None
    held = set(streams)
    for file in look.files:
        held |= file.holds | file.ends
    opaque = {file.identity for file in look.files if file.is_opaque}
    held |= {stream for stream, entry in entries.items() if entry.identity in opaque}
    return frozenset(entries.keys() - held)
