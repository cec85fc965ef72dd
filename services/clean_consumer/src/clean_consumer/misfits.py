"""Streams whose lines do not fit their format: says so, and what mends it, as long as it lasts."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from threading import Event, Lock, Thread
from typing import TypeAlias

from clean_consumer.rows import Parsed
from datastream.parsing import CONTINUED, FEWEST_LINES
from datastream.parsing.looks import ONE_IN, Looks, is_misfit, looks_of, prefix_missed, shortened
from datastream.privacy import LineDisguise, but_hashes
from datastream.privacy_settings import PrivacySettings
from datastream.slices import DISGUISED, INCOMPLETE
from datastream.streams import Stream

logger = logging.getLogger(__name__)

#: Seconds between two looks, between two words about a stream, and without a line of a stream
#: after which nothing more is said of it.
LOOK_EVERY = 1.0
TELL_EVERY = 60.0
FORGET_AFTER = 900.0
#: The most streams that are counted, and that are told at the same time: a bound on memory, on the
#: words and on the labels of the metric.
MOST_STREAMS = 500
MOST_TOLD = 20
#: Bytes kept of a line to look at, and characters that a word shows of it.
KEPT, SHOWN = 2048, 160

#: The value of a parameter, where no question mark says that it is one: of a line that does not fit
#: it is not known which value is a query string.
_PARAMETER = re.compile(rb"(=|%3D|\\u003d)[^\s&]+", re.IGNORECASE)

#: Stream in hexadecimal, source and path: the labels of the metric.
Labels: TypeAlias = tuple[str, str, str]


@dataclass(slots=True)
class _Tally:
    """The lines of one stream since the last word about it."""

    stream: Stream
    counted_at: float = 0.0
    lines: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    #: Some of the lines that were rejected, with their flags.
    samples: deque[tuple[bytes, int]] = field(default_factory=lambda: deque(maxlen=FEWEST_LINES))
    #: Its first lines, until they have been looked at for a prefix; then None.
    first: list[tuple[bytes, int]] | None = field(default_factory=list)
    #: When it was said that its lines do not fit; None while they do.
    told_at: float | None = None
    #: What share was rejected then.
    share: float = 0.0

    @property
    def rejected(self) -> int:
        return self.reasons.total()

    def begin_again(self) -> None:
        self.lines = 0
        self.reasons = Counter()
        self.samples = deque(maxlen=FEWEST_LINES)


class Misfits:
    """Counts what is stored by stream, and tells of the streams whose lines do not fit.

    `privacy` says what of a line may be shown; `clock` gives seconds that only grow.
    """

    def __init__(
        self, privacy: PrivacySettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._privacy = privacy
        self._clock = clock
        self._lock = Lock()
        #: The one counted last is the last.
        self._tallies: dict[int, _Tally] = {}

    def count(self, batch: Iterable[Parsed]) -> None:
        """Count slices that are committed."""
        now = self._clock()
        with self._lock:
            for parsed in batch:
                number = parsed.slice.stream.stream_id
                tally = self._tallies.pop(number, None) or _Tally(parsed.slice.stream)
                self._tallies[number] = tally
                tally.counted_at = now
                _add(tally, parsed)
            while len(self._tallies) > MOST_STREAMS:
                del self._tallies[next(n for n, t in self._tallies.items() if t.told_at is None)]

    def tell(self) -> None:
        """Say which streams do not fit, once a minute each, and of which that is over."""
        now = self._clock()
        with self._lock:
            for number, tally in list(self._tallies.items()):
                is_due = tally.told_at is None or now - tally.told_at >= TELL_EVERY
                self._look_at_first(tally)
                if now - tally.counted_at >= FORGET_AFTER:
                    del self._tallies[number]
                    if tally.told_at is not None:
                        _say("No more lines of a stream that did not fit its format", tally)
                elif is_due and is_misfit(tally.rejected, tally.lines):
                    self._tell_misfit(tally, now)
                elif is_due and tally.told_at is not None and _fits(tally):
                    tally.told_at = None
                    _say("The lines of a stream fit their format again", tally)
                if tally.told_at is None and tally.lines >= FEWEST_LINES * ONE_IN:
                    tally.begin_again()  # they fit: rare odd lines must not add up

    @property
    def shares(self) -> Mapping[Labels, float]:
        """The share of lines rejected at the last word about each stream that does not fit."""
        with self._lock:
            return {
                (_number(tally), tally.stream.source, tally.stream.path): tally.share
                for tally in self._tallies.values()
                if tally.told_at is not None
            }

    def _look_at_first(self, tally: _Tally) -> None:
        """Say once where lines fit, but something in front of them takes the client's place."""
        if tally.first is None or len(tally.first) < FEWEST_LINES:
            return
        samples, tally.first = tally.first, None
        missed = prefix_missed([line for line, _ in samples], tally.stream.format)
        if missed is not None:
            self._warn("Lines have their client in another column", tally, missed, samples[0])

    def _tell_misfit(self, tally: _Tally, now: float) -> None:
        told = sum(other.told_at is not None for other in self._tallies.values())
        if tally.told_at is None and told >= MOST_TOLD:
            return
        rejected, lines, samples = tally.rejected, tally.lines, tally.samples
        [(reason, _)] = tally.reasons.most_common(1)
        tally.told_at, tally.share = now, rejected / lines
        tally.begin_again()  # first: what follows may raise at an odd line, but not each second
        self._warn(
            "Lines do not fit their format; they are kept in raw_log",
            tally,
            looks_of([line for line, _ in samples]),
            samples[-1],
            reason=reason,
            rejected=f"{rejected:,} of {lines:,}",
        )

    def _warn(
        self,
        sentence: str,
        tally: _Tally,
        looks: Looks,
        sample: tuple[bytes, int],
        **facts: str,
    ) -> None:
        # Of a stream that changed its format on the way, the lines before must stay as they are.
        which = "--rejected " if "rejected" in facts else ""
        logger.warning(
            sentence,
            extra={
                "stream": _number(tally),
                "path": tally.stream.path,
                **facts,
                "format": shortened(tally.stream.format),
                "look_like": looks.words,
                "line": self._shown(*sample),
                "mend": f"set FORMAT, then datastream replay {which}"
                f"--stream {_number(tally)} {looks.option}",
            },
        )

    def _shown(self, line: bytes, flags: int) -> str:
        """Return the beginning of a line as it may be kept on the clean side."""
        disguise = self._privacy.disguise
        if disguise is not None or self._privacy.drops_queries:
            if disguise is not None and flags & DISGUISED:
                disguise = but_hashes(disguise)
            hide = LineDisguise(disguise, drops_queries=self._privacy.drops_queries)
            line = hide(line, is_cut=len(line) == KEPT or bool(flags & INCOMPLETE))
        if self._privacy.drops_queries:
            line = _PARAMETER.sub(rb"\1...", line)
        text = line.decode(errors="backslashreplace")
        return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


