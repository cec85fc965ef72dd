"""A clock for the parts of one thread, and a session with the database that tells it of them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

from datastream.config import MysqlSettings
from datastream.inserts import Insert
from datastream.mysql import Session, Transaction, Value

#: What a session tells the clock of.
TEXT = "rows as SQL text"
EXECUTING = "sending INSERTs, waiting, committing"
LOOKS = "looking for rows that are there already"


class Clock:
    """Counts a thread's CPU time by part; a part within another counts in its own alone."""

    def __init__(self) -> None:
        #: CPU seconds by part.
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._whole = ""
        self._since = 0.0

    @contextmanager
    def part(self, name: str, *, whole: bool = False) -> Iterator[None]:
        """Count the block under a name; if it is a `whole`, all parts within it as well."""
        outer = self._whole
        self._turn(self._whole or name)
        if whole:
            self._whole = self._whole or name
        try:
            yield
        finally:
            self._whole = outer
            self._turn(None)

    def _turn(self, name: str | None) -> None:
        now = time.thread_time()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        if name is None:
            self._open.pop()
        else:
            self._open.append(name)
        self._since = time.thread_time()


class _Watched:
    """An object of the driver's, some methods of which are parts, or return watched objects."""

    def __init__(self, inner: Any, clock: Clock, parts: Mapping[str, str]) -> None:  # noqa: ANN401 - the driver's
        self._inner, self._clock, self._parts = inner, clock, parts

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the driver's
        method = getattr(self._inner, name)
        if name == "cursor":
            return lambda: _Watched(method(), self._clock, self._parts)
        return self._timed(method, self._parts[name]) if name in self._parts else method

    def _timed(self, method: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*arguments: object) -> Any:  # noqa: ANN401 - the driver's
            with self._clock.part(part):
                return method(*arguments)

        return timed


class WatchedSession(Session):
    """A session that tells a clock what is text, what is sent, and what is looked for."""

    def __init__(self, settings: MysqlSettings, name: str) -> None:
        super().__init__(settings, name)
        self.clock = Clock()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Give a transaction whose parts the clock counts."""
        with super().transaction() as transaction:
            yield _WatchedTransaction(transaction, self.clock)

    def _open(self) -> None:
        super()._open()
        if not isinstance(self._connection, _Watched):
            parts = {"execute": EXECUTING, "commit": EXECUTING}
            self._connection = _Watched(self._connection, self.clock, parts)
        self._connection._clock = self.clock


class _WatchedTransaction(Transaction):
    def __init__(self, inner: Transaction, clock: Clock) -> None:
        super().__init__(inner._cursor, inner._most_bytes)
        self._clock = clock

    def insert(self, insert: Insert, rows: Sequence[Sequence[Any]]) -> int:
        with self._clock.part(TEXT):
            return super().insert(insert, rows)

    def select(self, statement: LiteralString, parameters: Sequence[Value] = ()) -> Iterator[Any]:
        with self._clock.part(LOOKS, whole=True):
            return super().select(statement, parameters)
