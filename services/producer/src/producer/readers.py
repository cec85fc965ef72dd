"""The files of one log that are open: the rotated ones, and the live one after them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from producer.files import Identity
from producer.reader import StreamReader


class Readers:
    """A reader for each open file, oldest first.

    Another thread asks how far they are behind while this one opens and closes files.
    """

    def __init__(self) -> None:
        #: The file that the server writes now; None while there is none.
        self.live: StreamReader | None = None
        self._rotated: list[StreamReader] = []

    def __iter__(self) -> Iterator[StreamReader]:
        """Return an iterator over those that there are at this moment."""
        live = self.live  # asked for once: see above
        return iter([*self._rotated, live] if live else [*self._rotated])

    @property
    def rotated(self) -> list[StreamReader]:
        """All but the live one."""
        return [*self._rotated]

    @property
    def stream_ids(self) -> set[int]:
        """The streams that are being read."""
        return {reader.stream.stream_id for reader in self if reader.is_known}

    @property
    def identities(self) -> set[Identity]:
        """Which files are open."""
        return {reader.file.identity for reader in self}

    @property
    def behind_bytes(self) -> int:
        """How many bytes are not confirmed."""
        return sum(reader.behind_bytes for reader in self)

    @property
    def behind_seconds(self) -> float:
        """For how long there have been bytes that are not confirmed."""
        now = time.monotonic()
        waiting = [reader.caught_up_at for reader in self if reader.behind_bytes]
        return max((now - since for since in waiting), default=0.0)

    def add_rotated(self, reader: StreamReader) -> None:
        """Add a rotated file."""
        self._rotated.append(reader)

    def sort_rotated(self) -> None:
        """Put the rotated files in the order of their last change."""
        self._rotated.sort(key=modified_at)

    def rotate(self) -> None:
        """Make the live file the last of the rotated ones."""
        if self.live is not None:
            self._rotated.append(self.live)
            self.live = None

    def drop(self, reader: StreamReader) -> None:
        """Close a file, and read it no longer."""
        reader.file.close()
        if reader is self.live:
            self.live = None
        else:
            self._rotated.remove(reader)

    def close(self) -> None:
        """Close every file."""
        for reader in self:
            reader.file.close()


def modified_at(reader: StreamReader) -> float:
    """Return when the file of a reader was last changed (Unix time)."""
    return reader.file.modified_at()
