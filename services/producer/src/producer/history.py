"""What to do about the files of a log: a pure function of what is known and what is seen.

A log is a history of files: the one that the server writes now, those before it, whatever they are
called, and copies and packed versions of them. A file is recognised by its content alone. Names
only tell which files may belong to the log, and times only which of them came first.
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
    #: In the same folder. It belongs to the log only if it holds a stream that was being read and
    #: that no other file holds.
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Seen:
    """A file, as a look at the folders shows it. Streams are known ones, by their ids."""

    path: str
    identity: Identity
    role: Role
    #: May be read if it holds no known stream; and if it was asked for by name, even if skipped.
    is_wanted: bool = True
    is_asked: bool = False
    is_empty: bool = False
    #: It cannot be read, so that its content is unknown.
    is_opaque: bool = False
    #: That has been so for a minute, and it has not changed: it is no longer waited for.
    is_given_up: bool = False
    #: The streams that it holds up to their position, and those of which it holds more.
    holds: frozenset[int] = frozenset()
    more: frozenset[int] = frozenset()
    #: The streams that it begins like, but ends before their position.
    ends: frozenset[int] = frozenset()
    #: The streams, and the files, that begin with all that it holds: it may be a copy.
    echoes: frozenset[int] = frozenset()
    part_of: frozenset[Identity] = frozenset()
    #: The deleted files that are open, not empty, and whose whole content it begins with.
    continues: frozenset[Identity] = frozenset()
    #: It is packed and begins like a deleted file that is being read, and is probably made from it:
    #: nothing is decided before that is read.
    is_awaited: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that is being read."""

    identity: Identity
    #: None before there is a whole line in it.
    stream: int | None
    is_live: bool
    #: It no longer holds what was read of it: truncated, or its descriptor is stale.
    is_lost: bool = False
    #: It was truncated inside a line that was read in part: what it holds now is another stream.
    is_torn: bool = False
    #: A slice of it is not confirmed yet.
    is_in_hand: bool = False
    #: Everything in it is confirmed; and it has not grown for a minute.
    is_drained: bool = False
    is_quiet: bool = False


class Look(NamedTuple):
    """The files of a log at one moment, oldest first, the live file last."""

    files: tuple[Seen, ...]
    #: No file vanished meanwhile.
    is_complete: bool = True
    #: Every folder could be listed, so that a file that is not seen does not exist.
    is_whole: bool = True

    @property
    def is_unclear(self) -> bool:
        """Whether the content of a file is unknown and may become known."""
        return any(file.is_opaque and not file.is_given_up for file in self.files)


class Do(Enum):
    """What can be done about a file."""

    #: Note that an open file is no longer the live one (the action's path is that of the new live
    #: file, if there is one), or is so again.
    ROTATE = "rotate"
    REVIVE = "revive"
    #: Close a file that no longer holds what was read of it.
    LOSE = "lose"
    #: Read a file from its beginning, as a new stream.
    BEGIN = "begin"
    #: Read on with a stream in this file; close the deleted one in which it was read, if any.
    RESUME = "resume"
    #: Note that this file holds a stream of which nothing is left to read.
    KNOW = "know"
    #: Note that a file is not read, since it was rotated before the log was configured.
    SKIP = "skip"
    #: Report that a file lacks the end of what was read, and leave it alone.
    LEAVE = "leave"


class Action(NamedTuple):
    """One thing to do. Two looks agree on it if the actions are equal."""

    do: Do
    identity: Identity
    path: str = ""
    stream: int | None = None


class Decision(NamedTuple):
    """What a look leads to."""

    #: In the order in which they must be done.
    actions: tuple[Action, ...]
    #: The streams that no file holds; None if that is not certain.
    absent: frozenset[int] | None
    #: Something will be decided once the open files are read to their ends.
    is_waiting: bool = False


