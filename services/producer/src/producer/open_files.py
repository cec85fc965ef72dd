"""Which files of a log are open: what was seen is decided on, and files are opened and closed."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from typing import NamedTuple

from datastream.paths import path_text
from datastream.privacy import skeleton
from producer.files import LogFile, Relation, version_of
from producer.folders import Folders
from producer.history import Action, Do, Look, Opened, decide
from producer.look import Looker
from producer.reader import StreamReader, Truncated
from producer.settings import Source
from producer.state import Entry, Generations, KnownStreams, fingerprint

logger = logging.getLogger(__name__)

#: Seconds without growth after which a file that is not the live one is closed, once the live one
#: has a line: by then the server has long reopened its log. The entry of a stream that no file
#: holds is kept as long.
ROTATED_QUIET = 60.0
#: Seconds between two looks at folders that do not change.
LOOK_EVERY = 1.0


class Still(NamedTuple):
    """By which signs it can be told that nothing has changed in a log."""

    #: The descriptor of the live file, -1 without one, and its length in bytes.
    descriptor: int
    length: int
    #: How long these signs suffice (monotonic).
    until: float
    #: The folders that hold the log's files, and when they had last changed (nanoseconds).
    folders: tuple[str, ...]
    changed: tuple[int, ...]


class OpenFiles:
    """The open files of one log, each with a reader, and the streams that are known of the log.

    What a look leads to (producer.history) is done once a second look leads to the same.
    """

    def __init__(  # noqa: PLR0913 - what was before, and what is shared
        self,
        path: str,
        source: Source,
        entries: Iterable[Entry],
        *,
        generations: Generations,
        folders: Folders,
        is_followed: bool = True,
        is_new: bool = False,
        changed_since: float | None = None,
    ) -> None:
        """Nothing is open before look().

        `entries`: the streams of the log that are known. `is_followed`: read the live file and
        every rotated one, and not only those that are asked for. `is_new`: the log did not exist
        when the producer last ran, so that every rotated file is read; otherwise those without an
        entry at the first look are skipped. `changed_since` (Unix time) is from a checkpoint of
        version 1: rotated files that have changed since are new.
        """
        self.path = path
        self.name = path_text(path)
        self.source = source
        self.is_followed = is_followed
        #: Every rotated file has an entry, so that one without is new.
        self.is_sighted = is_new
        self.known = KnownStreams(source.name, self.name, source.format, entries, generations)
        #: Readers of the open files, oldest first, and that of the live file.
        self.readers: list[StreamReader] = []
        self.live: StreamReader | None = None
        #: Readers of closed files that lost what was read of them: a last line may be left to send.
        self.remainders: list[StreamReader] = []
        #: The last look led to something, or another must follow for another reason.
        self.is_undecided = True
        #: The last look showed everything there is.
        self.is_listed = False
        #: It also showed which streams no file holds.
        self._is_sure = False
        self._changed_since = changed_since
        self._looker = Looker(path, folders, source)
        #: What the last look led to for the first time.
        self._pending: frozenset[Action] = frozenset()
        #: Since when no file holds a stream (monotonic), and the streams read by this process.
        self._absent: dict[int, float] = {}
        self._read: set[int] = set()
        self._live_was_read = False

    def read_as(self, line_format: str) -> None:
        """Take the lines for those of a format, which was not known before."""
        self.source = replace(self.source, format=line_format)
        self.known.format = line_format
        for reader in (*self.readers, *self.remainders):
            if reader.is_known:
                reader.begin(replace(reader.stream, format=line_format))

    # Looking.

    def ask_for(self, files: Iterable[str]) -> bool:
        """Read these files, rotated ones or the live one; return whether any is new."""
        is_new = self._looker.ask_for(files)
        if is_new:
            self.is_followed = self.is_followed or self.path in self._looker.asked
            self.is_undecided = True
        return is_new

    def look(self) -> None:
        """Open what is there now and close what is over; read nothing."""
        if not self._must_look():
            return
        look = self._looker.look(
            self.known,
            self.readers,
            self._is_wanted,
            only_asked=not self.is_followed,
            is_fresh=self.is_undecided,
        )
        decision = decide(self.known.by_id, look, [self._opened(r) for r in self.readers])
        if not look.is_complete:
            self._pending, self.is_undecided = frozenset(), True
            return
        agreed = [action for action in decision.actions if action in self._pending]
        self._pending = frozenset(decision.actions) - frozenset(agreed)
        self.is_undecided = bool(decision.actions) or decision.is_waiting
        for action in agreed:
            self._try(action, look)
        if agreed:
            self.readers.sort(key=lambda r: (r is self.live, r.file.modified_at(), r.file.path))
        self.is_listed = look.is_whole and not look.is_unclear
        self._is_sure = self.is_listed and decision.absent is not None
        if not decision.actions and self._looker.is_listed and self.is_followed:
            self.is_sighted = True
        if decision.absent is not None:
            self._forget(decision.absent)

    def still(self) -> Still | None:
        """Return the signs that there is still nothing to do; None when there may be.

        Once a second everything is compared; in between these signs suffice.
        """
        live, looker = self.live, self._looker
        if not self._is_idle or looker.troubles.fails(self.path) or self._must_look():
            return None
        descriptor = length = -1
        if live is not None:
            version = looker.there.get(self.path)
            if version is None or live.file.size() != version[2] or not live.is_unchanged(version):
                return None
            descriptor, length = live.file.descriptor, version[2]
        until = looker.looked_at + LOOK_EVERY
        return Still(descriptor, length, until, looker.folders, looker.changed)

    def still_as(self, still: Still) -> Still | None:
        """Return the signs for another second, having compared everything; None if it differs.

        For a log that nothing was done with since still() gave these signs, and whose folders are
        as they were.
        """
        live, now = self.live, time.monotonic()
        if not self._is_settled or (live is not None and live.is_truncated()):
            return None
        if live is not None:
            live.caught_up_at = now
        self._looker.looked_at = now
        return still._replace(until=now + LOOK_EVERY)

    @property
    def _is_idle(self) -> bool:
        """Whether nothing is to be decided or sent, and only the live file is open."""
        live = self.live
        if self.is_undecided or self.remainders or len(self.readers) != (live is not None):
            return False
        return live is None or not (live.has_lines or live.is_in_hand)

    def _must_look(self) -> bool:
        """Say whether the files may have changed; if not, it counts as a look."""
        if self.is_undecided or any(reader.is_lost for reader in self.readers):
            return True
        now = time.monotonic()
        is_due = now - self._looker.looked_at >= LOOK_EVERY
        if (is_due and not self._is_settled) or self._looker.has_changed():
            return True
        if is_due:
            self._looker.looked_at = now
            if any(reader.is_truncated() for reader in self.readers):
                return True
            if self.path in self._looker.there:
                return False  # it was asked for just now
        live = None
        with suppress(OSError):
            status = os.stat(self.path)  # noqa: PTH116 - speed
            live = status.st_dev, status.st_ino
        return self.is_followed and live != (self.live and self.live.file.identity)

    @property
    def _is_settled(self) -> bool:
        """Whether everything there was seen and is known, and no file has changed since."""
        return self._is_sure and not self._absent and self._looker.is_as_it_was

    def _is_wanted(self, path: str, status: os.stat_result) -> bool:
        """Say whether a rotated file without an entry is read: it is new, or was asked for."""
        if self.is_sighted or path in self._looker.asked:
            return True
        return self._changed_since is not None and status.st_mtime > self._changed_since

    def _opened(self, reader: StreamReader) -> Opened:
        if not reader.is_lost and reader.is_truncated():
            self.lose(reader)
        return Opened(
            identity=reader.file.identity,
            stream=reader.stream_id,
            is_live=reader is self.live,
            is_lost=reader.is_lost,
            is_torn=reader.is_lost and not reader.is_stale and bool(reader.partial_line),
            is_in_hand=reader.is_in_hand or (reader.is_known and reader.has_lines),
            is_drained=not reader.is_lost and reader.is_drained,
            is_quiet=self.source.once or self.is_quiet(reader),
        )

    # Doing what was decided.

    def _try(self, action: Action, look: Look) -> None:
        """Do what two looks have led to, if it is possible."""
        try:
            if action.do in (Do.BEGIN, Do.RESUME, Do.SKIP):
                self._open(action)
            else:
                self._note(action, look)
        except (FileNotFoundError, Truncated):
            return  # it was moved or has changed just now: the next look sees it
        except OSError as error:
            self._looker.troubles.fail(action.path, error)
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
                self.live = None
            case Do.REVIVE:
                self.live = reader
            case Do.LOSE:
                if reader is not None:
                    self.drop(reader)
                    self.remainders.append(reader)
            case Do.KNOW:
                entry = self.known.by_id[action.stream or 0]
                device, inode = action.identity
                self.known.note(replace(entry, device=device, inode=inode))
            case Do.LEAVE:
                logger.info(
                    "Rotated file lacks the end of what was read before; leaving it alone",
                    extra={"file": action.path},
                )
                self._looker.leave(action.path, look)

    def _open(self, action: Action) -> None:
        """Open a file to read it, or to skip it.

        Raises OSError, and Truncated if it is not the file that was seen, or has other content.
        """
        with ExitStack() as closed_unless_read:
            file = closed_unless_read.enter_context(closing(LogFile(action.path)))
            if file.identity != action.identity:
                raise Truncated
            reader = self._reader(file, action)
            if action.do is Do.SKIP:
                self._skip(reader)
            else:
                closed_unless_read.pop_all()
                self._add(reader)

    def _reader(self, file: LogFile, action: Action) -> StreamReader:
        """Return a reader from the position of an entry or from the beginning.

        Raises OSError and Truncated.
        """
        if action.stream is None:
            return StreamReader(file, self.source.limits)
        entry = self.known.by_id[action.stream]
        if entry.skipped and action.path in self._looker.asked:
            entry = replace(entry, position=0, marker=fingerprint(b""), skipped=False)
        if file.relation(entry) is not Relation.HOLDS:
            raise Truncated
        reader = StreamReader(file, self.source.limits, self.known.stream(entry), entry)
        reader.has_grown = entry.finished
        logger.info(
            "Reading on where the checkpoint says",
            extra={"file": file.path, "position": entry.position},
        )
        return reader

    def _add(self, reader: StreamReader) -> None:
        """Read a file from now on."""
        if reader.stream_id is not None:
            for former in [r for r in self.readers if r.stream_id == reader.stream_id]:
                self.drop(former)  # deleted: this file has its content
            self._read.add(reader.stream_id)
            self.note(reader)
        self.readers.append(reader)
        self._looker.troubles.succeed(reader.file.path)
        if reader.file.path == self.path:
            self.live = reader
            self._live_was_read = True

    def _skip(self, reader: StreamReader) -> None:
        """Add an entry for a file that is not read. Raises OSError and Truncated."""
        line = reader.first_line(is_complete=True)
        if line is None:
            # A packed file that is cut short before the end of its first line.
            self._looker.fail(reader.file.version, float("inf"))
            return
        self.begin(reader, line)
        self.known.note(reader.skipped())
        logger.info(
            "Rotated file was there before the log was asked for; it is not read",
            extra={"file": reader.file.path},
        )

    def _forget(self, absent: frozenset[int]) -> None:
        """Forget streams that no file has held for a while; warn of those being read."""
        now = time.monotonic()
        absent -= {reader.stream_id for reader in self.remainders}
        self._absent = {stream: self._absent.get(stream, now) for stream in absent}
        for stream, since in self._absent.items():
            entry = self.known.by_id[stream]
            if not entry.finished and not self.is_undecided:
                self.known.finish(entry)
                if stream not in self._read:
                    logger.warning(
                        "The file that was being read is gone; what was not read of it cannot be"
                        " had",
                        extra={"path": self.path, "position": entry.position},
                    )
            if now - since > ROTATED_QUIET and not self._may_come_back(entry):
                self.known.forget(stream)

    def _may_come_back(self, entry: Entry) -> bool:
        """Say whether a file may still exist: moved elsewhere, or on a disk that is not mounted."""
        devices = set()
        for folder in self._looker.folders:
            with suppress(OSError):
                devices.add(os.stat(folder).st_dev)  # noqa: PTH116
        if entry.device not in devices:
            return True
        if entry.file in self._looker.there:
            return False  # another file that reuses its inode
        with suppress(OSError):
            status = os.stat(entry.file)  # noqa: PTH116
            return (status.st_dev, status.st_ino) == entry.identity
        return False

    # What reading leads to.

    def begin(self, reader: StreamReader, first_line: bytes) -> None:
        """Give a reader a new stream that begins with a line."""
        named = skeleton(first_line) if self.source.is_disguised else first_line
        stream = self.known.new(named)
        reader.begin(stream)
        self._read.add(stream.stream_id)

    def note(self, reader: StreamReader) -> None:
        """Update the entry of a reader's stream."""
        self.known.note(reader.entry)

    def finish(self, reader: StreamReader) -> None:
        """Close a file that is read to its end."""
        if reader.is_known:
            version = reader.file.version
            entry = replace(reader.entry, file=reader.file.name_now)
            self.known.finish(entry, reader.end)
            self._looker.settle(version, entry.stream_id)
        self.drop(reader)
        logger.info("Read a rotated file to its end", extra={"file": reader.file.path})

    def lose(self, reader: StreamReader) -> None:
        """Note that a file no longer holds what was read of it."""
        logger.warning(
            "Log was truncated; reading it from its beginning as a new stream",
            extra={"path": reader.file.path, "position": reader.position},
        )
        reader.lose()
        self.is_undecided = True

    def fail(self, reader: StreamReader, error: OSError) -> None:
        """Report that a file cannot be read on; it is tried again later."""
        if error.errno == errno.ESTALE:
            # On a file server: the file may still exist, but this descriptor is of no use.
            logger.warning("Log's descriptor is stale; opening it again", extra={"path": self.path})
            reader.lose(is_stale=True)
            self.is_undecided = True
            return
        if reader is self.live:
            self._looker.troubles.fail(self.path, error)
            return
        # Its entry stays unfinished: it is tried again from there in a minute; a packed one, which
        # is damaged, when it changes.
        path = reader.file.name_now
        trouble = self._looker.troubles.give_up(path, error)
        logger.error(
            "Rotated file cannot be read on; what was read of it is kept",
            extra={"file": path, "error": trouble, "position": reader.position},
        )
        with suppress(OSError):
            retry_in = float("inf") if reader.file.is_packed else ROTATED_QUIET
            self._looker.fail(reader.file.version, retry_in)
        self.drop(reader)

    def succeed(self, reader: StreamReader) -> None:
        """Note that a file can be read."""
        if reader is self.live:
            self._looker.troubles.succeed(self.path)

    def drop(self, reader: StreamReader) -> None:
        """Close a file."""
        reader.file.close()
        self.readers.remove(reader)
        self.is_undecided = True  # another file may hold its stream
        if reader is self.live:
            self.live = None

    def let_go(self) -> None:
        """Close the files that are deleted: the disk keeps them for whom has them open."""
        for reader in [reader for reader in self.readers if reader.file.is_deleted]:
            self.drop(reader)

    def close(self) -> None:
        """Close every file."""
        for reader in self.readers:
            reader.file.close()

    def is_quiet(self, reader: StreamReader) -> bool:
        """Say whether a file has not grown for ROTATED_QUIET."""
        return time.monotonic() - reader.grew_at > ROTATED_QUIET

    @property
    def there(self) -> Iterable[str]:
        """The files that existed at the last look."""
        return self._looker.there

    @property
    def trouble(self) -> str:
        """Why the live file cannot be read now; empty if it can, or is not asked for."""
        return self._looker.troubles.words.get(self.path, "")

    @property
    def unread(self) -> dict[str, str]:
        """The files that could not be read, or not to their end, and why."""
        others = set(self._looker.folders)
        if self._live_was_read and not self._looker.troubles.fails(self.path):
            others.add(self.path)  # gone now, but it was read
        missing = dict.fromkeys(self._looker.missing, os.strerror(errno.ENOENT))
        unread = missing | self._looker.troubles.words
        return {path: words for path, words in unread.items() if path not in others}
