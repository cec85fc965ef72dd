"""The tables of distinct texts that clean_log names by a key: user_agent and referrer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import LiteralString, NamedTuple

from clean_consumer.enrichment import Describe
from datastream.inserts import Insert, numbers, texts
from datastream.mysql import Session

#: How many keys a process remembers to have written: those of a flood are forgotten again.
REMEMBERED = 20_000
#: How many rows that were stored without a description get it in a batch.
COMPLETED_AT_ONCE = 20
#: Seconds until the table is looked at again, once there were no such rows.
NEXT_LOOK = 10.0


class Table(NamedTuple):
    """A table of texts with the columns that derive from each."""

    add: Insert
    #: Finds rows that were stored without a description: `LIMIT %s`.
    undescribed: LiteralString
    complete: LiteralString
    #: How many texts are described in a batch; the others are, later on.
    described_at_once: int


USER_AGENTS = Table(
    add=Insert(
        """
        INSERT INTO user_agent ({columns}) VALUES {values}
        ON DUPLICATE KEY UPDATE user_agent_id = user_agent_id
        """,
        {
            "user_agent_id": numbers,
            "user_agent": texts,
            "browser": texts,
            "browser_version": texts,
            "system": texts,
            "device": texts,
            "is_bot": numbers,
        },
    ),
    undescribed="""
        SELECT user_agent_id, user_agent FROM user_agent WHERE is_bot IS NULL LIMIT %s
    """,
    complete="""
        UPDATE user_agent
        SET browser = %s, browser_version = %s, `system` = %s, device = %s, is_bot = %s
        WHERE user_agent_id = %s
    """,
    # Half a millisecond each at the worst, whoever made them up.
    described_at_once=50,
)

REFERRERS = Table(
    add=Insert(
        """
        INSERT INTO referrer ({columns}) VALUES {values}
        ON DUPLICATE KEY UPDATE referrer_id = referrer_id
        """,
        {"referrer_id": numbers, "referrer": texts, "host": texts, "kind": texts},
    ),
    undescribed="""
        SELECT referrer_id, referrer FROM referrer WHERE kind IS NULL LIMIT %s
    """,
    complete="""
        UPDATE referrer SET host = %s, kind = %s WHERE referrer_id = %s
    """,
    # Some microseconds each, so every one of a batch.
    described_at_once=10_000,
)


class Dimension:
    """Writes each distinct text once, with its description, before the rows that name it."""

    def __init__(self, session: Session, table: Table, describe: Describe | None) -> None:
        """Without `describe`, those columns stay NULL until a consumer that has it comes."""
        self._session = session
        self._table = table
        self._describe = describe
        self._written: set[int] = set()
        self._look_at = 0.0

    def ensure(self, texts: Mapping[int, str]) -> None:
        """Commit the texts, by key, that are new to this process. Raises RowRefused, Unavailable.

        However many there are, no more than a bounded number is described now.
        """
        new = sorted((key, value) for key, value in texts.items() if key not in self._written)
        if new:
            self._add(new)
        if self._describe is not None and time.monotonic() >= self._look_at:
            self._complete(self._describe)

    def check(self) -> None:
        """Raise Unavailable unless the table is there and may be read."""
        with self._session.transaction() as transaction:
            transaction.select(self._table.undescribed, (0,))

    def _add(self, new: list[tuple[int, str]]) -> None:
        table, describe = self._table, self._describe
        at_once = table.described_at_once if describe else 0
        rows = [(*row, *describe(row[1])) for row in new[:at_once]] if describe else []
        blank = [None] * (len(table.add.columns) - 2)
        rows += [(*row, *blank) for row in new[at_once:]]
        with self._session.transaction() as transaction:
            transaction.insert(table.add, rows)
        if len(self._written) + len(new) > REMEMBERED:
            self._written.clear()
        self._written.update(key for key, _ in new)
        if len(new) > at_once:
            self._look_at = 0.0

    def _complete(self, describe: Describe) -> None:
        """Describe some of those that were one too many in a batch, or that are an older version's.

        Two consumers may do the same ones: they come to the same.
        """
        with self._session.transaction() as transaction:
            found = sorted(transaction.select(self._table.undescribed, (COMPLETED_AT_ONCE,)))
            for key, value in found:
                transaction.execute(self._table.complete, (*describe(value), key))
        if len(found) < COMPLETED_AT_ONCE:
            self._look_at = time.monotonic() + NEXT_LOOK
