"""One log: the file that the server writes now, and those that it wrote before."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from datastream.paths import printable
from datastream.privacy import skeleton
from datastream.slices import Slice
from producer.files import LogFile, Relation, version_of
from producer.folders import Folders, folders_of
from producer.history import Action, Do, Look, Opened, decide
from producer.look import Looker
from producer.reader import Limits, StreamReader, Truncated
from producer.state import PREFIX_BYTES, Entry, Generations, KnownStreams, fingerprint
from producer.troubles import Troubles

logger = logging.getLogger(__name__)

#: Seconds without growth after which a file that is not the live one is closed, once there are
#: lines in the live one: the server has long reopened its log by then. As long a stream that no
#: file holds is remembered.
ROTATED_QUIET = 60.0
#: Seconds between two looks at folders that do not change.
LOOK_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Source:
    """What is read: a permanent name, the format of the lines, and the limits."""

    name: str
    format: str
    limits: Limits
    #: Read to the end and no further; a last line without its newline is sent as it stands.
    once: bool = False
    #: Lines are disguised before they are published: nor may a stream's id give its first one away.
    is_disguised: bool = False
    #: The folder that rotated files are moved to, from the log's own on; empty: they stay there.
    rotated_dir: str = ""


class Still(NamedTuple):
    """How it can be told that nothing has changed in a log."""

    #: The live file's descriptor, -1 without one, and its length.
    descriptor: int
    length: int
    #: For how long that will do (monotonic).
    until: float
    #: The folders that hold its files, and when they had last changed.
    folders: tuple[str, ...]
    changed: tuple[int, ...]


class Log:
    """Reads one log in order: what is left of rotated files first, then the live one.

    Looks lead to decisions (producer.history), which are carried out here once a second look leads
    to the same ones.
    """

    def __init__(  # noqa: PLR0913 - what was before, and what is shared
        self,
        path: str,
        source: Source,
        entries: Iterable[Entry] = (),
        *,
        is_followed: bool = True,
        is_new: bool = False,
        changed_since: float | None = None,
        generations: Generations | None = None,
        folders: Folders | None = None,
    ) -> None:
        """`entries` is how far its streams are confirmed.

        Not followed: only what is asked for is read. New: there was no such log before, so every
        rotated file of it is read; else those that are there at the first look, and have no entry,
        were there before anybody asked for this log. `changed_since` (Unix time) is what a
        checkpoint of version 1 knows of that: files that have changed since are new.
        """
        self.path = path
        self.name = printable(path)
        self._source = source
        self.is_followed = is_followed
        #: Every rotated file has an entry: one without is new.
        self.is_sighted = is_new
        self._changed_since = changed_since
        self._known = KnownStreams(
            source.name, self.name, source.format, entries, generations or Generations({})
        )
        self._folders = folders or Folders()
        self._is_alone = folders is None
        self._looker = Looker(path, self._folders, source.rotated_dir)
        self._watched = tuple(folders_of(path, source.rotated_dir))
        self._troubles = Troubles(path, once=source.once)
        #: The files that are open, oldest first, and which of them the server writes now.
        self.readers: list[StreamReader] = []
        self._live: StreamReader | None = None
        #: Readers whose files lost what was read of them, with a last line that has no newline.
        self._remainders: list[StreamReader] = []
        #: The files that were asked for, and those of them that were not there yet.
        self._asked: set[str] = set()
        self._missing: set[str] = set()
        #: What the last look led to and no look before it; whether another look must follow.
        self._pending: frozenset[Action] = frozenset()
        self.is_undecided = True
        #: The last look showed all that there is; it was sure as well what no file holds.
        self._is_listed = self._is_sure = False
        self._looked_at = float("-inf")
        self._changed: tuple[int, ...] = ()
        #: Since when no file holds a stream (monotonic), and which of these were told.
        self._absent: dict[int, float] = {}
        #: The streams that were read here: nobody is told when their files are gone.
        self._read: set[int] = set()
        #: The live file was open; and files that are open, but reading them fails.
        self._was_read = False
        self._failing: set[str] = set()

    def ask_for(self, files: Iterable[str]) -> bool:
        """Read these files, rotated ones or the log itself, as they can be had.

        Return whether any was not asked for before.
        """
        new = set(files) - self._asked
        if new:
            self._asked |= new
            self._missing |= new - {self.path}
            self.is_followed = self.is_followed or self.path in new
            self.is_undecided = True
        return bool(new)

    def look(self) -> None:
        """Open what is there now, so that it can be read later; read none of it."""
        if not self._must_look():
            return
        look = self._see()
        decision = decide(self._known.by_id, look, [self._opened(r) for r in self.readers])
        if not look.is_complete:
            self._pending, self.is_undecided = frozenset(), True
            return
        agreed = [action for action in decision.actions if action in self._pending]
        self._pending = frozenset(decision.actions) - frozenset(agreed)
        self.is_undecided = bool(decision.actions) or decision.is_waiting
        for action in agreed:
            self._try(action, look)
        if agreed:
            self.readers.sort(key=lambda r: (r is self._live, r.file.modified_at(), r.file.path))
        self._is_listed = look.is_whole and not look.is_unclear
        self._is_sure = self._is_listed and decision.absent is not None
        if not decision.actions and self._looker.is_listed and self.is_followed:
            self.is_sighted = True
        if decision.absent is not None:
            self._forget(decision.absent)

    def next(self) -> tuple[StreamReader, Slice] | None:
        """Return the next slice and its reader, or None when there is no more for now.

        There may be more at once where looks are undecided.
        """
        self.look()
        if self._identify():
            # First what other logs begin with: all of it is noted before the first line is sent.
            self.is_undecided = True
            return None
        if self._remainders and not self.is_undecided and self._is_clear(self._remainders[0]):
            reader = self._remainders[0]
            try:
                piece = self._last_words(reader)
            except FileNotFoundError:
                self.is_undecided = True  # renamed or packed just now: the next look sees what
                return None
            if piece is not None:
                return reader, piece
            self._remainders.remove(reader)
        for reader in list(self.readers):
            piece = self._next_of(reader)
            if piece is not None:
                stream = piece.stream.stream_id
                if self._known.by_id[stream].prefix_length < PREFIX_BYTES:
                    self.note(reader)  # it is known by more now
                return reader, piece
        return None

    def still(self, now: float) -> Still | None:
        """Return by what to tell that there is still nothing to do; None when there may be.

        `now` is the monotonic time. Once a second all is compared; in between a file's length and
        the time of a folder say enough.
        """
        live = self._live
        if self.is_undecided or self._remainders or len(self.readers) != (live is not None):
            return None
        if live is not None and (live.has_lines or live.is_in_hand):
            return None
        length = -1 if live is None else live.ended_length
        if self._has_changed():
            return None
        if now - self._looked_at >= LOOK_EVERY:
            if live is None or self._failing or not self._is_settled:
                return None
            if not live.is_unchanged(self._looker.there.get(self.path)):
                return None
            self._looked_at = now
        elif live is not None and length != live.file.length():
            return None
        descriptor = -1 if live is None else live.file.descriptor
        until = self._looked_at + LOOK_EVERY
        return Still(descriptor, length, until, self._watched, self._changed)

    def note(self, reader: StreamReader) -> None:
        """Note how far a reader is confirmed."""
        self._known.note(reader.entry)

    def entries(self) -> list[Entry]:
        """Return how far each stream is confirmed."""
        return self._known.entries()

    def close(self) -> None:
        """Close every file."""
        for reader in self.readers:
            reader.file.close()

    @property
    def trouble(self) -> str:
        """Why the live file cannot be read just now; empty when it can, or is not asked for."""
        return self._troubles.of(self.path)

    @property
    def unread(self) -> dict[str, str]:
        """The files that could not be read, or not to their end, and why."""
        others = set(self._watched)
        if self._was_read and self.path not in self._failing:
            others.add(self.path)  # moved away, perhaps, but read
        unread = dict.fromkeys(self._missing, os.strerror(errno.ENOENT)) | self._troubles.all()
        return {path: words for path, words in unread.items() if path not in others}

    @property
    def behind_bytes(self) -> int:
        """How many bytes are not confirmed."""
        return sum(reader.behind_bytes for reader in list(self.readers))

    @property
    def behind_seconds(self) -> float:
        """For how long there have been bytes that are not confirmed."""
        now = time.monotonic()
        waiting = [reader.caught_up_at for reader in list(self.readers) if reader.behind_bytes]
        return max((now - since for since in waiting), default=0.0)

    # Which files there are.

    def _must_look(self) -> bool:
        """Say whether the files may have changed; if not, that was looked at as if they had."""
        if self._is_alone:
            self._folders.begin_round()
        if self.is_undecided or any(reader.is_lost for reader in self.readers):
            return True
        now = time.monotonic()
        is_due = now - self._looked_at >= LOOK_EVERY
        if (is_due and not self._is_settled) or self._has_changed():
            return True
        if is_due:
            self._looked_at = now
            if any(reader.is_truncated() for reader in self.readers):
                return True
        live = None
        with suppress(OSError):
            status = os.stat(self.path)  # noqa: PTH116 - as quick as can be
            live = status.st_dev, status.st_ino
        return self.is_followed and live != (self._live and self._live.file.identity)

    def _see(self) -> Look:
        """Look at the folders, and tell of what cannot be read there."""
        self._looked_at = time.monotonic()
        self._changed = self._folders.changed(self._watched)
        look = self._looker.look(
            self._known,
            self.readers,
            self._is_wanted,
            asked=self._asked,
            only=None if self.is_followed else self._asked,
            is_fresh=self.is_undecided,
        )
        self._missing -= self._looker.there.keys()
        self._tell_troubles()
        return look

    def _has_changed(self) -> bool:
        """Say whether names in the folders have changed since the last look."""
        return self._changed != self._folders.changed(self._watched)

    @property
    def _is_settled(self) -> bool:
        """Whether all that is there was seen and is known, and each file is as it was."""
        return (
            self._is_sure
            and not self._absent
            and not self._looker.is_retry_due
            and self._looker.is_as_it_was
        )

    def _is_wanted(self, path: str, status: os.stat_result) -> bool:
        """Say whether a rotated file without an entry is read: it is new, or was asked for."""
        if self.is_sighted or path in self._asked:
            return True
        return self._changed_since is not None and status.st_mtime > self._changed_since

    def _opened(self, reader: StreamReader) -> Opened:
        if not reader.is_lost and reader.is_truncated():
            self._lost(reader)
        return Opened(
            identity=reader.file.identity,
            stream=reader.stream.stream_id if reader.is_known else None,
            is_live=reader is self._live,
            is_lost=reader.is_lost,
            is_torn=reader.is_lost and not reader.is_stale and bool(reader.partial_line),
            is_in_hand=reader.is_in_hand or (reader.is_known and reader.has_lines),
            is_drained=not reader.is_lost and reader.is_drained,
            is_quiet=self._source.once or self._is_quiet(reader),
        )

    def _try(self, action: Action, look: Look) -> None:
        """Do what two looks have led to, if it can be done."""
        try:
            if action.do in (Do.BEGIN, Do.RESUME, Do.SKIP):
                self._open(action)
            else:
                self._note(action, look)
        except (FileNotFoundError, Truncated):
            return  # it was moved or has changed just now: the next look sees what it is
        except OSError as error:
            self._troubles.tell(action.path, error)
            self._failing.add(action.path)
            with suppress(OSError):
                self._looker.fail(version_of(os.stat(action.path)), ROTATED_QUIET)  # noqa: PTH116

    def _note(self, action: Action, look: Look) -> None:
        """Do what opens no file."""
        reader = next((r for r in self.readers if r.file.identity == action.identity), None)
        match action.do:
            case Do.ROTATE:
                if action.path and reader is not None:
                    logger.info(
                        "Log was rotated; reading the old file to its end, then the new one",
                        extra={"path": self.path, "position": reader.position},
                    )
                self._live = None
            case Do.REVIVE:
                self._live = reader
            case Do.LOSE:
                if reader is not None:
                    self._drop(reader)
                    self._remainders.append(reader)
            case Do.KNOW:
                entry = self._known.by_id[action.stream or 0]
                device, inode = action.identity
                self._known.note(replace(entry, device=device, inode=inode))
            case Do.LEAVE:
                logger.info(
                    "Rotated file lacks the end of what was read before; leaving it alone",
                    extra={"file": action.path},
                )
                self._looker.leave(action.path, look)

    def _open(self, action: Action) -> None:
        """Open a file and read it, from an entry or from its beginning, or pass it over.

        Raises OSError, and Truncated when it is another file, or another content, than was seen.
        """
        file = LogFile(action.path)
        try:
            reader = self._reader(file, action)
            if action.do is Do.SKIP:
                self._skip(reader)
        except (OSError, Truncated):
            file.close()
            raise
        if action.do is Do.SKIP:
            file.close()
        else:
            self._add(reader)

    def _reader(self, file: LogFile, action: Action) -> StreamReader:
        """Return a reader of a file. Raises OSError and Truncated."""
        if file.identity != action.identity:
            raise Truncated
        if action.stream is None:
            return StreamReader(file, self._source.limits)
        entry = self._known.by_id[action.stream]
        if entry.skipped and action.path in self._asked:
            entry = replace(entry, position=0, marker=fingerprint(b""), skipped=False)
        if file.relation(entry) is not Relation.HOLDS:
            raise Truncated
        reader = StreamReader(file, self._source.limits, self._known.stream(entry), entry)
        reader.has_grown = entry.finished
        logger.info(
            "Reading on where the checkpoint says",
            extra={"file": file.path, "position": entry.position},
        )
        return reader

    def _add(self, reader: StreamReader) -> None:
        """Read a file from now on."""
        if reader.is_known:
            stream = reader.stream.stream_id
            for former in [r for r in self.readers if r.is_known]:
                if former.stream.stream_id == stream:
                    self._drop(former)  # it is deleted, and this one has its content
            self._read.add(stream)
            self.note(reader)
        self.readers.append(reader)
        self._failing.discard(reader.file.path)
        if reader.file.path == self.path:
            self._live = reader
            self._was_read = True

    def _skip(self, reader: StreamReader) -> None:
        """Note that a file was there before anybody asked. Raises OSError and Truncated."""
        line = reader.first_line(is_complete=True)
        if line is None:
            # A packed one that is cut short, before there is a line.
            self._looker.fail(reader.file.version, float("inf"))
            return
        reader.begin(self._known.new(self._named(line)))
        self._known.note(reader.skipped())
        logger.info(
            "Rotated file was there before the log was asked for; it is not read",
            extra={"file": reader.file.path},
        )

    def _forget(self, absent: frozenset[int]) -> None:
        """Forget streams that no file has held for a while; tell of those that were being read."""
        now = time.monotonic()
        absent -= {reader.stream.stream_id for reader in self._remainders if reader.is_known}
        self._absent = {stream: self._absent.get(stream, now) for stream in absent}
        for stream, since in self._absent.items():
            entry = self._known.by_id[stream]
            if not entry.finished and not self.is_undecided:
                self._known.finish(entry)
                if stream not in self._read:
                    logger.warning(
                        "The file that was being read is gone; what was not read of it cannot be"
                        " had",
                        extra={"path": self.path, "position": entry.position},
                    )
            if now - since > ROTATED_QUIET and not self._may_come_back(entry):
                self._known.forget(stream)

    def _may_come_back(self, entry: Entry) -> bool:
        """Say whether a file may still be somewhere: moved away, or on a disk that is not here."""
        devices = set()
        for folder in self._watched:
            with suppress(OSError):
                devices.add(os.stat(folder).st_dev)  # noqa: PTH116
        if entry.device not in devices:
            return True
        if entry.file in self._looker.there:
            return False  # that is another one, which has its inode
        with suppress(OSError):
            status = os.stat(entry.file)  # noqa: PTH116
            return (status.st_dev, status.st_ino) == entry.identity
        return False

    def _tell_troubles(self) -> None:
        """Tell what could not be read at the last look, and what can be again."""
        for path, error in self._looker.troubles.items():
            self._troubles.tell(path, error)
        for path in self._troubles.all().keys() - self._looker.troubles.keys() - self._failing:
            if self._troubles.end(path) and path == self.path:
                logger.info("Log can be read now", extra={"path": path})

    # Which streams they are.

    def _identify(self) -> bool:
        """Give every file its stream as soon as it has a line; return whether any got one."""
        if all(reader.is_known for reader in self.readers):
            return False
        if not any(self._first_line(reader) is not None for reader in self.readers):
            return False
        if not self.is_undecided:
            # While a log was empty nothing told whether it was filled, copied and truncated: what
            # was before comes first, so that generations are counted in the same order by
            # everybody.
            self.is_undecided = True
            self.look()
        if self.is_undecided or any(reader.is_lost for reader in self.readers):
            return False
        for reader in self.readers:
            first_line = self._first_line(reader)
            if first_line is not None:
                reader.begin(self._known.new(self._named(first_line)))
                self._read.add(reader.stream.stream_id)
                self.note(reader)
                logger.info(
                    "Reading from the beginning",
                    extra={
                        "file": reader.file.path,
                        "stream": f"{reader.stream.stream_id:016x}",
                        "format": self._source.format,
                    },
                )
        return True

    def _named(self, line: bytes) -> bytes:
        """Return what a stream's id is made of."""
        return skeleton(line) if self._source.is_disguised else line

    def _first_line(self, reader: StreamReader) -> bytes | None:
        """Return the first line of a file without a stream, when it is there."""
        if reader.is_known or reader.is_lost:
            return None
        with suppress(OSError, Truncated):  # comes again when it is read
            return reader.first_line(is_complete=self._is_over(reader))
        return None

    # What is in them.

    def _next_of(self, reader: StreamReader) -> Slice | None:
        if reader.is_lost:
            return reader.remaining() if reader.is_known else None
        try:
            # Asked before reading: what arrives while it is read is no reason to wait, nor to end.
            is_over = self._is_over(reader)
            reader.is_final = is_over and (self._source.once or self._is_quiet(reader))
            if not reader.is_known:
                reader.first_line(is_complete=is_over)  # raises what there is to raise
                is_over = is_over and not reader.is_cut_short
                return None if reader.partial_line or not is_over else self._last_of(reader)
            piece = reader.next(may_pause=not self._source.once)
            if piece is None and is_over and not reader.is_paused and not reader.is_cut_short:
                piece = self._last_of(reader)
        except Truncated:
            self._lost(reader)
            return None
        except OSError as error:
            self._failed(reader, error)
            return None
        if self.path in self._failing and reader is self._live:
            self._failing.discard(self.path)
            if self._troubles.end(self.path):
                logger.info("Log can be read now", extra={"path": self.path})
        return piece

    def _is_clear(self, reader: StreamReader) -> bool:
        """Say whether it is known what has become of a file that lost what was read of it."""
        return self._is_listed or self._is_quiet(reader)

    def _is_quiet(self, reader: StreamReader) -> bool:
        return time.monotonic() - reader.grew_at > ROTATED_QUIET

    def _is_over(self, reader: StreamReader) -> bool:
        """Say whether a file is not expected to grow any more."""
        if self._source.once:
            return True
        if reader.file.is_packed and not reader.has_grown and not reader.is_cut_short:
            return True
        if reader is self._live or not self._is_quiet(reader):
            return False
        # While there is nothing in the new file, the server may not have reopened its log.
        newest = self._live if self.is_followed else self.readers[-1]
        is_replaced = newest is not None and newest is not reader and newest.is_known
        return is_replaced or reader.file.is_deleted

    def _last_of(self, reader: StreamReader) -> Slice | None:
        """Return the unterminated rest of a file that is over; else finish with it."""
        piece = reader.rest() if reader.is_known else None
        if piece is None and reader is not self._live:
            if reader.is_known:
                version = reader.file.version
                entry = replace(reader.entry, file=reader.file.name_now)
                self._known.finish(entry, reader.end)
                self._looker.settle(version, entry.stream_id)
            self._drop(reader)
            logger.info("Read a rotated file to its end", extra={"file": reader.file.path})
        return piece

    def _lost(self, reader: StreamReader) -> None:
        """Note that a file does not hold any more what was read of it."""
        logger.warning(
            "Log was truncated; reading it from its beginning as a new stream",
            extra={"path": reader.file.path, "position": reader.position},
        )
        reader.lose()
        self.is_undecided = True

    def _last_words(self, reader: StreamReader) -> Slice | None:
        """Return what was read last of a file that was truncated; None if a copy has it.

        Raises FileNotFoundError when a file that may be a copy is not there any more.
        """
        if reader.is_stale:
            return None  # it is there still, and is read in the file that is opened again
        if not reader.is_known:
            # Not even its first line was whole, or was not sent yet. In a copy it is.
            part = reader.partial_line
            if not part or self._is_in_a_file(part):
                return None
            line = part.partition(b"\n")[0]
            reader.begin(self._known.new(self._named(line[: self._source.limits.line_bytes])))
            self.note(reader)
        entry = self._known.by_id.get(reader.stream.stream_id)
        if entry is None or entry.finished or entry.position != reader.position:
            return None  # it was read on in a copy, to its end perhaps
        if any(r.is_known and r.stream == reader.stream for r in self.readers):
            return None
        piece = reader.remaining()
        if piece is None:
            piece = reader.rest()
            if piece is not None:
                reader.give_up()
                self.note(reader)
        return piece

    def _is_in_a_file(self, part: bytes) -> bool:
        """Say whether a file of the log begins with some bytes. Raises FileNotFoundError."""
        for reader in self.readers:  # whatever they are called by now
            with suppress(OSError):
                if reader.file.read(0, len(part)) == part:
                    return True
        for path in self._looker.there:
            try:
                with closing(LogFile(path)) as file:
                    if file.read(0, len(part)) == part:
                        return True
            except FileNotFoundError:
                raise
            except OSError:
                continue  # told by the look
        return False

    def _failed(self, reader: StreamReader, error: OSError) -> None:
        """Tell that a file cannot be read on, and when to try again."""
        if error.errno == errno.ESTALE:
            # Of a file server: the file is there, perhaps, but this descriptor is of no use.
            logger.warning("Log's descriptor is stale; opening it again", extra={"path": self.path})
            reader.lose(is_stale=True)
            self.is_undecided = True
            return
        path = self.path if reader is self._live else reader.file.name_now
        self._failing.add(path)
        if reader is self._live:
            self._troubles.tell(path, error)
            return
        # Its entry stays unfinished: it is tried again from there in a minute; a packed one, which
        # is damaged, when it changes.
        trouble = self._troubles.note(path, error)
        logger.error(
            "Rotated file cannot be read on; what was read of it is kept",
            extra={"file": path, "error": trouble, "position": reader.position},
        )
        with suppress(OSError):
            again_in = float("inf") if reader.file.is_packed else ROTATED_QUIET
            self._looker.fail(reader.file.version, again_in)
        self._drop(reader)

    def _drop(self, reader: StreamReader) -> None:
        """Close a file, and read it no longer."""
        reader.file.close()
        self.readers.remove(reader)
        self.is_undecided = True  # what holds its stream now?
        if reader is self._live:
            self._live = None