@contextmanager
def watched(
    misfits: Misfits, show: Callable[[Mapping[Labels, float]], None], stop: Event
) -> Iterator[None]:
    """Tell of misfits during the block until `stop` is set, and once more at its end.

    `show` gets their shares after each look.
    """

    def look() -> None:
        try:
            misfits.tell()
        except Exception:
            # A bug of ours at some line; what is told must not end what tells it.
            logger.exception("What does not fit could not be told")
        show(misfits.shares)

    def watch() -> None:
        while not ended.is_set() and not stop.wait(LOOK_EVERY):
            look()

    ended = Event()
    thread = Thread(target=watch, name="misfits", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(LOOK_EVERY * 2)
        look()


def _add(tally: _Tally, parsed: Parsed) -> None:
    slice_ = parsed.slice
    tally.stream = slice_.stream  # its format may have been changed
    tally.lines += slice_.lines
    if tally.first is not None and len(tally.first) < FEWEST_LINES:
        first = islice(slice_.numbered(), FEWEST_LINES)
        tally.first += [(line[:KEPT], slice_.flags) for _, line in first]
    if not parsed.rejected:
        return
    reasons = {row.line_offset: row.reason for row in parsed.rejected if row.reason != CONTINUED}
    tally.lines -= len(parsed.rejected) - len(reasons)
    tally.reasons.update(reasons.values())
    if len(tally.samples) < FEWEST_LINES:
        tally.samples.extend(
            (line[:KEPT], slice_.flags) for offset, line in slice_.numbered() if offset in reasons
        )


def _fits(tally: _Tally) -> bool:
    return tally.lines >= FEWEST_LINES and tally.rejected * ONE_IN <= tally.lines


def _say(sentence: str, tally: _Tally) -> None:
    logger.info(sentence, extra={"stream": _number(tally), "path": tally.stream.path})


def _number(tally: _Tally) -> str:
    return f"{tally.stream.stream_id:016x}"
