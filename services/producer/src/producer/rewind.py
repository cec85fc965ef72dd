"""Sets the checkpoint back, so that logs are read again, under the streams that they are.

For after the exchange, a queue or rows were lost: what is stored already changes no row. The
checkpoint is not simply removed, since it alone knows the generation of each file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace

from producer.checkpoint import StateError
from producer.files import Identity, LogFile, Relation
from producer.folders import rotated_files
from producer.places import MARKER_BYTES, Place, State, fingerprint


class NotThere(Exception):
    """There is no such stream, or no line begins there; the message says which."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be read again: everything, unless it is said."""

    #: This stream alone, from this byte on, where a line must begin.
    stream: int | None = None
    position: int = 0
    #: Files that have changed since then (Unix time).
    since: float = 0.0
    #: That stream's file is another log than the stream's: it becomes the next generation.
    as_new: bool = False


@dataclass(slots=True)
class Rewound:
    """The state that is to be written, and what became of each place, in words."""

    state: State
    words: list[str] = field(default_factory=list)


class Writing:
    """Is told of the checkpoint; one that cannot be written is an error here."""

    def checkpointed(self) -> None:
        """Count nothing: it is written once."""

    def checkpoint_failed(self) -> None:
        """Raise StateError."""
        raise StateError("the checkpoint cannot be written: nothing is changed")


def rewind(state: State, wanted: Wanted, rotated_dir: str = "") -> Rewound:
    """Return a state in which the wanted places are at their beginning.

    A place whose file is gone stays as it is. `rotated_dir` is where rotated files are, from the
    folder of each log on. Raises NotThere.
    """
    if wanted.stream is not None and all(p.stream_id != wanted.stream for p in state.places):
        raise NotThere(f"the checkpoint knows no stream {wanted.stream:016x}")
    new = {place.stream_id: place for place in state.places}
    words = []
    with ExitStack() as stack:
        files = {
            path: [stack.enter_context(closing(file)) for file in _files_of(path, rotated_dir)]
            for path in {place.path for place in state.places}
        }
        for place, file in _matched(state.places, files):
            name = f"stream {place.stream_id:016x}, generation {place.generation}, {place.path}"
            if wanted.stream not in (None, place.stream_id):
                continue
            if place.skipped and wanted.stream is None:
                continue  # nothing of it was ever asked for
            if file is None:
                words.append(f"{name}: its file is gone, nothing can be read again")
            elif file.modified_at() < wanted.since:
                words.append(f"{name}: {file.path} has not changed since, left alone")
            elif wanted.as_new:
                # No file holds it any more: what is there is a stream that is not known yet.
                new[place.stream_id] = replace(place, marker="", finished=True)
                words.append(f"{name}: {file.path} is read from its beginning as another stream")
            else:
                new[place.stream_id] = _set_back(place, file, wanted.position)
                words.append(f"{name}: {file.path} is read again from byte {wanted.position:,} on")
    return Rewound(replace(state, places=list(new.values())), words)


def _files_of(log: str, rotated_dir: str) -> Iterator[LogFile]:
    """Open the files that there are of a log, those that are not whole yet last."""
    with suppress(OSError):
        yield LogFile(log)
    for file in rotated_files(log, rotated_dir):
        with suppress(OSError):
            yield LogFile(file)


def _matched(
    places: list[Place], files: dict[str, list[LogFile]]
) -> Iterator[tuple[Place, LogFile | None]]:
    """Yield each place and the file that holds it; a file that holds two is where it was last."""
    there = {file.identity for found in files.values() for file in found}
    taken: set[Identity] = set()
    for place in sorted(places, key=lambda place: place.identity not in there):
        holding = [
            f
            for f in files[place.path]
            if f.identity not in taken and f.relation(place) is Relation.HOLDS
        ]
        holding.sort(key=lambda file: file.identity != place.identity)
        if holding:
            taken.add(holding[0].identity)
        yield place, holding[0] if holding else None


def _set_back(place: Place, file: LogFile, position: int) -> Place:
    """Return a place in a file. Raises NotThere where no line begins."""
    before = file.read(max(0, position - MARKER_BYTES), min(MARKER_BYTES, position))
    if position > place.position or (position and not before.endswith(b"\n")):
        raise NotThere(f"no line that was read begins at byte {position:,} of {file.path}")
    device, inode = file.identity
    return replace(
        place,
        device=device,
        inode=inode,
        position=position,
        marker=fingerprint(before),
        finished=False,
        skipped=False,
    )