def decide(entries: Mapping[int, Entry], look: Look, opened: Collection[Opened]) -> Decision:
    """Return what to do about the files of a log.

    `entries` are the known streams by their ids, `opened` the files being read. A look is not one
    moment: do only what two complete looks in a row lead to.
    """
    live = next((file for file in look.files if file.role is Role.LIVE), None)
    there = {file.identity for file in look.files}
    is_read = {o.identity: o for o in opened if not o.is_lost or o.is_in_hand}
    taken = {o.stream for o in is_read.values() if o.stream is not None}
    files = [f for f in look.files if f.identity not in is_read and not f.is_opaque]
    found = _assigned(entries, files, taken, {(o.identity, o.stream) for o in opened if o.is_torn})
    # What was read of a lost file is sent first: then the position of its stream is known.
    unsettled = {o.stream for o in opened if o.is_lost and o.is_in_hand}
    scene = _Scene(
        gone=[o for o in opened if not o.is_lost and o.identity not in there],
        covered={*is_read, *found} | ({live.identity} if live else set()),
        streams=taken | set(found.values()),
    )
    actions = list(_about_opened(opened, live))
    for file in files:
        if (file.holds | file.ends) & unsettled:
            scene.covered.add(file.identity)  # a file that is packed from it waits as well
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
    """What is settled so far, while the files of a look are gone through, oldest first."""

    #: The open files that no longer have a name in these folders.
    gone: list[Opened]
    #: The files that are dealt with, so that a copy of one of them is not new.
    covered: set[Identity]
    #: The streams that have a file.
    streams: set[int]
    #: The streams that are read on in the replacement of a deleted file.
    continued: set[int | None] = field(default_factory=set)
    #: Something will be decided once a deleted file is read to its end.
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
    """Return which file holds each stream that no open file has: one file per stream.

    Files that belong to the log by name come first, then the file in which a stream was last read,
    then the stream with the largest position, so that of files that begin alike each gets its own.
    """
    candidates = [
        (file, entry)
        for file in files
        for entry in (entries[stream] for stream in file.holds if stream not in taken)
        if file.role is not Role.OTHER or not entry.finished
        if (file.identity, entry.stream_id) not in torn
        # A copy of a file being read may begin like another stream, and must not continue that.
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
    """Read on in a file whose stream is known, if there is more to read or to expect."""
    has_grown = entry.stream_id in file.more and not (entry.skipped and not entry.length)
    is_asked = entry.skipped and file.is_asked
    if has_grown or is_asked or not entry.finished or file.role is Role.LIVE:
        yield Action(Do.RESUME, file.identity, file.path, entry.stream_id)
    elif entry.identity != file.identity:
        yield Action(Do.KNOW, file.identity, file.path, entry.stream_id)


def _about_unknown(file: Seen, scene: _Scene) -> Iterable[Action]:
    """Return what to do about a file that no stream is assigned to."""
    former = next((o for o in scene.gone if o.stream in file.holds), None)
    if former is not None:
        # It has the content of a deleted file, which it replaces. The deleted file is read to its
        # end first; and while this one holds nothing more, the server may still write to that.
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
    """Read a rotated file that is not a copy, if it is wanted."""
    is_copy = file.part_of & (scene.covered - {file.identity}) or file.echoes & scene.streams
    scene.covered.add(file.identity)  # even of a copy, which may be packed in turn
    if is_copy:
        return
    if file.ends & scene.streams:
        scene.is_waiting = True  # until it can be compared with the file that has that stream
    elif file.ends:
        yield Action(Do.LEAVE, file.identity, file.path)
    elif file.is_wanted:
        yield from _about_new(file, scene)
    else:
        yield Action(Do.SKIP, file.identity, file.path)


def _about_new(file: Seen, scene: _Scene) -> Iterable[Action]:
    """Read a file from its beginning, and not also a deleted one whose content it begins with."""
    for former in scene.gone:
        if former.stream is None and former.identity in file.continues:
            yield Action(Do.LOSE, former.identity)
    yield Action(Do.BEGIN, file.identity, file.path)


def _absent(entries: Mapping[int, Entry], look: Look, streams: set[int]) -> frozenset[int] | None:
    """Return the streams that no file holds; None if it is not certain what the folders hold.

    Only a stream of this log in them proves that they are not just empty mount points.
    """
    if not look.is_whole or look.is_unclear or not streams:
        return None
    held = set(streams)
    for file in look.files:
        held |= file.holds | file.ends
    opaque = {file.identity for file in look.files if file.is_opaque}
    held |= {stream for stream, entry in entries.items() if entry.identity in opaque}
    return frozenset(entries.keys() - held)
